"""What the pages share: the table, the palette of this viewer, and how it is said and shown.

Constraint: beside ``app.py`` and the pages themselves the only place that imports streamlit.
"""
