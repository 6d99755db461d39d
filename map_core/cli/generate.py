"""``generate``: answer prompts as the base model and as the aligned model, from the same K candidates."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from map_core.cli.generation_inputs import read_weights, sampling_settings
from map_core.cli.generation_output import print_outcome, watch
from map_core.cli.options import (
    candidates_option,
    engine_option,
    json_option,
    model_option,
    quiet_option,
    seed_option,
    target_option,
    values_file_option,
)
from map_core.cli.progress import ProgressLines
from map_core.core import amounts
from map_core.data import table_format
from map_core.errors import EngineError, InputError, PaletteError
from map_core.generation.request import GenerationRequest, Method
from map_core.generation.sampler import generation_events
from map_core.service.records import outcome_record

if TYPE_CHECKING:
    from map_core.analysis.generation_weights import GenerationWeights
    from map_core.analysis.headroom import Headroom
    from map_core.cli.inputs import LoadedTable
    from map_core.engines.base import Engine
    from map_core.scoring import Scorer


@click.command()
@click.option("--prompt", help="What the model is asked; - reads it from standard input.")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Many prompts instead, into --out: JSON lines, .csv or .xlsx with a column prompt, or .txt with one a line.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="JSON lines, an answer a prompt, in order."
)
@click.option("--fresh", is_flag=True, help="Replace OUT; else what it holds is resumed.")
@quiet_option()
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME=W",
    help="A value and its weight (1/reward), as 'solve' prints them; may be repeated. None gives the base model.",
)
@click.argument("more_weights", nargs=-1, metavar="[NAME=W]...")
@target_option(
    "targets", "Instead of weights: a level as in 'solve'; the weights are solved on TABLE for as many candidates."
)
@click.option(
    "--cohort",
    "cohorts",
    multiple=True,
    metavar="NAME",
    help="Whose prompt it is, where targets name a use case (NAME) or a column of text (COLUMN=ENTRY).",
)
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    default=table_format.DEFAULT_TABLE,
    help="The table that --target is solved on, with its values of your own; the embedded one by default.",
)
@values_file_option()
@click.option(
    "--values", "shown", help="Values whose rewards are shown: names with commas, 'all' or 'none'.", default="all"
)
@candidates_option("Replies to choose from.")
@click.option(
    "--exact-within",
    type=float,
    metavar="SHARE",
    help="Draw --candidates at a time until the pick is that of the exact tilt, but for this share of the replies, "
    "judged on TABLE: 0.02, for example. A palette near the base model takes few, a distant one many.",
)
@click.option(
    "--until-ess",
    type=float,
    metavar="X",
    help="Draw --candidates at a time until X of them carry the choice (effective sample size). Replies fall short of "
    "the forecast, as lucky first candidates end the draw early; --exact-within does not.",
)
@click.option("--most-candidates", type=click.IntRange(min=1), metavar="N", help="Most candidates that are drawn.")
@click.option(
    "--method",
    type=click.Choice([method.value for method in Method]),
    default="resample",
    show_default=True,
    help="Pick one by the weights, take the best one, re-sample on the way, every --block tokens, or stop unpromising "
    "candidates early.",
)
@click.option(
    "--block", type=click.IntRange(min=1), default=16, show_default=True, metavar="N", help="Tokens of a block."
)
@click.option(
    "--floor",
    "floors",
    multiple=True,
    metavar="NAME=LEVEL",
    help="A level that every reply shall have, as in --target: the choice is among the candidates that have it, or the "
    "nearest.",
)
@click.option(
    "--tuned",
    metavar="NAME",
    help="A model that `tune` made of the base model: all candidates but the base one are drawn from it, and chosen "
    "with weights exp(weights . rewards) p0 / q, which is exact in the limit.",
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Longest reply; as in the embedded table.")
@click.option("--temperature", type=click.FloatRange(0.0, 10.0, min_open=True), help="As in the embedded table.")
@click.option("--top-k", type=click.IntRange(min=0), help="0 for off; as in the embedded table.")
@click.option("--top-p", type=click.FloatRange(0.0, 1.0, min_open=True), help="1 for off; as in the embedded table.")
@seed_option("The same seed, the same replies.")
@click.option("--system", help="A system prompt.")
@model_option("Name or folder of the base model, or NAME@URL; see 'models list'.")
@engine_option("torch", "openvino", "remote")
@json_option("Print one JSON object instead of text.")
def generate(
    prompt: str | None,
    prompts: Path | None,
    out: Path | None,
    fresh: bool,
    quiet: bool,
    weights: tuple[str, ...],
    more_weights: tuple[str, ...],
    targets: tuple[str, ...],
    cohorts: tuple[str, ...],
    table: Path,
    values_file: Path | None,
    shown: str,
    candidates: int,
    exact_within: float | None,
    until_ess: float | None,
    most_candidates: int | None,
    method: str,
    block: int,
    floors: tuple[str, ...],
    tuned: str | None,
    seed: int,
    system: str | None,
    model: str | None,
    engine: str,
    as_json: bool,
    **settings: float | int | None,
) -> None:
    """Answer prompts as the base model and as the aligned model.

    K replies are sampled from the base model. The base reply is one of them, drawn uniformly; the aligned reply is
    drawn with probability softmax(weights . rewards). Both come from the same K replies.

    With --target the weights are solved for the current K (N of --most-candidates, where that is given); where the
    targets are not possible the nearest palette stands in, and a line says so. Sampling is then as in TABLE.

    With --prompts every prompt gets a seed of its own, made of --seed and its text. Each answer is written as soon as
    it is there: stopped or killed, the same command resumes where it stopped.

    \b
    Examples:
      python -m map_core generate --prompt "How do I calm a crying child?" --weights humor=2
      python -m map_core generate --prompt "My parcel is late!" --weights positivity=3 --weights helpfulness=1.5
      python -m map_core generate --prompt "My parcel is late!" --target kindness=p70 --target humor=+0.3sd
      python -m map_core generate --prompt "My parcel is late!" --table mine.parquet --target calm_nurse=p70
      python -m map_core generate --prompt "My parcel is late!" --target humor=p60 --floor kindness=p20
      python -m map_core generate --prompt "Write a toast." --candidates 32 --seed 7 --json
      python -m map_core generate --prompt "My parcel is late!" --weights kindness=1.2 --tuned kind --candidates 5
      python -m map_core generate --prompts prompts.csv --out replies.jsonl --target kindness=p70
    """  # noqa: D301
    from map_core import scoring
    from map_core.cli.inputs import open_table

    if (prompt is None) == (prompts is None):
        raise click.UsageError("Give either --prompt TEXT or --prompts FILE.")
    if (prompts is None) != (out is None):
        raise click.UsageError("--prompts FILE and --out FILE belong together.")
    if (until_ess is None and exact_within is None) != (most_candidates is None):
        raise click.UsageError("--exact-within SHARE or --until-ess X, and --most-candidates N belong together.")
    by_value = read_weights((*weights, *more_weights))
    if targets and by_value:
        raise click.UsageError("Give either targets or weights.")
    if tuned is not None and out is not None:
        raise click.UsageError("--tuned answers one prompt; give it without --prompts and --out.")
    metadata = table_format.load_metadata(table) if targets or table != table_format.DEFAULT_TABLE else {}
    own = {**scoring.from_metadata(metadata), **(scoring.read_values_file(values_file) if values_file else {})}
    if cohorts and not targets:
        raise click.UsageError("--cohort says whose weights are used, and there are none without --target.")
    most = most_candidates or candidates
    opened_table = functools.cache(lambda: open_table(table, None, None))  # read at most once, and only if needed
    aim = _aim(opened_table, targets, most, scoring.scorable_values(own), cohorts) if targets else None
    floor_levels = _floors(opened_table, floors)
    headroom = None
    if exact_within is not None:
        headroom = _headroom(opened_table, dict(aim.weights) if aim else by_value, exact_within)
    if shown == "all":
        names = scoring.scorable_values(own)
    else:
        names = tuple(name.strip() for name in shown.split(",") if name.strip() and shown != "none")
    from map_core.data.prompts import read_prompts

    try:
        batch = read_prompts(prompts) if prompts else ()
        text = batch[0].text if batch else sys.stdin.read() if prompt == "-" else str(prompt)
        request = GenerationRequest(
            prompt=text,
            weights=dict(aim.weights) if aim else by_value,
            values=names,
            candidates=candidates,
            settings=sampling_settings(settings, metadata if targets else None),
            seed=seed,
            system=system,
            provisional=False,
            method=Method(method),
            block=block,
            least_ess=until_ess,
            headroom=None if headroom is None else headroom.nats,
            most_candidates=most_candidates,
            floors=floor_levels,
        )
        # Scorers first, so that an unknown value is reported before seconds are spent on loading the model.
        resolved = scoring.check_scorers(scoring.resolve(request.scored, own)) if request.scored else ()
        scorers = {scorer.name: scorer for scorer in resolved}
        for entry in batch:
            try:
                replace(request, prompt=entry.text)
            except InputError as error:
                raise InputError(f"The prompt {entry.id!r} cannot be used. {error}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"Standard input is no text in UTF-8 ({error.reason}).") from error
    except InputError as error:
        raise click.UsageError(str(error)) from error
    from map_core.engines.factory import open_engine
    from map_core.models.endpoint import approved_model
    from map_core.models.packaged import DEFAULT_MODEL

    notes: tuple[str, ...] = ()
    if aim:
        from map_core.text.generation_weights import generation_notes

        notes = generation_notes(aim.facts)
    if headroom is not None:
        notes += (
            "Candidates are drawn until no further one could be picked, which takes "
            f"{amounts.fixed(headroom.candidates, grouped=True)} on average over the prompts of the table, or until "
            f"there are {most:,}.",
        )
    for note in () if as_json else notes:
        click.echo(note, err=True)
    began = time.perf_counter()
    # With a tuned model in float32: log q - log p0 is a small difference of two large sums.
    dtype = None if tuned is None else "float32"
    opened = open_engine(approved_model(model, DEFAULT_MODEL), engine, dtype)
    more: dict[str, Any] = {"model": opened.info.model, "engine": opened.info.as_dict()}
    if aim:
        more["palette"] = {"asked": aim.asked, "targets": aim.targets, "verdict": aim.verdict, "notes": list(notes)}
    if headroom is not None:
        more["exact_within"] = asdict(headroom)
    if out:
        from map_core.building.batch_answers import AnswerFile

        _answer_all(AnswerFile(out, batch, request, more, fresh), opened, scorers, quiet)
        return
    more["load_seconds"] = time.perf_counter() - began
    proposal = open_engine(tuned, engine, dtype) if tuned is not None else None
    if tuned is not None:
        more["tuned"] = tuned
    events = generation_events(opened, scorers, request, proposal=proposal)
    how = "drawn evenly" if tuned is None else "drawn from the base model"
    finished, timing = watch(events, candidates, how, stream=not as_json)
    if as_json:
        from map_core.building.batch_answers import timing_record

        answer = outcome_record(request, finished) | timing_record(finished) | timing | more
        click.echo(json.dumps(answer, allow_nan=False, ensure_ascii=False, indent=1))
    else:
        print_outcome(request, finished, timing["seconds"])


def _aim(
    opened_table: Callable[[], LoadedTable],
    targets: tuple[str, ...],
    candidates: int,
    scored: tuple[str, ...],
    cohorts: tuple[str, ...],
) -> GenerationWeights:
    """Return a palette's weights for ``candidates`` candidates, over the values that new replies can be scored on."""
    from map_core.analysis.generation_weights import GenerationWeightsSolver
    from map_core.cli.inputs import read_cohorts, read_palettes

    opened, (palette,) = read_palettes(opened_table(), targets, None)
    solver = GenerationWeightsSolver(opened.table, opened.oracle.form, scored=scored)
    return solver.solve(palette.levels, candidates, read_cohorts(opened.table, cohorts), palette.locked)


