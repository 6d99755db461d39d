"""Tuned models over a set of palettes: the whole path of ``tune`` and ``verify --model``, palette by palette.

    python -m tests.benchmarks.bench_tuning --palettes 12 --method advantage --steps 40 --out tuning.jsonl

Palettes ask one to three values for p60 to p70; the seed picks them, and those out of reach are passed over. A row of
the file is a palette; those that are there are not made again, and a tuning that was stopped resumes. Prompts that are
looked at were never tuned on. ``--summary`` prints what a file has come to; with ``--study assets/tuning_study.json
--machine "two cores of a laptop"`` the page *Evidence* shows it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.cli.inputs import load_with_notes
from map_core.cli.tuned_replies import drawn_replies
from map_core.cli.tuning_inputs import palette_weights, with_held_out
from map_core.cli.verify_tuned import held_out_prompts
from map_core.core.assets import ASSETS
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.models.cache import sha256_of
from map_core.studies.palette_sets import REFERENCE, score_ways
from map_core.studies.tuning_study import TuningStudy, keep_study
from map_core.tuning.check import TunedCheck, check_tuned
from map_core.tuning.request import TuningRequest
from map_core.tuning.run import tune
from map_core.tuning.settings import TuningMethod, TuningSettings
from map_core.tuning.side_by_side import side_by_side

TABLE = ASSETS / "default.parquet"
LOWEST, HIGHEST, MOST_VALUES, MOST_DRAWS = 60, 70, 3, 1000
#: Options of this command whose names differ from those of the settings.
_OPTIONS = {"prompts": "step-prompts", "bfloat16": "bf16"}


def palettes(table: RewardTable, seed: int) -> Iterator[tuple[tuple[str, ...], dict[str, float], dict[str, Any]]]:
    """Yield palettes that can be had, with lambda by value and what it belongs to; the same ones for a seed."""
    rng = np.random.default_rng(seed)
    for _ in range(MOST_DRAWS):
        size = int(rng.integers(1, MOST_VALUES + 1))
        names = [table.values[j] for j in sorted(rng.choice(len(table.values), size, replace=False))]
        target_texts = tuple(f"{name}=p{rng.integers(LOWEST, HIGHEST + 1)}" for name in names)
        try:
            lam, palette = palette_weights(table, target_texts, None, (), False)
        except InputError:  # out of reach, or met by the base model
            continue
        yield target_texts, lam, palette


def share_by_value(check: TunedCheck, value: int, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Return how far a value is from base to forecast, with a bootstrap interval over prompts."""
    gained, way = (levels[:, value] - check.base[:, value] for levels in (check.tuned, check.forecast))
    resampled = np.random.default_rng(seed).integers(len(way), size=(draws, len(way)))
    shares = gained[resampled].sum(axis=1) / way[resampled].sum(axis=1)
    low, high = np.quantile(shares, [(1 - check.level) / 2, (1 + check.level) / 2])
    return float(gained.sum() / way.sum()), float(low), float(high)


