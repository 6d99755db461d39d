"""Tests of the command ``train``: a value learnt from labels, its values file and its evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from map_core import scoring
from map_core.cli import main, train
from map_core.data.table_format import save
from map_core.scoring import ScoringModels
from map_core.testing.scorer_laws import reply
from tests.scoring.word_embedder import WordEmbedder
from tests.tables import make_table

TABLE = make_table(prompts=10, candidates=8)


def word_models() -> ScoringModels:
    return ScoringModels("words", WordEmbedder())


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a table, labels decided by one word, and a definition; embeddings are sums of words."""
    monkeypatch.setattr(train, "ScoringModels", word_models)
    save(TABLE, tmp_path / "table.parquet")
    lines = []
    for number, text in enumerate(TABLE.replies):
        prompt, candidate = divmod(number, 8)
        label = {"wit": int("joke" in text), "humor": number % 2}
        lines.append(json.dumps({"prompt_id": f"p{prompt:02d}", "candidate": candidate, "labels": label}))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    (tmp_path / "words.toml").write_text('[witty]\nmore = ["a joke"]\nless = ["sorry to hear"]\n')
    return tmp_path


def run_train(files: Path, *arguments: str) -> int:
    inputs = ["--table", str(files / "table.parquet"), "--labels", str(files / "labels.jsonl")]
    return main(["train", *arguments, *inputs, "--out", str(files / "trained.json"), "--quiet"])


def test_trained_value_scores_replies(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_train(files, "wit", "--prior", "witty", "--values-file", str(files / "words.toml"), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["name"], result["judged"], result["judgements"]) == ("wit", "labels", 80)
    assert result["within"]["head"] > 0.9
    assert result["better"] is (result["within"]["difference_low"] > 0)
    values_file = scoring.read_values_file(files / "trained.json")
    (scorer,) = scoring.resolve(["wit"], values_file, word_models())
    joke_score, other_score = scorer.score(
        TABLE.prompts[0], [reply("today and a joke (3)"), reply("today and step one (3)")]
    )
    assert joke_score > other_score
    assert run_train(files, "wit") == 2  # the file exists already
    assert "Give --force" in capsys.readouterr().err


def test_trained_value_is_compared_with_the_column_of_the_table(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uninformative labels cannot beat the table's column, and the name of a built-in value gets a suffix."""
    assert run_train(files, "humor") == 0
    output = capsys.readouterr().out
    assert "; without training " in output
    assert "Better: not shown yet." in output
    assert "as humor_trained." in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wisdom"], "has no label of 'wisdom'"),
        (["wit", "--called", "humor"], "'humor' is a built-in value"),
        (["wit", "--called", "My Wit"], "The name of a value is 'My Wit'"),
        (["wit", "--prior", "witty"], "The prior is 'witty'; expected one of"),
        (["wit", "--prior", "humor"], "is no column of the table in its present version"),
        (["wit", "--out", "trained.toml"], "expected a file named .json"),
    ],
)
def test_invalid_training_requests_are_refused(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    inputs = ["--table", str(files / "table.parquet"), "--labels", str(files / "labels.jsonl")]
    assert main(["train", "--out", str(files / "trained.json"), *inputs, *arguments]) > 0
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (files / "trained.json").exists()
