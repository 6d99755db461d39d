"""Tests of the Markdown of replies: by hand, and no text gives other tags, links or images."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from map_core.core.cut_replies import with_mark
from map_core.text.reply_markup import cut_nodes, reply_html, reply_nodes

TAGS = {"p", "br", "hr", "ul", "ol", "li", "blockquote", "pre", "code", "strong", "em"}


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("It is **hot**, *very*.", "<p>It is <strong>hot</strong>, <em>very</em>.</p>"),
        ("One\ntwo\n\nthree", "<p>One<br>two</p><p>three</p>"),
        ("1. **A**: x\n2. y", "<ol><li><strong>A</strong>: x</li><li>y</li></ol>"),
        ("3. x\n4. y", '<ol start="3"><li>x</li><li>y</li></ol>'),
        ("- a\n  - b", "<ul><li>a<ul><li>b</li></ul></li></ul>"),
        ("## Title\ntext", "<p><strong>Title</strong></p><p>text</p>"),
        ("```py\nx < y\n```", "<pre>x &lt; y</pre>"),
        ("    an indented poem", "<p>an indented poem</p>"),
        ("snake_case, 2 * 3 * 4", "<p>snake_case, 2 * 3 * 4</p>"),
        ("", ""),
    ],
)
def test_markdown_becomes_its_html(text: str, html: str):
    assert reply_html(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![a](http://tracker/x.png)",
        "[a](javascript:alert(1))",
        "<http://tracker>",
        "&lt;b&gt;",
    ],
)
def test_harmful_markup_is_shown_as_text(text: str):
    assert reply_nodes(text) == [["p", text]]


PIECES = ["*", "**", "`", "```\n", "\n", "\n\n", "- ", "1. ", "> ", "# ", "<b>", "</p>", "&", '"', "[x](y)", "![x](y)"]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=25).map("".join))
def test_any_text_gives_only_allowed_tags_without_attributes(text: str):
    tags = re.findall(r"<[^>]*>", reply_html(text))
    for tag in tags:
        assert re.fullmatch(r"</?(\w+)>|<ol start=\"\d+\">", tag), tag
        assert re.match(r"</?(\w+)", tag)[1] in TAGS
    # Markdown removes marks and spaces, but no letters other than the language name after ``` or ~~~.
    if "```" not in text and "~~~" not in text:
        letters = [letter for letter in re.sub(r"<[^>]*>", "", reply_html(text)) if letter.isalpha()]
        assert len(letters) >= sum(letter.isalpha() for letter in text)


def test_truncated_reply_has_a_short_and_a_complete_form():
    short, complete = cut_nodes(with_mark("It *rains*. Take a coat. And then you sho", True))
    assert short == reply_nodes("It *rains*. Take a coat.\u00a0…")
    assert complete == reply_nodes("It *rains*. Take a coat. And then you sho\u00a0…")
    assert cut_nodes("It rains. And") == (reply_nodes("It rains. And"), None)
