"""Tests of scorers against readers' labels: AUC by hand, within a prompt, its interval, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from map_core import scoring
from map_core.cli.values import values as command
from map_core.core.wilson import wilson_interval
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.errors import InputError
from map_core.scoring import validation

# Validation against labels


def test_auc_by_hand() -> None:
    """1s at 3 and 1, 0s at 2 and 0: three of four pairs are in order; a tie counts half."""
    assert validation.auc([3, 1, 2, 0], [1, 1, 0, 0])[0] == 0.75
    assert validation.auc([1, 1, 1, 0], [1, 1, 0, 0])[0] == 0.75


def test_auc_of_noise_and_of_perfect_separation() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        labels = rng.integers(0, 2, 80)
        area, low, high = validation.auc(rng.normal(size=80), labels)
        assert 0.0 <= low <= area <= high <= 1.0
        covered += low <= 0.5 <= high
    assert 180 <= covered <= 198  # a 95% interval holds the truth about 190 times of 200
    area, low, high = validation.auc([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1])
    assert (area, high) == (1.0, 1.0)
    assert low == pytest.approx(0.025 ** (1 / 3))


def test_auc_within_a_prompt_by_hand() -> None:
    """Prompt a: 1s at 3 and 1, a 0 at 2: one pair of two. Prompt b: a tie. Prompt c has no 0. (1 + 1/2) / 3 = 0.5.

    V = 2 (0^2 + 0^2) / 9 = 0, so the interval is Wilson's of two prompts.
    """
    separation = validation.within_prompt_auc([3, 1, 2, 5, 5, 9], [1, 1, 0, 1, 0, 1], list("aaabbc"))
    assert separation == pytest.approx((0.5, *wilson_interval(1, 2), 3, 2))


def test_labels_that_depend_only_on_the_prompt_give_no_auc_within_one() -> None:
    """Scores that follow only the prompt order replies across prompts, and those within one by chance."""
    rng = np.random.default_rng(8)
    prompts = np.repeat(np.arange(60), 12)
    share = np.tile([0.1, 0.9], 30)[prompts]
    labels = (rng.random(len(prompts)) < share).astype(int)
    scores = share + 1e-3 * rng.normal(size=len(prompts))
    assert validation.auc(scores, labels)[1] > 0.8
    within = validation.within_prompt_auc(scores, labels, prompts)
    assert within.low < 0.5 < within.high
    assert within.prompts <= 60


def test_the_interval_within_a_prompt_covers() -> None:
    """Prompts that differ in how well the scores separate: a 95% interval holds P(N(1, 1) > N(0, 1)) as it should."""
    rng = np.random.default_rng(9)
    prompts = np.repeat(np.arange(24), 8)
    truth, covered = float(stats.norm.cdf(1 / np.sqrt(2))), 0
    for _ in range(300):
        labels = rng.integers(0, 2, len(prompts))
        common = rng.normal(size=24)[prompts]  # effects common to a prompt cancel
        separation = validation.within_prompt_auc(rng.normal(size=len(prompts)) + labels + common, labels, prompts)
        covered += separation.low <= truth <= separation.high
    assert 275 <= covered <= 297


def test_the_auc_within_a_prompt_needs_two_prompts() -> None:
    with pytest.raises(InputError, match="1 prompts have a reply labelled 1 and one labelled 0"):
        validation.within_prompt_auc([1, 2, 3], [1, 0, 0], list("aab"))
    with pytest.raises(InputError, match="3 scores, 3 labels and 2 prompts"):
        validation.within_prompt_auc([1, 2, 3], [1, 0, 0], list("ab"))


def labelled_table() -> RewardTable:
    return RewardTable(
        values=("humor", "length"),
        rewards=np.array([[0.0, 1.0], [1.0, 2.0], [0.5, 3.0], [2.0, 4.0]]),
        offsets=np.array([0, 2, 4]),
        prompt_ids=("a", "b"),
        prompts=("A", "B"),
        use_cases=("u", "u"),
        replies=("w", "w w", "w w w", "w w w w"),
        tokens=((1,), (1, 1), (1, 1, 1), (1, 1, 1, 1)),
    )


def test_separations_and_length(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    rows = [("a", 0, 0), ("a", 1, 1), ("b", 0, 0), ("b", 1, 1)]
    path.write_text(
        "\n".join(json.dumps({"prompt_id": p, "candidate": c, "labels": {"humor": y}}) for p, c, y in rows) + "\n"
    )
    separations = validation.separations(labelled_table(), validation.read_labels(path))
    assert set(separations) == {"humor"}
    assert (separations["humor"].auc, separations["humor"].positives, separations["humor"].negatives) == (1.0, 2, 2)
    assert (separations["humor"].within, separations["humor"].within_pairs, separations["humor"].within_prompts) == (
        1.0,
        2,
        2,
    )
    across = [
        validation.Label(label.prompt_id, label.candidate, {"humor": int(label.prompt_id == "b")})
        for label in validation.read_labels(path)
    ]
    assert validation.separations(labelled_table(), across)["humor"].within is None
    correlations = validation.length_correlations(labelled_table())
    assert correlations["length"] == pytest.approx(1.0)
    assert correlations["humor"] == pytest.approx(0.8)


def test_command_shows_cards_and_figures(tmp_path: Path) -> None:
    table, labels = tmp_path / "table.parquet", tmp_path / "labels.jsonl"
    save(labelled_table(), table)
    rows = [("a", 0, 1), ("a", 1, 0), ("b", 0, 0), ("b", 1, 1)]
    labels.write_text(
        "".join(json.dumps({"prompt_id": p, "candidate": c, "labels": {"humor": y}}) + "\n" for p, c, y in rows)
    )
    arguments = [str(table), "--labels", str(labels)]
    text = CliRunner().invoke(command, arguments, catch_exceptions=False).output
    assert "measures  How playful the reply sounds" in text
    assert "AUC       0.50 (" in text
    assert "2 / 2 replies labelled 1 / 0, below 0.75" in text
    assert "within    0.50 (" in text
    assert "between replies to one prompt, 2 pairs of 2 prompts" in text
    markdown = CliRunner().invoke(command, [*arguments, "--markdown"], catch_exceptions=False).output.splitlines()
    assert len(markdown) == 4
    assert markdown[2].startswith("| humor | How playful")
    objects = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False).output.splitlines()
    humor, length = (json.loads(line) for line in objects)
    assert humor["separation"]["auc"] == 0.5
    assert (humor["separation"]["within"], humor["separation"]["within_pairs"]) == (0.5, 2)
    assert length["card"] is None
    assert length["length_correlation"] == 1.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Line 2"),
        ('{"prompt_id": "a"}', "is not a label"),
        ('{"prompt_id": "a", "candidate": 0, "labels": {"humor": 2}}', "expected 1 or 0"),
        ('{"prompt_id": "a", "candidate": 0, "labels": {"humor": 0.5}}', "with 0.5; expected 1 or 0"),
        ('{"prompt_id": "a", "candidate": 0, "labels": {"humor": NaN}}', "Line 2"),
        ('{"prompt_id": "a", "candidate": 3.9, "labels": {"humor": 1}}', "of candidate 3.9; expected a whole number"),
    ],
)
def test_bad_labels_are_reported_by_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"prompt_id": "a", "candidate": 0, "labels": {"humor": 1}}\n' + line)
    with pytest.raises(InputError, match=message):
        validation.read_labels(path)


def test_labels_of_another_table_are_refused() -> None:
    labels = [validation.Label("c", 0, {"humor": 1})]
    with pytest.raises(InputError, match="which the table lacks"):
        validation.separations(labelled_table(), labels)


def test_too_few_labels_are_reported() -> None:
    with pytest.raises(InputError, match="1 replies labelled 1 and 2 labelled 0"):
        validation.auc([1, 2, 3], [1, 0, 0])


def test_command_shows_a_value_that_a_table_defines(tmp_path: Path) -> None:
    from dataclasses import replace

    (own,) = scoring.resolve(["length"], [scoring.Definition("length", "Long", ("long",), ("short",))])
    table = replace(labelled_table(), metadata={"scorers": [own.entry()]})
    save(table, tmp_path / "table.parquet")
    text = CliRunner().invoke(command, [str(tmp_path / "table.parquet")], catch_exceptions=False).output
    assert 'Whether the reply is more like "long" than like "short".' in text
