"""Tests of the page *Report* and the bar that shares a palette, as scripts; see also tests/browser/test_report.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from map_core.core.compute_once import ComputeOnce
from map_core.core.jobs import shared_jobs
from map_core.figures.theme import DEFAULT_THEME
from map_core.palettes.palette import Palette, Target
from map_core.scoring.validation import Label
from pages.view.session import share
from pages.view.session.kept_choices import RECORDS
from tests import ROOT

APP = str(ROOT / "pages" / "navigation.py")


@pytest.fixture
def app(unopened):
    return AppTest.from_file(APP, default_timeout=60).run().switch_page("report.py")


def test_the_page_makes_its_report_in_the_background(app):
    app.run()
    assert not app.exception
    assert app.text_input(key="report_name").value == ""
    job = next(job for job in reversed(shared_jobs()._jobs.values()) if job.key[0] == "report")
    assert job.wait(60)
    assert job.error is None
    assert job.result.startswith("<!DOCTYPE html>")
    app.run()
    assert not app.exception
    app.text_input(key="report_name").set_value("Support <b>calm</b>").run()
    assert not app.exception
    job = next(job for job in reversed(shared_jobs()._jobs.values()) if job.key[0] == "report")
    assert job.wait(60)
    assert "<h1>Support &lt;b&gt;calm&lt;/b&gt;</h1>" in job.result


def test_the_address_of_a_palette():
    palette = Palette("Care & more", {"plain_language": Target(70.0, locked=True), "humor": Target(50.0, keep=True)})
    assert share.address_query(palette) == "?palette=plain_language:p70!;humor:keep&use=Care+%26+more"
    assert share._file_name("Support, calm & clear!") == "palette-support-calm-clear"
    assert share._file_name("  /../ ") == "palette"


@pytest.mark.parametrize(
    ("url", "home"),
    [
        ("http://localhost:8501/", "http://localhost:8501/"),
        ("http://localhost:8501", "http://localhost:8501/"),
        ("https://here.org/house/report", "https://here.org/house/"),
        ("https://here.org/house/", "https://here.org/house/"),
        ("https://here.org/house", "https://here.org/house/"),
        (None, ""),
    ],
)
def test_home_is_the_address_of_the_first_page(monkeypatch, url, home):
    class Context:
        pass

    context = Context()
    context.url = url
    monkeypatch.setattr(share.st, "context", context)
    assert share.app_address() == home


class Scene:
    """The part of a scene that a report needs."""

    key = ("once",)
    names = ()
    oracle = type("Oracle", (), {"form": None})
    theme = DEFAULT_THEME


def request(folder: Path, name: str = "", **fields) -> share.ReportRequest:
    return share.ReportRequest(None, Scene, Palette(), name, folder / "t.parquet", "", **fields)


def test_concurrent_requests_share_one_report(monkeypatch, tmp_path):
    names = []

    def gather(*arguments, **keywords):
        names.append(keywords["name"])
        if len(names) == 1:
            raise ValueError("stopped")
        return names[-1]

    monkeypatch.setattr(share.reports, "compute_report", gather)

    def ask(_: int):
        try:
            return request(tmp_path, name="Once").report()
        except ValueError:
            return "stopped"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sorted(answers) == ["Once"] * 7 + ["stopped"]
    assert len(names) == 2


def test_key_depends_on_everything_in_a_report(tmp_path):
    choices = ({"first": ["p1", 0], "second": ["p1", 1], "answer": "first"},)
    labels = (Label("p1", 0, {"humor": 1}),)
    requests = [request(tmp_path, **fields) for fields in ({}, {"name": "A"}, {"choices": choices}, {"labels": labels})]
    assert len({each.key() for each in requests}) == 4
    assert request(tmp_path, labels=labels).key() == requests[-1].key()
    assert len({each.key(share.WEIGHTS_ONLY) for each in requests}) == 3, "the weights do not depend on labels"


def test_preview_equals_the_downloaded_report(app, monkeypatch):
    """Two visitors have one palette; the first found it by choosing, the second came after labels were given."""
    calls = []
    monkeypatch.setattr(share, "_reports", ComputeOnce(8))
    monkeypatch.setattr(
        share.reports, "compute_report", lambda *given_labels, **keywords: calls.append(keywords) or keywords
    )
    monkeypatch.setattr(share.reports, "html", lambda report, reading: f"{report['choices']} {report['labels']}")
    choices = [{"first": ["p1", 0], "second": ["p1", 1], "answer": "first"}]
    labels = (Label("p1", 0, {"humor": 1}),)
    for kept_choices, given_labels in ((choices, ()), ([], ()), ([], labels)):
        visit = AppTest.from_file(APP, default_timeout=60).run().switch_page("report.py")
        visit.session_state[RECORDS.name] = kept_choices
        monkeypatch.setattr(share.people_labels, "given", lambda given_labels=given_labels: given_labels)
        visit.run()
        job = next(job for job in reversed(shared_jobs()._jobs.values()) if job.key[0] == "report")
        assert job.wait(60)
        assert job.result == f"{kept_choices} {given_labels}"
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("home", "network", "link"),
    [
        ("https://here.org/", "", "https://here.org/?palette=humor:p60"),
        ("http://localhost:8501/", "http://10.0.0.5:8501/", "http://10.0.0.5:8501/?palette=humor:p60"),
        ("http://localhost:8501/", "", ""),
        ("http://127.0.0.1:8501/", "", ""),
        ("", "", ""),
    ],
)
def test_report_has_no_loopback_link(monkeypatch, home, network, link):
    monkeypatch.setattr(share, "app_address", lambda: home)
    monkeypatch.setattr(share, "address_query", lambda palette: "?palette=humor:p60")
    monkeypatch.setattr(share.reach, "network_address", lambda address: network or address)
    assert share.shared_link(Palette()) == link


def test_report_is_made_anew_when_the_study_of_its_table_changes(tmp_path):
    study = tmp_path / "t.delivery.json"
    keys = [request(tmp_path).key()]
    for content in ("{}", '{"palettes": []}'):
        study.write_text(content)
        keys.append(request(tmp_path).key())
    assert len(set(keys)) == 3
    weights_only = request(tmp_path).key(share.WEIGHTS_ONLY)
    study.unlink()
    assert request(tmp_path).key() == keys[0]
    assert request(tmp_path).key(share.WEIGHTS_ONLY) == weights_only, "the weights do not depend on a study"
