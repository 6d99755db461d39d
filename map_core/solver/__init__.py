"""The dual Newton solver.

newton   the weights of one palette
batched  many palettes, or many bootstrap samples, in one solve
rays     points along directions of weights that spend a budget
"""
