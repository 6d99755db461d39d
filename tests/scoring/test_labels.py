"""Tests of the labels of the embedded table: enough for each value, and the figures in the documents."""

from __future__ import annotations

from click.testing import CliRunner

from map_core.cli.values import values as command
from map_core.data.table_format import load
from map_core.scoring.validation import MIN_AUC, read_labels, separations
from tests import ROOT

#: Not measured: a reader cannot label how expected wording is.
UNLABELLED = "familiarity"


def test_every_value_of_the_embedded_table_is_measured_on_enough_labels() -> None:
    table = load(ROOT / "assets" / "default.parquet")
    labels = read_labels(ROOT / "assets" / "labels.jsonl")
    assert len({(label.prompt_id, label.candidate) for label in labels}) == len(labels)
    figures = separations(table, labels)
    assert set(figures) == set(table.values) - {UNLABELLED}
    for figure in figures.values():
        assert figure.positives + figure.negatives >= 120, figure
        assert min(figure.positives, figure.negatives) >= 25, figure
        assert figure.auc >= MIN_AUC, figure


def test_documents_have_the_figures_of_the_command() -> None:
    shipped = (str(ROOT / "assets" / name) for name in ("default.parquet", "labels.jsonl"))
    result = CliRunner().invoke(command, [next(shipped), "--labels", next(shipped), "--markdown"])
    assert result.exit_code == 0, result.output
    document = (ROOT / "docs" / "values.md").read_text(encoding="utf-8")
    rows = [row for row in result.output.splitlines() if row.startswith("| ") and f"| {UNLABELLED} |" not in row]
    assert len(rows) == 10  # two header rows, eight values
    assert [row for row in rows if row not in document] == []
