"""Tests of the first visit, the tour, *How it works* and *Limits*, on unusual tables too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from map_core.core.softmax import softmax
from map_core.core.types import Verdict
from map_core.data import table_format
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.figures import softmax_choice as choice_figures
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import standardised
from map_core.palettes.targets import percentiles
from map_core.scoring import validation
from map_core.text.sentences import HEADLINES
from pages.view.about import mathematics
from pages.view.palette import tour_stops
from pages.view.palette.tour_stops import StopKind
from pages.view.session import palette_state
from pages.view.session import scene as scenes
from tests import ROOT
from tests.tables import make_table

APP = str(ROOT / "pages" / "navigation.py")


def opened(tmp_path, monkeypatch, table) -> AppTest:
    table_format.save(table, tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    return AppTest.from_file(APP, default_timeout=60)


@pytest.fixture
def app(table):
    return AppTest.from_file(APP, default_timeout=60).run()


def page_text(app: AppTest) -> str:
    """Return all text of the page, markup included."""
    parts = []
    for element in app.main:
        value = getattr(element, "value", None)
        parts.append(value if isinstance(value, str) else getattr(element.proto, "body", ""))
    return "\n".join(part for part in parts if part)


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def verdict(app: AppTest, table) -> Verdict:
    """Return the solver's verdict on the current palette."""
    oracle = MemoryOracle.of(table)
    now = app.session_state["history"].now
    return assess(oracle, standardised(now, table.values, oracle, percentiles(table))).verdict


def test_first_visit_shows_the_introduction(app):
    assert "Decide what a language model should be like" in page_text(app)
    assert 'alt="Faders for each value lead to a verdict in words' in page_text(app)
    assert "such as helpfulness, harmlessness and humor" in page_text(app)


def test_hidden_introduction_can_be_shown_again(app):
    app.button(key="welcome_hide").click().run()
    assert "Decide what a language model should be like" not in page_text(app)
    assert "tour_start" in keys(app)
    app.run()
    assert "Decide what a language model should be like" not in page_text(app)
    app.button(key="welcome_show").click().run()
    assert "Decide what a language model should be like" in page_text(app)


def test_link_to_a_palette_skips_the_introduction(tmp_path, monkeypatch, table):
    app = opened(tmp_path, monkeypatch, table)
    app.query_params["palette"] = "humor:p55"
    app.run()
    assert "Decide what a language model should be like" not in page_text(app)
    assert "tour_start" in keys(app)


def test_tour_changes_the_palette_and_explains_the_verdict(app, table):
    own = app.session_state["history"].now
    app.button(key="tour_start").click().run()
    stops = []
    while True:
        assert not app.exception
        tour = app.session_state["tour"]
        stop = tour.stops[tour.position]
        assert app.session_state["history"].now == stop.palette
        assert f"{tour.position + 1} of {len(tour.stops)}" in page_text(app)
        assessment = verdict(app, table)
        stops.append((stop.kind, assessment))
        if stop.kind not in (StopKind.HEAR, StopKind.NEXT):
            assert f"The verdict: {HEADLINES[assessment].lower()}." in page_text(app)
        app.button(key="tour_next").click().run()
        if app.session_state["tour"].over:
            break
    assert stops == [
        (StopKind.UP, Verdict.REACHABLE),
        (StopKind.CONFLICT, Verdict.OUT_OF_REACH),
        (StopKind.REPAIR, Verdict.REACHABLE),
        (StopKind.DROP, Verdict.REACHABLE),
        (StopKind.HEAR, Verdict.REACHABLE),
        (StopKind.NEXT, Verdict.REACHABLE),
    ]
    app.button(key="tour_restore").click().run()
    assert app.session_state["history"].now == own
    assert "tour" not in app.session_state
    assert "tour_next" not in keys(app)


