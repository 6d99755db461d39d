"""Tests of the sentences on table quality: every piece of advice has one, with the figures of the result."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from map_core.confidence.table_quality import Advice, Help, Outlook, Reason
from map_core.text.table_quality import HEADLINES, advice_reason, outlook_rows

NOW = Outlook(error=0.128, carrying=3.26, carrying_all=41.0, margin=0.41, attainable=0.97)
MORE = Outlook(error=0.121, carrying=5.9, carrying_all=80.0, margin=0.47, attainable=0.98)
PROMPTS = Outlook(error=0.0906, carrying=3.26, carrying_all=82.0, margin=0.41, attainable=0.99)
OUT = replace(NOW, error=math.nan, carrying=math.nan, carrying_all=math.nan, margin=-0.314)


def advice(reason: Reason, factor: float = math.nan, now: Outlook = NOW, more: Outlook = MORE) -> Advice:
    return Advice(Help.PROMPTS, reason, now, more, PROMPTS, factor)


@pytest.mark.parametrize(
    ("advice", "pattern"),
    [
        (advice(Reason.WIDE, 6.55), "± 0.13 .*make that ± 0.09, .*only ± 0.12. About 840 prompts in all .*to ± 0.05"),
        (advice(Reason.FEW_IN_ALL, 1.2), "on 41 replies in all.*About 160 prompts in all would do"),
        (advice(Reason.FEW_REPLIES, 1.31), "on 3.3 replies per prompt.*to make that 5.9. About 1.4 times as many"),
        (advice(Reason.FEW_REPLIES), r"to make that 5.9. More prompts do not"),
        (
            advice(Reason.OUT_OF_REACH, math.nan, OUT, replace(MORE, margin=-0.2)),
            "0.31 .*that 0.20. That is not",
        ),
        (advice(Reason.OUT_OF_REACH, 1.9, OUT, MORE), "make that 0.00. About 1.9 times as many would do"),
        (advice(Reason.BEYOND, math.nan, OUT), "0.31 standard deviations.*next to nothing"),
        (advice(Reason.EDGE), "very edge"),
        (advice(Reason.ONE_REPLY), "a single reply"),
        (advice(Reason.NO_TARGETS), "nothing is asked"),
        (advice(Reason.ENOUGH, 1.0), "± 0.13 standard deviations, which is narrow"),
    ],
)
def test_every_verdict_has_its_sentence(advice: Advice, pattern: str):
    text = advice_reason(advice, 128)
    assert re.search(pattern, text), text
    assert "nan" not in text


def test_all_reasons_have_a_sentence():
    for reason in Reason:
        assert advice_reason(advice(reason, 2.0), 10)
    assert set(HEADLINES) == set(Help)


def test_rows_omit_unknown_figures():
    assert outlook_rows(advice(Reason.WIDE))[0] == ("Chance that it is possible", "97%", "98%", "99%")
    assert [row[0] for row in outlook_rows(advice(Reason.BEYOND, math.nan, OUT, OUT))][:2] == [
        "Chance that it is possible",
        "Room to the edge, standard deviations",
    ]
    assert outlook_rows(advice(Reason.BEYOND, math.nan, OUT))[1][1] == "−0.31"
    certain = advice(Reason.WIDE, now=replace(NOW, attainable=1.0), more=replace(MORE, attainable=0.0))
    # No sample of prompts makes anything certain; the page Set words it in the same way.
    assert outlook_rows(certain)[0][1:3] == ("over 99%", "under 1%")
    unknown = Outlook()
    assert outlook_rows(Advice(Help.CANDIDATES, Reason.ONE_REPLY, unknown, unknown, unknown)) == []