def _headroom(opened_table: Callable[[], LoadedTable], weights: Mapping[str, float], within: float) -> Headroom:
    """Return how far above the mean a candidate's score can lie with these weights, measured on the table."""
    from map_core.analysis.headroom import headroom_for

    try:
        return headroom_for(opened_table().table, weights, within)
    except InputError as error:
        raise click.UsageError(f"--exact-within: {error}") from error


def _floors(opened_table: Callable[[], LoadedTable], pairs: tuple[str, ...]) -> dict[str, float]:
    """Return the floors for every reply in reward units; percentiles and deviations refer to the table."""
    from map_core.cli.inputs import read_pairs
    from map_core.palettes.targets import resolve

    written: Mapping[str, str] = read_pairs("--floor", pairs)
    try:
        return {name: float(level) for name, level in written.items()}
    except ValueError:  # a percentile or a deviation, which the table resolves
        pass
    opened = opened_table()
    try:
        levels = resolve(written, opened.table, opened.oracle)
    except InputError as error:
        raise click.UsageError(f"--floor: {error}") from error
    return {name: float(levels[opened.table.index(name)]) for name in written}


def _answer_all(answers: Any, engine: Engine, scorers: Mapping[str, Scorer], quiet: bool) -> None:
    """Answer a file of prompts; the message of an error that stops it says how to continue."""
    from map_core.building.batch_answers import answer_prompts

    how_to_resume = f"What is answered is kept in {answers.out}; the same command resumes where it stopped."
    try:
        count = answer_prompts(answers, engine, scorers, None if quiet else ProgressLines())
    except KeyboardInterrupt:
        click.echo(f"\nStopped. {how_to_resume}", err=True)
        sys.exit(130)
    except InputError:
        raise
    except PaletteError as error:
        raise EngineError(f"{error} {how_to_resume}") from error
    click.echo(f"{answers.out}: {len(answers.prompts)} prompts, {count} of them answered now.", err=True)
