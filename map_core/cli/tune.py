"""``python -m map_core tune``: tune a model's weights on a palette."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from map_core.cli.inputs import load_with_notes
from map_core.cli.options import (
    json_option,
    model_option,
    quiet_option,
    seed_option,
    table_argument,
    target_options,
    use_case_option,
    values_file_option,
)
from map_core.cli.progress import watch_progress
from map_core.cli.tuning_inputs import palette_weights, table_hash, with_held_out
from map_core.cli.tuning_rounds import say_estimate, tune_rounds
from map_core.cli.verify_tuned import check_folder, check_text
from map_core.core import amounts
from map_core.errors import InputError
from map_core.tuning.folder import CHECK_TABLE, read_record
from map_core.tuning.request import EVIDENCE_PROMPTS, TuningRequest
from map_core.tuning.run import tune as run_tuning
from map_core.tuning.settings import DEFAULT_METHOD, SOLVED_RANK, TRAINED_RANK, TuningMethod, TuningSettings

_DEFAULTS = TuningSettings()
#: Replies to each prompt of --check.
CHECK_REPLIES = 4


@click.command()
@table_argument
@target_options
@click.option(
    "--weights", multiple=True, metavar="NAME=W", help="Instead of targets: a value and its weight, in 1/reward."
)
@click.option(
    "--nearest", is_flag=True, help="Tune on the nearest palette where the targets are not possible together."
)
@click.option(
    "--method",
    type=click.Choice([method.value for method in TuningMethod]),
    default=DEFAULT_METHOD.value,
    show_default=True,
    help="The method, see above.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write.")
@click.option("--steps", type=click.IntRange(min=1), default=_DEFAULTS.steps, show_default=True, help="Steps.")
@click.option(
    "--prompts", type=click.IntRange(min=1), default=_DEFAULTS.prompts, show_default=True, help="Prompts per step."
)
@click.option(
    "--replies",
    type=click.IntRange(min=2),
    default=_DEFAULTS.replies,
    show_default=True,
    help="Replies per prompt in a step.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULTS.learning_rate,
    show_default=True,
    help="Learning rate of AdamW.",
)
@click.option(
    "--rank",
    type=click.IntRange(min=1),
    help=f"Rank of the LoRA adapter; {TRAINED_RANK} by default, {SOLVED_RANK} for the method natural.",
)
@click.option(
    "--blocks",
    type=click.IntRange(min=0),
    default=_DEFAULTS.blocks,
    show_default=True,
    help="Last blocks of the model that get LoRA matrices; 0 for all. Fewer are faster.",
)
@click.option(
    "--value-replies",
    type=click.IntRange(min=2),
    default=_DEFAULTS.value_replies,
    show_default=True,
    help="For the methods advantage and natural: replies to each prompt that are read.",
)
@click.option(
    "--trace",
    type=click.FloatRange(min=0, max=1),
    default=_DEFAULTS.trace,
    show_default=True,
    help="For the method advantage: how far later tokens count for a token.",
)
@click.option(
    "--beginnings",
    type=click.IntRange(min=1),
    default=_DEFAULTS.beginnings,
    show_default=True,
    help="For the method natural: tokens from one scored beginning of a reply to the next.",
)
@click.option(
    "--strength",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULTS.strength,
    show_default=True,
    help="For the method natural: nats that it spends, as a multiple of lambda's own.",
)
@click.option("--full", is_flag=True, help="Tune all weights in place of an adapter.")
@click.option("--bf16", is_flag=True, help="Multiply in bfloat16; faster on a GPU, less exact.")
@click.option("--merged", is_flag=True, help="Write the merged model too, into OUT/merged.")
@click.option("--estimate", "only_estimate", is_flag=True, help="Say what it will take, and stop.")
@click.option("--fresh", is_flag=True, help="Replace the tuning that is in OUT.")
@click.option(
    "--evidence",
    type=click.IntRange(min=0),
    default=EVIDENCE_PROMPTS,
    show_default=True,
    metavar="N",
    help="Held-out prompts to evaluate at the end; 0 for none.",
)
@click.option(
    "--looks",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="How often to evaluate them on the way; the results are in the progress file.",
)
@click.option(
    "--check",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Held-out prompts that the tuned model answers in the end, as by `verify --model`; at least 2, 0 for none.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Tune up to N times, each time with weights solved again on the tuned model's own replies; see above.",
)
@use_case_option("Tune on the prompts of this use case alone.")
@model_option("The model that wrote the table's replies, by name or folder; as the table records it by default.")
@values_file_option("Values of your own, as TOML: see `values`. Read by rloo.")
@seed_option("Of the adapter, the prompts and the replies, and of the prompts held out where the table holds none out.")
@click.option(
    "--progress-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Progress as JSON."
)
@json_option("Print the record as one JSON object.")
@quiet_option()
def tune(
    table: Path,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    weights: tuple[str, ...],
    nearest: bool,
    method: str,
    out: Path,
    steps: int,
    prompts: int,
    replies: int,
    learning_rate: float,
    rank: int | None,
    blocks: int,
    value_replies: int,
    trace: float,
    beginnings: int,
    strength: float,
    full: bool,
    bf16: bool,
    merged: bool,
    only_estimate: bool,
    fresh: bool,
    evidence: int,
    looks: int,
    check: int,
    rounds: int,
    use_case: str | None,
    model: str | None,
    values_file: Path | None,
    seed: int,
    progress_file: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tune the table's model on a palette, so that one plain reply is an aligned one.

    Every route has the same optimum, p0 exp(lambda . r) / Z, with lambda solved on the prompts that are not held out:

    \b
      advantage  imitates the table's replies token by token, each by how much it adds to the lambda . r to expect
      distill  imitates the table's replies, each as often as lambda asks
      pairs    fits differences of log-probabilities to differences of lambda . r (REBEL)
      dpo      learns from pairs with soft labels, beta 1; hard labels have no optimum, and beta 0.1 means 10 lambda
      natural  solves the output layer at once from what scores of the replies' beginnings say; no training steps
      rloo     samples its own replies and scores them; goes beyond the table's replies, and takes longest

    Held-out prompts are never tuned on; where the table holds none out, a quarter is. What it will take is said before
    it starts. Stopped or killed, the same command resumes where it stopped. Needs: pip install -r requirements-tune.txt

    A trained model seldom comes all the way. With --rounds it answers some of the prompts that it was tuned on, the
    weights are solved again on its own replies, and it is tuned again, until the targets hold within their intervals.

    \b
    Examples:
      python -m map_core tune --target kindness=p65 --target humor=p60 --out kind
      python -m map_core tune --target kindness=p65 --out kinder --rounds 4 --check 16
      python -m map_core tune my-table.parquet --weights humor=1.2 --method distill --steps 100 --out funny
      python -m map_core generate --model kind --prompt "My parcel is late!"
      python -m map_core verify --model kind
    """  # noqa: D301
    settings = TuningSettings(
        method=TuningMethod(method),
        steps=steps,
        prompts=prompts,
        replies=replies,
        learning_rate=learning_rate,
        rank=0 if full else rank or TuningMethod(method).rank,
        blocks=0 if full else blocks,
        value_replies=value_replies,
        trace=trace,
        beginnings=beginnings,
        strength=strength,
        bfloat16=bf16,
        seed=seed,
    )
    if check == 1:
        raise click.UsageError("--check is 1; expected at least 2 prompts, to tell how sure the levels are, or 0.")
    checked = None
    with watch_progress(out, quiet, progress_file) as progress:
        split_table = with_held_out(load_with_notes(table).select(use_case), seed)
        lam, palette = palette_weights(split_table, pairs, targets_file, weights, nearest)
        if not out.absolute().parent.is_dir():
            raise InputError(
                f"There is no folder {out.absolute().parent} to write to. Make it first or choose another."
            )
        request = TuningRequest(
            table=split_table,
            weights=lam,
            out=out,
            settings=settings,
            palette=palette,
            table_hash=table_hash(table),
            model=model,
            merged=merged,
            fresh=fresh,
            values_file=values_file,
            only_estimate=only_estimate,
            evidence_prompts=evidence,
            looks=looks,
        )
        say = None if quiet else progress.note
        if only_estimate:
            say_estimate(request, rounds, check * CHECK_REPLIES, progress, say)
            return
        record = tune_rounds(request, rounds, progress, say) if rounds > 1 else run_tuning(request, progress, say)
        if check:
            checked = check_folder(
                out,
                split_table,
                most=check,
                replies=CHECK_REPLIES,
                seed=1,
                engine="auto",
                fresh=out / CHECK_TABLE,
                report=progress,
            )
            record = read_record(out)
    assert record is not None, "more than an estimate was asked for"
    if as_json:
        click.echo(json.dumps(record, allow_nan=False))
        return
    click.echo(summary(record))
    if checked is not None:
        click.echo(check_text(checked))
    click.echo(f"Written to {out}." + ("" if checked else f" Next: python -m map_core verify --model {out}"))


