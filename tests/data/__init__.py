"""Tests of map_core.data."""
