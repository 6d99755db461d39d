"""A report as one self-contained HTML document: styles, charts and data are embedded; no scripts, no external links.

Constraint: every text goes through Jinja2 with autoescape on, and the document's content security policy forbids
scripts and all loading, so that a model's reply is shown as text whatever it contains.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from functools import lru_cache, partial
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

#: The glossary's terms that a report explains, in this order.
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
#: The app's fonts, which are embedded in the document: family, weights and file.
FACES = (
    ("Hanken Grotesk", "100 900", "hanken-grotesk-latin.woff2"),
    ("Newsreader", "200 800", "newsreader-latin.woff2"),
)


def html(report: Report, wording: Wording = NUMBERS) -> str:
    """Render a report as HTML.

    Args:
        report: the data.
        wording: with numbers, or in everyday words and without the section for engineers.

    Returns:
        A self-contained HTML document, whose style sheet also sets it for printing on A4.

    Raises:
        InputError: a font's file is missing.
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
        level=partial(_level_text, report),
        answers=sentences,
        beyond=sentences.beyond_rows(report),
        cost=cost,
        bottleneck=sentences.bottleneck_text(report),
        rests=_ess_text(report),
        tags=_tags(report),
        switches=_switches(report),
        charts=figures(report),
        chart_width=WIDTH,
        faces=_embedded_fonts(),
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


def _level_text(report: Report, value: int, reward: float | None) -> str:
    """Return a level in reward units or, for readers without numbers, out of 100; a dash where there is none."""
    if report.wording.numbers or reward is None:
        return amounts.number(reward)
    deviations = (reward - report.oracle.base[value]) / report.oracle.scale[value]
    return report.level_text(value, report.percentile(value, float(deviations)))


def _promise(report: Report) -> dict[str, Any] | None:
    """Return the certificate in words and as rows; None where too few prompts were held out for one."""
    certificate = report.certificate
    if certificate is None:
        return None
    header, rows = certificate_rows(certificate, report.units)
    return {
        "headline": certificate_headline(certificate),
        "sentences": certificate_sentences(certificate, report.wording, report.names),
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
    """Return the origin of targets that were found from choices, in words and as rows; None where none were."""
    found = report.found
    if found is None:
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
def _embedded_fonts() -> tuple[tuple[str, str, str], ...]:
    """Return family, weights and base64 data of each font.

    Raises:
        InputError: a font's file is missing.
    """
    return tuple(
        (family, weights, base64.b64encode(asset("fonts", file).read_bytes()).decode())
        for family, weights, file in FACES
    )


def _ess_text(report: Report) -> tuple[str, str]:
    """Return the effective sample size and its unit, in words."""
    if report.solution is None:
        return "–", ""
    return phrases.ess_text(report.oracle.effective_sample_size(report.solution.weights), report.oracle.form)


def _tags(report: Report) -> dict[int, PriceTag]:
    """Return the price tag of one more step of each target, by the value's index."""
    if report.local is None or report.solution is None:
        return {}
    # The report's limits are those beside the palette's own targets, not beside the nearest palette's.
    highest = None if report.stands_in else report.highest
    tags = price_tags(report.solution, report.local, report.names, report.percentile, highest, report.wording)
    return {tag.value: tag for tag in tags if tag.value < report.plain}


def _switches(report: Report) -> list[str]:
    curve = report.curve
    if curve is None:
        return []
    levels = [report.wording.level(report.percentile(curve.value, switch.target)) for switch in curve.switches]
    return phrases.switches(curve, report.names, levels)


def _samples(report: Report) -> list[dict[str, Any]]:
    """Return the sample replies with each reply's levels of the targeted values."""
    rows = []
    for sample in report.samples:
        example, level_rows = sample.example, {}
        for key, levels in (("base", example.base_levels), ("aligned", example.aligned_levels)):
            level_rows[key] = [
                (j, report.names[j], report.wording.level(report.percentile(j, float(levels[j])))) for j in report.asked
            ]
        rows.append({"example": example, "chance": phrases.chance(example.probability), **level_rows})
    return rows


def _cards(report: Report) -> list[tuple[int, str, list[tuple[str, str]]]]:
    """Return each value's scorer card as the table records it: (index, display name, [(field, text)])."""
    scorers = report.source.metadata.get("scorers") or ()
    by_name = {str(scorer.get("name")): scorer for scorer in scorers if isinstance(scorer, dict)}
    keys = ("measures", "misses", "reading", "version", "licence", "source")
    cards = []
    for j, name in enumerate(report.table.values[: report.plain]):
        card = by_name.get(name, {})
        cards.append((j, report.names[j], [(key, str(card[key])) for key in keys if card.get(key)]))
    return cards


def _made_with(report: Report) -> list[tuple[str, str]]:
    """Return the provenance of the replies as the table records it: (label, text)."""
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
            lines.append((label, _metadata_text(metadata[key])))
    if not any(key in metadata for key in ("model", "engine", "created")):
        lines.append(("Model", "the table does not say"))
    return [*lines, ("Versions", ", ".join(f"{name} {number}" for name, number in source.versions.items()))]


def _metadata_text(metadata: Any) -> str:
    """Format an entry of a table's metadata on one line."""
    if isinstance(metadata, dict):
        return ", ".join(
            f"{key.replace('_', ' ')} {_metadata_text(value)}" for key, value in metadata.items() if value is not None
        )
    return metadata if isinstance(metadata, str) else json.dumps(metadata)
