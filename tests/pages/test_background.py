"""Background work of a visit: it ends with the visit, unless somebody else waits for the same."""

from __future__ import annotations

import gc
import threading

import pytest

from map_core.core.jobs import JobStatus, shared_jobs
from pages.view.shell import background


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch):
    """Become another visitor; the state of each is what the test holds of it."""
    states: dict[str, dict[str, object]] = {}
    now = [""]

    class Waiting:
        get = staticmethod(lambda: states[now[0]].get("waiting"))
        set = staticmethod(lambda value: states[now[0]].update(waiting=value))

    monkeypatch.setattr(background, "WAITING", Waiting)
    monkeypatch.setattr(background, "viewer_id", lambda: now[0])

    def become(name: str) -> dict[str, dict[str, object]]:
        now[0] = name
        states.setdefault(name, {})
        return states

    return become


def test_what_a_visit_waited_for_is_not_computed_once_it_has_ended(visit):
    go_on, computed = threading.Event(), []
    blocking = shared_jobs().submit("in the way", lambda job: go_on.wait(20))
    visit("ann")
    hers = background.job("sure", "hers", lambda job: computed.append("hers"))
    both = background.job("most", "of both", lambda job: computed.append("of both"))
    states = visit("ben")
    assert background.job("most", "of both", lambda job: computed.append("again")) is both
    del states["ann"]
    gc.collect()
    go_on.set()
    assert blocking.wait(20)
    assert hers.wait(20)
    assert both.wait(20)
    assert hers.status is JobStatus.CANCELLED
    assert computed == ["of both"], "what another visitor waits for goes on"
