"""The page Listen as a script: what is asked for, one prompt, a chat or many; queues, faults and reloads."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import openpyxl
import pytest
from streamlit.testing.v1 import AppTest

from map_core.data import table_format
from map_core.data.subsample import subsample_candidates
from map_core.errors import EngineError, InputError
from map_core.feasibility import assess
from map_core.generation.events import Begun
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import percentiles
from map_core.service.snapshot import Phase
from pages.view.compare import batch, generator
from tests.pages.app_script import APP, opened, said
from tests.pages.compare_script import favoured, finish, finished_by, texts, write
from tests.tables import VALUES, make_table


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
    solution = expected.solution or expected.nearest.solution
    j = table.values.index(name)
    assert few[name] == pytest.approx(solution.weights[j] / oracle.scale[j], rel=1e-6)
    assert few[name] != pytest.approx(all_of_them[name], rel=1e-2)


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
    assert "another length, levels can differ" not in said(compare)
    compare.number_input(key="max_new_tokens").set_value(64).run()
    assert said(compare).count("another length, levels can differ") == 1
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
    assert batch.parse_lines(reload.text_area(key="many_own").value) == ["One?", "Two\nlines?"]
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
    batch_of_visit = next(reversed(batch._batches().values()))
    assert batch_of_visit.wait(10)
    compare.run()
    assert not compare.exception
    assert "3 of 3 prompts are answered." in said(compare)
    rows = compare.dataframe[0].value
    assert list(rows["Prompt"]) == list(table.prompts[:3])
    assert all(text.startswith("<u>reply</u>") for text in rows["Aligned model"])
    assert any(text.startswith("Helpfulness: p") and "over 3 prompts" in text for text in texts(compare))
    assert compare.button(key="many_stop").disabled


def test_own_prompts_are_lines_of_text_or_of_json():
    assert batch.parse_lines('One?\n\n {"prompt": "Two?"}\n=Three') == ["One?", "Two?", "=Three"]
    assert batch.parse_lines(" \n") == []
    for wrong in ('{"text": "Two?"}', "{Two?", '{"prompt": ["a", "b"]}'):
        with pytest.raises(InputError, match="Line 3 of your text"):
            batch.parse_lines(f"One?\n\n{wrong}")


def excel(*rows: tuple[str, ...]) -> bytes:
    """An Excel workbook with these rows."""
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet()
    for row in rows:
        sheet.append(row)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"Why?\nHow, then?\nWhy?\n"),
        ("a.csv", b'Prompt,use_case\nWhy?,x\n"How, then?",y\nWhy?,x\n'),
        ("a.json", b'[{"prompt": "Why?"}, {"prompt": "How, then?"}]'),
        ("a.JSONL", b'{"prompt": "Why?"}\n{"prompt": "How, then?"}\n'),
        ("a.xlsx", excel(("prompt",), ("Why?",), ("How, then?",), ("Why?",))),
    ],
)
def test_own_prompts_come_from_the_files_that_a_build_takes_and_are_asked_once(compare, desk, name, content):
    compare.button_group(key="how_many").set_value("many").run()
    compare.button_group(key="many_source").set_value("own").run()
    compare.text_area(key="many_own").set_value("Typed?\nWhy?").run()
    assert "2 different prompts, each asked once." in said(compare)
    compare.file_uploader(key="many_file").upload(name, content, "application/octet-stream").run()
    assert "3 different prompts, each asked once." in said(compare)
    compare.number_input(key="many_count").set_value(2).run()
    assert "3 different prompts; the first 2 are asked." in said(compare)
    compare.number_input(key="many_count").set_value(16).run()
    compare.button(key="many_start").click().run()
    assert not compare.exception
    started = next(reversed(batch._batches().values()))
    assert [request.prompt for request in started.requests] == ["Typed?", "Why?", "How, then?"]
    started.stop()


def test_what_is_wrong_with_own_prompts_is_said_before_they_are_asked(compare, desk):
    compare.button_group(key="how_many").set_value("many").run()
    compare.button_group(key="many_source").set_value("own").run()
    compare.file_uploader(key="many_file").upload("a.csv", b"question\nWhy?\n", "text/csv").run()
    assert any("a.csv has the columns 'question'; expected one that is named prompt" in text for text in texts(compare))
    assert compare.button(key="many_start").disabled
    compare.text_area(key="many_own").set_value("Typed?\n{Why?").run()
    assert any("Line 2 of your text" in text for text in texts(compare))
    assert not desk.made


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
