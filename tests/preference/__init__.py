"""Tests of map_core.preference."""