def test_back_end_and_undo_in_the_tour(app):
    own = app.session_state["history"].now
    app.button(key="tour_start").click().run()
    first = app.session_state["history"].now
    assert app.button(key="tour_back").disabled
    app.button(key="tour_next").click().run()
    assert app.session_state["history"].now != first
    app.button(key="tour_back").click().run()
    assert app.session_state["history"].now == first
    app.button(key="tour_end").click().run()
    assert "The tour has ended" in page_text(app)
    app.button(key="tour_keep").click().run()
    assert app.session_state["history"].now == first
    assert own in [step.palette for step in app.session_state["history"].steps]


def test_tour_text_follows_manual_changes(app):
    app.button(key="tour_start").click().run()
    assert "You have moved a fader yourself" not in page_text(app)
    moved = tour_stops.find_stops(scenes.load())[1].palette
    history = app.session_state["history"]
    app.session_state["history"] = history.with_step(replace(history.steps[-1], palette=moved))
    app.run()
    assert "You have moved a fader yourself. The verdict: not possible together." in page_text(app)


def odd(values=("helpfulness", "harmlessness", "humor", "positivity"), **changes):
    """Return an unusual table."""
    table = make_table(prompts=6, candidates=8, values=tuple(values), seed=2)
    return replace(table, **changes)


TABLES = {
    "one value": odd(["humor"]),
    "no replies, no cards": odd(replies=(), metadata={}),
    "a constant value": (lambda made: replace(made, rewards=made.rewards * np.array([0.0, 1, 1, 1])))(odd()),
    "one reply a prompt": make_table(prompts=40, candidates=1, seed=3),
}


@pytest.mark.parametrize("shape", TABLES)
def test_tour_completes_on_any_table(tmp_path, monkeypatch, shape):
    app = opened(tmp_path, monkeypatch, TABLES[shape]).run()
    app.button(key="tour_start").click().run()
    for _ in range(len(app.session_state["tour"].stops)):
        assert not app.exception
        app.button(key="tour_next").click().run()
    assert not app.exception
    assert "tour_next" not in keys(app)


def test_no_tour_without_movable_values(tmp_path, monkeypatch):
    table = odd(["humor"])
    app = opened(tmp_path, monkeypatch, replace(table, rewards=np.zeros_like(table.rewards))).run()
    app.button(key="tour_start").click().run()
    assert not app.exception
    assert "tour" not in app.session_state


@pytest.mark.parametrize("shape", [None, *TABLES])
def test_how_it_works_runs_on_any_table(tmp_path, monkeypatch, table, shape):
    app = opened(tmp_path, monkeypatch, table if shape is None else TABLES[shape]).run()
    app.switch_page("how.py").run()
    assert not app.exception
    assert "Effective sample size" in page_text(app)
    assert "arXiv 2410.19198" in page_text(app)


def test_running_tour_does_not_redirect_from_other_pages(app):
    app.button(key="tour_start").click().run()
    app.switch_page("how.py").run()
    assert "In plain words" in page_text(app)
    app.switch_page("palette.py").run()
    assert "1 of 6" in page_text(app)


def test_how_it_works_shows_the_mathematics_of_the_palette(app, table):
    app.switch_page("how.py").run()
    solution = assess(
        oracle := MemoryOracle.of(table),
        standardised(app.session_state["history"].now, table.values, oracle, percentiles(table)),
    ).solution
    assert f"Here the maximum is {solution.kl:.4f} nats" in page_text(app)
    assert f"model that it belongs to is {solution.kl:.4f}" in page_text(app)


def test_how_it_works_proves_that_a_palette_is_out_of_reach(app):
    app.button(key="tour_start").click().run()
    app.button(key="tour_next").click().run()
    app.session_state["tour"] = None
    app.switch_page("how.py").run()
    assert not app.exception
    assert "This palette is not possible, so the function has no maximum." in page_text(app)
    assert "and the proof is the mix" in page_text(app)


