"""Analyses of one reward table.

frontier            the Pareto frontier of pairs and triples of values
frontier_spread     well spread palettes on the frontier of several values
sensitivity         shadow prices, and curves as one target moves
local_steps         one target moved by a step
interpolation       the mixtures between two palettes
sequential          sequential alignment, one value after another
order_effects       the effect of the order of such steps
baselines           random and equal weights, without targets, for comparison
drift               one palette on two tables
generation_weights  the weights for a generator with K candidates
examples            replies of the table at given weights
"""
