"""Palettes as data: contents.

palette  a target a value, each with what it may not do
presets  palettes to begin from
targets  targets as people write them, and levels as percentiles
"""
