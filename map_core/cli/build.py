"""``python -m map_core build``: sample replies from a model, score them, and write a reward table."""

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
from map_core.data.prompts import Prompt, RepeatedPromptError, hold_out, read_prompts
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
@click.option(
    "--prompts", type=click.Path(path_type=Path), help="JSON lines, CSV, Excel or plain text, a prompt a line."
)
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
def build(**options: Any) -> None:
    """Build a reward table: sample replies to prompts, and score them on the values.

    What is made is kept in OUT.parts until the table is complete.
    """
    command = _BuildCommand(options)
    with watch_progress(command.out, options["quiet"], options["progress_file"]) as report:
        report.only_estimate = options["estimate"]
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


class _BuildCommand:
    """The command with its options.

    Args:
        options: by parameter name.

    Raises:
        UsageError: options that exclude each other, or a missing one.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        extend, rescore, prompts = options["extend"], options["rescore"], options["prompts"]
        if (extend is None and (prompts is None) == (rescore is None)) or (extend is not None and rescore is not None):
            raise click.UsageError(
                "Give either --prompts FILE, to sample replies, or --rescore TABLE, or --extend TABLE, to add to one."
            )
        if options["out"] is None and extend is None:
            raise click.UsageError("Missing option '--out'.")
        self.out: Path = options["out"] or extend
        sampling_options = ("seed", "temperature", "top_k", "top_p", "max_new_tokens", "system", "request_extra")
        conflicting = [name for name in sampling_options if options[name] is not None]
        if extend is not None and conflicting:
            option = "--" + conflicting[0].replace("_", "-")
            raise click.UsageError(f"{option} cannot be given with --extend: the table says how its replies are drawn.")
        if options["ray"] is None and options["workers"] is not None:
            raise click.UsageError("--workers goes with --ray ADDRESS.")
        if options["estimate"] and options["progress_file"] is not None:
            raise click.UsageError("--progress-file says how a build ends; it cannot be given with --estimate.")
        self._policy = builder.BuildPolicy(
            force=options["force"],
            fresh=options["fresh"],
            keep_parts=options["keep_parts"],
            skip_unusable=options["skip_unusable"],
        )
        self._say: Callable[[str], None] | None = None
        self._limit: float | None = options["score_limit"] or None

    def build(self, report: ProgressReporter) -> BuildResult:
        """Build, extend or rescore the table that the command line asks for."""
        options, self._say = self._options, report.say
        if options["extend"] is not None:
            return self._extend(report)
        if not builder.build_digest_of(self.out):
            builder.refuse_overwrite(self.out, options["force"])
        own = self._own_values({})
        scorers = self._scorers(self._names(), own)
        if options["rescore"] is not None:
            return builder.rescore(
                options["rescore"],
                self.out,
                scorers,
                policy=self._policy,
                workers=self._open_workers(None, SamplingSpec(), scorers),
                report=report,
            )
        extra = {} if options["request_extra"] is None else parse_request_extra(options["request_extra"])
        names = ("temperature", "top_k", "top_p", "max_new_tokens")
        changed = {name: options[name] for name in names if options[name] is not None}
        settings = replace(builder.DEFAULT_SETTINGS, **changed)
        sampling = SamplingSpec(settings, options["seed"] or 0, options["system"], extra)
        candidates = 64 if options["candidates"] is None else options["candidates"]
        prompts = self._prompts()
        with closing(self._open_workers(options["model"] or DEFAULT_MODEL, sampling, scorers)) as workers:
            return builder.build_with_workers(
                workers, prompts, self.out, scorers, sampling, candidates, self._policy, report
            )

    def _scorers(self, names: Sequence[str] | None, own: Mapping[str, Specification]) -> list[Scorer]:
        """Return the scorers; check that their models and servers are available where they run on this machine."""
        scorers = resolve(names, own)
        if self._options["ray"] is None:
            check_scorers(scorers)
        return scorers

    def _extend(self, report: ProgressReporter) -> BuildResult:
        options = self._options
        own = self._own_values(table_format.load_metadata(options["extend"]))
        return builder.extend(
            options["extend"],
            self.out,
            lambda names: self._scorers(names, own),
            values=self._names() or (tuple(own) if options["values_file"] else ()),
            prompts=self._prompts() if options["prompts"] else (),
            candidates=options["candidates"],
            open_workers=self._open_workers,
            policy=self._policy,
            report=report,
        )

    def _open_workers(self, model: str | None, sampling: SamplingSpec, scorers: Sequence[Scorer]) -> Workers:
        """Return the workers that draw and score replies: on this machine, or on a cluster."""
        options = self._options
        model_spec = None
        if model is not None:
            model = approved_model(options["model"], model)
            model_spec = ModelSpec(
                model,
                options["engine"],
                options["dtype"],
                options["device"],
                trusted=True,
                request_extra=sampling.request_extra,
                timeout=options["timeout"],
            )
        if options["ray"] is not None:
            from map_core.building.ray_workers import RayWorkers

            return RayWorkers(options["ray"], model_spec, sampling, scorers, self._limit, options["workers"])
        engine = None if model_spec is None else model_spec.open()
        return LocalWorkers(engine, sampling, scorers, self._limit, self._say)

    def _names(self) -> tuple[str, ...] | None:
        names = self._options["values"]
        return None if names is None else split_names(names)

    def _own_values(self, metadata: Mapping[str, Any]) -> dict[str, Specification]:
        """Return the user's own values: those that the extended table records, and those of the values file."""
        named = read_values_file(self._options["values_file"]) if self._options["values_file"] is not None else {}
        return from_metadata(metadata) | named

    def _prompts(self) -> tuple[Prompt, ...]:
        options = self._options
        try:
            prompts = read_prompts(options["prompts"], options["use_cases"], count_repeats=options["count_repeats"])
        except RepeatedPromptError as error:
            raise RepeatedPromptError(f"{error} The option for that is --count-repeats.") from error
        return hold_out(prompts, options["hold_out"])