def summary(record: Mapping[str, Any]) -> str:
    """Return the result of a tuning on held-out prompts, as lines of text."""
    evidence = record["evidence"]
    if evidence is None and record.get("rounds"):
        last = record["rounds"][record["round"] - 1]
        levels = ", ".join(f"{name} {amounts.significant(level, 3)}" for name, level in last["levels"].items())
        return f"Round {record['round']} of {len(record['rounds'])} is kept; on prompts that it was tuned on: {levels}."
    if evidence is None:
        return "Nothing is known of new prompts yet: no held-out replies were looked at."
    lines = [f"On {evidence['prompts']} prompts that were not tuned on, by importance weights:"]
    width = max(map(len, evidence["levels"])) + 2
    lines.append(f"{'value':{width}}{'base':>10}{'tuned':>10}{'forecast':>10}{'lambda':>10}")
    for name, levels in evidence["levels"].items():
        weight = record["weights"].get(name)
        numbers = "".join(f"{amounts.fixed(levels[column], 3):>10}" for column in ("base", "tuned", "forecast"))
        lines.append(f"{name:{width}}{numbers}{amounts.fixed(weight, 3) if weight else '-':>10}")
    share, interval = evidence["share_of_way"], evidence["share_of_way_90"]
    if share is not None:
        between = f" ({amounts.fixed(100 * interval[0])} to {amounts.fixed(100 * interval[1])})" if interval else ""
        lines.append(f"Share of the way in lambda . r: {amounts.fixed(100 * share)}%{between}")
    lines.append(
        f"{amounts.nats(evidence['kl'])} from the base model; lambda's own {amounts.nats(evidence['kl_forecast'])}"
    )
    return "\n".join(lines)
