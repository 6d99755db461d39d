"""Tests that sentences of the report agree with those of the pages."""

from __future__ import annotations

import re

from map_core.data.reward_table import RewardTable
from map_core.report.sentences import side_effects_sentence
from map_core.text.verdict import verdict_text
from tests.report.reports_made import report_of


def test_side_effects_are_those_of_the_page(table: RewardTable):
    all_side_effects = []
    for targets in ({"humor": 85.0}, {"harmlessness": 80.0, "humor": 70.0}, {"humor": 50.5}):
        report = report_of(table, targets)
        assert report.solution is not None
        page = verdict_text(report.assessment, report.oracle, report.local, None, report.names, report.percentile)
        falls = [report.names[fall.value] for fall in page.falls]
        sentence = side_effects_sentence(report)
        assert re.findall(r"(\w+) from \S+ to", sentence) == falls, sentence
        all_side_effects += falls
    assert all_side_effects, "something falls"
