"""Tests of values scored by a Python function: the laws, versions by file content, and no code run for a table."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

from map_core import scoring
from map_core.errors import InputError
from map_core.scoring import ScorerError, Specification, score_checked
from map_core.scoring.function import GROUP, FunctionScorer
from map_core.testing.scorer_laws import check_scorer, reply

CODE = "def short(prompt, replies):\n    return [-len(reply) for reply in replies]\nnothing = 3\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def test_functions_keep_the_laws(file: Path) -> None:
    check_scorer(FunctionScorer("brief", {"function": f"{file}:short"}))


def test_a_values_file_names_a_function_beside_it(file: Path) -> None:
    listed = file.with_name("values.toml")
    listed.write_text('[brief]\nfamily = "function"\nfunction = "mine.py:short"\nmeasures = "How short it is."\n')
    (scorer,) = scoring.resolve(["brief"], scoring.read_values_file(listed))
    np.testing.assert_array_equal(scorer.score("Hi", [reply("abc"), reply("")]), [-3.0, 0.0])
    assert scorer.card.measures == "How short it is."
    before = scorer.version
    file.write_text(CODE + "# changed\n")
    (resolved,) = scoring.resolve(["brief"], scoring.read_values_file(listed))
    assert resolved.version != before


def test_entry_points_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("digits", "tests.scoring.test_function:digits", GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point] if group == GROUP else [])
    scorer = FunctionScorer("digits", {"function": "digits"})
    np.testing.assert_array_equal(scorer.score("", [reply("a1b22"), reply("c")]), [3.0, 0.0])
    assert "tests.scoring.test_function:digits" in scorer.version
    with pytest.raises(InputError, match=r"is 'other'; expected .* entry points \(digits\)"):
        FunctionScorer("digits", {"function": "other"})


def digits(prompt: str, replies: list[str]) -> list[float]:
    """Return the number of digits of each reply."""
    return [sum(character.isdigit() for character in text) for text in replies]


def test_results_of_a_function_are_checked(file: Path) -> None:
    file.write_text("def one(prompt, replies):\n    return [1.0]\ndef bad(prompt, replies):\n    return 1 / 0\n")
    with pytest.raises(ScorerError, match=r"shape \(1,\) for 2 replies"):
        score_checked(FunctionScorer("brief", {"function": f"{file}:one"}), "Hi", [reply("a"), reply("b")])
    with pytest.raises(ScorerError, match="ZeroDivisionError"):
        score_checked(FunctionScorer("brief", {"function": f"{file}:bad"}), "Hi", [reply("a")])


def test_invalid_functions_are_refused(file: Path) -> None:
    with pytest.raises(InputError, match="lacks 'function'"):
        FunctionScorer("brief", {})
    with pytest.raises(InputError, match=r"and a file\."):
        FunctionScorer("brief", {"function": f"{file}.not:short"})
    with pytest.raises(InputError, match="is no function"):
        FunctionScorer("brief", {"function": f"{file}:nothing"}).score("Hi", [reply("a")])
    with pytest.raises(InputError, match="unknown setting 'code'"):
        FunctionScorer("brief", {"function": f"{file}:short", "code": "1"})


def test_table_alone_runs_no_code(file: Path) -> None:
    file.write_text("raise SystemExit('code of a table was run')\n")
    specifications = scoring.from_metadata(
        {"scorers": [FunctionScorer("brief", {"function": f"{file}:short"}).entry()]}
    )
    assert "brief" not in scoring.scorable_values(specifications)
    with pytest.raises(InputError, match="may not have that run or called"):
        scoring.resolve(["brief"], specifications)
    assert (
        scoring.scorable_values(
            {"brief": Specification("brief", "function", specifications["brief"].settings, trusted=True)}
        )[-1]
        == "brief"
    )
