"""Turn one request into one aligned reply.

request       the request and its methods
sampler       the entry point: from a prompt to a base and an aligned reply
resample      whole replies: K candidates, one choice
smc           block-wise re-sampling, sequential Monte Carlo
proposal      candidates of a tuned model, chosen with weights exp(lambda . r) p0 / q
candidates    buffer, scoring and choice of candidates
pruning       unlikely candidates are stopped early
choice        one of K candidates with probability softmax(lambda . r)
reward_cache  rewards of one prompt's replies, each reply once
weighted_rewards
              the columns that weights multiply: rewards, or transforms of them
reply_floors  floors that every reply must meet
given_replies scores of replies that were written elsewhere
weights       weights that may change while replies are being written
events        what a generation yields

Nothing is imported here, so that importing one module loads no model library.
"""
