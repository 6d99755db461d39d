"""First visit, tour, How it works and Limits, as a person meets them; on tables of odd shape as well."""

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


def said(app: AppTest) -> str:
    """Everything that the page says, markup and all."""
    parts = []
    for element in app.main:
        value = getattr(element, "value", None)
        parts.append(value if isinstance(value, str) else getattr(element.proto, "body", ""))
    return "\n".join(part for part in parts if part)


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def verdict(app: AppTest, table) -> Verdict:
    """The verdict on the palette that is on the desk, by the solver itself."""
    oracle = MemoryOracle.of(table)
    now = app.session_state["history"].now
    return assess(oracle, standardised(now, table.values, oracle, percentiles(table))).verdict


def test_a_first_visit_is_told_what_this_is(app):
    assert "Decide what a language model should be like" in said(app)
    assert 'alt="Faders for each value lead to a verdict in words' in said(app)
    assert "such as helpfulness, harmlessness and humor" in said(app)


def test_hide_leaves_one_line_and_a_way_back(app):
    app.button(key="welcome_hide").click().run()
    assert "Decide what a language model should be like" not in said(app)
    assert "tour_start" in keys(app)
    app.run()
    assert "Decide what a language model should be like" not in said(app)
    app.button(key="welcome_show").click().run()
    assert "Decide what a language model should be like" in said(app)


def test_a_link_to_a_palette_is_not_covered_by_the_landing(tmp_path, monkeypatch, table):
    app = opened(tmp_path, monkeypatch, table)
    app.query_params["palette"] = "humor:p55"
    app.run()
    assert "Decide what a language model should be like" not in said(app)
    assert "tour_start" in keys(app)


