"""Helpers that run the pages of groups as scripts."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from map_core.palettes.palette import ALL, Palette, Target
from tests.pages.app_script import APP

WARM = Palette(ALL, {"helpfulness": Target(75.0), "humor": Target(70.0)})
COOL = Palette(ALL, {"harmlessness": Target(75.0), "positivity": Target(40.0)})


def opened(page: str, **parameters: str) -> AppTest:
    """Run a page of the app with parameters in its address."""
    app = AppTest.from_file(APP, default_timeout=60).run()
    for name, value in parameters.items():
        app.query_params[name] = value
    return app.switch_page(f"{page}.py").run()


def keys(app: AppTest) -> list[str]:
    return [button.key for button in app.button]
