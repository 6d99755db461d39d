"""Test of the sentence on the targets of a palette that a page leaves out."""

from __future__ import annotations

from map_core.text.uncounted_targets import uncounted_targets


def test_one_and_several_uncounted_targets_are_joined_into_a_sentence():
    start = "This page leaves out what your palette also asks for: "
    assert uncounted_targets(["No use case below its original level."]) == (
        f"{start}no use case below its original level."
    )
    assert uncounted_targets(["Kept under a different mix of prompts.", "At least 95 of 100 replies so."]) == (
        f"{start}kept under a different mix of prompts and at least 95 of 100 replies so."
    )
