"""From one request to one aligned reply: contents.

request       the request and its methods
sampler       the one way from a prompt to a base and an aligned reply
resample      whole replies: K candidates, one choice
smc           block-wise re-sampling, sequential Monte Carlo
proposal      candidates of a tuned model, chosen with weights exp(lambda . r) p0 / q
candidates    candidates as they are written, scored and chosen among
pruning       candidates stopped early, those that will hardly be picked
choice        one of K candidates with probability softmax(lambda . r)
reward_cache  rewards of one prompt's replies, each reply once
weighted_rewards
              the columns that weights count: rewards, or transforms of them
reply_floors  floors that every reply keeps
given_replies replies that somebody else has written, scored
weights       weights that may change on the way
events        events on the way

Nothing is imported here, so that looking at one of them loads no model library.
"""
