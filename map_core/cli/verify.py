"""``python -m map_core verify``: compare the forecast of palettes with fresh replies to other prompts."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from map_core import building as builder
from map_core.cli.delivery_output import (
    crossed_summary,
    crossed_text,
    delivery_summary,
    delivery_text,
    describe_crossed,
    describe_delivery,
)
from map_core.cli.inputs import load_with_notes, open_table, read_palettes
from map_core.cli.options import (
    candidates_option,
    engine_option,
    json_option,
    seed_option,
    table_argument,
    target_options,
    use_case_option,
)
from map_core.cli.output import print_json
from map_core.cli.progress import ProgressLines
from map_core.core.types import SamplingSettings
from map_core.data.prompts import Prompt
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.oracle import Oracle
from map_core.scoring import from_metadata, resolve
from map_core.studies.delivery import (
    CrossFitDelivery,
    cross_fit_delivery,
    deliver,
    reachable_palettes,
    split_halves,
    with_weights_of,
)
from map_core.studies.delivery import study as studies


@click.command()
@table_argument
@target_options
@click.option("--random", type=click.IntRange(min=1), metavar="N", help="N random palettes that are possible instead.")
@click.option(
    "--halvings",
    type=click.IntRange(min=1),
    metavar="R",
    help="Ways of halving, both directions of each; 1: one direction of one.",
)
@click.option(
    "--study",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"The whole study, {studies.HALVINGS} halvings by default, instead of palettes; kept in FILE for the app.",
)
@use_case_option()
@click.option("--prompts", "most", type=click.IntRange(min=2), metavar="N", help="Most fresh prompts; all by default.")
@candidates_option("K, replies to choose from.", least=2)
@click.option("--max-new-tokens", type=click.IntRange(min=1), metavar="T", help="Longest reply; as in the table.")
@seed_option("Seed of halves, replies and picks.", default=1)
@engine_option("torch", "openvino")
@click.option(
    "--fresh",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the fresh replies in this table; one that is there is used again, an unfinished one is resumed.",
)
@click.option(
    "--model",
    "tuned",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="A model of `tune`, by name or folder, instead of palettes: its own replies to the prompts that it was not "
    "tuned on. Several of one table, for what they come to as a set.",
)
@json_option("One JSON object a palette, in full precision.")
def verify(
    table: Path,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    random: int | None,
    halvings: int | None,
    study: Path | None,
    use_case: str | None,
    most: int | None,
    candidates: int,
    max_new_tokens: int | None,
    seed: int,
    engine: str,
    fresh: Path | None,
    tuned: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compare the forecast of palettes with what the generator delivers on prompts that they were not solved on.

    Weights are solved on one half of the prompts, for K candidates. The other half is answered again, with K
    replies per prompt, drawn once for all palettes. "realised" is the expected level over each prompt's candidates,
    "picked" that of the one reply that is picked, "pooled" what weights of the published pooled form give. "interval"
    is where the realised level lies in 90% of cases if the forecast is right: the forecast and its error bar.

    With more halvings than one, all prompts are answered again, and the same replies serve every half that was not
    solved on. Levels are then means over halvings and directions, and the interval is that of such a mean.

    With --model a tuned model answers its held-out prompts, K replies each, and is compared with what its weights
    promise there: levels of all values, share of the way, nats, and what choosing among its candidates gives. Given for
    several models, it reports the mean inner product and the hypervolume of their palettes.

    \b
    Examples:
      python -m map_core verify --target helpfulness=p60 --target humor=p60
      python -m map_core verify --random 50 --candidates 16 --halvings 10
      python -m map_core verify my-table.parquet --targets-file palettes.jsonl --prompts 32 --fresh fresh.parquet --json
      python -m map_core verify --study assets/delivery.json --fresh fresh.parquet
      python -m map_core verify --model kind --candidates 8
    """  # noqa: D301
    if tuned:
        if pairs or targets_file or random or study or halvings or use_case or max_new_tokens:
            raise click.UsageError("--model has its own palette, prompts and settings; give it without those.")
        from map_core.cli.verify_tuned import verify_tuned

        verify_tuned(
            tuned, table, most=most, replies=candidates, seed=seed, engine=engine, fresh=fresh, as_json=as_json
        )
        return
    if random is not None and (pairs or targets_file):
        raise click.UsageError("Give either targets or --random N.")
    if study is not None and (pairs or targets_file or random):
        raise click.UsageError("--study has palettes of its own; give it without targets and without --random.")
    if study is not None and not study.absolute().parent.is_dir():
        raise click.UsageError(f"--study: there is no folder {study.absolute().parent}.")
    opened = open_table(table, use_case, None)
    targets: list[np.ndarray] = []
    if not random and not study:
        opened, palettes = read_palettes(opened, pairs, targets_file)
        targets = [palette.levels for palette in palettes]
    count = halvings or (studies.HALVINGS if study else 1)
    whole = opened.table.without_held_out()
    held_out_prompts = set(opened.table.prompts) - set(whole.prompts)
    solved_on, others = split_halves(whole, seed) if count == 1 and not study else (whole, whole)
    if most is not None and most < len(others.prompts):
        others = others.take(np.linspace(0, len(others.prompts) - 1, most).astype(int).tolist())
    try:
        plain = others.without_columns()
        new = fresh_replies(plain, candidates, max_new_tokens, seed, engine, fresh, held_out_prompts)
    except KeyboardInterrupt:
        kept = " What is made is kept; the same command resumes where it stopped." if fresh else ""
        click.echo(f"\nStopped.{kept}", err=True)
        sys.exit(130)
    new = with_weights_of(new, whole)
    new = new.with_columns(others.derived) if others.derived else new
    # Over many halvings all prompts are solved on in turn, except those that --prompts leaves out.
    solved_on = others if solved_on is whole else solved_on
    if random:
        drawn = reachable_palettes(whole, solved_on, int(new.candidates.max()), random, seed=seed)
        targets = [palette.targets for palette in drawn]
    if study is not None:
        studied = opened.table if solved_on is whole else solved_on  # the study is looked up by its fingerprint
        new_study = studies.run_study(studied, new, halvings=count, seed=seed, report=_report_halvings)
        studies.save(new_study, study)
        _show(
            {"graded palettes": new_study.graded, "random palettes": new_study.random},
            opened.oracle,
            as_json,
            short=True,
        )
    elif count > 1:
        crossed = cross_fit_delivery(solved_on, new, targets, halvings=count, seed=seed, report=_report_halvings)
        _show({"palettes": crossed}, opened.oracle, as_json)
    else:
        deliveries = deliver(solved_on, new, targets, seed=seed)
        for delivery in deliveries:
            print_json(describe_delivery(delivery, opened.oracle)) if as_json else click.echo(
                delivery_text(delivery, opened.oracle)
            )
        if not as_json:
            click.echo(delivery_summary(deliveries))


