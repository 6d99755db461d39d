"""The parts of the pages, a folder for each group of pages.

shell      markup, style sheet, errors, live components, the live channel
session    the open table, this viewer's palette, and what follows from both
about, choose, compare, groups, palette, palettes, studies, tables, tradeoffs, tune, values
           the parts of these pages

Constraint: only ``app.py``, the pages and this package import streamlit.
"""
