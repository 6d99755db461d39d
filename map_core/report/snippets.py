"""The weights of a report for engineers: shell commands, a server's palettes file, JSON and a trainer's reward.

Constraint: a command has the exact levels, so that it gives the same weights on the same table to the last digits;
every name that a user chose is quoted for the shell.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from map_core.core.types import SamplingSettings
from map_core.palettes.palette import ALL
from map_core.report.commands import (
    VALUES_FILE,
    WITH_VALUES,
    add_command,
    added_values,
    command_text,
    model_argument,
    weights_of,
)
from map_core.report.contents import Report
from map_core.report.trainer_snippet import sampling_notes, trainer
from map_core.scoring import cards

#: Candidates that ``generate`` draws by default.
USUAL_CANDIDATES = 16


@dataclass(frozen=True)
class Snippet:
    """A text to copy.

    Args:
        name: short and without spaces, for keys and file names.
        title: its purpose, as a heading.
        note: a sentence of explanation.
        text: the snippet.
        language: "bash", "python" or "json".
    """

    name: str
    title: str
    note: str
    text: str
    language: str


def snippets(report: Report) -> tuple[Snippet, ...]:
    """Return all snippets; those that need weights are left out where the report has no solution."""
    texts = [] if not added_values(report) else [_added_values_snippet(report)]
    texts.append(
        Snippet(
            "solve",
            "Command line",
            "The same weights from the same table, and the certificate where the palette is not possible.",
            solve_command(report),
            "bash",
        )
    )
    weights = weights_of(report)
    if report.solution is None:
        return (*texts, _report_snippet(report))
    scored = {name: weight for name, weight in weights.items() if name in cards() or name in added_values(report)}
    stands_in = " They are those of the nearest palette." if report.stands_in else ""
    if len(scored) == len(weights):
        texts.append(
            Snippet(
                "generate",
                "Sample reply",
                "Base and aligned reply to a prompt, from as many candidates as the weights were solved for."
                + stands_in,
                generate_command(report, weights),
                "bash",
            )
        )
    texts += [
        Snippet(
            "serve",
            "API",
            "The aligned model for programs that speak OpenAI's protocol; weights are solved for each request's "
            "candidates.",
            serve_command(report),
            "bash",
        ),
        # A weight of a use case acts on that use case's prompts only, and a reward function gets no use case.
        *([] if report.table.derived else [_trainer(report, weights, stands_in)]),
        Snippet("weights", "Weights", "Lambda by value, in 1 / reward." + stands_in, weights_json(report), "json"),
        _report_snippet(report),
    ]
    return tuple(texts)


def _trainer(report: Report, weights: Mapping[str, float], stands_in: str) -> Snippet:
    return Snippet(
        "trainer",
        "Tune a model on it",
        "TRL's RLOO with a reward function a value, lambda as reward_weights and KL coefficient 1: the best policy "
        "is the palette's. Nothing may rescale the reward; GRPO ends elsewhere." + stands_in + _sampling_note(report),
        trainer(report, weights),
        "python",
    )


def candidates(report: Report) -> int:
    """Return K for a generator: the table's candidates per prompt, or the default where it has one reply per prompt."""
    most = int(report.table.candidates.max())
    return most if most > 1 else USUAL_CANDIDATES


def target_words(report: Report) -> list[str]:
    """Return the palette as options of the commands: --target NAME=LEVEL with exact levels, and its other options."""
    words = [word for name, level in _levels(report).items() for word in ("--target", f"{name}={level!r}")]
    for name, target in report.palette.columns.items():
        words += ["--target", f"{name}={target}"]
    return words + [word for item in report.palette.beside.items() for word in item]


def _levels(report: Report) -> dict[str, float]:
    """Return the targets of the table's values, in reward units."""
    levels = report.oracle.rewards_at(report.assessment.targets)[: report.plain]
    return {
        name: float(level)
        for name, level in zip(report.table.values[: report.plain], levels, strict=True)
        if not math.isnan(level)
    }


