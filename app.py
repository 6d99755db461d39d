"""The server: Streamlit with the pages' script, and what a browser asks for beside it."""

from __future__ import annotations

import streamlit as st

from pages.view import channel, fonts

app = st.App("pages/navigation.py", routes=[channel.ROUTE, fonts.ROUTE])
