"""Results of tuned models against the forecasts of their palettes: tables and sentences.

Constraint: from plain JSON values, those of :meth:`map_core.tuning.check.TunedCheck.as_dict` and of
:class:`map_core.studies.tuning_study.TuningStudy`, so that no model library is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from map_core.core import amounts
from map_core.studies.tuning_study import TuningStudy
from map_core.text import sentences
from map_core.text.tuning import OUTCOMES, ROUTES, LevelWords
from map_core.text.wording import effort

NOT_CHECKED = "not checked yet"


def share(number: float | None) -> str:
    """Word a share of the way, which may be below 0; a dash where it is not known.

    Example:
        >>> share(0.514), share(-0.02), share(None)
        ('51%', '-2%', '–')
    """
    return amounts.percent(number)


def between(ends: Sequence[float | None]) -> str:
    """Word an interval of a share of the way; "" where it is not known."""
    low, high = ends
    return "" if low is None or high is None else f"{share(low)} to {share(high)}"


def outcomes_text(check: Mapping[str, Any], words: LevelWords) -> str:
    """Word the outcome of each value that was asked for, in a cell of a table."""
    asked = ((name, value["outcome"]) for name, value in check["values"].items() if value["outcome"])
    return "; ".join(f"{words.title(name)}: {OUTCOMES[outcome][0]}" for name, outcome in asked)


def check_rows(
    checks: Sequence[tuple[str, Mapping[str, Any] | None]], first: str, words: LevelWords
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a table of checks.

    Args:
        checks: titles, and the checks; None where there is none yet.
        first: title of the first column.
        words: how values and distances are worded.
    """
    numbers = words.wording.numbers
    header = [first, "Of the way", "In 90 of 100 cases", *(["Nats", "λ's own"] if numbers else ["Effort", "Needed"])]
    rows = []
    for title, check in checks:
        if check is None:
            rows.append([title, NOT_CHECKED, "", "", "", ""])
            continue
        distances = [max(check[key], 0.0) for key in ("kl", "kl_forecast")]
        cells = [amounts.fixed(kl, 2) if numbers else effort(kl) for kl in distances]
        way = [share(check["share_of_way"]), between(check["share_of_way_interval"])]
        rows.append([title, *way, *cells, outcomes_text(check, words)])
    return [*header, "Values"], rows


def choosing_rows(check: Mapping[str, Any], words: LevelWords) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a table of choosing among several replies of the tuned and the base model."""
    by_count = {
        side: {choice["candidates"]: choice for choice in check["choosing"][side]} for side in ("tuned", "base")
    }
    header = ["Chosen among", "Tuned model", "Base model"]
    header += ["Effective sample size, tuned", "base"] if words.wording.numbers else []
    rows = []
    for count in sorted({*by_count["tuned"], *by_count["base"]}):
        choices = [by_count[side].get(count) for side in ("tuned", "base")]
        cells = [
            "" if choice is None else f"{share(choice['share_of_way'])} ({between(choice['share_of_way_interval'])})"
            for choice in choices
        ]
        if words.wording.numbers:
            cells += ["" if choice is None else amounts.fixed(choice["ess"], 1) for choice in choices]
        rows.append([amounts.counted(count, "reply", "replies"), *cells])
    return header, rows


def palette_title(asked: Sequence[str], words: LevelWords) -> str:
    """Return what a palette of a study asks for, in a line.

    Example:
        >>> from map_core.text.wording import PLAIN
        >>> palette_title(["kindness=p65", "humor=p60"], LevelWords({}, {}, PLAIN))
        'Kindness at 65, humor at 60'
    """
    parts = []
    for target in asked:
        name, _, level = target.rpartition("=")
        mark = words.wording.mark if level.startswith("p") else ""
        title = words.title(name)
        parts.append(f"{title[:1].lower()}{title[1:]} at {mark}{level.removeprefix('p')}")
    return sentences.capitalised(", ".join(parts))


def study_facts(study: TuningStudy, words: LevelWords) -> list[tuple[str, str, str]]:
    """Return the main facts of a study: label, figure, and what it means."""
    summary = study.summary
    palettes = amounts.counted(summary["palettes"], "palette")
    facts = [
        (
            "One plain reply",
            share(summary["share_of_way"]),
            f"of the way, on average over {palettes} ({between(summary['share_of_way_interval'])}).",
        ),
        (
            "The value that lags most",
            share(summary["lowest_share_of_a_value"]),
            "of its way, of all that were asked for.",
        ),
        (
            words.wording.pick("Nats", "Effort"),
            f"{amounts.fixed(summary['nats_over_lambdas'], 2)} times",
            words.wording.pick("λ's own.", "what the palettes need."),
        ),
    ]
    tuned, base = (summary.get(key) for key in ("tuned, 4 candidates", "base, 16 candidates"))
    if tuned and base:
        more = f", effective sample size {amounts.fixed(tuned['ess'], 1)}" if words.wording.numbers else ""
        meaning = f"of the way{more}; chosen among 16 of the base model's replies, {share(base['share_of_way'])}."
        facts.append(("Chosen among 4 of its replies", share(tuned["share_of_way"]), meaning))
    seconds = amounts.rough_duration(summary["training_cpu_seconds"])
    return [*facts, ("Learning takes", seconds, "of one processor, on average.")]


def study_sentence(study: TuningStudy) -> str:
    """Say how, when and where a study was made."""
    route = ROUTES.get(study.method, (study.method, "", ""))[0]
    first = study.palettes[0]["check"]
    prompts = amounts.counted(first["prompts"], "prompt")
    replies = amounts.counted(first["replies"], "reply", "replies")
    return (
        f"“{route}”: a model was tuned to each palette and answered {prompts} that it did not "
        f"learn from, {replies} each. Measured on {study.date}, {study.machine}."
    )