def test_glossary_search(app):
    app.switch_page("how.py").run()
    app.text_input(key="glossary_search").set_value("pareto").run()
    assert "**Frontier**" in page_text(app)
    assert "**Percentile**" not in page_text(app)
    app.text_input(key="glossary_search").set_value("zzz").run()
    assert "No term matches." in page_text(app)


def test_formulas_have_balanced_braces(app, table):
    scene = scenes.load()
    from pages.view.session import live_answer

    palette = palette_state.initial_palette(scene)
    pieces = mathematics.formula_sections(live_of(scene, palette, live_answer))
    assert len(pieces) > 10
    for piece in pieces:
        for part in piece.parts:
            assert part.count("{") == part.count("}"), part


def live_of(scene, palette, live):
    """Return the answer that the desk would show, without a viewer."""
    return live.compute_answer(scene, palette, None)


@pytest.mark.parametrize("shape", [None, *TABLES])
def test_limits_run_on_any_table(tmp_path, monkeypatch, table, shape):
    app = opened(tmp_path, monkeypatch, table if shape is None else TABLES[shape]).run()
    app.switch_page("limits.py").run()
    assert not app.exception
    assert "It does not say what is right" in page_text(app)
    assert "Nobody has labelled replies of this table" in page_text(app)
    pooled = shape == "one reply a prompt"
    assert ("The form is pooled" if pooled else "The form is per prompt") in page_text(app)


def test_limits_compare_scorers_with_labels(tmp_path, monkeypatch, table):
    best = np.argsort(table.rewards[:32, 2])
    lines = [
        f'{{"prompt_id": "p00", "candidate": {k}, "labels": {{"humor": {int(rank >= 16)}}}}}'
        for rank, k in enumerate(best)
    ]
    (tmp_path / "table.labels.jsonl").write_text("\n".join(lines))
    app = opened(tmp_path, monkeypatch, table).run()
    app.switch_page("limits.py").run()
    assert not app.exception
    # All are correct: the lower end is 1 - (1 - 0.025 ** (1 / 16)) = 0.79.
    assert "AUC 1.00 (0.79 to 1.00), from 16 replies labelled 1 and 16 labelled 0." in page_text(app)
    assert "Nobody has labelled" not in page_text(app)


def test_labels_of_another_table_are_reported(tmp_path, monkeypatch, table):
    (tmp_path / "table.labels.jsonl").write_text('{"prompt_id": "elsewhere", "candidate": 0, "labels": {"humor": 1}}')
    app = opened(tmp_path, monkeypatch, table).run()
    app.switch_page("limits.py").run()
    assert not app.exception
    assert "elsewhere" in page_text(app)


def test_transient_failure_to_read_labels_is_retried(tmp_path, monkeypatch, table):
    lines = [f'{{"prompt_id": "p00", "candidate": {k}, "labels": {{"humor": {k % 2}}}}}' for k in range(32)]
    (tmp_path / "table.labels.jsonl").write_text("\n".join(lines))

    def no_descriptors(path: Path) -> str:
        raise InputError(f"{path.name} cannot be read (Too many open files).")

    with monkeypatch.context() as short:
        short.setattr(validation, "read_text", no_descriptors)
        app = opened(tmp_path, monkeypatch, table).run()
        app.switch_page("limits.py").run()
        assert "Too many open files" in page_text(app)
    app.run()
    assert not app.exception
    assert "Too many open files" not in page_text(app)
    assert "from 16 replies labelled 1 and 16 labelled 0." in page_text(app)


def test_figure_of_a_choice_shows_its_probabilities():
    weights = softmax(np.array([0.0, np.log(3.0)]))
    figure = choice_figures.bars(weights)
    assert list(figure.data[0].y) == pytest.approx([75.0, 25.0])
    assert figure.layout.shapes[0].y0 == pytest.approx(50.0)
    assert choice_figures.choice_csv(weights).splitlines() == [
        "place,reply,probability,base",
        "1,1,0.75,0.5",
        "2,0,0.25,0.5",
    ]
