"""Tests of map_core.palettes."""
