"""Tests of map_core.calibration."""
