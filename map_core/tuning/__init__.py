"""A palette written into a model's weights: contents.

settings     the routes and their settings
losses       the offline losses, whose optimum is the tilt
examples     a table and weights as prompts, replies and lambda . r
policy       log-probabilities of replies at the table's temperature, with gradients
offline      training on the table's replies
online       training on new replies, TRL's RLOO
rewards      reward functions of an online run

Nothing is imported here: torch, transformers, peft and trl load when a model is tuned.
"""
