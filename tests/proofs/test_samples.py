"""A small share of what the proofs walk through, in every run; the commands in the modules walk through all of it."""

from __future__ import annotations

import pytest

from tests.proofs import boundary, frames, kills


@pytest.mark.slow
def test_palettes_along_the_boundary_have_words():
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


@pytest.mark.slow
@pytest.mark.process
def test_a_kill_of_a_writer_and_of_a_build_loses_nothing(tmp_path):
    rows = [row for only in ("writer, SQLite, clock", "build, clock") for row in kills.rows(100, tmp_path, only)]
    assert [row.kills for row in rows] == [1, 1]
    assert all(row.acknowledged or "build" in row.what for row in rows)
    assert not any(row.lost or row.doubled or row.faults for row in rows)
