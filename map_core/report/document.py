"""A report as one HTML document that needs nothing else: style, drawings and data within, no script, no address.

Constraint: every text goes through Jinja2 with autoescape on, and the document's own policy forbids scripts and all
loading, so that what a model wrote is shown as text whatever it holds.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from map_core.core import amounts
from map_core.core.assets import asset
from map_core.core.types import Form, Verdict
from map_core.palettes.palette import Mode
from map_core.report import export, sentences
from map_core.report.contents import Report
from map_core.report.figures import figures
from map_core.report.snippets import snippets
from map_core.report.svg_charts import WIDTH
from map_core.text import choosing, people
from map_core.text import sentences as phrases
from map_core.text.glossary import search_terms
from map_core.text.promise import certificate_headline, certificate_rows, certificate_sentences
from map_core.text.reply_markup import reply_html
from map_core.text.verdict import PriceTag, price_tags
from map_core.text.wording import NUMBERS, Wording, effort

#: The words of the glossary that a report uses, in its order.
WORDS = (
    *("value", "scorer", "reward", "percentile", "standard deviation", "level", "target", "realised level"),
    *("palette", "weights", "base model", "aligned model", "candidate", "nats", "best of N", "verdict"),
    *(
        "possible, but not reliable",
        "certificate",
        "nearest palette",
        "frontier",
        "shadow price",
        "hardest target",
        "interval",
    ),
    *("held-out", "forecast", "promise", "delivery"),
)
TEMPLATES = Path(__file__).parent / "templates"
#: The faces of the app, which are written into the document: family, weights and file.
FACES = (
    ("Hanken Grotesk", "100 900", "hanken-grotesk-latin.woff2"),
    ("Newsreader", "200 800", "newsreader-latin.woff2"),
)


def html(report: Report, wording: Wording = NUMBERS) -> str:
    """Return the document.

    Args:
        report: what it says.
        wording: with numbers, or in everyday words and without the part for engineers.

    Returns:
        HTML, complete in itself; printed to A4 by its own style sheet.
    """
    report = replace(report, wording=wording)
    rows, cost = export.value_rows(report), export.cost(report)
    return _template().render(
        report=report,
        title=report.name or "Palette",
        made=report.made.strftime("%d %B %Y, %H:%M UTC").lstrip("0"),
        model=sentences.model_name(report) or "the model is not recorded",
        headline=phrases.headline(report.assessment),
        rows=rows,
        asked_rows=[rows[j] for j in report.asked],
        answers=sentences,
        beyond=sentences.beyond_rows(report),
        cost=cost,
        bottleneck=sentences.bottleneck_text(report),
        rests=_rests(report),
        tags=_tags(report),
        switches=_switches(report),
        charts=figures(report),
        chart_width=WIDTH,
        faces=_faces(),
        samples=_samples(report),
        evidence=report.evidence,
        promise=_promise(report),
        people=_people(report),
        choosing=_choosing(report),
        cards=_cards(report),
        made_with=_made_with(report),
        snippets=snippets(report),
        limits=sentences.limit_sentences(report),
        terms=[(entry.name, entry.sentence(wording)) for entry in search_terms("", WORDS, wording)],
        form=phrases.form(report.oracle, wording),
        numbers=wording.numbers,
        effort=phrases.capitalised(effort(float(cost["kl_nats"] or 0.0))),
        missing=wording.miss(-report.assessment.margin.value) if report.verdict is Verdict.OUT_OF_REACH else "",
    )


def _promise(report: Report) -> dict[str, Any] | None:
    """Return what may be promised, in words and as rows; None where nothing was held out to show it on."""
    if (found := report.certificate) is None:
        return None
    header, rows = certificate_rows(found, report.units)
    return {
        "headline": certificate_headline(found),
        "sentences": certificate_sentences(found, report.wording, report.names),
        "header": header,
        "rows": [cells for _, cells in rows],
    }


def _people(report: Report) -> dict[str, Any] | None:
    """Return levels in people's units, in words and as rows; None without labels."""
    if not report.people:
        return None
    rows = people.level_rows(report.people, report.table.values, report.names)
    header = (*people.COLUMNS[:2], "With the nearest palette" if report.stands_in else "With this palette", "Labels")
    reaches = people.reach_rows(report.reaches, report.table.values, report.names)
    return {
        "explanation": people.explanation(),
        "header": header,
        "rows": [cells for _, cells in rows],
        "reach_explanation": people.reach_explanation(),
        "reach_header": people.REACH_COLUMNS,
        "reach_rows": [cells for _, cells in reaches],
        "warnings": [
            text
            for j, value in enumerate(report.table.values)
            if value in report.reaches and (text := people.few_labels_sentence(report.reaches[value], report.names[j]))
        ],
    }


