"""Tests of the sentences on targets other than averages."""

from __future__ import annotations

import pytest

from map_core.feasibility.aim import aim
from map_core.oracle import MemoryOracle
from map_core.palettes.beside import Beside
from map_core.palettes.column_names import parse_name
from map_core.palettes.palette import Palette, Target
from map_core.text import protections
from tests.tables import USE_CASES, make_table

NO_WORSE = "replies no worse on kindness than the base model's weakest"


@pytest.mark.parametrize(
    ("name", "share", "sentence"),
    [
        ("kindness>=p20@*", 95, f"At least 95 of 100 {NO_WORSE} fifth, in every use case."),
        ("kindness<p5", 97.5, f"At least 97.5 of 100 {NO_WORSE} twentieth."),
        (
            "kindness>=0.25@language=de",
            90,
            "At least 90 of 100 replies with a score of 0.25 or more on kindness, where language is de.",
        ),
        ("kindness@Stories", 60, "Kindness in Stories better than at least 60 of 100 replies."),
    ],
)
def test_sentence_of_a_target(name: str, share: float, sentence: str):
    parts = parse_name(name, ["kindness"])
    assert parts is not None
    assert protections.target_sentence(parts, share, "kindness") == sentence


def test_sentences_and_column_names_of_a_palette():
    table = make_table(prompts=12, candidates=16, seed=2)
    beside = Beside(("humor",), ("humor:5%=p10",), 0.2, "use_case")
    palette = Palette(targets={"humor": Target(55.0)}, columns={"positivity>=p20@*": 0.9}, beside=beside)
    resolved = aim(table, MemoryOracle.of(table), palette)
    sentences = protections.asked_sentences(resolved, palette, str)
    assert sentences == [
        "At least 90 of 100 replies no worse on positivity than the base model's weakest fifth, in every use case.",
        "Never at the cost of the worst replies on humor.",
        "The worst 5% of replies on humor are on average no worse than a reply better than 10 of 100 of the base "
        "model's.",
        "No use case below its original level.",
        "Kept under each mix of prompts within 0.2 nats.",
    ]
    names = protections.with_column_names(resolved, table.values)
    assert len(names) == len(resolved.table.values)
    assert f"positivity above the base model's weakest fifth, in {USE_CASES[0]}" in names
    assert f"humor in {USE_CASES[0]}" in names
    groups = protections.group_names(resolved, table.values)
    assert set(groups.values()) == {"positivity above the base model's weakest fifth, in every use case"}
    assert len(groups) == len(USE_CASES)
