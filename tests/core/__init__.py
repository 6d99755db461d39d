"""Tests of map_core.core."""