def _choosing(report: Report) -> dict[str, Any] | None:
    """Return what targets that were found by choosing come from; None where none was."""
    if (found := report.found) is None:
        return None
    names = report.names[: report.plain]
    units = replace(report.units, names=names)
    return {
        "origin": choosing.origin(found, found.gave(report.assessment.targets[: report.plain]).tolist(), names),
        "header": ("Value", "The choices say", "Base model", "Found", "Could be"),
        "rows": [cells for _, cells in choosing.value_rows(found, units)],
    }


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": amounts.number,
        "percentile": lambda percentile, numbers: Wording(numbers).level(percentile),
        "reply": lambda text: Markup(reply_html(text) or "(an empty reply)"),
        "limit": lambda percentile, numbers: Wording(numbers).level(percentile, toward="down"),
        "percent": amounts.percent,
        "fixed": amounts.fixed,
        "capitalised": phrases.capitalised,
        "asked": lambda row: export.mode_text(Mode(row["mode"]), row["locked"]),
    }
    return environment.get_template("report.html.j2")


@lru_cache(maxsize=1)
def _faces() -> tuple[tuple[str, str, str], ...]:
    """Return family, weights and data of each face.

    Raises:
        InputError: a font's file is missing.
    """
    return tuple(
        (family, weights, base64.b64encode(asset("fonts", file).read_bytes()).decode())
        for family, weights, file in FACES
    )


def _rests(report: Report) -> tuple[str, str]:
    if report.solution is None:
        return "–", ""
    return phrases.ess_text(report.oracle.effective_sample_size(report.solution.weights), report.oracle.form)


def _tags(report: Report) -> dict[int, PriceTag]:
    """Return what one step more of each target costs, by the value's position."""
    if report.local is None or report.solution is None:
        return {}
    # Of the nearest palette, which stands in for one that is not possible, the limits are not those of the report.
    highest = None if report.stands_in else report.highest
    tags = price_tags(report.solution, report.local, report.names, report.percentile, highest, report.wording)
    return {tag.value: tag for tag in tags if tag.value < report.plain}


def _switches(report: Report) -> list[str]:
    curve = report.curve
    if curve is None:
        return []
    places = [report.wording.level(report.percentile(curve.value, switch.target)) for switch in curve.switches]
    return phrases.switches(curve, report.names, places)


def _samples(report: Report) -> list[dict[str, Any]]:
    """Return samples with what each reply reaches of the values that have a target."""
    units, rows = report.units, []
    for sample in report.samples:
        example, reached = sample.example, {}
        for key, levels in (("base", example.base_levels), ("aligned", example.aligned_levels)):
            reached[key] = [
                (j, report.names[j], report.wording.level(float(units.of(j, levels[j])))) for j in report.asked
            ]
        rows.append({"example": example, "chance": phrases.chance(example.probability), **reached})
    return rows


def _cards(report: Report) -> list[tuple[int, str, list[tuple[str, str]]]]:
    """Return what the table records of each value's scorer: position, name, and (part, text)."""
    scorers = report.source.metadata.get("scorers") or ()
    by_name = {str(scorer.get("name")): scorer for scorer in scorers if isinstance(scorer, dict)}
    parts = ("measures", "misses", "reading", "version", "licence", "source")
    return [
        (j, report.names[j], [(part, str(card[part])) for part in parts if card.get(part)])
        for j, name in enumerate(report.table.values[: report.plain])
        for card in (by_name.get(name, {}),)
    ]


def _made_with(report: Report) -> list[tuple[str, str]]:
    """Return where the replies come from: label and what the table records."""
    source, metadata = report.source, report.source.metadata
    least, most = source.candidates
    per_prompt = report.oracle.form is Form.PER_PROMPT
    lines = [
        ("Table", source.table or "the embedded table"),
        ("SHA-256 of prompts, values and rewards", source.fingerprint),
        ("Prompts", f"{source.prompts:,}, of which {len(report.table.prompts):,} in this use case"),
        ("Candidates per prompt", f"{most}" if least == most else f"{least} to {most}"),
        *([("Form", "per prompt" if per_prompt else "pooled")] if report.wording.numbers else []),
    ]
    for key, label in (
        ("created", "Made on"),
        ("model", "Model"),
        ("engine", "Engine"),
        ("sampling", "Sampling"),
        ("system", "System prompt"),
        ("seed", "Seed"),
        ("prompts_sha256", "SHA-256 of the prompts"),
    ):
        if metadata.get(key) not in (None, "", {}):
            lines.append((label, _said(metadata[key])))
    if not any(key in metadata for key in ("model", "engine", "created")):
        lines.append(("Model", "the table does not say"))
    return [*lines, ("Versions", ", ".join(f"{name} {number}" for name, number in source.versions.items()))]


def _said(metadata: Any) -> str:
    """Word what a table records, on one line."""
    if isinstance(metadata, dict):
        return ", ".join(
            f"{key.replace('_', ' ')} {_said(value)}" for key, value in metadata.items() if value is not None
        )
    return metadata if isinstance(metadata, str) else json.dumps(metadata)
