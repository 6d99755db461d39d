"""Tests of map_core.models."""
