"""Tests of background work of a visit: it ends with the visit unless another visit waits for it."""

from __future__ import annotations

import gc
import threading

import pytest

from map_core.core.jobs import JobStatus, shared_jobs
from pages.view.shell import background


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch):
    """Return a function that switches to another visitor, whose state the test holds."""
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


def test_waiting_work_of_an_ended_visit_is_not_computed(visit):
    go_on, computed = threading.Event(), []
    blocking = shared_jobs().submit("in the way", lambda job: go_on.wait(20))
    visit("ann")
    hers = background.job("sure", "hers", lambda job: computed.append("hers"))
    shared_job = background.job("most", "of both", lambda job: computed.append("of both"))
    states = visit("ben")
    assert background.job("most", "of both", lambda job: computed.append("again")) is shared_job
    del states["ann"]
    gc.collect()
    go_on.set()
    assert blocking.wait(20)
    assert hers.wait(20)
    assert shared_job.wait(20)
    assert hers.status is JobStatus.CANCELLED
    assert computed == ["of both"], "what another visitor waits for goes on"
