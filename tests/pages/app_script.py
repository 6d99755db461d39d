"""The app as a script: open it, and read what its page says."""

from __future__ import annotations

import json

from streamlit.testing.v1 import AppTest

from map_core.core.jobs import shared_jobs
from tests import ROOT

APP = str(ROOT / "pages" / "navigation.py")


def opened() -> AppTest:
    """The app with plain sliders: a script's test does not see the live desk, whose part is in test_faders.py."""
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["plain_desk"] = True
    return app.run()


def said(app: AppTest) -> str:
    """Everything that the page says, markup and all."""
    parts = []
    for element in app.main:
        value = getattr(element, "value", None)
        parts.append(value if isinstance(value, str) else getattr(element.proto, "body", ""))
    told = panel(app)
    parts += [told.get("status", ""), *told.get("notes", ())]
    return "\n".join(part for part in parts if part)


def panel(app: AppTest) -> dict:
    """What the page tells the panel of replies; nothing where there is none."""
    told = [
        json.loads(component.proto.json)
        for component in app.get("bidi_component")
        if component.proto.component_name.endswith("replies")
    ]
    assert len(told) <= 1
    return told[0] if told else {}


def text_of(nodes: list) -> str:
    """A reply as a person reads it, of its nodes."""
    return "".join(node if isinstance(node, str) else text_of(node[1:]) for node in nodes)


def answer(app: AppTest) -> dict:
    """What the page tells the panel with the verdict."""
    told = [
        json.loads(component.proto.json)
        for component in app.get("bidi_component")
        if component.proto.component_name.endswith("answer")
    ]
    assert len(told) == 1
    return told[0]


def settled(app: AppTest) -> AppTest:
    """The page once its background work has ended."""
    app.run()
    for job in list(shared_jobs()._jobs.values()):
        assert job.wait(60)
    return app.run()
