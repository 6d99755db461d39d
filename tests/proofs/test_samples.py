"""A small share of what the proofs walk through, in every run; the commands in the modules walk through all of it."""

from __future__ import annotations

import pytest

from tests.proofs import boundary, frames


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
