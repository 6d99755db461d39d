"""Tests that phrases which readers did not understand do not occur in the texts of the product."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

#: Patterns of banned phrases, with what to say instead.
BANNED_PHRASES = {
    r"\bbe had\b": "possible",
    r"\b[Oo]ut of reach\b": "not possible together",
    r"\b[Oo]n paper\b": "possible, but not reliable",
    r"\bdear(er|est)?\b(?! (sir|madam))": "expensive",
    r"\bholds it back\b": "hardest target",
    r"\bgiv(e|es|ing) way\b": "lower",
    r"\bways? out\b": "how to fix it",
    r"\bmoving along\b": "also changes",
    r"\ba guess until\b": "estimate while calculating",
    r"\b[Mm]any lines\b": "parallel view",
    r"\bdrawn anew\b": "generated again",
    r"\bseated\b": "no groups yet",
    r"\bworst-off\b": "most equal",
    r"\b[Ff]air bargain\b": "best overall compromise",
    r"\bmore so\b": "more",
    r"\bforetold\b": "predicted",
    r"\b[Tt]hrow it away\b|\bthrown away\b": "delete",
    r"\b[Gg]o(es)? on (where|from|with|without|when|by itself)\b|\bgone on\b": "resume, or continue",
    r"\b[Gg]ive it up\b": "discard",
    r"\b(left|leave|leaves)( \w+)? free\b|\bvalues? (is|are) free\b|\btargets? (is|are) free\b": "no preference",
    r"\b[Hh]ear it\b": "sample reply",
    r"\b[Tt]ake it\b(?! out)": "use this",
    r"\b[Ss]olve it again\b": "command line",
    r"^Serve it$": "API",
    r"\b[Oo]ne target moved\b": "sensitivity",
    r"\b[Mm]ove a step\b": "small changes",
    r"\b[Ss]teer while\b": "adjust targets",
    r"\bprice of (one|a) step more\b": "cost of asking for a little more",
    r"^Words$": "Glossary",
    r", (across|upwards)\b": "horizontal, or vertical axis",
    r"\b(model|palette|reply) (of|as it is) today\b|\b[Tt]oday's palette\b": "original, or current",
    r"\b[Bb]eing computed\b": "calculating",
    r"\b[Oo]riginal model\b": "base model",
    r"^Today$|\btoday's (weakest|average)\b": "base model",
    r"\bso many of 100\b": "this many of 100 replies",
}
#: Files with texts of a model, not of the product.
MODEL_TEXTS = ("map_core/scoring/embedding_examples.py",)


def product_texts() -> Iterator[tuple[str, str]]:
    """Yield all texts of the product with their locations: strings of the code, command help, scripts and templates."""
    for folder in ("map_core", "pages"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            path_text = str(path.relative_to(ROOT))
            if path_text in MODEL_TEXTS:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            docstrings = (
                set()
                if "/cli/" in path_text
                else {id(node.value) for node in ast.walk(tree) if _is_string_statement(node)}
            )
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                    yield f"{path_text}:{node.lineno}", " ".join(node.value.split())
    for path in (*(ROOT / "map_core").rglob("*.j2"), *(ROOT / "assets").rglob("*.js")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            code = re.split(r"//|/\*", line)[0] if path.suffix == ".js" else line
            yield f"{path.relative_to(ROOT)}:{number}", code


def _is_string_statement(node: ast.AST) -> bool:
    """Return whether a node is a string statement such as a docstring, which users never see."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, str]]:
    return list(product_texts())


def test_texts_of_all_kinds_are_collected(texts: list[tuple[str, str]]):
    assert any(text == "Not possible together" for _, text in texts)
    assert {Path(location.rsplit(":", 1)[0]).suffix for location, _ in texts} == {".py", ".js", ".j2"}


@pytest.mark.parametrize("phrase", BANNED_PHRASES)
def test_banned_phrase_does_not_occur(phrase: str, texts: list[tuple[str, str]]):
    assert [(location, text) for location, text in texts if re.search(phrase, text)] == [], (
        f"say {BANNED_PHRASES[phrase]!r}"
    )
