"""A whole document inside a page, in a sandboxed frame without scripts."""

from __future__ import annotations

from pages.view.shell import component

_mount = component.register(
    "preview",
    '<iframe sandbox="" title="The report" tabindex="0"></iframe>',
)


def draw_document(html: str, key: str) -> None:
    """Show a document as it would look by itself.

    Args:
        html: the whole document.
        key: of the element.
    """
    _mount(key=key, data={"html": html})
