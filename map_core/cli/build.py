"""``python -m map_core build``: replies sampled from a model and scored, as a table for the palette."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from map_core import building as builder
from map_core.building import BuildResult, LocalWorkers, ModelSpec, SamplingSpec, Workers
from map_core.cli.options import (
    dtype_option,
    engine_option,
    force_option,
    model_option,
    quiet_option,
    split_names,
    values_file_option,
    values_option,
)
from map_core.cli.progress import EstimateReached, ProgressReporter, watch_progress
from map_core.data import table_format
from map_core.data.prompts import Prompt, hold_out, read_prompts
from map_core.models.endpoint import approved_model
from map_core.models.packaged import DEFAULT_MODEL
from map_core.models.request_extra import parse_request_extra
from map_core.scoring import Scorer, Specification, check_scorers, from_metadata, read_values_file, resolve


@click.command(
    epilog="""\b
Examples:
  The default table, as it is embedded:
    python -m map_core build --prompts assets/prompts.jsonl --out table.parquet --candidates 64 --seed 20261129 \\
        --temperature 0.7 --top-p 1 --max-new-tokens 192
  Your own prompts, three values, 16 replies each, from any model or server:
    python -m map_core build --prompts mine.jsonl --out mine.parquet \\
        --values helpfulness,humor,plain_language --candidates 16 --model ./my-model
    python -m map_core build --prompts mine.jsonl --out mine.parquet --model Qwen/Qwen3-8B@http://gpu-box:8000/v1
  What a build will take:
    python -m map_core build --prompts mine.jsonl --out mine.parquet --model Qwen/Qwen3-8B --device auto --estimate
  More of a finished table; only what is new is made:
    python -m map_core build --extend mine.parquet --values positivity --prompts more.jsonl --candidates 64
  Other values for replies that are there already, without sampling again:
    python -m map_core build --rescore mine.parquet --out other.parquet --values positivity,diversity
  On every GPU of a Ray cluster (pip install -r requirements-cluster.txt):
    python -m map_core build --prompts mine.jsonl --out mine.parquet --ray auto

\b
A line of the prompts file; "weight" says how often a prompt occurs in use, "held_out" keeps it for checking,
"hidden" keeps its replies out of examples:
  {"id": "bees", "use_case": "Stories and learning", "prompt": "How do bees make honey?", "weight": 3}

