"""``python -m map_core build``: replies sampled from a model and scored, as a table for the palette."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from map_core import build as builder
from map_core import rewards
from map_core.command_line.watching import watched
from map_core.prompts import read_prompts
from map_core.values import scorers


@click.command(
    epilog="""\b
Examples:
  The default table, as it is embedded:
    python -m map_core build --prompts assets/prompts.jsonl --out table.parquet --seed 20261123
  Your own prompts, three values, 16 replies each:
    python -m map_core build --prompts mine.jsonl --out mine.parquet \\
        --values helpfulness,humor,plain_language --candidates 16
  Other values for replies that are there already, without sampling again:
    python -m map_core build --rescore mine.parquet --out more.parquet --values positivity,diversity

\b
A line of the prompts file:
  {"id": "bees", "use_case": "Stories and learning", "prompt": "How do bees make honey?"}

Stopped or killed? Give the same command again: it goes on where it stopped.
"""
)
@click.option("--prompts", type=click.Path(path_type=Path), help="JSON lines, a prompt a line.")
@click.option(
    "--rescore",
    type=click.Path(path_type=Path),
    metavar="TABLE",
    help="Score this table's replies again instead of sampling.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The Parquet file to write.")
@click.option("--values", metavar="NAME,NAME", help="The values to score; all of `values` by default.")
@click.option("--use-case", "use_cases", multiple=True, help="Only prompts of this use case; can be repeated.")
@click.option("--model", help="The base model: a name from `models list` or a folder.")
@click.option("--engine", type=click.Choice(["auto", "torch", "openvino"]), default="auto", show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), help="Precision; the engine's own by default.")
@click.option("--candidates", type=int, default=64, show_default=True, help="Replies per prompt.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same table.")
@click.option("--temperature", type=float, help="Sampling temperature.")
@click.option("--top-k", type=int, help="Draw from the k likeliest tokens; 0 for all.")
@click.option("--top-p", type=float, help="Draw from the likeliest tokens with this probability; 1 for all.")
@click.option("--max-new-tokens", type=int, help="Longest reply, in tokens.")
@click.option("--system", help="A system message before every prompt; the model's own by default.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@click.option("--fresh", is_flag=True, help="Throw away what another build left unfinished beside OUT.")
@click.option("--keep-parts", is_flag=True, help="Keep OUT.parts, so that values can be added without sampling.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option(
    "--progress-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep how far it is in this JSON file, for a program that watches.",
)
def build(
    prompts: Path | None,
    rescore: Path | None,
    out: Path,
    values: str | None,
    use_cases: tuple[str, ...],
    model: str | None,
    engine: str,
    dtype: str | None,
    candidates: int,
    seed: int,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    max_new_tokens: int | None,
    system: str | None,
    force: bool,
    fresh: bool,
    keep_parts: bool,
    quiet: bool,
    progress_file: Path | None,
) -> None:
    """Build a reward table: sample replies to prompts, and score them on the values.

    What is made is kept in OUT.parts until the table is complete.
    """
    if (prompts is None) == (rescore is None):
        raise click.UsageError("Give either --prompts FILE, to sample replies, or --rescore TABLE.")
    asked = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "max_new_tokens": max_new_tokens}
    given: dict[str, Any] = {name: setting for name, setting in asked.items() if setting is not None}
    names = None if values is None else [name.strip() for name in values.split(",") if name.strip()]
    keep = builder.Keeping(force=force, fresh=fresh, keep_parts=keep_parts)
    with watched(out, quiet, progress_file) as report:
        builder.refuse_overwrite(out, force)
        chosen = scorers(names)
        if rescore is not None:
            table = builder.rescore(rewards.load(rescore), out, chosen, keeping=keep, report=report)
        elif prompts is not None:
            from map_core.generate.engine import open_engine
            from map_core.generate.models import DEFAULT_MODEL

            table = builder.build(
                read_prompts(prompts, use_cases),
                out,
                open_engine(model or DEFAULT_MODEL, engine, dtype),
                chosen,
                candidates=candidates,
                settings=replace(builder.DEFAULT_SETTINGS, **given),
                seed=seed,
                system=system,
                keeping=keep,
                report=report,
            )
    click.echo(
        f"{out}: {len(table.prompts)} prompts, {len(table.replies)} replies, {', '.join(table.values)}.", err=True
    )
