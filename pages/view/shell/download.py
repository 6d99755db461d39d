"""The button by which the numbers of a figure are taken along as a file."""

from __future__ import annotations

import streamlit as st


def draw_download(data: str, name: str, key: str) -> None:
    """Draw a figure's numbers as a file."""
    st.download_button(
        "Data (CSV)", data, f"{name}.csv", "text/csv", icon=":material/download:", type="tertiary", key=key
    )
