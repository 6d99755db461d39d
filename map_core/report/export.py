"""A report as JSON values and as CSV, in reward units and full precision.

Constraint: strict JSON, with null for NaN and infinity; in CSV, text that a spreadsheet would take for a formula is
prefixed with an apostrophe.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from map_core.confidence import Confidence, Interval
from map_core.core import amounts, safe_csv
from map_core.core.types import Verdict
from map_core.feasibility import Conflict
from map_core.oracle import MemoryOracle, Oracle
from map_core.palettes.palette import Mode, Target
from map_core.preference import FoundPalette
from map_core.preference.described import palette_described
from map_core.report.commands import weights_of
from map_core.report.contents import Report
from map_core.report.sentences import beyond_rows
from map_core.report.snippets import snippets
from map_core.text import sentences

FORMAT = 1


def as_dict(report: Report) -> dict[str, Any]:
    """Return a report as plain JSON values; the functions below describe the nested ones."""
    assessment, solution, source = report.assessment, report.solution, report.source
    return {
        "format": FORMAT,
        "name": report.name,
        "made": report.made.isoformat(timespec="seconds"),
        "link": source.link or None,
        "use_case": report.palette.use_case,
        "palette": report.palette.as_dict(),
        "form": report.oracle.form.value,
        "verdict": report.verdict.value,
        "verdict_in_words": sentences.verdict(
            assessment, report.oracle, report.names, asked=report.beyond.asked, groups=report.beyond.groups
        ),
        "margin": amounts.finite(assessment.margin.value),
        "certificate": _by_name(report.oracle, assessment.margin.certificate / report.oracle.scale)
        if report.verdict is Verdict.OUT_OF_REACH
        else None,
        "nearest_stands_in": report.stands_in,
        "values": value_rows(report),
        "beyond_averages": None if report.columns is None else _beyond(report),
        "weights": weights_of(report),
        "cost": cost(report),
        "confidence": None if report.confidence is None else _confidence(report.confidence, report),
        "conflict": None if report.conflict is None else _conflict(report.conflict, report),
        "nearest": None if assessment.nearest is None else _nearest(report),
        "redundant": None if solution is None else solution.redundant,
        "frontier": frontier_rows(report),
        "sensitivity": _sensitivity(report),
        "samples": sample_rows(report),
        "delivery": _delivery(report),
        "promise": None if report.certificate is None else report.certificate.described(report.oracle),
        "choosing": None if report.found is None else _choosing(report.found, report),
        "people": {name: {"base": asdict(base), "palette": asdict(now)} for name, (base, now) in report.people.items()},
        "labels": {name: asdict(reach) | {"few": reach.few} for name, reach in report.reaches.items()},
        "source": _source(report),
        "snippets": {snippet.name: snippet.text for snippet in snippets(report)},
    }


def as_json(report: Report) -> str:
    """Return the report as one JSON document."""
    return json.dumps(as_dict(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def csv_files(report: Report) -> dict[str, str]:
    """Return the report as CSV texts by file name; tables without rows are left out."""
    report_dict = as_dict(report)
    about = {key: value for key, value in report_dict.items() if isinstance(value, str | int | float | None)}
    about |= {f"cost_{key}": value for key, value in report_dict["cost"].items()}
    confidence = report_dict["confidence"] or {}
    about |= {f"probability_{key}": value for key, value in (confidence.get("probability") or {}).items()}
    source = report_dict["source"]
    about |= {key: source[key] for key in ("table", "table_sha256", "prompts", "replies")}
    tables = {
        "palette.csv": report_dict["values"],
        "frontier.csv": report_dict["frontier"],
        "sensitivity.csv": report_dict["sensitivity"]["rows"],
        "replies.csv": [
            {
                **{key: value for key, value in row.items() if not isinstance(value, dict)},
                **{f"base_{name}": reward for name, reward in row["base_rewards"].items()},
                **{f"aligned_{name}": reward for name, reward in row["aligned_rewards"].items()},
            }
            for row in report_dict["samples"]
        ],
        "about.csv": [{"what": key, "value": value} for key, value in about.items()],
    }
    return {name: _csv(rows) for name, rows in tables.items() if rows}


def zipped(report: Report) -> bytes:
    """Return the CSV files as one zip archive; equal reports give equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in csv_files(report).items():
            # The report's date and not the clock's, so that the same report gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name, report.made.timetuple()[:6]), text)
    return out.getvalue()