def solve_command(report: Report) -> str:
    """Return the ``solve`` command for this palette."""
    return command_text("solve", *_table_words(report), *target_words(report))


def report_command(report: Report, out: str = "report.html") -> str:
    """Return the ``report`` command for this palette."""
    words = ["--name", report.name] if report.name else []
    for name, locked in zip(report.table.values[: report.plain], report.locked[: report.plain], strict=True):
        words += ["--lock", name] if locked else []
    numbers = {"--draws": report.wanted.draws, "--samples": report.wanted.samples, "--seed": report.wanted.seed}
    words += [word for option, number in numbers.items() for word in (option, str(number))]
    return command_text("report", *_table_words(report), *target_words(report), *words, "--out", out)


def generate_command(report: Report, weights: Mapping[str, float]) -> str:
    """Return the ``generate`` command with these weights and the table's sampling settings."""
    metadata = report.source.metadata
    settings = SamplingSettings.from_metadata(metadata)
    words = [word for name, weight in weights.items() for word in ("--weights", f"{name}={weight!r}")]
    for name, number in settings.as_dict().items():
        words += [f"--{name.replace('_', '-')}", f"{number:g}"]
    words += ["--candidates", str(candidates(report)), "--model", model_argument(report)]
    if metadata.get("system"):
        words += ["--system", str(metadata["system"])]
    if added_values(report):
        words += ["--values-file", VALUES_FILE]
    prompt = report.table.prompts[0] if report.table.prompts else "My parcel is late!"
    return command_text("generate", "--prompt", prompt, *words)


def palette_json(report: Report) -> str:
    """Return the palette as one line of a palettes file."""
    line = {
        "name": report.name or "palette",
        "targets": {**_levels(report), **report.palette.columns},
        **report.palette.beside.as_dict(),
    }
    return json.dumps(line, ensure_ascii=False, allow_nan=False)


def serve_command(report: Report) -> str:
    """Return a command that writes a palettes file, followed by ``serve`` with that file."""
    return f"printf '%s\\n' {shlex.quote(palette_json(report))} > palettes.jsonl\n" + command_text(
        "serve", *_table_words(report), "--palettes", "palettes.jsonl"
    )


def weights_json(report: Report) -> str:
    """Return the weights as JSON, with verdict, form, candidates, model and the table's fingerprint."""
    content: dict[str, Any] = {
        "weights": weights_of(report),
        "verdict": report.verdict.value,
        "nearest_stands_in": report.stands_in,
        "form": report.oracle.form.value,
        "candidates": candidates(report),
        "kl_nats": None if report.solution is None else report.solution.kl,
        "use_case": report.palette.use_case,
        "model": model_argument(report),
        "table_sha256": report.source.fingerprint,
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def _added_values_snippet(report: Report) -> Snippet:
    names = list(added_values(report))
    pronoun, words = ("it", "its words") if len(names) == 1 else ("them", "their words")
    return Snippet(
        "values",
        "First: values of your own",
        f"The table's file does not hold {' and '.join(names)} yet. This writes {words} to {VALUES_FILE} and adds "
        f"{pronoun} to a copy of the table, {WITH_VALUES}, which the other commands use.",
        add_command(report),
        "bash",
    )


def _sampling_note(report: Report) -> str:
    """Return the notes on how the table's sampling differs from a trainer's, as one text; empty where it does not."""
    notes = [line for line in sampling_notes(report) if not line.startswith(" ")]
    return "".join(f" {line.replace(' and solve on it:', ' (--top-p 1 --top-k 0) and solve on it.')}" for line in notes)


def _report_snippet(report: Report) -> Snippet:
    return Snippet("report", "This report again", "All of it, from the table alone.", report_command(report), "bash")


def _table_words(report: Report) -> list[str]:
    words = [report.source.table] if report.source.table else []
    words = [WITH_VALUES] if added_values(report) else words
    if report.palette.use_case != ALL:
        words += ["--use-case", report.palette.use_case]
    if report.oracle.form is not report.table.form:
        words += ["--form", report.oracle.form.value]
    return words
