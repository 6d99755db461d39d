"""Tests of the documents in the app: each opens, and none has a broken link."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.view.about import documents

ROOT = Path(__file__).resolve().parents[2]
APP = str(ROOT / "pages" / "navigation.py")
#: Code, which has no links and headings.
CODE = re.compile(r"^```.*?^```$|^ {4}.*?$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


#: A path of the repository in a text; capitals are placeholders.
PATH = re.compile(r"\b(?:map_core|pages|tests|assets)/[\w/.-]*\w")


def anchors(name: str) -> set[str]:
    """Return the anchors of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", documents.text(name)), re.MULTILINE)
    return {re.sub(r"[^\w]+", "-", heading.lower()).strip("-") for heading in headings}


def leads_somewhere(link: str) -> bool:
    """Return whether a link reaches a heading, a file of the repository, or another site."""
    if link.startswith("https://"):
        return True
    file, _, anchor = link.partition("#")
    if not file.endswith(".md"):
        return (documents.FOLDER / file).is_file()
    name = file.removesuffix(".md")
    return name in documents.NAMES and (not anchor or anchor in anchors(name))


def test_links_and_headings_of_a_small_document():
    markdown = "# A\n\n[b](tables.md), [c](values.md#your-own), [d](https://e.f)\n\n```\n# g [h](index.md)\n```\n"
    assert documents.adapted(markdown) == (
        "## A\n\n[b](documents?document=tables), [c](documents?document=values#your-own), [d](https://e.f)\n\n"
        "```\n# g [h](index.md)\n```\n"
    )
    assert not leads_somewhere("nowhere.md")
    assert not leads_somewhere("values.md#nowhere")
    assert not leads_somewhere("../assets/nowhere.png")


def test_every_document_is_offered_here_and_on_the_site():
    assert {path.stem for path in documents.FOLDER.glob("*.md")} == set(documents.NAMES)
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    assert tuple(re.findall(r"(\w+)\.md$", site, re.MULTILINE)) == documents.NAMES


@pytest.mark.parametrize("name", documents.NAMES)
def test_no_broken_links(name: str):
    links = LINK.findall(CODE.sub("", documents.text(name)))
    assert [link for link in links if not leads_somewhere(link)] == []
    assert ".md" not in CODE.sub("", documents.adapted(documents.text(name)))


@pytest.mark.parametrize("path", [*documents.FOLDER.glob("*.md"), ROOT / "README.md"], ids=lambda path: path.stem)
def test_paths_in_documents_exist(path: Path):
    named = PATH.findall(path.read_text(encoding="utf-8"))
    assert [name for name in named if not re.search("[A-Z]{4}", name) and not (ROOT / name).exists()] == []


def test_every_document_opens():
    app = AppTest.from_file(APP, default_timeout=60).switch_page("documents.py").run()
    for name in documents.NAMES:
        app.selectbox(key="document").set_value(name).run()
        assert not app.exception
        assert app.main.markdown[0].value.startswith(f"## {documents.title(name)}\n")


def test_address_opens_its_document():
    app = AppTest.from_file(APP, default_timeout=60).switch_page("documents.py")
    app.query_params["document"] = "method"
    app.run()
    assert app.main.markdown[0].value.startswith("## Method\n")
