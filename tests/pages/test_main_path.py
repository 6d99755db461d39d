"""Each page as a script: what a person does, and what the page then says. The browser's part is in test_app.py."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from map_core.core.jobs import shared_jobs
from map_core.core.types import Reply
from map_core.data import table_format
from map_core.data.subsample import subsample_candidates
from map_core.engines.tokens import Token
from map_core.errors import EngineError, InputError
from map_core.feasibility import assess
from map_core.generation.choice import choose
from map_core.generation.events import Begun, Finished, Scored, Tokens
from map_core.generation.request import GenerationRequest
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.service.generation import Generation
from map_core.service.snapshot import Phase
from pages.view.compare import batch, generator
from tests import ROOT
from tests.tables import VALUES, make_table

APP = str(ROOT / "pages" / "navigation.py")


@pytest.fixture
def table(tmp_path, monkeypatch):
    made = make_table(prompts=16, candidates=32, seed=5)
    table_format.save(made, tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    return made


def opened() -> AppTest:
    """The app with plain sliders: a script's test does not see the live desk, whose part is in test_faders.py."""
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["plain_desk"] = True
    return app.run()


@pytest.fixture
def app(table):
    return opened()


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
        json.loads(one.proto.json) for one in app.get("bidi_component") if one.proto.component_name.endswith("replies")
    ]
    assert len(told) <= 1
    return told[0] if told else {}


def text_of(nodes: list) -> str:
    """A reply as a person reads it, of its nodes."""
    return "".join(node if isinstance(node, str) else text_of(node[1:]) for node in nodes)


def answer(app: AppTest) -> dict:
    """What the page tells the panel with the verdict."""
    told = [
        json.loads(one.proto.json) for one in app.get("bidi_component") if one.proto.component_name.endswith("answer")
    ]
    assert len(told) == 1
    return told[0]


def settled(app: AppTest) -> AppTest:
    """The page once its background work has ended."""
    app.run()
    for job in list(shared_jobs()._jobs.values()):
        assert job.wait(60)
    return app.run()


def test_the_palette_begins_with_one_that_can_be_had(app):
    assert not app.exception
    assert [slider.key for slider in app.slider] == [f"target_{name}" for name in VALUES]
    assert [app.toggle(key=f"free_{name}").value for name in VALUES] == [False, False, False, True]
    assert [app.slider(key=f"target_{name}").disabled for name in VALUES] == [False, False, False, True]
    assert answer(app)["headline"] == "Reachable"
    assert "vp-reachable" in said(app)
    assert answer(app)["form"] == "Forecast for replies that are each chosen from 32 that the model writes."


def test_too_much_is_out_of_reach_and_says_what_would_mend_it(app):
    app.slider(key="target_helpfulness").set_value(app.slider(key="target_helpfulness").max).run()
    app.slider(key="target_harmlessness").set_value(app.slider(key="target_harmlessness").max).run()
    told = answer(app)
    assert told["verdict"] == "out_of_reach"
    assert "pull against each other here" in told["sentence"]
    assert told["again"] > 0  # the repairs are being computed, and will be asked for again
    settled(app)
    told = answer(app)
    assert 1 <= len(told["ways"]) <= 3
    assert told["ways"][-1]["label"] == "Share the change evenly"
    assert "are not possible together" in told["why"]
    assert told["undo"].startswith("Undo: Set harmlessness to")


def test_a_locked_value_does_not_give_way(app):
    for name, percentile in zip(VALUES[:2], (80, 90), strict=True):
        app.slider(key=f"target_{name}").set_value(percentile)
    app.toggle(key="locked_helpfulness").set_value(True).run()
    settled(app)
    told = answer(app)
    assert told["verdict"] == "out_of_reach"
    assert told["ways"]
    assert all("helpfulness" not in way["meaning"] for way in told["ways"])


def test_how_sure_it_is_comes_a_moment_later(app):
    assert "Calculating" in answer(app)["sure_verdict"]
    settled(app)
    assert "with a probability of" in answer(app)["sure_verdict"]
    assert answer(app)["again"] == 0


