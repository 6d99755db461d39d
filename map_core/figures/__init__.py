"""Plotly figures of results, with their descriptions in words and their data as CSV; one module per kind of figure.

Constraint: no browser library, and nothing is solved here. Figures leave the colours of text and background to the
surrounding theme, so that one figure serves light and dark.
"""