def _report_halvings(done: int, total: int) -> None:
    click.echo(f"{done} of {total} halvings done", err=True)


def _show(parts: Mapping[str, CrossFitDelivery], oracle: Oracle, as_json: bool, short: bool = False) -> None:
    """Print the results of palettes over many halvings; only their summary if ``short``."""
    for name, part in parts.items():
        for number in range(len(part.asked)):
            if as_json:
                print_json(describe_crossed(part, number, oracle))
            elif not short:
                click.echo(crossed_text(part, number, oracle))
        if not as_json:
            click.echo("\n".join(crossed_summary(part, name)))


def fresh_replies(
    others: RewardTable,
    candidates: int,
    max_new_tokens: int | None,
    seed: int,
    engine: str,
    fresh: Path | None,
    held_out_prompts: Collection[str] = (),
) -> RewardTable:
    """Return new replies to these prompts, drawn with the model and settings of their table and scored on its values.

    Args:
        others: the table of the prompts.
        candidates: K, replies to each prompt.
        max_new_tokens: length limit; None for the table's.
        seed: of the replies.
        engine: the engine that the model opens in.
        fresh: the file of the replies; an existing one is read instead of drawing. None keeps no file.
        held_out_prompts: prompts whose replies in an existing file are ignored.

    Raises:
        InputError: the file has replies to other prompts.
    """
    if fresh is not None and fresh.is_file():
        table = load_with_notes(fresh)
        wanted = [i for i, prompt in enumerate(table.prompts) if prompt not in held_out_prompts]
        table = table.take(wanted) if 0 < len(wanted) < len(table.prompts) else table
        if not set(table.prompts) <= set(others.prompts):
            raise InputError(
                f"{fresh} holds replies to prompts that were solved on. Name another file, or its own --seed."
            )
        return table.reordered(others.values)
    from map_core.engines.factory import open_engine
    from map_core.models.files import recorded_model
    from map_core.models.request_extra import recorded_request_extra

    metadata = others.metadata
    settings = SamplingSettings.from_metadata(metadata)
    if max_new_tokens is not None:
        settings = replace(settings, max_new_tokens=max_new_tokens)
    chosen = resolve(others.values, from_metadata(others.metadata))
    texts = zip(others.prompt_ids, others.use_cases, others.prompts, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        built = builder.build(
            [Prompt(*prompt) for prompt in texts],
            fresh or Path(folder) / "fresh.parquet",
            open_engine(recorded_model(metadata), engine, request_extra=recorded_request_extra(metadata)),
            chosen,
            candidates=candidates,
            settings=settings,
            seed=seed,
            system=metadata.get("system"),
            report=ProgressLines(),
        )
        return built.load()
