"""The page *Report* and the bar that shares a palette, as scripts; the browser's part is in test_report.py."""

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
def test_home_is_where_the_first_page_is(monkeypatch, url, home):
    class Context:
        pass

    context = Context()
    context.url = url
    monkeypatch.setattr(share.st, "context", context)
    assert share.app_address() == home


class Scene:
    """What a report needs of a scene."""

    key = ("once",)
    names = ()
    oracle = type("Oracle", (), {"form": None})
    theme = DEFAULT_THEME


def request(folder: Path, name: str = "", **more) -> share.ReportRequest:
    return share.ReportRequest(None, Scene, Palette(), name, folder / "t.parquet", "", **more)


def test_a_report_that_many_ask_for_is_made_once(monkeypatch, tmp_path):
    made = []

    def gather(*arguments, **more):
        made.append(more["name"])
        if len(made) == 1:
            raise ValueError("stopped")
        return made[-1]

    monkeypatch.setattr(share.reports, "compute_report", gather)

    def ask(_: int):
        try:
            return request(tmp_path, name="Once").report()
        except ValueError:
            return "stopped"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sorted(answers) == ["Once"] * 7 + ["stopped"]
    assert len(made) == 2


def test_whatever_a_report_is_made_of_makes_it_another_one(tmp_path):
    choices = ({"first": ["p1", 0], "second": ["p1", 1], "answer": "first"},)
    labels = (Label("p1", 0, {"humor": 1}),)
    full = [request(tmp_path, **more) for more in ({}, {"name": "A"}, {"choices": choices}, {"labels": labels})]
    assert len({one.key() for one in full}) == 4
    assert request(tmp_path, labels=labels).key() == full[-1].key()
    assert len({one.key(share.WEIGHTS_ONLY) for one in full}) == 3, "the weights do not depend on labels"


def test_the_preview_is_the_report_that_is_downloaded(app, monkeypatch):
    """Two visitors with one palette, of whom the first found it by choosing, and the second after labels were given."""
    made = []
    monkeypatch.setattr(share, "_reports", ComputeOnce(8))
    monkeypatch.setattr(share.reports, "compute_report", lambda *given, **more: made.append(more) or more)
    monkeypatch.setattr(share.reports, "html", lambda report, reading: f"{report['choices']} {report['labels']}")
    choices = [{"first": ["p1", 0], "second": ["p1", 1], "answer": "first"}]
    labels = (Label("p1", 0, {"humor": 1}),)
    for kept, given in ((choices, ()), ([], ()), ([], labels)):
        visit = AppTest.from_file(APP, default_timeout=60).run().switch_page("report.py")
        visit.session_state[RECORDS.name] = kept
        monkeypatch.setattr(share.people_labels, "given", lambda given=given: given)
        visit.run()
        job = next(job for job in reversed(shared_jobs()._jobs.values()) if job.key[0] == "report")
        assert job.wait(60)
        assert job.result == f"{kept} {given}"
    assert len(made) == 3


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
def test_a_report_has_no_link_that_leads_each_reader_to_their_own_device(monkeypatch, home, network, link):
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
