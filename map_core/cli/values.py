"""``python -m map_core values``: show what each value measures and misses, and how well it does."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from map_core.cli.inputs import load_with_notes
from map_core.cli.options import json_option, values_file_option
from map_core.core import amounts
from map_core.core.assets import DEFAULTS
from map_core.data.reward_table import RewardTable
from map_core.errors import PaletteError
from map_core.scoring import cards, check_scorers, read_values_file, resolve
from map_core.scoring.known_classifiers import KNOWN_CLASSIFIERS
from map_core.scoring.validation import MIN_AUC, Separation, length_correlations, read_labels, separations


@click.command(
    epilog="""\b
A values file names values of your own; build, generate and this command read it (--values-file):
  [calm_nurse]                            # in words; or kind = "examples" with a few replies a side
  more = ["sounds like a calm nurse"]
  less = ["sounds like a salesman"]

\b
  [helpful]                               # a classifier or reward model, by name or folder
  family = "classifier"
  model = "owner/name"                    # or ready = "helpful"; see --ready
  output = "positive"                     # a label or a number, where it has several
  scale = "probability"                   # or "logit"; sign = -1 turns it round
  template = "pair"                       # reply, pair, chat, or "Human: {prompt} Assistant: {reply}"

\b
  [polite]                                # a judge behind an OpenAI-compatible server
  family = "judge"                        # its key by host: VALUE_PALETTE_API_KEYS='{"gpu-box": "KEY"}'
  model = "Qwen/Qwen3-8B@http://gpu-box:8000/v1"
  question = "How polite is the reply?"   # rated from lowest = 1 to highest = 9
  extra = {chat_template_kwargs = {enable_thinking = false}}   # further fields of every request

\b
  [safe]                                  # a reward model or classifier on a server of vLLM or OpenRLHF
  family = "served"
  model = "owner/name@http://gpu-box:8000"
  endpoint = "classify"                   # or pooling, score (pairs), get_reward (OpenRLHF)
  template = "chat"                       # output, scale and sign as for a classifier

\b
  [brief]                                 # a Python function (prompt, replies) -> numbers, beside the file
  family = "function"
  function = "mine.py:brief"              # or an entry point of the group value_palette.scorers

\b
Any of them takes transform = "probability". A table records what is needed to score its values again; functions are
run and servers called only for a values file that you name, never because a table says so.
"""
)
@click.argument("table", type=click.Path(path_type=Path), required=False)
@click.option("--labels", type=click.Path(path_type=Path), help="Labels of that table's replies, JSON lines.")
@values_file_option("Check and show these values.")
@click.option("--ready", is_flag=True, help="Show the models that a values file can name in one word.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the figures as a Markdown table.")
@json_option("Print one JSON object a value.")
def values(
    table: Path | None, labels: Path | None, values_file: Path | None, ready: bool, as_markdown: bool, as_json: bool
) -> None:
    """Show every value: what it measures, what it misses, and how well it separates replies that people labelled.

    AUC is the chance that a reply labelled 1 has a higher reward than one labelled 0, with its 95% interval: 0.5 is
    guessing, 1 is perfect. Within a prompt, it is of two replies to one prompt, which is what re-weighting chooses
    among. Without TABLE, the embedded table and its labels.

    \b
    Examples:
      python -m map_core values
      python -m map_core values mine.parquet --labels mine.labels.jsonl --markdown
      python -m map_core values --values-file values.toml
    A line of the labels file, 1 or 0 for each value that was judged:
      {"prompt_id": "support-01", "candidate": 3, "labels": {"humor": 0, "helpfulness": 1}}
    """  # noqa: D301
    if ready:
        _show_ready(as_json)
        return
    if values_file is not None:
        own = read_values_file(values_file)
        chosen = resolve(tuple(own), own)
        fault = None
        try:
            check_scorers(chosen)
        except PaletteError as error:  # raised after the cards are shown
            fault = error
        for scorer in chosen:
            _show(scorer.name, scorer.entry(), None, None, as_json)
        if fault is not None:
            raise fault
        return
    if table is None and (DEFAULTS / "default.parquet").is_file():
        table = DEFAULTS / "default.parquet"
        labels = labels or next(iter(DEFAULTS.glob("labels.jsonl")), None)
    loaded = load_with_notes(table) if table is not None else None
    measured = separations(loaded, read_labels(labels)) if loaded is not None and labels is not None else {}
    lengths = length_correlations(loaded) if loaded is not None else {}
    known = _known(loaded)
    if as_markdown:
        heads = ["value", "what a higher reward means", "AUC (95% interval)", "labels 1 / 0"]
        heads += ["AUC within a prompt (95% interval)", "pairs", "with length"]
        click.echo(f"| {' | '.join(heads)} |")
        click.echo(f"|{' --- |' * len(heads)}")
    for name in loaded.values if loaded is not None else known:
        card, separation, length = known.get(name), measured.get(name), lengths.get(name)
        if as_markdown:
            within, pairs = _within(separation), separation.within_pairs if separation is not None else 0
            cells = [name, card["measures"] if card else "", _area(separation), _counts(separation)]
            cells += [within, f"{pairs:,}" if within else ""]
            cells += ["" if length is None else amounts.fixed(length, 2, signed=True)]
            click.echo(f"| {' | '.join(cells)} |")
        else:
            _show(name, card, separation, length, as_json)


def _known(table: RewardTable | None) -> dict[str, dict[str, Any]]:
    """Return the cards by value: the built-in ones, and the user's own that a table records."""
    known = {name: card.as_dict() for name, card in cards().items()}
    for entry in (table.metadata.get("scorers") or ()) if table is not None else ():
        if isinstance(entry, dict) and {"name", "measures", "misses", "source", "licence"} <= entry.keys():
            known.setdefault(str(entry["name"]), entry)
    return known


