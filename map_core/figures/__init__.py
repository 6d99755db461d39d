"""Results in, Plotly figures and tables of their numbers out; one file per kind of figure.

Constraint: no browser library, and nothing is solved here. Figures leave text and background to the theme around
them, so that one figure serves light and dark.
"""