def row(
    number: int,
    asked: Sequence[str],
    lam: dict[str, float],
    palette: dict[str, Any],
    table: RewardTable,
    settings: TuningSettings,
    folder: Path,
    prompts: int,
    replies: int,
) -> dict[str, Any]:
    """Tune on a palette, draw the tuned model's replies, and return what they come to."""
    began, cpu = time.perf_counter(), time.process_time()
    request = TuningRequest(table, lam, folder, settings, palette, sha256_of(TABLE), evidence_prompts=0)
    record = tune(request, None, click.echo)
    assert record is not None, "more than the estimate was asked for"
    trained, trained_cpu = time.perf_counter() - began, time.process_time() - cpu
    asked_of = held_out_prompts(table, record, prompts)
    fresh = drawn_replies(
        folder,
        record,
        asked_of,
        replies=replies,
        seed=1,
        engine="auto",
        fresh=folder / "replies.parquet",
        report=lambda progress: None,
    )
    drawn = time.perf_counter() - began - trained
    check = check_tuned(record, asked_of, fresh)
    facts = check.as_dict()
    for j, name in enumerate(check.values):
        if check.lam[j]:
            facts["values"][name]["share_of_way"], *interval = share_by_value(check, j)
            facts["values"][name]["share_of_way_interval"] = interval
    for name, rows in facts["choosing"].items():
        for choice in rows:
            choice["tokens"] = choice["candidates"] * facts["lengths"][name]
    return {
        "number": number,
        "asked": list(asked),
        "weights": dict(lam),
        "settings": settings.as_dict(),
        "training_seconds": trained,
        "training_cpu_seconds": trained_cpu,
        "drawing_seconds_a_reply": drawn / (len(asked_of.prompts) * replies),
        "estimate": record["estimate"],
        "check": facts,
        "lam": (check.lam * check.spread).tolist(),
        "levels": {way: gains.tolist() for way, gains in check.gains().items()},
        "replies": [shown.as_dict() for shown in side_by_side(lam, asked_of, fresh, number)],
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the palettes come to together; intervals are of 90%, by a bootstrap over palettes."""
    shares = np.array([row["check"]["share_of_way"] for row in rows])
    nats = np.array([row["check"]["kl"] / row["check"]["kl_forecast"] for row in rows])
    by_value = [v["share_of_way"] for row in rows for v in row["check"]["values"].values() if v["weight"]]
    draws = shares[np.random.default_rng(0).integers(len(rows), size=(2000, len(rows)))].mean(axis=1)
    results: dict[str, Any] = {
        "palettes": len(rows),
        "share_of_way": float(shares.mean()),
        "share_of_way_interval": np.quantile(draws, [0.05, 0.95]).tolist(),
        "lowest_share_of_a_value": float(min(by_value)),
        "nats_over_lambdas": float(nats.mean()),
        "training_cpu_seconds": float(np.mean([row["training_cpu_seconds"] for row in rows])),
    }
    for side in ("tuned", "base"):
        for choices in zip(*(row["check"]["choosing"][side] for row in rows), strict=False):
            key = f"{side}, {choices[0]['candidates']} candidates"
            results[key] = {
                name: float(np.mean([choice[name] for choice in choices])) for name in ("share_of_way", "ess", "tokens")
            }
    levels = {way: np.array([row["levels"][way] for row in rows]) for way in rows[0]["levels"]}
    pushed = np.array([row["lam"] for row in rows])
    results["palette_set"] = {
        way: [score.mean_inner_product, score.hypervolume] for way, score in score_ways(pushed, levels).items()
    }
    results["palette_set"] |= {"reference": REFERENCE, "values": int(pushed.any(axis=0).sum())}
    return results


def read(out: Path) -> list[dict[str, Any]]:
    """Return the rows of a file; a last line that was cut off is left out."""
    rows = []
    for line in out.read_text(encoding="utf-8").splitlines() if out.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def study_of(rows: Sequence[dict[str, Any]], machine: str) -> TuningStudy:
    """Return what the palettes came to as the app shows it, with the command that measures it again."""
    settings, check = rows[0]["settings"], rows[0]["check"]
    usual = TuningSettings().as_dict() | {"method": None, "seed": None}
    options = [f"--palettes {len(rows)}", f"--held-out {check['prompts']}", f"--verify-replies {check['replies']}"]
    for name, setting in settings.items():
        if setting != usual.get(name):
            option = _OPTIONS.get(name, name.replace("_", "-"))
            options.append(f"--{option}" if setting is True else f"--{option} {setting}")
    return TuningStudy(
        method=settings["method"],
        command=f"python -m tests.benchmarks.bench_tuning {' '.join(options)}",
        date=datetime.now(UTC).date().isoformat(),
        machine=machine,
        summary=summary(rows),
        palettes=tuple({"asked": row["asked"], "check": row["check"]} for row in rows),
    )


def run(
    out: Path = Path("tuning.jsonl"),
    count: int = 12,
    seed: int = 0,
    prompts: int = 16,
    replies: int = 8,
    settings: TuningSettings | None = None,
) -> dict[str, Any]:
    """Make the rows that are missing; print and return what all of them come to."""
    settings = settings or TuningSettings()
    table = with_held_out(load_with_notes(TABLE), seed)
    rows = read(out)
    if rows and rows[0]["settings"] != settings.as_dict():
        raise InputError(f"{out} was made with other settings: {rows[0]['settings']}. Name another --out.")
    for number, (asked, lam, palette) in zip(range(count), palettes(table, seed), strict=False):
        if number < len(rows):
            continue
        click.echo(f"{number + 1} of {count}: {', '.join(asked)}")
        folder = out.with_suffix("") / str(number)
        folder.parent.mkdir(parents=True, exist_ok=True)
        rows.append(row(number, asked, lam, palette, table, settings, folder, prompts, replies))
        out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        click.echo(json.dumps(summary(rows), indent=1))
    return summary(rows)


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("tuning.jsonl"), show_default=True)
@click.option("--palettes", "count", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the palettes and of the tunings.")
@click.option("--held-out", "prompts", type=click.IntRange(min=2), default=16, show_default=True, help="Prompts.")
@click.option("--verify-replies", type=click.IntRange(min=1), default=8, show_default=True, help="To each of them.")
@click.option("--summary", "only_summary", is_flag=True, help="Print what the file has come to, and stop.")
@click.option("--study", type=click.Path(dir_okay=False, path_type=Path), help="Keep it there for the page Evidence.")
@click.option("--machine", default="", help="What it was measured on, in words; with --study.")
@click.option("--method", type=click.Choice([method.value for method in TuningMethod]), default=None)
@click.option("--steps", type=int, default=None)
@click.option("--step-prompts", type=int, default=None)
@click.option("--replies", type=int, default=None, help="A prompt in a step.")
@click.option("--value-replies", type=int, default=None)
@click.option("--learning-rate", type=float, default=None)
@click.option("--rank", type=int, default=None)
@click.option("--blocks", type=int, default=None)
@click.option("--trace", type=float, default=None)
@click.option("--beginnings", type=int, default=None)
@click.option("--strength", type=float, default=None)
@click.option("--bf16", "bfloat16", is_flag=True)
def main(
    out: Path,
    count: int,
    seed: int,
    prompts: int,
    verify_replies: int,
    only_summary: bool,
    study: Path | None,
    machine: str,
    **more: Any,
) -> None:
    """Run the benchmark, or print what a file has come to; with --study that is kept for the app."""
    if (study is None) != (not machine):
        raise click.UsageError("--study and --machine go together: figures are shown with what they were measured on.")
    if only_summary:
        click.echo(json.dumps(summary(read(out)), indent=1))
        if study is not None:
            keep_study(study_of(read(out), machine), study, sha256_of(TABLE))
        return
    named = {"prompts": more.pop("step_prompts"), "seed": seed, **more}
    if named["method"] is not None:
        named["method"] = TuningMethod(named["method"])
    settings = TuningSettings(**{name: value for name, value in named.items() if value is not None})
    run(out, count, seed, prompts, verify_replies, settings)
    if study is not None:
        keep_study(study_of(read(out), machine), study, sha256_of(TABLE))


if __name__ == "__main__":
    main()