def _beyond(report: Report) -> dict[str, Any]:
    """Return the targets beyond averages in words, and their columns, in reward units or as shares."""
    oracle, solution = report.oracle, report.solution
    return {
        "asked": [row["asked"] for row in beyond_rows(report)],
        "columns": [
            {
                "name": column.name,
                "target": amounts.finite(oracle.rewards_at(report.assessment.targets)[j]),
                "base": amounts.finite(oracle.base[j]),
                "realised": None if solution is None else amounts.finite(oracle.rewards_at(solution.levels)[j]),
                "weight": None if solution is None else amounts.finite(solution.weights[j] / oracle.scale[j]),
            }
            for j, column in enumerate(report.table.derived, start=report.plain)
        ],
    }


def value_rows(report: Report) -> list[dict[str, Any]]:
    """Return one row per value: target, realised level, intervals and price."""
    oracle, solution = report.oracle, report.solution
    error_bars = None if report.confidence is None else report.confidence.in_reward_units(oracle)
    targets = oracle.rewards_at(report.assessment.targets)
    aim = oracle.rewards_at(report.aim)
    highest = oracle.rewards_at(report.highest)
    rows = []
    for j, name in enumerate(report.table.values[: report.plain]):
        target = report.palette.targets.get(name) or Target(50.0, free=True)
        row: dict[str, Any] = {
            "value": name,
            "title": report.names[j],
            "mode": target.mode(report.percentile(j, 0.0)).value,
            "locked": bool(report.locked[j]),
            "target_percentile": amounts.finite(report.percentile(j, report.assessment.targets[j])),
            "target": amounts.finite(targets[j]),
            "base_percentile": amounts.finite(report.percentile(j, 0.0)),
            "base": amounts.finite(oracle.base[j]),
            "standard_deviation": amounts.finite(oracle.scale[j]),
            "highest_percentile": amounts.finite(report.percentile(j, report.highest[j])),
            "highest": amounts.finite(highest[j]),
            "target_in_force": amounts.finite(aim[j]),
        }
        row["realised_percentile"] = (
            None if solution is None else amounts.finite(report.percentile(j, solution.levels[j]))
        )
        row["realised"] = None if solution is None else amounts.finite(oracle.rewards_at(solution.levels)[j])
        row |= _bounds("realised", _in_reward_units(report, report.levels), j)
        row["weight"] = None if solution is None else amounts.finite(solution.weights[j] / oracle.scale[j])
        row |= _bounds("weight", None if error_bars is None else error_bars.weights, j)
        held_out = None if error_bars is None else error_bars.held_out
        row["held_out"] = (
            None if held_out is None or held_out.levels is None else amounts.finite(held_out.levels.estimate[j])
        )
        row["held_out_missed"] = None if held_out is None or held_out.levels is None else bool(held_out.missed[j])
        prices = report.local
        row["price_nats_per_reward"] = None if prices is None else amounts.finite(prices.price[j] / oracle.scale[j])
        row["price_nats_per_deviation"] = None if prices is None else amounts.finite(prices.price[j])
        row["share_of_price"] = None if prices is None else amounts.finite(prices.share[j])
        rows.append(row)
    return rows


