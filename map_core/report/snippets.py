"""The weights of a report where an engineer needs them: commands that run, a server's palette, a trainer's reward.

Constraint: a command names the exact levels, so that it gives the same weights on the same table to the last digits;
whatever a person has named is quoted for the shell.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from map_core.core.types import SamplingSettings
from map_core.models.files import recorded_model
from map_core.palettes.palette import ALL
from map_core.report.commands import VALUES_FILE, WITH_VALUES, add_command, added_values, command_text, weights_of
from map_core.report.contents import Report
from map_core.scoring import READ_LIKELIHOOD, cards

#: What ``generate`` draws when it is not told.
USUAL_CANDIDATES = 16


@dataclass(frozen=True)
class Snippet:
    """Text to copy.

    Args:
        name: short and without spaces, for keys and files.
        title: what it is for.
        note: what a reader should know.
        text: the snippet.
        language: of the text: "bash", "python" or "json".
    """

    name: str
    title: str
    note: str
    text: str
    language: str


def snippets(report: Report) -> tuple[Snippet, ...]:
    """Return all snippets; those that need weights are left out where nothing near the palette can be reached."""
    texts = [] if not added_values(report) else [_values_first(report)]
    texts.append(
        Snippet(
            "solve",
            "Solve it again",
            "The same weights from the same table, and the certificate where the palette is out of reach.",
            solve_command(report),
            "bash",
        )
    )
    weights = weights_of(report)
    if report.solution is None:
        return (*texts, _again(report))
    scored = {name: weight for name, weight in weights.items() if name in cards() or name in added_values(report)}
    stands_in = " They are those of the nearest palette." if report.stands_in else ""
    if len(scored) == len(weights):
        texts.append(
            Snippet(
                "generate",
                "Hear it",
                "Base and aligned reply to a prompt, from as many candidates as the weights were solved for."
                + stands_in,
                generate_command(report, weights),
                "bash",
            )
        )
    texts += [
        Snippet(
            "serve",
            "Serve it",
            "The aligned model for programs that speak OpenAI's protocol; weights are solved for each request's "
            "candidates.",
            serve_command(report),
            "bash",
        ),
        Snippet(
            "trainer",
            "Tune a model on it",
            "One reward, lambda . r, with KL coefficient 1: the best policy is the palette's. Nothing may rescale "
            "the reward." + stands_in,
            trainer(report, weights),
            "python",
        ),
        Snippet("weights", "Weights", "Lambda by value, in 1 / reward." + stands_in, weights_json(report), "json"),
        _again(report),
    ]
    return tuple(texts)


def model_name(report: Report) -> str:
    """Return the base model's name for the commands: as the table records it, else the default one."""
    recorded = report.source.metadata.get("model")
    return (
        recorded
        if isinstance(recorded, str) and recorded
        else recorded_model({"model": recorded if isinstance(recorded, dict) else None})
    )


def candidates(report: Report) -> int:
    """Return K that a generator should draw: the table's, or a usual number where it holds one reply a prompt."""
    most = int(report.table.candidates.max())
    return most if most > 1 else USUAL_CANDIDATES


def target_words(report: Report) -> list[str]:
    """Return the palette's exact levels as the commands read them: --target NAME=LEVEL."""
    levels = report.oracle.rewards_at(report.assessment.targets)
    return [
        word
        for name, level in zip(report.table.values, levels, strict=True)
        if not math.isnan(level)
        for word in ("--target", f"{name}={float(level)!r}")
    ]


def solve_command(report: Report) -> str:
    """Return ``solve`` for this palette."""
    return command_text("solve", *_table_words(report), *target_words(report))


def report_command(report: Report, out: str = "report.html") -> str:
    """Return ``report`` for this palette."""
    words = ["--name", report.name] if report.name else []
    for name, locked in zip(report.table.values, report.locked, strict=True):
        words += ["--lock", name] if locked else []
    numbers = {"--draws": report.wanted.draws, "--samples": report.wanted.samples, "--seed": report.wanted.seed}
    words += [word for option, number in numbers.items() for word in (option, str(number))]
    return command_text("report", *_table_words(report), *target_words(report), *words, "--out", out)


def generate_command(report: Report, weights: Mapping[str, float]) -> str:
    """Return ``generate`` with these weights, sampling as the table was sampled."""
    metadata = report.source.metadata
    settings = SamplingSettings.from_metadata(metadata)
    words = [word for name, weight in weights.items() for word in ("--weights", f"{name}={weight!r}")]
    for name, number in settings.as_dict().items():
        words += [f"--{name.replace('_', '-')}", f"{number:g}"]
    words += ["--candidates", str(candidates(report)), "--model", model_name(report)]
    if metadata.get("system"):
        words += ["--system", str(metadata["system"])]
    if added_values(report):
        words += ["--values-file", VALUES_FILE]
    prompt = report.table.prompts[0] if report.table.prompts else "My parcel is late!"
    return command_text("generate", "--prompt", prompt, *words)


