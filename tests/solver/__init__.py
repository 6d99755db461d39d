"""Tests of map_core.solver."""