def cost(report: Report) -> dict[str, Any]:
    """Return the solution's nats, the most that can be spent, and the effective sample size."""
    solution, most = report.solution, report.oracle.log_candidates
    ess = report.assessment.ess
    if solution is None:
        return dict.fromkeys(("kl_nats", "most_nats", "share_of_most", "best_of", "ess", "ess_pooled", "bottleneck"))
    if ess is None:
        ess = report.oracle.effective_sample_size(solution.weights)
    bottleneck = report.local.bottleneck if report.local else None
    return {
        "kl_nats": amounts.finite(solution.kl),
        "most_nats": amounts.finite(most),
        "share_of_most": amounts.finite(solution.kl / most) if most > 0 else None,
        "best_of": amounts.finite(amounts.best_of(solution.kl)),
        "ess": amounts.finite(ess.per_prompt),
        "ess_pooled": amounts.finite(ess.pooled),
        "bottleneck": None if bottleneck is None else report.table.values[bottleneck],
    }


def frontier_rows(report: Report) -> list[dict[str, Any]]:
    """Return one row per point of the frontier: its budget, nats, and the level of every value."""
    if report.frontier is None:
        return []
    across, upwards = (report.table.values[j] for j in report.frontier.pair)
    return [
        {
            "across": across,
            "upwards": upwards,
            "budget_nats": amounts.finite(contour.budget),
            "limit": math.isinf(contour.budget),
            "kl_nats": amounts.finite(kl),
            **{f"level_{name}": level for name, level in _by_name(report.oracle, levels).items()},
        }
        for contour in report.frontier.contours
        for kl, levels in zip(contour.kl, report.oracle.rewards_at(contour.levels), strict=True)
    ]


def sample_rows(report: Report) -> list[dict[str, Any]]:
    """Return one row per prompt: both replies, the probability of the aligned one, and their rewards."""
    rows = []
    for sample in report.samples:
        example = sample.example
        rows.append(
            {
                "prompt": example.prompt,
                "use_case": sample.use_case,
                "base_reply": example.base,
                "aligned_reply": example.aligned,
                "probability": example.probability,
                "candidates": example.candidates,
                "base_rewards": _by_name(report.oracle, report.oracle.rewards_at(example.base_levels)),
                "aligned_rewards": _by_name(report.oracle, report.oracle.rewards_at(example.aligned_levels)),
            }
        )
    return rows


def _confidence(confidence: Confidence, report: Report) -> dict[str, Any]:
    return {
        "level": confidence.level,
        "draws": confidence.draws,
        "seed": report.wanted.seed,
        "prompts": confidence.prompts,
        "prompts_needed": amounts.finite(confidence.prompts_needed),
        "probability": {verdict.value: amounts.finite(p) for verdict, p in confidence.probability.items()},
        "margin": None if confidence.margin is None else confidence.margin.as_dict(),
        "kl_nats": None if confidence.kl is None else confidence.kl.as_dict(),
        "held_out_folds": confidence.held_out.folds,
        "held_out_solved": confidence.held_out.solved,
    }


def _choosing(found: FoundPalette, report: Report) -> dict[str, Any]:
    values = report.table.values[: report.plain]
    unchanged = found.gave(report.assessment.targets[: report.plain])
    description = palette_described(found, MemoryOracle.of(report.table.without_columns(), report.oracle.form))
    return description | {"still": [name for name, kept in zip(values, unchanged, strict=True) if kept]}


def _conflict(conflict: Conflict, report: Report) -> dict[str, Any]:
    values = report.table.values
    return {
        "values": [values[j] for j in conflict.members],
        "smallest": conflict.smallest,
        "highest": _by_name(report.oracle, report.oracle.rewards_at(conflict.highest)),
        "resolves": [values[j] for j in conflict.members if conflict.resolves[j]],
    }


def _nearest(report: Report) -> dict[str, Any]:
    nearest = report.assessment.nearest
    assert nearest is not None
    return {
        "targets": _by_name(report.oracle, report.oracle.rewards_at(nearest.targets)),
        "given_up_deviations": _by_name(report.oracle, nearest.given_up),
        "kl_nats": amounts.finite(nearest.solution.kl),
        "budget_nats": amounts.finite(nearest.budget),
    }


