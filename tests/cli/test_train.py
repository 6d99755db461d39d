"""The command train: a value learnt from labels, as a values file that scores, with what it is worth."""

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


def models() -> ScoringModels:
    return ScoringModels("words", WordEmbedder())


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table, labels of which a word decides, and a definition; sentence embeddings are sums of words'."""
    monkeypatch.setattr(train, "ScoringModels", models)
    save(TABLE, tmp_path / "table.parquet")
    lines = []
    for number, text in enumerate(TABLE.replies):
        prompt, candidate = divmod(number, 8)
        label = {"wit": int("joke" in text), "humor": number % 2}
        lines.append(json.dumps({"prompt_id": f"p{prompt:02d}", "candidate": candidate, "labels": label}))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    (tmp_path / "words.toml").write_text('[witty]\nmore = ["a joke"]\nless = ["sorry to hear"]\n')
    return tmp_path


def run(files: Path, *arguments: str) -> int:
    given = ["--table", str(files / "table.parquet"), "--labels", str(files / "labels.jsonl")]
    return main(["train", *arguments, *given, "--out", str(files / "trained.json"), "--quiet"])


def test_a_value_is_trained_and_scores(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "wit", "--prior", "witty", "--values-file", str(files / "words.toml"), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["judged"], told["judgements"]) == ("wit", "labels", 80)
    assert told["within"]["head"] > 0.9
    assert told["better"] is (told["within"]["difference_low"] > 0)
    own = scoring.read_values_file(files / "trained.json")
    (scorer,) = scoring.resolve(["wit"], own, models())
    joke, other = scorer.score(TABLE.prompts[0], [reply("today and a joke (3)"), reply("today and step one (3)")])
    assert joke > other
    assert run(files, "wit") == 2  # the file is there
    assert "Give --force" in capsys.readouterr().err


def test_it_is_compared_with_the_column_of_the_table(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The labels say nothing, so nothing is better than the table's column; a built-in name is not taken."""
    assert run(files, "humor") == 0
    told = capsys.readouterr().out
    assert "; without training " in told
    assert "Better: not shown yet." in told
    assert "as humor_trained." in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wisdom"], "has no label of 'wisdom'"),
        (["wit", "--called", "humor"], "'humor' is a built-in value"),
        (["wit", "--called", "My Wit"], "The name of a value is 'My Wit'"),
        (["wit", "--prior", "witty"], "The prior is 'witty'; expected one of"),
        (["wit", "--prior", "humor"], "is no column of the table in its present version"),
        (["wit", "--out", "trained.toml"], "expected a file named .json"),
    ],
)
def test_what_cannot_be_trained_is_told(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    given = ["--table", str(files / "table.parquet"), "--labels", str(files / "labels.jsonl")]
    assert main(["train", "--out", str(files / "trained.json"), *given, *arguments]) > 0
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (files / "trained.json").exists()
