"""Render the Markdown of replies: emphasis, lists, quotes and code, and nothing through which a reply could do harm.

A reply is untrusted text. It is parsed to nodes of a few tags that hold only text, and drawn by :func:`reply_html`
here or by ``assets/nodes.js`` in a live component. Constraint: HTML in a reply is text; there are no links, pictures or
attributes, so nothing is loaded and nothing can be clicked. Headings are bold paragraphs, because the page has headings
of its own.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from map_core.core.cut_replies import shorter

#: A node: a text, or [tag, *children]; the number of the first entry follows the tag of a list not starting at 1.
Node = str | list[object]

#: Markdown rules that are not applied: links and pictures in all their forms, HTML, and code by indentation.
_DISABLED_RULES = ["link", "image", "autolink", "reference", "html_block", "html_inline", "code", "entity"]
_PARSER = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(_DISABLED_RULES)
_TAGS = {
    "paragraph": "p",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "blockquote": "blockquote",
    "strong": "strong",
    "em": "em",
}


@lru_cache(maxsize=512)
def _parsed(text: str) -> tuple[Node, ...]:
    return tuple(_children(SyntaxTreeNode(_PARSER.parse(text))))


def reply_nodes(text: str) -> list[Node]:
    """Return a reply as nodes.

    Example:
        >>> reply_nodes("It is **hot** <b>.")
        [['p', 'It is ', ['strong', 'hot'], ' <b>.']]
    """
    return list(_parsed(text))


def cut_nodes(shown: str) -> tuple[list[Node], list[Node] | None]:
    """Return the nodes of a reply up to its last complete sentence, and those of the whole; None where they are equal.

    Args:
        shown: the reply with the mark of where it was cut (:func:`map_core.core.cut_replies.with_mark`).
    """
    short = shorter(shown)
    if short is None:
        return reply_nodes(shown), None
    return reply_nodes(short), reply_nodes(shown)


def reply_html(text: str) -> str:
    """Return a reply as HTML of its nodes.

    Example:
        >>> reply_html("*a* <script>")
        '<p><em>a</em> &lt;script&gt;</p>'
    """
    return "".join(map(_html, _parsed(text)))


def _children(node: SyntaxTreeNode) -> list[Node]:
    return [part for child in node.children for part in _nodes(child)]


def _nodes(node: SyntaxTreeNode) -> list[Node]:
    kind = node.type
    if kind == "text":
        return [node.content] if node.content else []
    if kind in ("softbreak", "hardbreak"):
        return [["br"]]
    if kind == "hr":
        return [["hr"]]
    if kind == "code_inline":
        return [["code", node.content]]
    if kind == "fence":
        return [["pre", node.content.rstrip("\n")]]
    if kind == "heading":
        return [["p", ["strong", *_children(node)]]]
    if kind == "inline" or (kind == "paragraph" and node.hidden):
        return _children(node)
    if kind in _TAGS:
        tag: list[object] = [_TAGS[kind]]
        if kind == "ordered_list" and node.attrs.get("start", 1) != 1:
            tag.append(int(node.attrs["start"]))
        return [[*tag, *_children(node)]]
    return [node.content] if node.content else _children(node)


def _html(node: object) -> str:
    if not isinstance(node, list):
        return escape(str(node))
    tag, *parts = node
    if tag in ("br", "hr"):
        return f"<{tag}>"
    start = ""
    if parts and isinstance(parts[0], int):
        start = f' start="{parts.pop(0)}"'
    return f"<{tag}{start}>{''.join(map(_html, parts))}</{tag}>"
