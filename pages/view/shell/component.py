"""Register components of our own: the markup is given here, style sheets and scripts are in ``assets/``.

Constraint: markup and script are constant; text of visitors and models reaches a component only as data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from map_core.core import amounts
from map_core.core.assets import ASSETS


def register_script(name: str) -> Callable[..., Any]:
    """Register the script of assets/NAME.js, which draws nothing of its own, to be mounted with a key."""
    script = (ASSETS / f"{name}.js").read_text(encoding="utf-8")
    return st.components.v2.component(f"value_palette_{name}", js=script, html="<i hidden></i>")


def register(
    name: str, html: str, *, isolated: bool = True, scripts: tuple[str, ...] = ("nodes",)
) -> Callable[..., Any]:
    """Register the component of assets/NAME.js and assets/NAME.css, to be mounted with a key.

    Numbers that are not finite reach it as null, because JSON has no others.

    Args:
        name: of the two files.
        html: its initial markup.
        isolated: mount it in a shadow root. Otherwise it is part of the page, so that headings, roles and the page's
            style sheets apply, and it may use the shared scripts.
        scripts: names of shared scripts in assets, which are loaded before its own unless it is isolated.
    """
    script = (ASSETS / f"{name}.js").read_text(encoding="utf-8")
    if not isolated:
        script = "".join((ASSETS / f"{shared}.js").read_text(encoding="utf-8") for shared in scripts) + script
    component = st.components.v2.component(
        f"value_palette_{name}",
        html=html,
        css=(ASSETS / f"{name}.css").read_text(encoding="utf-8"),
        js=script,
        isolate_styles=isolated,
    )

    def mount(*, data: Any = None, **options: Any) -> Any:
        return component(data=amounts.json_safe(data), **options)

    return mount
