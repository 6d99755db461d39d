"""Studies of one reward table: contents.

frontier            the Pareto frontier of pairs and triples of values
frontier_spread     well spread palettes on the frontier of several values
sensitivity         shadow prices, and curves as one target moves
local_steps         one target moved by a step
interpolation       the mixtures between two palettes
sequential          one value aligned after another
order_effects       how much the order of such steps matters
baselines           weights that are picked without targets
drift               one palette on two tables
generation_weights  the weights for a generator with K candidates
examples            replies of the table, read at given weights
"""
