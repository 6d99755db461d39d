"""Palettes as data.

palette  targets by value, as dictionaries and as URL parameters
presets  starting palettes
targets  parsing of targets, conversion of levels and percentiles
"""
