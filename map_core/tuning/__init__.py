"""A palette written into a model's weights: contents.

settings     the routes and their settings
losses       the offline losses, whose optimum is the tilt
examples     a table and weights as prompts, replies and lambda . r
policy       log-probabilities of replies at the table's temperature, with gradients
vocabulary   sums over the vocabulary of two models with one output layer
token_values how much of lambda . r a beginning of a reply promises, by regression on hidden states
advantage    training on the table's replies by token-level advantages
offline      training on the table's replies
online       training on new replies, TRL's RLOO
rewards      reward functions of an online run
sampling     how far the trainer's p0 is from the table's
estimate     time, memory and disk of a tuning, from one measured step
checkpoints  checkpoints by the clock
held_out     what the tuned model does on prompts that it was not tuned on, by importance weights
request      what is tuned, on what and where to
run          one tuning, from table and weights to a folder
folder       whose a folder is, and what it was made of
card         the folder's card
check        the tuned model's own replies to held-out prompts
side_by_side three replies to a held-out prompt
mixtures     models that are tuned to one value each, mixed for a palette
soup         log-ratios under adapters, and under averages of them
rounds       weights solved again on the tuned model's own replies, until the targets hold

Nothing is imported here: torch, transformers, peft and trl load when a model is tuned.
"""
