"""The labels that come with the embedded table: enough of them for each value, and the figures that documents give."""

from __future__ import annotations

from click.testing import CliRunner

from map_core.cli.values import values as command
from map_core.data.table_format import load
from map_core.scoring.validation import MIN_AUC, read_labels, separations
from tests import ROOT

#: Makes no claim: a reader cannot label how expected wording is.
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


def test_the_documents_give_the_figures_that_the_command_prints() -> None:
    shipped = (str(ROOT / "assets" / name) for name in ("default.parquet", "labels.jsonl"))
    shown = CliRunner().invoke(command, [next(shipped), "--labels", next(shipped), "--markdown"])
    assert shown.exit_code == 0, shown.output
    document = (ROOT / "docs" / "values.md").read_text(encoding="utf-8")
    rows = [row for row in shown.output.splitlines() if row.startswith("| ") and f"| {UNLABELLED} |" not in row]
    assert len(rows) == 10  # two of the head, eight values
    assert [row for row in rows if row not in document] == []