def test_the_tour_moves_the_palette_and_its_text_follows_the_verdict(app, table):
    own = app.session_state["history"].now
    app.button(key="tour_start").click().run()
    seen = []
    while True:
        assert not app.exception
        tour = app.session_state["tour"]
        stop = tour.stops[tour.position]
        assert app.session_state["history"].now == stop.palette
        assert f"{tour.position + 1} of {len(tour.stops)}" in said(app)
        assessment = verdict(app, table)
        seen.append((stop.kind, assessment))
        if stop.kind not in (StopKind.HEAR, StopKind.NEXT):
            assert f"The verdict: {HEADLINES[assessment].lower()}." in said(app)
        app.button(key="tour_next").click().run()
        if app.session_state["tour"].over:
            break
    assert seen == [
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


def test_back_and_end_and_undo(app):
    own = app.session_state["history"].now
    app.button(key="tour_start").click().run()
    first = app.session_state["history"].now
    assert app.button(key="tour_back").disabled
    app.button(key="tour_next").click().run()
    assert app.session_state["history"].now != first
    app.button(key="tour_back").click().run()
    assert app.session_state["history"].now == first
    app.button(key="tour_end").click().run()
    assert "The tour has ended" in said(app)
    app.button(key="tour_keep").click().run()
    assert app.session_state["history"].now == first
    assert own in [step.palette for step in app.session_state["history"].steps]


def test_the_text_follows_a_hand_on_the_tour(app):
    app.button(key="tour_start").click().run()
    assert "You have moved a fader yourself" not in said(app)
    moved = tour_stops.find_stops(scenes.load())[1].palette
    history = app.session_state["history"]
    app.session_state["history"] = history.with_step(replace(history.steps[-1], palette=moved))
    app.run()
    assert "You have moved a fader yourself. The verdict: not possible together." in said(app)


def odd(values=("helpfulness", "harmlessness", "humor", "positivity"), **changes):
    """A table of another shape than usual."""
    made = make_table(prompts=6, candidates=8, values=tuple(values), seed=2)
    return replace(made, **changes)


TABLES = {
    "one value": odd(["humor"]),
    "no replies, no cards": odd(replies=(), metadata={}),
    "a constant value": (lambda made: replace(made, rewards=made.rewards * np.array([0.0, 1, 1, 1])))(odd()),
    "one reply a prompt": make_table(prompts=40, candidates=1, seed=3),
}


@pytest.mark.parametrize("shape", TABLES)
def test_the_tour_goes_to_its_end_on_any_table(tmp_path, monkeypatch, shape):
    app = opened(tmp_path, monkeypatch, TABLES[shape]).run()
    app.button(key="tour_start").click().run()
    for _ in range(len(app.session_state["tour"].stops)):
        assert not app.exception
        app.button(key="tour_next").click().run()
    assert not app.exception
    assert "tour_next" not in keys(app)


def test_nothing_to_move_is_no_tour(tmp_path, monkeypatch):
    made = odd(["humor"])
    app = opened(tmp_path, monkeypatch, replace(made, rewards=np.zeros_like(made.rewards))).run()
    app.button(key="tour_start").click().run()
    assert not app.exception
    assert "tour" not in app.session_state


@pytest.mark.parametrize("shape", [None, *TABLES])
def test_how_it_works_runs_on_any_table(tmp_path, monkeypatch, table, shape):
    app = opened(tmp_path, monkeypatch, table if shape is None else TABLES[shape]).run()
    app.switch_page("how.py").run()
    assert not app.exception
    assert "Effective sample size" in said(app)
    assert "arXiv 2410.19198" in said(app)


def test_a_tour_that_is_on_leaves_people_where_they_went(app):
    app.button(key="tour_start").click().run()
    app.switch_page("how.py").run()
    assert "In plain words" in said(app)
    app.switch_page("palette.py").run()
    assert "1 of 6" in said(app)


def test_the_mathematics_of_how_it_works_are_those_of_the_palette(app, table):
    app.switch_page("how.py").run()
    solution = assess(
        oracle := MemoryOracle.of(table),
        standardised(app.session_state["history"].now, table.values, oracle, percentiles(table)),
    ).solution
    assert f"Here the maximum is {solution.kl:.4f} nats" in said(app)
    assert f"model that it belongs to is {solution.kl:.4f}" in said(app)


def test_out_of_reach_is_said_with_its_proof_on_how_it_works(app):
    app.button(key="tour_start").click().run()
    app.button(key="tour_next").click().run()
    app.session_state["tour"] = None
    app.switch_page("how.py").run()
    assert not app.exception
    assert "This palette is not possible, so the function has no maximum." in said(app)
    assert "and the proof is the mix" in said(app)


def test_a_word_can_be_looked_for(app):
    app.switch_page("how.py").run()
    app.text_input(key="glossary_search").set_value("pareto").run()
    assert "**Frontier**" in said(app)
    assert "**Percentile**" not in said(app)
    app.text_input(key="glossary_search").set_value("zzz").run()
    assert "No term matches." in said(app)


def test_every_formula_is_in_parts_that_close(app, table):
    seen = scenes.load()
    from pages.view.session import live_answer

    palette = palette_state.initial_palette(seen)
    pieces = mathematics.formula_sections(live_of(seen, palette, live_answer))
    assert len(pieces) > 10
    for piece in pieces:
        for part in piece.parts:
            assert part.count("{") == part.count("}"), part


def live_of(scene, palette, live):
    """What the desk would show, without a viewer."""
    return live.compute_answer(scene, palette, None)


@pytest.mark.parametrize("shape", [None, *TABLES])
def test_limits_run_on_any_table(tmp_path, monkeypatch, table, shape):
    app = opened(tmp_path, monkeypatch, table if shape is None else TABLES[shape]).run()
    app.switch_page("limits.py").run()
    assert not app.exception
    assert "It does not say what is right" in said(app)
    assert "Nobody has labelled replies of this table" in said(app)
    pooled = shape == "one reply a prompt"
    assert ("The form is pooled" if pooled else "The form is per prompt") in said(app)


def test_limits_hold_scorers_against_labels(tmp_path, monkeypatch, table):
    best = np.argsort(table.rewards[:32, 2])
    lines = [
        f'{{"prompt_id": "p00", "candidate": {k}, "labels": {{"humor": {int(rank >= 16)}}}}}'
        for rank, k in enumerate(best)
    ]
    (tmp_path / "table.labels.jsonl").write_text("\n".join(lines))
    app = opened(tmp_path, monkeypatch, table).run()
    app.switch_page("limits.py").run()
    assert not app.exception
    # All on the right side: the lower end is 1 - (1 - 0.025 ** (1 / 16)) = 0.79.
    assert "AUC 1.00 (0.79 to 1.00), from 16 replies labelled 1 and 16 labelled 0." in said(app)
    assert "Nobody has labelled" not in said(app)


def test_labels_of_another_table_are_said(tmp_path, monkeypatch, table):
    (tmp_path / "table.labels.jsonl").write_text('{"prompt_id": "elsewhere", "candidate": 0, "labels": {"humor": 1}}')
    app = opened(tmp_path, monkeypatch, table).run()
    app.switch_page("limits.py").run()
    assert not app.exception
    assert "elsewhere" in said(app)


def test_labels_that_could_not_be_read_for_a_moment_are_read_again(tmp_path, monkeypatch, table):
    lines = [f'{{"prompt_id": "p00", "candidate": {k}, "labels": {{"humor": {k % 2}}}}}' for k in range(32)]
    (tmp_path / "table.labels.jsonl").write_text("\n".join(lines))

    def no_descriptors(path: Path) -> str:
        raise InputError(f"{path.name} cannot be read (Too many open files).")

    with monkeypatch.context() as short:
        short.setattr(validation, "read_text", no_descriptors)
        app = opened(tmp_path, monkeypatch, table).run()
        app.switch_page("limits.py").run()
        assert "Too many open files" in said(app)
    app.run()
    assert not app.exception
    assert "Too many open files" not in said(app)
    assert "from 16 replies labelled 1 and 16 labelled 0." in said(app)


def test_the_figure_of_a_choice_shows_its_probabilities():
    weights = softmax(np.array([0.0, np.log(3.0)]))
    figure = choice_figures.bars(weights)
    assert list(figure.data[0].y) == pytest.approx([75.0, 25.0])
    assert figure.layout.shapes[0].y0 == pytest.approx(50.0)
    assert choice_figures.choice_csv(weights).splitlines() == [
        "place,reply,probability,base",
        "1,1,0.75,0.5",
        "2,0,0.25,0.5",
    ]
