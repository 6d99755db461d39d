"""Tests of blind judging: the order reveals nothing, the share has an interval, votes belong to a palette."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from map_core.generation.events import Begun
from map_core.store import database, table_key, votes
from map_core.store.votes import Preference, Tally, Vote
from map_core.text.blind_votes import BlindPair, Side, blind_pair, preference_sentence, preference_share, votes_csv
from map_core.text.wording import PLAIN
from pages.view.compare import batch
from pages.view.session import scene
from tests.pages.app_script import page_text
from tests.pages.compare_script import begun, captions, favoured, finish, finished_by, texts


@pytest.fixture(autouse=True)
def empty_database(tmp_path, monkeypatch):
    """Use an empty database."""
    monkeypatch.setenv("VALUE_PALETTE_DATABASE", f"sqlite:///{tmp_path / 'votes.sqlite'}")
    return database()


def test_order_depends_on_the_name_only_and_is_balanced():
    pairs = [blind_pair(f"{number:032x} 3", "base", "aligned") for number in range(400)]
    assert pairs == [blind_pair(f"{number:032x} 3", "base", "aligned") for number in range(400)]
    assert all({pair.a, pair.b} == {"base", "aligned"} for pair in pairs)
    assert all((pair.a if pair.aligned is Side.A else pair.b) == "aligned" for pair in pairs)
    first = sum(pair.aligned is Side.A for pair in pairs)
    assert 160 < first < 240  # four standard deviations of a fair coin


def test_equal_texts_are_no_pair():
    assert blind_pair("x", "The same.\n", " The  same.") is None
    assert blind_pair("x", "", "Something") is not None


def test_a_side_is_somebodys_reply():
    pair = BlindPair("one", "two", aligned=Side.B)
    assert [pair.preferred(side) for side in Side] == [Preference.BASE, Preference.TIE, Preference.ALIGNED]


def test_the_share_of_14_of_20_by_hand():
    """z = 1.644854, z^2 = 2.705543: middle (0.7 + 0.067639) / 1.135277, half a width 1.644854 x 0.110413 / 1.135277."""
    preference = preference_share(Tally(base=6, aligned=14, tie=3))
    assert (preference.share, preference.decided, preference.ties) == (0.7, 20, 3)
    assert (preference.low, preference.high) == pytest.approx((0.676168 - 0.159972, 0.676168 + 0.159972), abs=2e-5)
    assert preference_sentence(Tally(6, 14, 3)) == (
        "The aligned reply was preferred in 14 of 20 judgements, 70% (52 to 84%). 3 more were ties."
    )


def test_a_share_of_few_or_of_none():
    assert preference_share(Tally(tie=5)) is None
    assert preference_sentence(Tally(6, 14, 3), PLAIN) == (
        "The aligned reply was preferred in 14 of 20 judgements. 3 more were ties."
    )
    assert preference_sentence(Tally(aligned=1), PLAIN) == (
        "The aligned reply was preferred in 1 of 1 judgement. Too few to be sure."
    )
    assert preference_sentence(Tally()) == "Nobody has judged this palette yet."
    assert preference_sentence(Tally(tie=1)) == "Nobody has preferred either reply yet. 1 was a tie."
    share = preference_share(Tally(aligned=1))
    assert share.high == 1.0
    assert 0.2 < share.low < 0.3  # 1 / (1 + z^2)
    assert preference_sentence(Tally(aligned=1)).startswith("The aligned reply was preferred in 1 of 1 judgement, 100%")


def test_the_file_names_no_session_and_holds_no_formula():
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    votes_cast = [
        Vote(1, "ab", "=1+1", Preference.ALIGNED, "session-9f", when),
        Vote(2, "ab", "Why?", Preference.TIE, "session-77", when),
        Vote(3, "ab", "How?", Preference.BASE, "session-9f", when),
    ]
    text = votes_csv(votes_cast)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["prompt"], row["preferred"], row["voter"]) for row in rows] == [
        ("'=1+1", "aligned", "1"),
        ("Why?", "tie", "2"),
        ("How?", "base", "1"),
    ]
    assert rows[0]["when_utc"] == "2026-01-02T03:04:05+00:00"
    assert "session" not in text


def answers(app) -> list[str]:
    return [button.key for button in app.button if button.key and button.key.startswith("judge_is_")]


def blind(compare, desk, k: int = 1):
    """Finish a generation with covered replies; the base reply is never candidate k."""
    compare.toggle(key="judge_blind").set_value(True).run()
    generation = begun(compare, desk)
    k = k if k != generation.request.base else (k + 1) % 4
    compare.run()
    assert "covered until they are complete" in page_text(compare)
    assert not any("<b>Reply</b>" in text for text in texts(compare))
    finish(generation, favoured(generation, k))
    compare.run()
    assert not compare.exception
    return generation, k


def test_replies_are_covered_judged_and_then_shown(compare, desk, empty_database):
    generation, k = blind(compare, desk)
    base = generation.request.base
    page = page_text(compare)
    for tell in ("<b>Base model</b>", "<b>Aligned model</b>", "<dt>Effective sample size</dt>"):
        assert tell not in page
    assert not any(caption.startswith("Candidate ") for caption in captions(compare))
    assert not compare.dataframe
    final_texts = [text for text in texts(compare) if text.startswith("final")]
    assert sorted(final_texts) == sorted([f"final {base}", f"final {k}"])
    compare.run()
    assert [text for text in texts(compare) if text.startswith("final")] == final_texts
    side = "A" if final_texts[0] == f"final {k}" else "B"
    compare.button(key=f"judge_is_{side}").click().run()
    assert not compare.exception
    page = page_text(compare)
    assert "You preferred the aligned model." in page
    assert "The aligned reply was preferred in 1 of 1 judgement, 100%" in page
    assert "<dt>Effective sample size</dt>" in page
    assert not answers(compare)
    key = votes.palette_key(compare.session_state["history"].now, table_key(scene.load(scene.ALL).table))
    (vote,) = votes.list_votes(empty_database, key)
    assert (vote.preferred, vote.prompt) == (Preference.ALIGNED, generation.request.prompt)
    compare.button(key="judge_undo").click().run()
    assert votes.list_votes(empty_database, key) == ()
    assert len(answers(compare)) == 3
    compare.button(key="judge_is_neither").click().run()
    assert "You saw no difference." in page_text(compare)
    assert votes.tally(empty_database, key) == Tally(tie=1)


def test_a_changed_palette_has_votes_of_its_own(compare, desk, empty_database):
    blind(compare, desk)
    compare.button(key="judge_is_A").click().run()
    compare.slider(key="target_humor").set_value(compare.slider(key="target_humor").value + 10).run()
    assert "Nobody has judged this palette yet." in page_text(compare)
    assert not compare.exception


def test_equal_replies_are_not_asked_about(compare, desk):
    compare.toggle(key="judge_blind").set_value(True).run()
    generation = begun(compare, desk)
    finish(generation, favoured(generation, generation.request.base))
    compare.run()
    assert not answers(compare)
    assert "Both replies are the same, so there is nothing to judge." in page_text(compare)


def test_without_the_toggle_nothing_is_covered_and_it_can_be_turned_on_at_the_end(compare, desk):
    finished_by(compare, desk, 1)
    assert "<dt>Effective sample size</dt>" in page_text(compare)
    compare.toggle(key="judge_blind").set_value(True).run()
    assert len(answers(compare)) == 3


def test_failing_database_is_reported(compare, desk, monkeypatch, tmp_path):
    blind(compare, desk)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VALUE_PALETTE_DATABASE", f"sqlite:///{tmp_path / 'file' / 'votes.sqlite'}")
    compare.button(key="judge_is_A").click().run()
    assert not compare.exception
    assert len(answers(compare)) == 3
    assert any("VALUE_PALETTE_DATABASE" in text for text in texts(compare))


def test_many_prompts_are_judged_one_after_the_other(compare, desk, table, empty_database):
    compare.button_group(key="how_many").set_value("many").run()
    compare.toggle(key="judge_blind").set_value(True)
    compare.number_input(key="many_count").set_value(3)
    compare.number_input(key="candidates_k").set_value(4)
    compare.button(key="many_start").click().run()
    picks = []
    for place in range(3):
        generation = desk.wait_for(place)
        generation.apply(Begun(generation.request.base))
        # The replies to the second prompt are equal, so it is not a question.
        base = generation.request.base
        picks.append(base if place == 1 else (base + 1) % 4)
        finish(generation, favoured(generation, picks[-1]), f"reply {place}:")
    assert next(reversed(batch._batches().values())).wait(10)
    compare.run()
    assert not compare.exception
    assert not compare.dataframe
    for number, place in enumerate((0, 2), start=1):
        assert f"Judgement {number} of 2" in page_text(compare)
        assert table.prompts[place] in texts(compare)
        reply_texts = [text for text in texts(compare) if text.startswith("reply")]
        assert {text.split(":")[0] for text in reply_texts} == {f"reply {place}"}
        side = "A" if reply_texts[0].endswith(str(picks[place])) else "B"
        compare.button(key=f"judge_is_{side}").click().run()
    assert len(compare.dataframe) == 1
    assert "The aligned reply was preferred in 2 of 2 judgements, 100%" in page_text(compare)
    compare.button(key="judge_undo").click().run()
    assert "Judgement 2 of 2" in page_text(compare)
