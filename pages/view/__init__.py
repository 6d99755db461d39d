"""What the pages share, a folder for each group of pages.

shell      markup, style sheet, errors, live components, the live channel
session    the open table, this viewer's palette, and what follows from both
palette, values, tradeoffs, compare, palettes, groups, studies, tables, about
           the parts of these pages

Constraint: beside ``app.py`` and the pages themselves the only place that imports streamlit.
"""
