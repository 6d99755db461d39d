"""Fixtures that more than one file of tests uses."""

from __future__ import annotations

from tests.app_server import address, browser, server

__all__ = ["address", "browser", "server"]
