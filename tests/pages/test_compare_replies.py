"""Tests of the page Listen as a script: replies while written, chosen, compared and judged."""

from __future__ import annotations

import numpy as np
import pytest

from map_core.engines.tokens import Token
from map_core.generation.events import Scored, Tokens
from map_core.palettes.targets import percentiles
from tests.pages.app_script import page_text, panel, text_of
from tests.pages.compare_script import begun, captions, draw_by_chance, favoured, finish, finished_by, texts, write
from tests.tables import VALUES


def test_both_replies_stream_and_the_leader_is_provisional(compare, desk):
    generation = begun(compare, desk)
    base = generation.request.base
    compare.run()
    assert f"<b>Reply</b> {base}" in texts(compare)
    assert any("provisional: nothing is scored yet" in caption for caption in captions(compare))
    leader, picked = (base + 2) % 4, (base + 1) % 4
    for name, values in favoured(generation, leader).items():
        generation.apply(Scored(name, tuple(values), provisional=True))
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
    assert "<script>" not in page_text(compare).replace(f"<script>final</script> {picked}", "").replace(
        f"<script>final</script> {base}", ""
    )


def test_a_column_carries_its_certificate_and_says_when_more_candidates_would_help(compare, desk):
    generation = finished_by(compare, desk, 2)
    page = page_text(compare)
    for label in ("Probability", "Effective sample size", "Spent", "log Z"):
        assert f"<dt>{label}</dt>" in page
    assert "1.0 of 4" in page
    assert "More candidates would help: too few carry this choice." in page
    compare.button(key="draw_more").click().run()
    larger_request = desk.made[-1].request
    assert (larger_request.seed, larger_request.prompt, larger_request.candidates) == (
        generation.request.seed,
        generation.request.prompt,
        4,
    )
    assert larger_request.most_candidates == 8
    assert larger_request.base == generation.request.base


def test_moving_a_target_picks_among_the_same_candidates(compare, desk):
    """One candidate has all the humor, another the other values: the palette decides which is picked."""
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
    rewards = {k: [0.0] * 4 for k in generation.request.scored}
    finish(generation, rewards | {name: (np.log(chances) / weight).tolist()})
    compare.run()
    assert "Candidate 3, the likeliest of 4 under your palette: 40%" in captions(compare)
    assert "The forecast of levels is about replies that are drawn by chance." in page_text(compare)
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
    assert "<dt>Effective sample size</dt>" not in page_text(page)
    assert not page.dataframe
    page.session_state["figures"] = True
    assert "<dt>Effective sample size</dt>" in page_text(page.run())
    page.session_state["all_candidates"] = True
    assert len(page.run().dataframe) == 1


def test_another_base_reply_is_shown_where_the_likeliest_is_the_base_models_own_draw(compare, desk):
    generation = begun(compare, desk)
    base = generation.request.base
    finish(generation, favoured(generation, base))
    compare.run()
    panel_content = panel(compare)
    assert [text_of(slot["nodes"]) for slot in panel_content["slots"]] == [f"final {(base + 1) % 4}", f"final {base}"]
    assert "Both fell on the same reply" in panel_content["slots"][0]["note"]
    assert "This table does not name its model, so smollm2-135m-instruct writes the new replies." in page_text(compare)


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


def test_truncated_reply_ends_with_a_sentence_and_can_be_expanded(compare, desk):
    generation = begun(compare, desk)
    text = "It rains in the morning. Take a **coat** with you. And then you sho"
    write(generation, "")
    tokens = [Token(k, 2, text, -1.0, True, False) for k in range(4)]
    generation.apply(Tokens(2, tuple(tokens)))
    compare.button(key="stop").click().run()
    slot = panel(compare)["slots"][0]
    assert text_of(slot["nodes"]).endswith("Take a coat with you.\u00a0…")
    assert text_of(slot["whole"]).endswith("And then you sho\u00a0…")


def test_open_judgements_are_separate_from_blind_ones(compare, desk):
    generation = finished_by(compare, desk, 2)
    assert [compare.button(key=f"better_{whose}").label for whose in ("base", "tie", "aligned")] == [
        "Base model",
        "No difference",
        "Aligned model",
    ]
    compare.button(key="better_aligned").click().run()
    assert not compare.exception
    assert "You preferred the aligned model." in page_text(compare)
    assert "Judged with names in sight: The aligned reply was preferred in 1 of 1" in page_text(compare)
    assert not [button for button in compare.button if (button.key or "").startswith("better_")]
    compare.toggle(key="judge_blind").set_value(True).run()
    judge_buttons = [button.key for button in compare.button if (button.key or "").startswith("judge_is_")]
    assert len(judge_buttons) == 3 or generation.request.base == 2, (
        "a judgement with names does not stand for a blind one"
    )
    compare.toggle(key="judge_blind").set_value(False).run()
    compare.button(key="judge_undo").click().run()
    assert "Nobody has judged this palette yet." in page_text(compare)


def test_pinned_palettes_choose_from_the_same_candidates(compare, desk):
    compare.text_input(key="pin_name").set_value("<i>Kind</i>")
    compare.button(key="pin").click().run()
    compare.button(key="pin").click().run()
    compare.button(key="pin").click().run()
    assert [palette.name for palette in compare.session_state["pinned"]] == ["<i>Kind</i>", "Palette 1", "Palette 2"]
    assert compare.button(key="pin").disabled
    finished_by(compare, desk, 1)
    draw_by_chance(compare)
    assert len([text for text in captions(compare) if text.startswith("Candidate 2, picked by")]) == 4
    assert "<i>Kind</i>" not in "".join(getattr(element.proto, "body", "") for element in compare.get("html"))
    assert "&lt;i&gt;Kind&lt;/i&gt;" in page_text(compare)
    rows = compare.dataframe[0].value
    assert list(rows["Probability (Palette 1)"]) == pytest.approx(list(rows["Probability"]))
    compare.button_group(key="steered").set_value([2]).run()
    compare.button(key="use_0").click().run()
    assert not compare.session_state["history"].now.targets["helpfulness"].free
    compare.button(key="unpin_0").click().run()
    assert [palette.name for palette in compare.session_state["pinned"]] == ["Palette 1", "Palette 2"]
    assert not compare.exception


def test_visitor_with_the_link_watches_without_control(compare, desk):
    generation = finished_by(compare, desk, 1)
    before = dict(generation.weights)
    generation.viewer = "somebody else"
    compare.slider(key="target_humor").set_value(compare.slider(key="target_humor").value + 10).run()
    assert not compare.exception
    assert dict(generation.weights) == before


def test_candidate_can_be_opened_by_its_number(compare, desk):
    finished_by(compare, desk, 1)
    compare.selectbox(key="reading").set_value(3).run()
    assert "final 3" in texts(compare)
    assert "Candidate 4, 1 token, probability" in page_text(compare)