def _sensitivity(report: Report) -> dict[str, Any]:
    curve, oracle = report.curve, report.oracle
    if curve is None:
        return {"value": None, "highest": None, "rows": [], "switches": []}

    def reward(level: float) -> float | None:
        return amounts.finite(oracle.base[curve.value] + level * oracle.scale[curve.value])

    return {
        "value": oracle.values[curve.value],
        "highest": reward(curve.highest),
        "rows": [
            {
                "target": reward(target),
                "kl_nats": amounts.finite(kl),
                **{f"level_{name}": level for name, level in _by_name(oracle, oracle.rewards_at(levels)).items()},
                **{f"weight_{name}": weight for name, weight in _by_name(oracle, weights / oracle.scale).items()},
            }
            for target, weights, levels, kl in zip(curve.targets, curve.weights, curve.levels, curve.kl, strict=True)
        ],
        "switches": [
            {"target": reward(switch.target), "value": oracle.values[switch.value], "active_above": switch.active}
            for switch in curve.switches
        ],
    }


def _delivery(report: Report) -> dict[str, Any] | None:
    evidence = report.evidence
    if report.study is None or evidence is None:
        return None
    return {
        "made": _plain(report.study.made),
        "done": evidence.done,
        "facts": [{"what": fact, "figure": figure, "meaning": meaning} for fact, figure, meaning in evidence.facts],
        "by_value": [dict(zip(evidence.header, cells, strict=True)) for cells in evidence.rows],
    }


def _source(report: Report) -> dict[str, Any]:
    source = report.source
    return {
        "table": source.table or "the embedded table",
        "table_sha256": source.fingerprint,
        "prompts": source.prompts,
        "replies": source.replies,
        "prompts_of_use_case": len(report.table.prompts),
        "least_candidates": source.candidates[0],
        "most_candidates": source.candidates[1],
        "notes": list(report.table.notes),
        "versions": dict(source.versions),
        "metadata": _plain(source.metadata),
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    frame = pd.DataFrame(list(rows)).rename(columns=safe_csv.text_cell)
    text: str = frame.map(safe_csv.cell).to_csv(index=False)
    return text


def _plain(metadata: Any) -> Any:
    """Convert metadata of a table or a study to strict JSON values; unknown types become their text."""
    if isinstance(metadata, Mapping):
        return {str(key): _plain(value) for key, value in metadata.items()}
    if isinstance(metadata, list | tuple):
        return [_plain(value) for value in metadata]
    if metadata is None or isinstance(metadata, str | bool | int):
        return metadata
    return amounts.finite(metadata) if isinstance(metadata, float) else str(metadata)


def _in_reward_units(report: Report, interval: Interval | None) -> Interval | None:
    return None if interval is None else interval.scaled(report.oracle.scale, report.oracle.base)


def _bounds(key: str, interval: Interval | None, value: int) -> dict[str, float | None]:
    """Return one value's bounds as KEY_low and KEY_high; None without an interval."""
    if interval is None:
        return {f"{key}_low": None, f"{key}_high": None}
    return {f"{key}_low": amounts.finite(interval.low[value]), f"{key}_high": amounts.finite(interval.high[value])}


def _by_name(oracle: Oracle, row: np.ndarray) -> dict[str, float]:
    """Return the finite entries of a (value,) array as plain numbers by name."""
    return {name: float(entry) for name, entry in zip(oracle.values, row, strict=True) if math.isfinite(entry)}


def mode_text(mode: Mode, locked: bool) -> str:
    """Describe the target of a value: how its level is constrained, and whether it is locked."""
    text = {
        Mode.FREE: "no preference",
        Mode.KEEP: "keep as it is",
        Mode.AT_LEAST: "at least",
        Mode.MAY_DROP: "may drop to",
    }[mode]
    return f"{text}, locked" if locked else text
