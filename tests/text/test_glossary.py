"""Tests of the glossary: every term is one sentence, and every term that a page uses exists."""

from __future__ import annotations

import re

import pytest

from map_core.core.types import Form, Verdict
from map_core.errors import InputError
from map_core.palettes.palette import Mode
from map_core.text.glossary import TERMS, search_terms, term
from map_core.text.sentences import HEADLINES
from map_core.text.wording import NUMBERS, PLAIN
from pages.view.shell import glossary
from tests import ROOT

#: Calls in the app that show help on terms, with the names of the terms.
HELP_CALLS = re.compile(r"glossary\.help\(([^)]*)\)")


def terms_used_by_pages() -> set[str]:
    """Return the names of all terms that pages use."""
    sources = " ".join(
        match
        for path in (ROOT / "pages").rglob("*.py")
        for match in HELP_CALLS.findall(path.read_text(encoding="utf-8"))
    )
    return set(re.findall(r'"([^"]+)"', sources)).union(*glossary.PAGE_TERMS.values())


def test_a_term_is_found_by_its_name():
    assert term("no preference").plain == "A value of which nothing is asked; it may rise or fall with the others."
    assert term("target").formula == "c_j"


def test_unknown_term_error_states_where_to_add_it():
    with pytest.raises(InputError, match="no 'happiness'; add it to"):
        term("happiness")


@pytest.mark.parametrize("name", TERMS)
def test_every_term_is_one_plain_sentence(name):
    entry = TERMS[name]
    assert entry.name == name
    assert entry.plain[0].isupper()
    assert entry.plain.endswith(".")
    assert entry.plain.count(". ") == 0
    assert len(entry.plain.split()) <= 30
    assert "\\" not in entry.plain
    assert "$" not in entry.formula


@pytest.mark.parametrize("name", [name for name, entry in TERMS.items() if entry.formula])
def test_formulas_have_balanced_brackets(name):
    formula = TERMS[name].formula
    assert formula.count("{") == formula.count("}")
    assert formula.count("\\left") == formula.count("\\right")


def test_every_state_of_the_product_has_a_term():
    assert {HEADLINES[verdict].lower() for verdict in Verdict} <= set(TERMS)
    assert {mode.value.replace("_", " ") for mode in Mode} <= {*TERMS, *TERMS["no preference"].also}
    assert {form.value.replace("-", " ") for form in Form} <= set(TERMS)


def test_names_are_unique():
    names = [name.casefold() for entry in TERMS.values() for name in (entry.name, *entry.also)]
    assert len(names) == len(set(names))


def test_every_term_used_by_a_page_exists():
    assert {"AUC", "frontier"} <= terms_used_by_pages(), "this test reads the wrong files"
    assert terms_used_by_pages() <= set(TERMS)


def test_pages_of_the_glossary_exist():
    titles = set(
        re.findall(r'\("\w+", "([^"]+)", "\w+"\)', (ROOT / "pages" / "navigation.py").read_text(encoding="utf-8"))
    )
    assert len(titles) == 15
    pages_outside_the_navigation = {"Choose"}
    assert set(glossary.PAGE_TERMS) == titles - {"How it works", "Limits", "Documents"} | pages_outside_the_navigation


def test_search_finds_names_synonyms_and_sentences():
    assert "effective sample size" in [term.name for term in search_terms("ess")]
    assert [term.name for term in search_terms("Pareto")] == ["frontier"]
    assert search_terms("") == tuple(TERMS.values())
    assert search_terms("", ["nats", "budget"]) == (TERMS["nats"], TERMS["budget"])
    assert search_terms("no such word at all") == ()


def test_technical_terms_are_hidden_in_plain_wording():
    plain_terms = search_terms("", wording=PLAIN)
    assert {"nats", "AUC", "percentile", "effective sample size"}.isdisjoint({entry.name for entry in plain_terms})
    plain_text = " ".join(" ".join([entry.name, *entry.names(PLAIN), entry.sentence(PLAIN)]) for entry in plain_terms)
    assert re.search(r"\bnats\b|lambda|standard deviation|percentile|\bp\d\d\b", plain_text) is None
    assert TERMS["distance"].names(NUMBERS) == ("KL divergence", "cost", "effort")


def test_help_text_is_escaped_markdown(monkeypatch):
    monkeypatch.setenv("VALUE_PALETTE_NUMBERS", "on")
    assert (
        glossary.help_text("no preference")
        == "**No preference:** A value of which nothing is asked; it may rise or fall with the others\\."
    )
    assert glossary.help_text("nats", "budget").count("**") == 4
