"""The way in: names the pages and runs the one that was asked for."""

from __future__ import annotations

import streamlit as st

from pages.view import style

st.set_page_config(page_title="Value Palette", page_icon="assets/icon.svg", layout="wide")
style.apply()
page = st.navigation(
    [
        st.Page("pages/palette.py", title="Palette", icon=":material/tune:", default=True),
        st.Page("pages/tradeoffs.py", title="Trade-offs", icon=":material/balance:", url_path="tradeoffs"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare:", url_path="compare"),
        st.Page("pages/delivery.py", title="Evidence", icon=":material/fact_check:", url_path="delivery"),
    ],
    position="top",
)
page.run()
