"""``python -m map_core values``: what each value measures and misses, and how well it does."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from map_core import rewards
from map_core.values import cards
from map_core.values.validation import LEAST_AUC, length_correlations, read_labels, separations

_ASSETS = Path(__file__).resolve().parents[2] / "assets"


@click.command()
@click.argument("table", type=click.Path(path_type=Path), required=False)
@click.option("--labels", type=click.Path(path_type=Path), help="Labels of that table's replies, JSON lines.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the figures as a Markdown table.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a value.")
def values(table: Path | None, labels: Path | None, as_markdown: bool, as_json: bool) -> None:
    """Show every value: what it measures, what it misses, and how well it separates replies that people labelled.

    AUC is the chance that a reply labelled 1 has a higher reward than one labelled 0, with its 95% interval: 0.5 is
    guessing, 1 is perfect. Without TABLE, the embedded table and its labels.

    \b
    Examples:
      python -m map_core values
      python -m map_core values mine.parquet --labels mine.labels.jsonl --markdown
    A line of the labels file, 1 or 0 for each value that was judged:
      {"prompt_id": "support-01", "candidate": 3, "labels": {"humor": 0, "helpfulness": 1}}
    """
    if table is None and (_ASSETS / "default.parquet").is_file():
        table = _ASSETS / "default.parquet"
        labels = labels or next(iter(_ASSETS.glob("labels.jsonl")), None)
    loaded = rewards.load(table) if table is not None else None
    measured = separations(loaded, read_labels(labels)) if loaded is not None and labels is not None else {}
    lengths = length_correlations(loaded) if loaded is not None else {}
    known = cards()
    if as_markdown:
        click.echo("| value | what a higher reward means | AUC (95% interval) | labels 1 / 0 | with length |")
        click.echo("| --- | --- | --- | --- | --- |")
    for name in loaded.values if loaded is not None else known:
        card, separation = known.get(name), measured.get(name)
        length = lengths.get(name)
        if as_json:
            facts = {
                "name": name,
                "card": card.as_dict() if card else None,
                "separation": asdict(separation) if separation else None,
                "length_correlation": length,
            }
            click.echo(json.dumps(facts, allow_nan=False))
            continue
        area = f"{separation.auc:.2f} ({separation.low:.2f} to {separation.high:.2f})" if separation else ""
        counts = f"{separation.positives} / {separation.negatives}" if separation else ""
        with_length = "" if length is None else f"{length:+.2f}"
        if as_markdown:
            click.echo(f"| {name} | {card.measures if card else ''} | {area} | {counts} | {with_length} |")
            continue
        click.secho(name, bold=True)
        if card is not None:
            click.echo(f"  measures  {card.measures}\n  misses    {card.misses}")
            click.echo(f"  source    {card.source}; licence {card.licence}")
        if separation is not None:
            verdict = "" if separation.auc >= LEAST_AUC else f", below {LEAST_AUC}: do not trust its name"
            click.echo(f"  AUC       {area}, {counts} replies labelled 1 / 0{verdict}")
        if with_length:
            click.echo(f"  length    {with_length} rank correlation with the length of the reply")
