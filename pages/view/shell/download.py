"""The button that downloads the numbers of a figure."""

from __future__ import annotations

import streamlit as st


def draw_download(data: str, name: str, key: str) -> None:
    """Draw the button.

    Args:
        data: CSV.
        name: of the file, without its suffix.
        key: of the button.
    """
    st.download_button(
        "Data (CSV)", data, f"{name}.csv", "text/csv", icon=":material/download:", type="tertiary", key=key
    )