def _show(
    name: str, card: dict[str, Any] | None, separation: Separation | None, length: float | None, as_json: bool
) -> None:
    """Print one value, as text or as an object."""
    if as_json:
        separation_dict = asdict(separation) if separation else None
        facts = {"name": name, "card": card, "separation": separation_dict, "length_correlation": length}
        click.echo(json.dumps(facts, allow_nan=False))
        return
    click.secho(name, bold=True)
    if card is not None:
        click.echo(f"  measures  {card['measures']}\n  misses    {card['misses']}")
        if card.get("reading"):
            click.echo(f"  reading   {card['reading']}")
        click.echo(f"  source    {card['source']}; licence {card['licence']}")
        if card.get("needs"):
            click.echo(f"  needs     {'; '.join(card['needs'])}")
    if separation is not None:
        verdict = "" if separation.auc >= MIN_AUC else f", below {MIN_AUC}: do not trust its name"
        click.echo(f"  AUC       {_area(separation)}, {_counts(separation)} replies labelled 1 / 0{verdict}")
        if within := _within(separation):
            click.echo(f"  within    {within} between replies to one prompt, {_pairs(separation)}")
    if length is not None:
        click.echo(f"  length    {amounts.fixed(length, 2, signed=True)} rank correlation with the length of the reply")


def _area(separation: Separation | None) -> str:
    return "" if separation is None else _interval(separation.auc, separation.low, separation.high)


def _within(separation: Separation | None) -> str:
    if separation is None or separation.within is None:
        return ""
    return _interval(separation.within, separation.within_low, separation.within_high)


def _interval(share: float, low: float | None, high: float | None) -> str:
    return f"{amounts.fixed(share, 2)} ({amounts.fixed(low, 2)} to {amounts.fixed(high, 2)})"


def _pairs(separation: Separation) -> str:
    return f"{separation.within_pairs:,} pairs of {separation.within_prompts:,} prompts"


def _counts(separation: Separation | None) -> str:
    return f"{separation.positives} / {separation.negatives}" if separation else ""


def _show_ready(as_json: bool) -> None:
    """Print the models that can be named in one word; none of them was run here."""
    for name, entry in KNOWN_CLASSIFIERS.items():
        if as_json:
            click.echo(json.dumps({"name": name, **asdict(entry)}, allow_nan=False))
            continue
        click.secho(name, bold=True)
        click.echo(f"  model     {entry.model}\n  measures  {entry.measures}\n  misses    {entry.misses}")
        click.echo(
            f"  licence   {entry.licence}\n  memory    about {amounts.significant(entry.gigabytes)} GB; not run by "
            "this project"
        )
        if entry.outputs:
            click.echo(f"  output    {', '.join(entry.outputs)}")
        if entry.refused:
            click.echo(f"  refused   {entry.refused}")