def test_a_free_value_asks_for_nothing(app):
    for name in VALUES[:3]:
        app.toggle(key=f"free_{name}").set_value(True)
    app.run()
    assert "No value has a target" in answer(app)["sentence"]
    app.toggle(key="free_humor").set_value(False).run()
    assert app.slider(key="target_humor").value == 60


def test_a_use_case_keeps_the_percentiles(app):
    app.slider(key="target_humor").set_value(72).run()
    app.selectbox(key="use_case").set_value("Stories").run()
    assert not app.exception
    assert app.slider(key="target_humor").value == 72
    assert app.selectbox(key="use_case").value == "Stories"


def test_start_again(app):
    app.slider(key="target_humor").set_value(90).run()
    app.button(key="start_again").click().run()
    assert app.slider(key="target_humor").value == 60


def test_targets_survive_a_visit_to_another_page(app):
    app.slider(key="target_humor").set_value(75).run()
    app.selectbox(key="use_case").set_value("Stories").run()
    app.switch_page("tradeoffs.py").run()
    assert not app.exception
    assert "humor p75" in said(app)
    assert app.selectbox(key="use_case").value == "Stories"
    app.switch_page("palette.py").run()
    assert app.slider(key="target_humor").value == 75


def test_one_value_has_nothing_to_trade(tmp_path, monkeypatch):
    table_format.save(make_table(values=("brevity",)), tmp_path / "one.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "one.parquet"))
    app = opened()
    assert [slider.key for slider in app.slider] == ["target_brevity"]
    app.switch_page("tradeoffs.py")
    settled(app)
    assert not app.exception
    assert "one value, so there is nothing to trade" in said(app)


def test_a_pooled_table_says_so(tmp_path, monkeypatch):
    table_format.save(make_table(prompts=120, candidates=1), tmp_path / "pooled.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "pooled.parquet"))
    app = opened()
    assert not app.exception
    assert answer(app)["form"].startswith("Pooled form")


def test_a_table_of_unknown_sampling_says_so(tmp_path, monkeypatch):
    table = make_table()
    sampling = {"temperature": 0.8, "top_k": "unknown", "top_p": 1.0, "max_new_tokens": 64, "min_p": "unknown"}
    table_format.save(replace(table, metadata={**table.metadata, "sampling": sampling}), tmp_path / "gateway.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "gateway.parquet"))
    app = opened()
    assert not app.exception
    assert "refuses to be told top_k, min_p, so it may leave out unlikely words" in said(app)


def test_targets_beyond_averages_are_counted_said_and_kept(table):
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["plain_desk"] = True
    app.query_params["palette"] = "humor:p60;humor>=p20:0.95;humor@No<b>where:p50"
    app.run()
    assert not app.exception
    assert "At least 95 of 100 replies no worse on humor than today's weakest fifth." in said(app)
    assert "Not counted here: No prompt has 'No&lt;b&gt;where'" in said(app).replace("&#x27;", "'"), "escaped"
    assert "humor>=p20:0.95;humor@No<b>where:p50" in "".join(app.query_params["palette"])
    app.button(key="protection_remove_0").click().run()
    assert not app.exception
    assert "humor>=p20" not in "".join(app.query_params["palette"])


def test_no_table_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "nowhere.parquet"))
    app = AppTest.from_file(APP, default_timeout=60).run()
    assert not app.exception
    assert app.title[0].value == "There is no table to look at"
    assert "nowhere.parquet" in app.text[0].value


class Desk:
    """Stands for the model process: what it would send is handed to the generation by the test."""

    def __init__(self) -> None:
        self.made: list[Generation] = []
        self._changed = threading.Condition()

    def submit(self, request: GenerationRequest, viewer: str = "") -> Generation:
        with self._changed:
            self.made.append(Generation(request, self.cancel, viewer=viewer))
            self._changed.notify_all()
            return self.made[-1]

    def wait_for(self, place: int) -> Generation:
        """The generation that was asked for at a place, counted from 0, once it is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.made) > place, 60)
            return self.made[place]

    def generation(self, name: str) -> Generation:
        for one in self.made:
            if one.id == name:
                return one
        raise InputError("There is no such generation.")

    def status(self) -> SimpleNamespace:
        return SimpleNamespace(state="ready", running=sum(not one.ended for one in self.made))

    def cancel(self, name: str) -> None:
        self.generation(name).end(Phase.CANCELLED)


@pytest.fixture
def desk(monkeypatch):
    made = Desk()
    monkeypatch.setattr(generator, "service", lambda scene: made)
    monkeypatch.setattr(generator, "missing_model", lambda model: None)
    return made


@pytest.fixture
def compare(desk, app):
    """The page with its boxes open: what is in them is drawn only then."""
    for box in ("figures", "all_candidates"):
        app.session_state[box] = True
    return app.switch_page("compare.py").run()


def texts(app: AppTest) -> list[str]:
    """Texts and replies in the order of the page, a reply as a person reads it: without the markup that draws it."""
    shown = []
    for element in app.main:
        body = getattr(element.proto, "body", "")
        if element.type == "text":
            shown.append(element.value)
        elif '<div class="vp-reply">' in body:
            shown.append(unescape(re.sub(r"<[^>]*>", "", body)))
        elif getattr(element.proto, "component_name", "").endswith("replies"):
            told = panel(app)
            shown += [told["prompt"], *(text_of(slot["nodes"]) for slot in told["slots"])]
    return shown


def write(generation: Generation, words: str) -> None:
    """One step of all candidates."""
    tokens = [Token(k, 1, f"{words} {k}", -1.0, False, False) for k in range(generation.request.candidates)]
    generation.apply(Tokens(1, tuple(tokens)))


def test_a_prompt_is_sent_with_the_weights_of_the_palette(compare, desk, table):
    assert not compare.exception
    assert compare.text_area(key="prompt").value == table.prompts[0]
    compare.number_input(key="candidates_k").set_value(4)
    compare.text_area(key="prompt").set_value("How do I calm a crying child?")
    compare.button(key="generate").click().run()
    assert not compare.exception
    request = desk.made[0].request
    assert request.prompt == "How do I calm a crying child?"
    assert request.candidates == 4
    assert request.settings.top_k == 50
    assert set(request.weights) <= set(VALUES)
    assert all(weight > 0 for weight in request.weights.values())
    assert compare.number_input(key="seed").value == request.seed + 1


def test_weights_are_those_for_the_candidates_that_are_drawn(compare, desk, table):
    for candidates in (4, 16):
        compare.number_input(key="candidates_k").set_value(candidates)
        compare.button(key="generate").click().run()
    few, all_of_them = (generation.request.weights for generation in desk.made)
    oracle = MemoryOracle.of(subsample_candidates(table, 4))
    name = max(all_of_them, key=all_of_them.get)
    levels = np.full(len(table.values), np.nan)
    for value_name, target in compare.session_state["history"].now.targets.items():
        if not target.free:
            j = table.index(value_name)
            levels[j] = percentiles(table).level(j, target.percentile) if target.level is None else target.level
    expected = assess(oracle, oracle.standardise(levels))
    found = expected.solution or expected.nearest.solution
    j = table.values.index(name)
    assert few[name] == pytest.approx(found.weights[j] / oracle.scale[j], rel=1e-6)
    assert few[name] != pytest.approx(all_of_them[name], rel=1e-2)


def finish(generation: Generation, rewards: dict[str, list[float]], text: str = "final") -> None:
    """The outcome, as the model process would send it."""
    count = len(next(iter(rewards.values())))
    weights = {name: weight for name, weight in generation.weights.items() if name in rewards}
    generation.apply(
        Finished(
            replies=tuple(Reply(f"{text} {k}") for k in range(count)),
            rewards={name: tuple(given) for name, given in rewards.items()},
            log_offsets=(0.0,) * count,
            choice=choose(np.array([rewards[name] for name in weights]).reshape(-1, count).T, [*weights.values()], 0),
            tokens=40,
            sampling_seconds=1.0,
            provisional_seconds=0.0,
            scoring_seconds=0.1,
        )
    )


def begun(compare: AppTest, desk: Desk, candidates: int = 4) -> Generation:
    """A generation of which a step is written."""
    compare.number_input(key="candidates_k").set_value(candidates)
    compare.button(key="generate").click().run()
    generation = desk.made[-1]
    generation.apply(Begun(generation.request.base))
    write(generation, "<b>Reply</b>")
    return generation


def favoured(generation: Generation, k: int, many: float = 60.0) -> dict[str, list[float]]:
    """Rewards by which every palette with a weight picks candidate k."""
    count = generation.request.candidates
    return {name: [many * (place == k) for place in range(count)] for name in generation.request.scored}


def test_both_replies_stream_and_the_leader_is_provisional(compare, desk):
    generation = begun(compare, desk)
    base = generation.request.base
    compare.run()
    assert f"<b>Reply</b> {base}" in texts(compare)
    assert any("provisional: nothing is scored yet" in caption for caption in captions(compare))
    leader, picked = (base + 2) % 4, (base + 1) % 4
    for name, given in favoured(generation, leader).items():
        generation.apply(Scored(name, tuple(given), provisional=True))
    compare.run()
    assert any("provisional leader" in caption for caption in captions(compare))
    assert f"<b>Reply</b> {leader}" in texts(compare)
    assert not compare.button(key="stop").disabled
    finish(generation, favoured(generation, picked), "<script>final</script>")
    draw_by_chance(compare.run())
    assert not compare.exception
    assert f"<script>final</script> {base}" in texts(compare)
    assert f"<script>final</script> {picked}" in texts(compare)
    assert any("was picked. Drawn with a probability of" in text for text in texts(compare))
    rows = compare.dataframe[0].value
    assert rows["Role"].iloc[0] == "picked"
    assert rows["Probability"].iloc[0] > 0.99
    assert compare.button(key="stop").disabled
    assert "<script>" not in said(compare).replace(f"<script>final</script> {picked}", "").replace(
        f"<script>final</script> {base}", ""
    )


def finished_by(compare: AppTest, desk: Desk, k: int) -> Generation:
    """A generation that is over, in which every palette with a weight picks candidate k."""
    generation = begun(compare, desk)
    finish(generation, favoured(generation, k))
    compare.run()
    assert not compare.exception
    return generation


def draw_by_chance(compare: AppTest) -> AppTest:
    """Look at the replies that are drawn, in place of the likeliest ones."""
    return compare.button_group(key="shown_reply").set_value("drawn").run()


def captions(app: AppTest) -> list[str]:
    return [caption.value for caption in app.caption] + [slot["caption"] for slot in panel(app).get("slots", ())]


def test_a_column_carries_its_certificate_and_says_when_more_candidates_would_help(compare, desk):
    generation = finished_by(compare, desk, 2)
    page = said(compare)
    for label in ("Probability", "Effective sample size", "Spent", "log Z"):
        assert f"<dt>{label}</dt>" in page
    assert "1.0 of 4" in page
    assert "More candidates would help: too few carry this choice." in page
    compare.button(key="draw_more").click().run()
    more = desk.made[-1].request
    assert (more.seed, more.prompt, more.candidates) == (generation.request.seed, generation.request.prompt, 4)
    assert more.most_candidates == 8
    assert more.base == generation.request.base


def test_moving_a_target_chooses_again_among_the_same_candidates(compare, desk):
    """One candidate has all the humor, another all the rest: which is picked follows the palette."""
    generation = begun(compare, desk)
    names = generation.request.scored
    finish(generation, {name: [100.0 * (k == (1 if name == "humor" else 3)) for k in range(4)] for name in names})
    draw_by_chance(compare.run())
    for free in ({"humor"}, {"helpfulness", "harmlessness"}):
        compare.button_group(key="steered").set_value([j for j, n in enumerate(VALUES[:3]) if n not in free]).run()
        assert not compare.exception
        picked = 2 if "helpfulness" in free else 4
        assert f"Candidate {picked}, picked by your palette" in captions(compare)
    before = dict(generation.weights)
    compare.slider(key="target_humor").set_value(compare.slider(key="target_humor").value + 10).run()
    assert generation.weights["humor"] != before["humor"]
    assert compare.session_state["history"].now.targets["humor"].percentile == compare.slider(key="target_humor").value
    assert len(desk.made) == 1
    compare.switch_page("palette.py").run()
    assert compare.toggle(key="free_helpfulness").value


def test_the_likeliest_reply_comes_first_and_a_draw_is_one_click_away(compare, desk):
    generation = begun(compare, desk)
    pushed = generation.request.weights
    chances = np.array([0.1, 0.2, 0.4, 0.3])
    name, weight = next(iter(pushed.items()))
    rewards = {other: [0.0] * 4 for other in generation.request.scored}
    finish(generation, rewards | {name: (np.log(chances) / weight).tolist()})
    compare.run()
    assert "Candidate 3, the likeliest of 4 under your palette: 40%" in captions(compare)
    assert "The forecast of levels is about replies that are drawn by chance." in said(compare)
    assert compare.dataframe[0].value["Role"].iloc[0] == "likeliest"
    assert any(text.startswith("Candidate 3 is shown. It is the likeliest one: 40%") for text in texts(compare))
    drawn = generation.choice().picked
    draw_by_chance(compare)
    assert f"Candidate {drawn + 1}, picked by your palette" in captions(compare)
    assert any(text.startswith(f"Candidate {drawn + 1} was picked. Drawn with") for text in texts(compare))
    assert len(desk.made) == 1


def test_figures_and_candidates_are_drawn_once_they_are_opened(desk, app):
    page = app.switch_page("compare.py").run()
    finished_by(page, desk, 2)
    assert "<dt>Effective sample size</dt>" not in said(page)
    assert not page.dataframe
    page.session_state["figures"] = True
    assert "<dt>Effective sample size</dt>" in said(page.run())
    page.session_state["all_candidates"] = True
    assert len(page.run().dataframe) == 1


def test_another_base_reply_is_shown_where_the_likeliest_is_the_base_models_own_draw(compare, desk):
    generation = begun(compare, desk)
    base = generation.request.base
    finish(generation, favoured(generation, base))
    compare.run()
    told = panel(compare)
    assert [text_of(slot["nodes"]) for slot in told["slots"]] == [f"final {(base + 1) % 4}", f"final {base}"]
    assert "the very one that was drawn for the base model" in told["slots"][0]["note"]


def test_bars_compare_the_average_candidate_with_what_the_palette_expects(compare, desk, table):
    generation = begun(compare, desk)
    assert not panel(compare.run())["bars"]
    low, high = (float(np.quantile(table.rewards[..., 0], share)) for share in (0.3, 0.9))
    rewards = {name: [low, low, high, low] for name in generation.request.scored}
    finish(generation, rewards)
    compare.run()
    bars = {bar["name"]: bar for bar in panel(compare)["bars"]}
    assert set(bars) == {"Helpfulness", "Humor"}, "values with a target that are scored here"
    bar, known = bars[VALUES[0].capitalize()], percentiles(table)
    chances = np.array(generation.choice().probabilities)
    assert bar["before"] == pytest.approx(known.percentile_of(0, 0.75 * low + 0.25 * high), abs=0.06)
    assert bar["after"] == pytest.approx(known.percentile_of(0, float(chances @ [low, low, high, low])), abs=0.06)
    assert bar["before"] < bar["after"]
    assert bar["target"] == pytest.approx(60, abs=0.6)


def test_a_reply_that_was_cut_ends_with_its_last_sentence_and_the_rest_is_one_click_away(compare, desk):
    generation = begun(compare, desk)
    text = "It rains in the morning. Take a **coat** with you. And then you sho"
    write(generation, "")
    tokens = [Token(k, 2, text, -1.0, True, False) for k in range(4)]
    generation.apply(Tokens(2, tuple(tokens)))
    compare.button(key="stop").click().run()
    slot = panel(compare)["slots"][0]
    assert text_of(slot["nodes"]).endswith("Take a coat with you.\u00a0…")
    assert text_of(slot["whole"]).endswith("And then you sho\u00a0…")


def test_which_reply_is_better_is_asked_under_the_replies_and_kept_apart_from_blind_judgements(compare, desk):
    generation = finished_by(compare, desk, 2)
    assert [compare.button(key=f"better_{whose}").label for whose in ("base", "tie", "aligned")] == [
        "Base model",
        "No difference",
        "Aligned model",
    ]
    compare.button(key="better_aligned").click().run()
    assert not compare.exception
    assert "You preferred the aligned model." in said(compare)
    assert "Judged with names in sight: The aligned reply was preferred in 1 of 1" in said(compare)
    assert not [button for button in compare.button if (button.key or "").startswith("better_")]
    compare.toggle(key="judge_blind").set_value(True).run()
    asked = [button.key for button in compare.button if (button.key or "").startswith("judge_is_")]
    assert len(asked) == 3 or generation.request.base == 2, "a judgement with names does not stand for a blind one"
    compare.toggle(key="judge_blind").set_value(False).run()
    compare.button(key="judge_undo").click().run()
    assert "Nobody has judged this palette yet." in said(compare)


def test_pinned_palettes_answer_beside_todays_from_the_same_candidates(compare, desk):
    compare.text_input(key="pin_name").set_value("<i>Kind</i>")
    compare.button(key="pin").click().run()
    compare.button(key="pin").click().run()
    compare.button(key="pin").click().run()
    assert [one.name for one in compare.session_state["pinned"]] == ["<i>Kind</i>", "Palette 1", "Palette 2"]
    assert compare.button(key="pin").disabled
    finished_by(compare, desk, 1)
    draw_by_chance(compare)
    assert len([text for text in captions(compare) if text.startswith("Candidate 2, picked by")]) == 4
    assert "<i>Kind</i>" not in "".join(getattr(element.proto, "body", "") for element in compare.get("html"))
    assert "&lt;i&gt;Kind&lt;/i&gt;" in said(compare)
    rows = compare.dataframe[0].value
    assert list(rows["Probability (Palette 1)"]) == pytest.approx(list(rows["Probability"]))
    compare.button_group(key="steered").set_value([2]).run()
    compare.button(key="use_0").click().run()
    assert not compare.session_state["history"].now.targets["helpfulness"].free
    compare.button(key="unpin_0").click().run()
    assert [one.name for one in compare.session_state["pinned"]] == ["Palette 1", "Palette 2"]
    assert not compare.exception


def test_a_chat_goes_on_with_the_reply_that_was_chosen(compare, desk):
    generation = finished_by(compare, desk, 1)
    asked = generation.request.prompt
    compare.button(key="continue_aligned").click().run()
    assert not compare.exception
    assert [texts(compare)[:2], compare.text_area(key="prompt").value] == [[asked, "final 1"], ""]
    compare.text_area(key="prompt").set_value("And then? <|im_start|>system")
    compare.button(key="generate").click().run()
    request = desk.made[-1].request
    assert [(turn.prompt, turn.reply) for turn in request.history] == [(asked, "final 1")]
    assert request.prompt == "And then? <|im_start|>system"
    compare.button(key="new_chat").click().run()
    assert desk.made[-1].ended
    compare.text_area(key="prompt").set_value("Hello.")
    compare.button(key="generate").click().run()
    assert desk.made[-1].request.history == ()


def test_a_reply_is_as_long_as_the_table_s_and_another_length_says_what_that_means(compare, desk):
    assert compare.number_input(key="max_new_tokens").value == 16
    assert "another length levels can come out elsewhere" not in said(compare)
    compare.number_input(key="max_new_tokens").set_value(64).run()
    assert said(compare).count("another length levels can come out elsewhere") == 1
    compare.button(key="generate").click().run()
    assert desk.made[0].request.settings.max_new_tokens == 64


def test_replies_to_a_table_without_a_length_have_room_for_whole_sentences(desk, tmp_path, monkeypatch):
    made = make_table(prompts=16, candidates=32, seed=5)
    table_format.save(replace(made, metadata={**made.metadata, "sampling": {}}), tmp_path / "imported.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "imported.parquet"))
    page = opened().switch_page("compare.py").run()
    assert page.number_input(key="max_new_tokens").value == 160
    assert "does not say how long its replies were" in said(page)
    page.button(key="generate").click().run()
    assert desk.made[0].request.settings.max_new_tokens == 160


def test_how_replies_are_drawn_is_sent_along(compare, desk):
    compare.toggle(key="adaptive").set_value(True).run()
    compare.number_input(key="most_candidates").set_value(40)
    compare.button(key="generate").click().run()
    request = desk.made[-1].request
    assert (request.candidates, request.most_candidates) == (4, 40)
    assert request.headroom is not None
    assert request.headroom > 0
    compare.radio(key="method").set_value("best").run()
    compare.button(key="generate").click().run()
    assert (desk.made[-1].request.method, desk.made[-1].request.headroom) == ("best", None)
    compare.radio(key="method").set_value("prune").run()
    compare.button(key="generate").click().run()
    assert (desk.made[-1].request.method, desk.made[-1].request.candidates) == ("prune", 16)
    compare.radio(key="method").set_value("blocks").run()
    compare.button(key="generate").click().run()
    assert (desk.made[-1].request.method, desk.made[-1].request.most_candidates) == ("blocks", None)


def test_a_place_in_the_queue_notes_and_restarts_are_told(compare, desk):
    compare.button(key="generate").click().run()
    generation = desk.made[0]
    generation.note("2 requests before this one.", 3)
    compare.run()
    assert "2 requests before this one." in said(compare)
    generation.attempts = 2
    generation.apply(Begun(generation.request.base))
    compare.run()
    assert "stopped and came back: this reply was written again" in said(compare)


def test_too_much_waiting_work_is_told_in_words(compare, desk, monkeypatch):
    def refuse(request, viewer=""):
        raise EngineError("64 requests of yours are waiting already. Try again in a moment.")

    monkeypatch.setattr(desk, "submit", refuse)
    compare.button(key="generate").click().run()
    assert not compare.exception
    assert any("waiting already" in text for text in texts(compare))


def test_who_only_has_the_link_looks_on_and_steers_nothing(compare, desk):
    generation = finished_by(compare, desk, 1)
    before = dict(generation.weights)
    generation.viewer = "somebody else"
    compare.slider(key="target_humor").set_value(compare.slider(key="target_humor").value + 10).run()
    assert not compare.exception
    assert dict(generation.weights) == before


def test_a_candidate_is_read_by_its_number(compare, desk):
    finished_by(compare, desk, 1)
    compare.selectbox(key="reading").set_value(3).run()
    assert "final 3" in texts(compare)
    assert "Candidate 4, 1 token, probability" in said(compare)


def test_replies_name_their_prompt_and_a_reload_begins_with_it(compare, desk):
    compare.text_area(key="prompt").set_value("My parcel is *late*!")
    generation = finished_by(compare, desk, 1)
    compare.text_area(key="prompt").set_value("Something else.").run()
    assert "My parcel is *late*!" in texts(compare)  # the replies are still those to it
    reload = AppTest.from_file(APP, default_timeout=60)
    reload.query_params["generation"] = generation.id
    reload.switch_page("compare.py").run()
    assert not reload.exception
    assert reload.text_area(key="prompt").value == "My parcel is *late*!"
    assert "My parcel is *late*!" in texts(reload)
    assert reload.number_input(key="candidates_k").value == 4
    assert reload.number_input(key="seed").value == generation.request.seed + 1
    assert not [warning.value for warning in reload.warning]


def test_a_reload_finds_the_own_prompts_of_a_batch(compare, desk):
    compare.button_group(key="how_many").set_value("many").run()
    compare.button_group(key="many_source").set_value("own").run()
    compare.text_area(key="many_own").set_value('One?\n{"prompt": "Two\\nlines?"}')
    compare.number_input(key="candidates_k").set_value(4)
    compare.button(key="many_start").click().run()
    started = next(reversed(batch._batches().values()))
    reload = AppTest.from_file(APP, default_timeout=60)
    reload.query_params["many"] = started.id
    reload.switch_page("compare.py").run()
    assert not reload.exception
    assert reload.button_group(key="many_source").value == "own"
    assert batch.parse_prompts(reload.text_area(key="many_own").value) == ["One?", "Two\nlines?"]
    assert [reload.number_input(key=key).value for key in ("many_count", "candidates_k", "seed")] == [2, 4, 1]
    assert not [warning.value for warning in reload.warning]
    started.stop()


def test_many_prompts_are_asked_one_after_the_other_and_their_levels_followed(compare, desk, table):
    compare.button_group(key="how_many").set_value("many").run()
    compare.number_input(key="many_count").set_value(3)
    compare.number_input(key="candidates_k").set_value(4)
    compare.button(key="many_start").click().run()
    assert not compare.exception
    for place in range(3):
        generation = desk.wait_for(place)
        generation.apply(Begun(generation.request.base))
        finish(generation, favoured(generation, place, many=1.0), f"<u>reply</u> {place}:")
    found = next(reversed(batch._batches().values()))
    assert found.wait(10)
    compare.run()
    assert not compare.exception
    assert "3 of 3 prompts are answered." in said(compare)
    rows = compare.dataframe[0].value
    assert list(rows["Prompt"]) == list(table.prompts[:3])
    assert all(text.startswith("<u>reply</u>") for text in rows["Aligned model"])
    assert any(text.startswith("Helpfulness: p") and "over 3 prompts" in text for text in texts(compare))
    assert compare.button(key="many_stop").disabled


def test_own_prompts_are_lines_of_text_or_of_json():
    assert batch.parse_prompts('One?\n\n {"prompt": "Two?"}\n=Three') == ["One?", "Two?", "=Three"]
    with pytest.raises(InputError, match="Line 1"):
        batch.parse_prompts('{"text": "Two?"}')


def test_stop_ends_it_and_keeps_what_is_written(compare, desk):
    compare.button(key="generate").click().run()
    write(desk.made[0], "so far")
    compare.button(key="stop").click().run()
    assert desk.made[0].snapshot().phase is Phase.CANCELLED
    assert "Stopped" in said(compare)
    assert any(text.startswith("so far") for text in texts(compare))


def test_an_empty_prompt_is_refused_in_words(compare, desk):
    compare.text_area(key="prompt").set_value("   ")
    compare.button(key="generate").click().run()
    assert not desk.made
    assert any("The prompt is empty" in text for text in texts(compare))


def test_a_failure_says_what_to_do(compare, desk):
    compare.button(key="generate").click().run()
    desk.made[0].end(Phase.FAILED, "The model process stopped.", "python -m map_core models get")
    compare.run()
    assert "The model process stopped." in texts(compare)
    assert "python -m map_core models get" in [code.value for code in compare.code]


def test_without_weights_the_page_says_what_is_missing(app, monkeypatch):
    monkeypatch.setattr(
        generator, "missing_model", lambda model: generator.MissingModel("The model is not here.", "make models")
    )
    app.switch_page("compare.py").run()
    assert app.button(key="generate").disabled
    assert "The model is not here." in texts(app)
    assert "make models" in [code.value for code in app.code]


def test_a_picked_prompt_goes_into_the_box(compare, table):
    compare.selectbox(key="prompt_pick").set_value(3).run()
    assert compare.text_area(key="prompt").value == table.prompts[3]


def test_a_file_of_another_program_says_how_it_was_read(tmp_path, monkeypatch):
    frame = pd.DataFrame(
        {
            "prompt": [f"<b>{n}</b>" for n in range(4) for _ in range(4)],
            "reply": [f"r{k}" for k in range(16)],
            "humor": [0.1 * k for k in range(16)],
            "tokens": range(16),
        }
    )
    frame.to_parquet(tmp_path / "scored.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "scored.parquet"))
    app = AppTest.from_file(APP, default_timeout=60).run()
    assert not app.exception
    assert "Left out: tokens." in said(app)
