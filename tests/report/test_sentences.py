"""Sentences of the report say what the pages say."""

from __future__ import annotations

import re

from map_core.data.reward_table import RewardTable
from map_core.report.sentences import side_effects_sentence
from map_core.text.verdict import verdict_text
from tests.report.reports_made import report_of


def test_what_falls_is_what_the_page_says_falls(table: RewardTable):
    told = []
    for asked in ({"humor": 85.0}, {"harmlessness": 80.0, "humor": 70.0}, {"humor": 50.5}):
        report = report_of(table, asked)
        assert report.solution is not None
        page = verdict_text(report.assessment, report.oracle, report.local, None, report.names, report.percentile)
        falls = [report.names[fall.value] for fall in page.falls]
        said = side_effects_sentence(report)
        assert re.findall(r"(\w+) from \S+ to", said) == falls, said
        told += falls
    assert told, "something falls"
