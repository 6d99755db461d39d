"""A small sample of the exhaustive checks for every run; the commands of the modules run all of them."""

from __future__ import annotations

import pytest

from tests.data.bombs import repeated_text
from tests.proofs import bombs, boundary, frames, kills


@pytest.mark.slow
def test_palettes_along_the_boundary_can_be_formatted():
    met = boundary.walk(80, seed=7, rest_every=80)
    assert not met.failures
    assert (met.palettes, met.at_rest) == (80, 1)
    assert {"REACHABLE", "ON_PAPER", "OUT_OF_REACH"} <= set(met.verdicts)


@pytest.mark.process
def test_malformed_frames_change_nothing(server):
    tally = frames.attack(server, 600, seed=7)
    assert not tally.failures
    assert tally.answered == 2
    assert len(tally.sent) == 9, "of every kind"


@pytest.mark.process
def test_uploaded_bomb_is_refused_while_others_open_pages(server, tmp_path):
    outcome = bombs.upload(server, repeated_text, tmp_path)
    assert outcome.holds, outcome
    assert "this app gives one file" in outcome.sentence
    assert outcome.inside < 50 * bombs.MEGABYTE


@pytest.mark.slow
@pytest.mark.process
def test_killed_writer_and_build_lose_nothing(tmp_path):
    rows = [row for only in ("writer, SQLite, clock", "build, clock") for row in kills.rows(100, tmp_path, only)]
    assert [row.kills for row in rows] == [1, 1]
    assert all(row.acknowledged or "build" in row.what for row in rows)
    assert not any(row.lost or row.doubled or row.faults for row in rows)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.external
@pytest.mark.timeout(2 * 3600)
def test_hundred_kills_lose_and_duplicate_nothing(tmp_path):
    rows = list(kills.rows(1, tmp_path))
    left_out = [row.what for row in rows if "not possible here" in row.what]
    assert sum(row.kills for row in rows) == 100 or left_out
    assert [row for row in rows if row.lost or row.doubled or row.faults] == []