def palette_line(report: Report) -> str:
    """Return the palette as a line of a palettes file."""
    levels = report.oracle.rewards_at(report.assessment.targets)
    named = {n: float(level) for n, level in zip(report.table.values, levels, strict=True) if not math.isnan(level)}
    return json.dumps({"name": report.name or "palette", "targets": named}, ensure_ascii=False, allow_nan=False)


def serve_command(report: Report) -> str:
    """Return a palettes file, and ``serve`` on it."""
    return f"printf '%s\\n' {shlex.quote(palette_line(report))} > palettes.jsonl\n" + command_text(
        "serve", *_table_words(report), "--palettes", "palettes.jsonl"
    )


def weights_json(report: Report) -> str:
    """Return the weights as JSON, with all that says what they are weights of."""
    content: dict[str, Any] = {
        "weights": weights_of(report),
        "verdict": report.verdict.value,
        "nearest_stands_in": report.stands_in,
        "form": report.oracle.form.value,
        "candidates": candidates(report),
        "kl_nats": None if report.solution is None else report.solution.kl,
        "use_case": report.palette.use_case,
        "model": model_name(report),
        "table_sha256": report.source.fingerprint,
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def trainer(report: Report, weights: Mapping[str, float]) -> str:
    """Return a reward function for TRL's online trainers, and the settings under which it is the palette's."""
    defined = [name for name in weights if name in added_values(report)]
    card_names = {*cards(), *defined}
    own = [name for name in weights if name not in card_names]
    scored = [name for name in weights if name in card_names]
    likely = any(name in READ_LIKELIHOOD for name in scored)
    model, settings = model_name(report), SamplingSettings.from_metadata(report.source.metadata)
    lines = [
        "# One number a reply: lambda . r. With KL coefficient 1 the best policy is p0(y|x) exp(lambda . r) / Z.",
        f"# Weights in 1 / reward, solved on the table {report.source.fingerprint[:16]}.",
        "from map_core.core.types import Reply",
    ]
    lines += ["from map_core.models.language_model import open_language_model"] if likely else []
    if defined:
        lines.insert(2, "from pathlib import Path")
        lines.append("from map_core.scoring import read_values_file, resolve")
    elif scored:
        lines.append("from map_core.scoring import scorers")
    lines += ["", "WEIGHTS = {", *(f"    {name!r}: {weight!r}," for name, weight in weights.items()), "}"]
    scorers_call = (
        f"resolve({scored!r}, read_values_file(Path({VALUES_FILE!r})))" if defined else f"scorers({scored!r})"
    )
    lines.append(f"SCORERS = {{one.name: one.score for one in {scorers_call}}}" if scored else "SCORERS = {}")
    for name in own:
        comment = f"score replies on {name} as the table did"
        lines.append(f"SCORERS[{name!r}] = lambda prompt, replies: ...  # {' '.join(comment.split())}")
    lines += [f"BASE = open_language_model({model!r})  # judges the wording, as the table did"] if likely else []
    lines += [
        "",
        "",
        "def text(message):",
        '    return message if isinstance(message, str) else message[-1]["content"]',
        "",
        "",
        "def reward(prompts, completions, completion_ids=None, **columns):",
        "    found = []",
        "    for k, (prompt, completion) in enumerate(zip(map(text, prompts), map(text, completions))):",
    ]
    if likely:
        lines += [
            '        asked = [{"role": "user", "content": prompt}]',
            "        (likely,) = BASE.reply_log_probs(asked, [completion_ids[k]])",
            "        reply = Reply(completion, tuple(completion_ids[k]), tuple(likely.tolist()))",
        ]
    else:
        lines.append("        reply = Reply(completion)")
    lines += [
        "        found.append(sum(w * float(SCORERS[name](prompt, [reply])[0]) for name, w in WEIGHTS.items()))",
        "    return found",
        "",
        "",
        'if __name__ == "__main__":',
        "    from trl import RLOOConfig, RLOOTrainer",
        "",
        "    settings = RLOOConfig(",
        "        beta=1.0,  # the KL coefficient",
        "        normalize_advantages=False,  # a rescaled reward is another palette",
        "        num_generations=16,",
        f"        temperature={settings.temperature!r},",
        f"        max_completion_length={settings.max_new_tokens},",
        "    )",
        '    # dataset: rows {"prompt": [{"role": "user", "content": ...}]} of your use case',
        f"    RLOOTrainer(model={model!r}, reward_funcs=reward, args=settings, train_dataset=dataset).train()",
    ]
    return "\n".join(lines) + "\n"


def _values_first(report: Report) -> Snippet:
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


def _again(report: Report) -> Snippet:
    return Snippet("report", "This report again", "All of it, from the table alone.", report_command(report), "bash")


def _table_words(report: Report) -> list[str]:
    words = [report.source.table] if report.source.table else []
    words = [WITH_VALUES] if added_values(report) else words
    if report.palette.use_case != ALL:
        words += ["--use-case", report.palette.use_case]
    if report.oracle.form is not report.table.form:
        words += ["--form", report.oracle.form.value]
    return words
