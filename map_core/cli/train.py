"""``python -m map_core train``: train a value on labelled replies, and write it as a values file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from map_core.cli.inputs import load_with_notes
from map_core.cli.options import force_option, json_option, quiet_option, values_file_option
from map_core.core import amounts
from map_core.core.assets import DEFAULTS
from map_core.core.atomic_files import write_durable
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.scoring import ScoringModels, cards, read_values_file
from map_core.scoring.definition import check_name, title_from
from map_core.scoring.head import evidence_sentence
from map_core.scoring.head_training import TrainedHead, label_examples
from map_core.scoring.head_training import train as train_head
from map_core.scoring.judged_replies import judged_replies
from map_core.scoring.registry import make_prior
from map_core.scoring.specification import CONTRAST, HEAD
from map_core.scoring.validation import label_rows, read_labels


@click.command()
@click.argument("name")
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="Labels of TABLE's replies, JSON lines.")
@click.option("--table", type=click.Path(path_type=Path), help="The table; the embedded one when left out.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Values file to write, NAME.json.")
@click.option("--called", metavar="NAME", help="The new value's name; NAME_trained when NAME is built in, else NAME.")
@click.option(
    "--prior",
    metavar="VALUE",
    help="What it starts from: a value that --values-file defines in words, or a built-in one that is a column of "
    "TABLE. With few labels it stays near this.",
)
@values_file_option("Where the prior is defined, if it is one of your own.")
@force_option
@json_option("Print one JSON object.")
@quiet_option()
def train(
    name: str,
    labels: Path,
    table: Path | None,
    out: Path,
    called: str | None,
    prior: str | None,
    values_file: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train a value on replies labelled 1 or 0 for NAME, and report how good it is on prompts that it did not see.

    A logistic regression on sentence embeddings of prompt and reply. Its figures are from cross-validation by prompt,
    beside those of its prior, else of the table's column NAME; it is called better only where the 95% interval of the
    difference lies above 0. A reward is in log-odds. build, generate and values take the file as --values-file.

    \b
    Examples:
      python -m map_core train helpfulness --labels labels.jsonl --out values.json --prior helpfulness
      python -m map_core train calm_nurse --labels mine.labels.jsonl --table mine.parquet --out trained.json
      python -m map_core build --extend mine.parquet --values-file trained.json --values calm_nurse
    """  # noqa: D301
    if out.suffix.lower() != ".json":
        raise click.UsageError(f"--out is {out}; expected a file named .json.")
    if out.exists() and not force:
        raise click.UsageError(f"{out} is there already. Give --force to replace it, or another name.")
    value_name = called or (f"{name}_trained" if name in cards() else name)
    check_name(value_name)
    if value_name in cards():
        raise InputError(f"{value_name!r} is a built-in value; give the trained one another name: --called NAME.")
    loaded = load_with_notes(table or DEFAULTS / "default.parquet")
    value_labels = [label for label in read_labels(labels) if name in label.labels]
    if not value_labels:
        raise InputError(f"{labels} has no label of {name!r}. Label replies for it, or name another value.")
    setting = None if prior is None else _prior_setting(prior, loaded, values_file)
    rows, targets = label_rows(loaded, value_labels), [label.labels[name] for label in value_labels]
    trained = _trained(loaded, name, rows, targets, setting, quiet)
    evidence = trained.head.evidence
    assert evidence is not None
    entry = {"family": HEAD, "title": title_from(value_name), **trained.head.as_dict()}
    entry |= {} if setting is None else {"prior": setting}
    write_durable(out, (json.dumps({value_name: entry}, ensure_ascii=False, indent=2) + "\n").encode())
    if as_json:
        facts: dict[str, Any] = {"name": value_name, "out": str(out), **evidence.as_dict()}
        facts["better"] = evidence.decisive.better
        facts["penalty"] = amounts.finite(trained.penalty)
        click.echo(json.dumps(facts, allow_nan=False))
        return
    click.echo(evidence_sentence(evidence))
    if evidence.decisive.better is not None:
        click.echo("Better: yes." if evidence.decisive.better else "Better: not shown yet.")
    click.echo(f"Written to {out} as {value_name}.")


def _trained(
    table: RewardTable, name: str, rows: list[int], labels: list[int], prior: str | dict[str, Any] | None, quiet: bool
) -> TrainedHead:
    def report(stage: str, done: int, total: int) -> None:
        if not quiet and (done == total or done % 10 == 0):
            click.echo(f"{stage}: {done} of {total}", err=True)

    models = ScoringModels()
    scorer = make_prior(name, prior, models) if isinstance(prior, dict) else None
    features, prompts, scores = judged_replies(
        table, rows, models, scorer, lambda done, total: report("Prompts read", done, total)
    )
    if isinstance(prior, str):  # the table's column, since some built-in values need log-probabilities, which it lacks
        scores = table.rewards[rows, table.index(prior)]
    column = table.rewards[rows, table.index(name)] if name in table.values else None
    return train_head(
        label_examples(features, labels, prompts, scores),
        models.embedder_name,
        column if scores is None else None,
        lambda done, total: report("Cross-validation", done, total),
    )


def _prior_setting(prior: str, table: RewardTable, values_file: Path | None) -> str | dict[str, Any]:
    """Return the prior in the form that a head's settings store.

    Raises:
        InputError: it is not a value, is not defined in words, or is not a column of the table in its current version.
    """
    own = {} if values_file is None else read_values_file(values_file)
    if prior in own:
        if own[prior].family != CONTRAST:
            raise InputError(f"The prior {prior!r} is of the family {own[prior].family!r}; expected one in words.")
        return {key: own[prior].settings[key] for key in ("kind", "more", "less") if key in own[prior].settings}
    if prior not in cards():
        known = ", ".join((*own, *cards()))
        raise InputError(f"The prior is {prior!r}; expected one of {known}. --values-file defines your own.")
    recorded = {entry.get("name"): entry.get("version") for entry in table.metadata.get("scorers") or ()}
    current = make_prior(prior, prior, ScoringModels()).version
    if prior not in table.values or recorded.get(prior) != current:
        raise InputError(
            f"The prior {prior!r} is no column of the table in its present version ({current}). Score the table again: "
            "build --rescore."
        )
    return prior
