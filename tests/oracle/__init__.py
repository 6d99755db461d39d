"""Tests of map_core.oracle."""
