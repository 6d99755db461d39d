"""Example data of the tests of the store."""

from __future__ import annotations

from map_core.palettes.palette import Palette, Target
from map_core.scoring.definition import Definition

WARM = Palette(
    "Care", {"kindness": Target(70.0, locked=True), "humor": Target(50.0, 0.25), "helpfulness": Target(60.0)}
)
COOL = WARM.with_target("humor", Target(40.0, free=True))
NURSE = Definition("calm_nurse", "Calm nurse", ("sounds like a calm nurse",), ("sounds like a salesman",))
CALMER = Definition("calm_nurse", "Calm nurse", ("speaks softly, as a nurse does",), ("sounds like a salesman",))
