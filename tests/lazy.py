"""Heavy libraries, imported by the first test that uses them and not by every worker that collects."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest


class LazyModule:
    """A module that is imported on first access.

    Args:
        name: of the module, dotted.

    Example:
        >>> LazyModule("math").sqrt(9.0)
        3.0
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest inspects every object of a module for tests, fixtures and mocks
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)


def requires(requirements: str, *packages: str) -> pytest.MarkDecorator:
    """Return a mark that skips where a package is not installed, without importing it."""
    missing = [name for name in packages if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {requirements}: {', '.join(missing)}")


def needs_models(*names: str) -> pytest.MarkDecorator:
    """Return a mark that skips where a model is not on this machine."""
    from map_core.errors import PaletteError
    from map_core.models.files import locate

    try:
        for name in names:
            locate(name)
    except PaletteError as error:
        return pytest.mark.skipif(True, reason=str(error))
    return pytest.mark.skipif(False, reason="here")
