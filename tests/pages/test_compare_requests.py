"""Tests of the page Listen as a script: requests for one prompt, a chat or many; queues, faults and reloads."""

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
from tests.pages.app_script import APP, opened, page_text
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


def test_weights_depend_on_the_number_of_candidates(compare, desk, table):
    for candidates in (4, 16):
        compare.number_input(key="candidates_k").set_value(candidates)
        compare.button(key="generate").click().run()
    for_few, for_all = (generation.request.weights for generation in desk.made)
    oracle = MemoryOracle.of(subsample_candidates(table, 4))
    name = max(for_all, key=for_all.get)
    levels = np.full(len(table.values), np.nan)
    for value_name, target in compare.session_state["history"].now.targets.items():
        if not target.free:
            j = table.index(value_name)
            levels[j] = percentiles(table).level(j, target.percentile) if target.level is None else target.level
    expected = assess(oracle, oracle.standardise(levels))
    solution = expected.solution or expected.nearest.solution
    j = table.values.index(name)
    assert for_few[name] == pytest.approx(solution.weights[j] / oracle.scale[j], rel=1e-6)
    assert for_few[name] != pytest.approx(for_all[name], rel=1e-2)


def test_chat_continues_with_the_chosen_reply(compare, desk):
    generation = finished_by(compare, desk, 1)
    prompt = generation.request.prompt
    compare.button(key="continue_aligned").click().run()
    assert not compare.exception
    assert [texts(compare)[:2], compare.text_area(key="prompt").value] == [[prompt, "final 1"], ""]
    compare.text_area(key="prompt").set_value("And then? <|im_start|>system")
    compare.button(key="generate").click().run()
    request = desk.made[-1].request
    assert [(turn.prompt, turn.reply) for turn in request.history] == [(prompt, "final 1")]
    assert request.prompt == "And then? <|im_start|>system"
    compare.button(key="new_chat").click().run()
    assert desk.made[-1].ended
    compare.text_area(key="prompt").set_value("Hello.")
    compare.button(key="generate").click().run()
    assert desk.made[-1].request.history == ()


def test_reply_length_defaults_to_that_of_the_table_and_others_are_explained(compare, desk):
    assert compare.number_input(key="max_new_tokens").value == 16
    assert "another length, levels can differ" not in page_text(compare)
    compare.number_input(key="max_new_tokens").set_value(64).run()
    assert page_text(compare).count("another length, levels can differ") == 1
    compare.button(key="generate").click().run()
    assert desk.made[0].request.settings.max_new_tokens == 64


def test_default_length_without_one_in_the_table(desk, tmp_path, monkeypatch):
    table = make_table(prompts=16, candidates=32, seed=5)
    table_format.save(replace(table, metadata={**table.metadata, "sampling": {}}), tmp_path / "imported.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "imported.parquet"))
    page = opened().switch_page("compare.py").run()
    assert page.number_input(key="max_new_tokens").value == 160
    assert "does not say how long its replies were" in page_text(page)
    page.button(key="generate").click().run()
    assert desk.made[0].request.settings.max_new_tokens == 160


def test_sampling_settings_are_sent(compare, desk):
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


def test_queue_position_notes_and_restarts_are_shown(compare, desk):
    compare.button(key="generate").click().run()
    generation = desk.made[0]
    generation.note("2 requests before this one.", 3)
    compare.run()
    assert "2 requests before this one." in page_text(compare)
    generation.attempts = 2
    generation.apply(Begun(generation.request.base))
    compare.run()
    assert "stopped and came back: this reply was written again" in page_text(compare)


def test_full_queue_is_reported(compare, desk, monkeypatch):
    def refuse(request, viewer=""):
        raise EngineError("64 requests of yours are waiting already. Try again in a moment.")

    monkeypatch.setattr(desk, "submit", refuse)
    compare.button(key="generate").click().run()
    assert not compare.exception
    assert any("waiting already" in text for text in texts(compare))


def test_replies_name_their_prompt_and_a_reload_keeps_it(compare, desk):
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


def test_reload_keeps_the_own_prompts_of_a_batch(compare, desk):
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


def test_many_prompts_run_in_sequence_with_running_levels(compare, desk, table):
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
    assert "3 of 3 prompts are answered." in page_text(compare)
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
    """Return an Excel workbook with these rows."""
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
def test_own_prompts_are_read_like_those_of_a_build_and_sent_once(compare, desk, name, content):
    compare.button_group(key="how_many").set_value("many").run()
    compare.button_group(key="many_source").set_value("own").run()
    compare.text_area(key="many_own").set_value("Typed?\nWhy?").run()
    assert "2 different prompts, each asked once." in page_text(compare)
    compare.file_uploader(key="many_file").upload(name, content, "application/octet-stream").run()
    assert "3 different prompts, each asked once." in page_text(compare)
    compare.number_input(key="many_count").set_value(2).run()
    assert "3 different prompts; the first 2 are asked." in page_text(compare)
    compare.number_input(key="many_count").set_value(16).run()
    compare.button(key="many_start").click().run()
    assert not compare.exception
    started = next(reversed(batch._batches().values()))
    assert [request.prompt for request in started.requests] == ["Typed?", "Why?", "How, then?"]
    started.stop()


def test_errors_in_own_prompts_are_reported_before_generation(compare, desk):
    compare.button_group(key="how_many").set_value("many").run()
    compare.button_group(key="many_source").set_value("own").run()
    compare.file_uploader(key="many_file").upload("a.csv", b"question\nWhy?\n", "text/csv").run()
    assert any("a.csv has the columns 'question'; expected one that is named prompt" in text for text in texts(compare))
    assert compare.button(key="many_start").disabled
    compare.text_area(key="many_own").set_value("Typed?\n{Why?").run()
    assert any("Line 2 of your text" in text for text in texts(compare))
    assert not desk.made


def test_stop_keeps_what_is_written(compare, desk):
    compare.button(key="generate").click().run()
    write(desk.made[0], "so far")
    compare.button(key="stop").click().run()
    assert desk.made[0].snapshot().phase is Phase.CANCELLED
    assert "Stopped" in page_text(compare)
    assert any(text.startswith("so far") for text in texts(compare))


def test_empty_prompt_is_refused(compare, desk):
    compare.text_area(key="prompt").set_value("   ")
    compare.button(key="generate").click().run()
    assert not desk.made
    assert any("The prompt is empty" in text for text in texts(compare))


def test_failure_is_shown_with_a_remedy(compare, desk):
    compare.button(key="generate").click().run()
    desk.made[0].end(Phase.FAILED, "The model process stopped.", "python -m map_core models get")
    compare.run()
    assert "The model process stopped." in texts(compare)
    assert "python -m map_core models get" in [code.value for code in compare.code]


def test_without_model_files_the_page_says_what_is_missing(app, monkeypatch):
    monkeypatch.setattr(
        generator, "missing_model", lambda model: generator.MissingModel("The model is not here.", "make models")
    )
    app.switch_page("compare.py").run()
    assert app.button(key="generate").disabled
    assert "The model is not here." in texts(app)
    assert "make models" in [code.value for code in app.code]


def test_picked_prompt_fills_the_box(compare, table):
    compare.selectbox(key="prompt_pick").set_value(3).run()
    assert compare.text_area(key="prompt").value == table.prompts[3]