Stopped or killed, or the disc was full? Give the same command again: it resumes where it stopped. A reply on which a
scorer fails is left out, and the end says how many there are.
"""
)
@click.option("--prompts", type=click.Path(path_type=Path), help="JSON lines, CSV or plain text, a prompt a line.")
@click.option(
    "--extend",
    type=click.Path(path_type=Path),
    metavar="TABLE",
    help="Add to this table: --values, --prompts, --candidates. In its place unless --out is given.",
)
@click.option(
    "--rescore",
    type=click.Path(path_type=Path),
    metavar="TABLE",
    help="Score this table's replies again instead of sampling.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The Parquet file to write.")
@values_option("The values to score; all of `values` by default.")
@values_file_option()
@click.option("--use-case", "use_cases", multiple=True, help="Only prompts of this use case; can be repeated.")
@click.option("--count-repeats", is_flag=True, help="A prompt that comes again counts as often as it comes.")
@click.option(
    "--hold-out", type=float, default=0.0, metavar="SHARE", help="Keep this share of each use case for checking."
)
@model_option("The base model: a name from `models list`, a folder, a hub name, or NAME@URL.")
@engine_option("torch", "openvino")
@dtype_option
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, or auto: one model over all GPUs. Torch only.")
@click.option("--candidates", type=int, help="Replies per prompt; 64, or what the table has that is added to.")
@click.option("--seed", type=int, help="The same seed gives the same table; 0 by default.")
@click.option("--temperature", type=float, help="Sampling temperature.")
@click.option("--top-k", type=int, help="Draw from the k likeliest tokens; 0 for all.")
@click.option("--top-p", type=float, help="Draw from the likeliest tokens with this probability; 1 for all.")
@click.option("--max-new-tokens", type=int, help="Longest reply, in tokens.")
@click.option("--system", help="A system message before every prompt; the model's own by default.")
@click.option(
    "--request-extra",
    metavar="JSON",
    help='Further fields of every request to a server, as {"chat_template_kwargs": {"enable_thinking": false}}.',
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Wait this long for the next piece of a server's answer; 600 by default.",
)
@click.option("--skip-unusable", is_flag=True, help="Continue without prompts that are too long for the model.")
@click.option(
    "--score-limit",
    type=float,
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="A scorer that takes longer for a prompt's replies is ended and started again; 0 for no limit.",
)
@click.option("--ray", metavar="ADDRESS", help="Work on this Ray cluster: an address, auto, or local.")
@click.option("--workers", type=int, help="Workers on the cluster; as many as its GPUs, or its cores, by default.")
@force_option
@click.option("--fresh", is_flag=True, help="Discard what another build left unfinished beside OUT.")
@click.option("--keep-parts", is_flag=True, help="Keep OUT.parts, so that values can be added without sampling.")
@click.option(
    "--estimate", is_flag=True, help="Make a few prompts, print what the others will take, and stop; they are kept."
)
@quiet_option()
@click.option(
    "--progress-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write progress to this JSON file.",
)
def build(**given: Any) -> None:
    """Build a reward table: sample replies to prompts, and score them on the values.

    What is made is kept in OUT.parts until the table is complete.
    """
    command = _Asked(given)
    with watch_progress(command.out, given["quiet"], given["progress_file"]) as report:
        report.only_estimate = given["estimate"]
        try:
            built = command.build(report)
        except EstimateReached as reached:
            click.echo(reached)
            click.echo("The same command without --estimate continues from here.", err=True)
            return
        report.note(*built.notes)
        click.echo(_summary(built), err=True)


def _summary(built: BuildResult) -> str:
    nothing_new = "" if built.sampled or built.scored else " Nothing was missing."
    return f"{built.out}: {built.prompts} prompts, {built.replies} replies, {', '.join(built.values)}.{nothing_new}"


class _Asked:
    """What the command line asks for.

    Args:
        given: its options.

    Raises:
        UsageError: they do not go together.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        extend, rescore, prompts = given["extend"], given["rescore"], given["prompts"]
        if (extend is None and (prompts is None) == (rescore is None)) or (extend is not None and rescore is not None):
            raise click.UsageError(
                "Give either --prompts FILE, to sample replies, or --rescore TABLE, or --extend TABLE, to add to one."
            )
        if given["out"] is None and extend is None:
            raise click.UsageError("Missing option '--out'.")
        self.out: Path = given["out"] or extend
        drawing = ("seed", "temperature", "top_k", "top_p", "max_new_tokens", "system", "request_extra")
        if extend is not None and (clash := [name for name in drawing if given[name] is not None]):
            option = "--" + clash[0].replace("_", "-")
            raise click.UsageError(f"{option} cannot be given with --extend: the table says how its replies are drawn.")
        if given["ray"] is None and given["workers"] is not None:
            raise click.UsageError("--workers goes with --ray ADDRESS.")
        if given["estimate"] and given["progress_file"] is not None:
            raise click.UsageError("--progress-file says how a build ends; it cannot be given with --estimate.")
        self._keeping = builder.BuildPolicy(
            force=given["force"],
            fresh=given["fresh"],
            keep_parts=given["keep_parts"],
            skip_unusable=given["skip_unusable"],
        )
        self._say: Callable[[str], None] | None = None
        self._limit: float | None = given["score_limit"] or None

    def build(self, report: ProgressReporter) -> BuildResult:
        """Build, extend or rescore the table that the command line asks for."""
        given, self._say = self._given, report.say
        if given["extend"] is not None:
            return self._extend(report)
        if not builder.build_digest_of(self.out):
            builder.refuse_overwrite(self.out, given["force"])
        own = self._own({})
        scorers = self._scorers(self._names(), own)
        if given["rescore"] is not None:
            crew = self._hire(None, SamplingSpec(), scorers)
            return builder.rescore(given["rescore"], self.out, scorers, keeping=self._keeping, crew=crew, report=report)
        extra = {} if given["request_extra"] is None else parse_request_extra(given["request_extra"])
        names = ("temperature", "top_k", "top_p", "max_new_tokens")
        changed = {name: given[name] for name in names if given[name] is not None}
        drawing = SamplingSpec(replace(builder.DEFAULT_SETTINGS, **changed), given["seed"] or 0, given["system"], extra)
        candidates = 64 if given["candidates"] is None else given["candidates"]
        prompts = self._prompts()
        with closing(self._hire(given["model"] or DEFAULT_MODEL, drawing, scorers)) as crew:
            return builder.build_with_workers(
                crew, prompts, self.out, scorers, drawing, candidates, self._keeping, report
            )

    def _scorers(self, names: Sequence[str] | None, own: Mapping[str, Specification]) -> list[Scorer]:
        """Return the scorers, after a look at what they need where they run on this machine."""
        scorers = resolve(names, own)
        if self._given["ray"] is None:
            check_scorers(scorers)
        return scorers

    def _extend(self, report: ProgressReporter) -> BuildResult:
        given = self._given
        own = self._own(table_format.load_metadata(given["extend"]))
        return builder.extend(
            given["extend"],
            self.out,
            lambda names: self._scorers(names, own),
            values=self._names() or (tuple(own) if given["values_file"] else ()),
            prompts=self._prompts() if given["prompts"] else (),
            candidates=given["candidates"],
            hire=self._hire,
            keeping=self._keeping,
            report=report,
        )

    def _hire(self, model: str | None, drawing: SamplingSpec, scorers: Sequence[Scorer]) -> Workers:
        """Return what draws replies and scores them: this machine, or a cluster."""
        given, opening = self._given, None
        if model is not None:
            model = approved_model(given["model"], model)
            opening = ModelSpec(
                model,
                given["engine"],
                given["dtype"],
                given["device"],
                trusted=True,
                request_extra=drawing.request_extra,
                timeout=given["timeout"],
            )
        if given["ray"] is not None:
            from map_core.building.ray_workers import RayWorkers

            return RayWorkers(given["ray"], opening, drawing, scorers, self._limit, given["workers"])
        return LocalWorkers(None if opening is None else opening.open(), drawing, scorers, self._limit, self._say)

    def _names(self) -> tuple[str, ...] | None:
        names = self._given["values"]
        return None if names is None else split_names(names)

    def _own(self, metadata: Mapping[str, Any]) -> dict[str, Specification]:
        """Return the user's own values: those of the table that is extended, and those of the values file."""
        named = read_values_file(self._given["values_file"]) if self._given["values_file"] is not None else {}
        return from_metadata(metadata) | named

    def _prompts(self) -> tuple[Prompt, ...]:
        given = self._given
        prompts = read_prompts(given["prompts"], given["use_cases"], count_repeats=given["count_repeats"])
        return hold_out(prompts, given["hold_out"])
