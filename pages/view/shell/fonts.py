"""The route that serves the two fonts of the theme and their licences, at the address that config.toml names."""

from __future__ import annotations

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from map_core.core.assets import ASSETS

ROUTE = Mount("/app/static/fonts", StaticFiles(directory=ASSETS / "fonts"))
