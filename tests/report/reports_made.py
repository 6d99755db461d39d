"""Helpers that make small reports of palettes and parse their documents."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

from map_core import report as reports
from map_core.data.reward_table import RewardTable
from map_core.palettes.palette import Palette, Target
from map_core.report import Report, ReportOptions, compute_report

MADE = datetime(2026, 11, 25, 22, 0, tzinfo=UTC)
QUICK = ReportOptions(draws=40, samples=3)


def report_of(table: RewardTable, levels: dict[str, float | Target], use_case: str | None = None, **options) -> Report:
    """Return the report of a palette of percentiles."""
    targets = {name: target if isinstance(target, Target) else Target(target) for name, target in levels.items()}
    palette = Palette(targets=targets) if use_case is None else Palette(use_case, targets)
    return compute_report(table, palette, date=MADE, **({"wanted": QUICK} | options))


def strict(text: str) -> dict:
    """Parse JSON strictly: NaN and Infinity are errors."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(text, parse_constant=refuse)


class Reader(HTMLParser):
    """Collect tags with their attributes, and the text outside styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._style = False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag):
        self._style = False

    def handle_data(self, data):
        self.text += "" if self._style else data


def read(report: Report) -> Reader:
    reader = Reader()
    reader.feed(reports.html(report))
    return reader


def words_of(report: Report) -> str:
    return re.sub(r"\s+", " ", read(report).text)
