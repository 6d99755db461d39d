"""The documents of ``docs/`` as the app shows them.

They are written for the repository and for the site that ``make docs`` builds; here their headings are one level lower,
links between them lead to this page, and their pictures come from ``assets/``. Constraint: the texts are the project's
own; nothing that a visitor wrote is drawn here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import streamlit as st

from map_core.core.assets import app_folder
from pages.view.shell import markup
from pages.view.shell.session_keys import Key

DOCUMENT: Key[str] = Key("document", "")

FOLDER = app_folder() / "docs"
#: In the order of the site; the name is also what the address says.
NAMES = (
    *("index", "start", "values", "embedded", "tables", "tuning", "python", "server", "cluster"),
    *(
        "method",
        "beyond_averages",
        "promises",
        "judgement",
        "benchmarks",
        "configuration",
        "security",
        "operations",
        "architecture",
        "contributing",
    ),
)
_LINK = re.compile(r"\]\((\w+)\.md(#[\w-]+)?\)")
_PICTURE = re.compile(r"^!\[(.*)\]\(\.\./assets/(.*)\)$", re.MULTILINE)


def text(name: str) -> str:
    """Read a document.

    Args:
        name: one of :data:`NAMES`.
    """
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def title(name: str) -> str:
    """Return the title of a document: its first heading."""
    return text(name).split("\n", 1)[0].removeprefix("# ")


def adapted(markdown: str) -> str:
    r"""Rewrite a document for the page: headings one level lower, links to other documents to this page.

    Example:
        >>> adapted("# Server\n\nSee [Method](method.md#solver).")
        '## Server\n\nSee [Method](documents?document=method#solver).'
    """
    return "".join(_adapted_lines(markdown))


def draw_document(name: str) -> None:
    """Draw a document: its text, with the pictures where it has them."""
    before, *rest = _PICTURE.split(text(name))
    st.markdown(adapted(before))
    for meaning, picture, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        st.html(markup.image(picture, meaning))
        st.markdown(adapted(after))


def _adapted_lines(markdown: str) -> Iterator[str]:
    in_code = False
    for line in markdown.splitlines(keepends=True):
        in_code ^= line.startswith("```")
        if in_code or line.startswith("    "):
            yield line
        else:
            yield _LINK.sub(r"](documents?document=\1\2)", f"#{line}" if line.startswith("#") else line)
