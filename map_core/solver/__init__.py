"""The dual Newton solver: contents.

newton   the weights of one palette
batched  many palettes, or many draws of the prompts, in one solve
rays     how far along directions of weights a budget goes
"""
