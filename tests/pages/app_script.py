"""Helpers that run the app as a script and read the text of its page."""

from __future__ import annotations

import json

from streamlit.testing.v1 import AppTest

from map_core.core.jobs import shared_jobs
from tests import ROOT

APP = str(ROOT / "pages" / "navigation.py")


def opened() -> AppTest:
    """Run the app with plain sliders, since AppTest does not see the live desk; that is tested in test_faders.py."""
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["plain_desk"] = True
    return app.run()


def page_text(app: AppTest) -> str:
    """Return all text of the page, markup included."""
    parts = []
    for element in app.main:
        value = getattr(element, "value", None)
        parts.append(value if isinstance(value, str) else getattr(element.proto, "body", ""))
    panel_content = panel(app)
    parts += [panel_content.get("status", ""), *panel_content.get("notes", ())]
    return "\n".join(part for part in parts if part)


def panel(app: AppTest) -> dict:
    """Return the data of the panel of replies; empty without a panel."""
    components = [
        json.loads(component.proto.json)
        for component in app.get("bidi_component")
        if component.proto.component_name.endswith("replies")
    ]
    assert len(components) <= 1
    return components[0] if components else {}


def text_of(nodes: list) -> str:
    """Return the text of a reply from its nodes."""
    return "".join(node if isinstance(node, str) else text_of(node[1:]) for node in nodes)


def answer(app: AppTest) -> dict:
    """Return the data of the panel with the verdict."""
    components = [
        json.loads(component.proto.json)
        for component in app.get("bidi_component")
        if component.proto.component_name.endswith("answer")
    ]
    assert len(components) == 1
    return components[0]


def settled(app: AppTest) -> AppTest:
    """Run the page again once its background work has ended, and return it."""
    app.run()
    for job in list(shared_jobs()._jobs.values()):
        assert job.wait(60)
    return app.run()
