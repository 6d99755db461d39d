"""Many prompts at once: a table that fills in, and realised levels that converge on what was forecast.

The work belongs to the process and not to the page, so it continues while another page is open, and a reload finds it
again by its id in the address.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from map_core.core import amounts
from map_core.core.limits import TEXT_FILE
from map_core.errors import InputError, PaletteError
from map_core.feasibility import Assessment
from map_core.figures import converging as figures
from map_core.figures import theme
from map_core.generation.choice import Choice
from map_core.service import records
from map_core.service.batch import PromptBatch, expected_levels
from map_core.service.generation import Generation
from map_core.service.snapshot import GenerationSnapshot, Phase
from map_core.text import sentences
from pages.view.compare import blind_vote, candidate_field, generator, pinned, prompt_cohort, prompt_form
from pages.view.compare.comparison import choices, shown_candidate
from pages.view.compare.pinned import PaletteColumn
from pages.view.session.scene import Scene
from pages.view.shell import account, markup, page_words, uploads
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.session_keys import Key

POLL_SECONDS = 0.5
PROMPTS, MAX_PROMPTS = 16, 128
_MAX_BATCHES = 64
_STATES = {
    Phase.WAITING: "waiting",
    Phase.SAMPLING: "writing",
    Phase.SCORING: "scoring",
    Phase.DONE: "done",
    Phase.CANCELLED: "stopped",
    Phase.FAILED: "failed",
}

BATCH: KeptKey[str] = KeptKey("many", "", str, str)
SOURCE: Key[str] = Key("many_source", "table")
OWN_PROMPTS: KeptKey[str] = KeptKey("many_own", "", str, str, draft=True)
FILE: Key[UploadedFile | None] = Key("many_file", None)
COUNT: Key[int] = Key("many_count", PROMPTS)

#: Not in a cache of Streamlit, which any client could clear.
_ALL: OrderedDict[str, PromptBatch] = OrderedDict()


def _batches() -> OrderedDict[str, PromptBatch]:
    """Return the batches of all viewers, by id."""
    return _ALL


def current_batch() -> PromptBatch | None:
    """Return the batch on this page: this viewer's newest, or the one that the address names."""
    name = BATCH.get() or st.query_params.get("many")
    batch = _batches().get(name) if name else None
    if batch is not None:
        BATCH.set(batch.id)
    return batch


def restore(scene: Scene) -> None:
    """Set the controls to the prompts and settings of a batch that the address names, at the start of a visit."""
    if BATCH.is_set() or (batch := current_batch()) is None:
        return
    prompts = [request.prompt for request in batch.requests]
    if prompts != list(scene.table.prompts[: len(prompts)]):
        SOURCE.set("own")
        OWN_PROMPTS.set("\n".join(_prompt_line(prompt) for prompt in prompts))
    COUNT.set(len(prompts))
    prompt_form.take_settings(batch.requests[0])
    prompt_form.SEED.set(batch.requests[0].seed)


def _prompt_line(prompt: str) -> str:
    """Return a prompt as a line that :func:`parse_lines` reads back."""
    plain = "\n" not in prompt and not prompt.startswith("{")
    return prompt if plain else json.dumps({"prompt": prompt}, ensure_ascii=False)


def draw_mode_switch(default: bool) -> bool:
    """Draw the choice between one prompt and many, and return whether it is many."""
    chosen = st.segmented_control(
        "How many prompts",
        ["one", "many"],
        format_func={"one": "One prompt", "many": "Many prompts"}.__getitem__,
        default="many" if default else "one",
        required=True,
        key="how_many",
        persist_state="session",
        label_visibility="collapsed",
    )
    return bool(chosen == "many")


def stop() -> None:
    """Stop the batch on this page, if this viewer started it; finished prompts stay."""
    batch = current_batch()
    if batch is not None and generator.is_owner(batch):
        batch.stop()


def parse_lines(text: str) -> list[str]:
    """Return the prompts that somebody typed or pasted: a line each, as text or as JSON with a "prompt".

    Raises:
        InputError: a line is JSON without a prompt.
    """
    lines = [line.strip() for line in text.split("\n")]
    rows = [line if not line or line.startswith("{") else json.dumps({"prompt": line}) for line in lines]
    if not any(rows):
        return []
    return [prompt.text for prompt in uploads.parse_prompts("\n".join(rows).encode(), ".jsonl", count_repeats=True)]


def own_prompts() -> list[str]:
    """Return the prompts of the text field and of the file, each once.

    Raises:
        InputError: the file is too large, or a line of either is not valid.
    """
    prompts = parse_lines(str(OWN_PROMPTS.get() or ""))
    if (file := FILE.get()) is not None:
        prompts += [prompt.text for prompt in uploads.prompts_of(file, count_repeats=True)]
    return list(dict.fromkeys(prompts))


def start(scene: Scene, assessment: Assessment) -> None:
    """Submit a request for each prompt, one after the other."""
    prompt_form.remember_refusal(None)
    stop()
    try:
        prompts = own_prompts() if SOURCE.get() == "own" else list(scene.table.prompts)
        prompts = prompts[: int(COUNT.get())]
        seed, service, viewer = int(prompt_form.SEED.get()), generator.service(scene), account.counted_as()
        batch = PromptBatch(
            [
                prompt_form.build_request(scene, assessment, prompt, seed + i, prompt_cohort.chosen())
                for i, prompt in enumerate(prompts)
            ],
            lambda request: service.submit(request, viewer=viewer),
            viewer,
        )
    except PaletteError as error:
        prompt_form.remember_refusal(error)
        return
    generator.claim(batch)
    batches = _batches()
    batches[batch.id] = batch
    # Never one that still runs, no matter who started it.
    for ended in [old.id for old in batches.values() if old.ended][: max(0, len(batches) - _MAX_BATCHES)]:
        del batches[ended]
    BATCH.set(batch.id)


def draw_controls(scene: Scene, assessment: Assessment, ready: bool) -> None:
    """Draw which prompts, how many, and how they are answered."""
    batch = current_batch()
    SOURCE.get_or_set("table")
    COUNT.get_or_set(PROMPTS)
    with st.container(key="ask_many"):
        source = st.segmented_control(
            "Prompts",
            ["table", "own"],
            format_func={"table": "From this use case", "own": "My own"}.__getitem__,
            required=True,
            key=SOURCE.name,
            persist_state="session",
        )
        if source == "own":
            st.text_area(
                "One prompt per line",
                key=OWN_PROMPTS.name,
                height=120,
                persist_state="session",
                placeholder="One prompt per line",
            )
            st.file_uploader(
                "Or a file of prompts",
                uploads.PROMPT_FILES,
                key=FILE.name,
                max_upload_size=TEXT_FILE.value,
                help="One prompt per line; or Excel, CSV or JSON lines with a column that is named prompt.",
            )
            ready = _draw_own_count() and ready
        with st.container(horizontal=True, vertical_alignment="bottom", key="many_controls"):
            st.number_input("Prompts at most", 1, MAX_PROMPTS, key=COUNT.name, persist_state="session", width=140)
            prompt_form.draw_number_inputs(scene)
            st.button(
                "Start",
                key="many_start",
                type="primary",
                icon=":material/play_arrow:",
                on_click=start,
                args=(scene, assessment),
                disabled=not ready,
            )
            st.button(
                "Stop",
                key="many_stop",
                icon=":material/stop:",
                on_click=stop,
                disabled=batch is None or batch.ended or not generator.is_owner(batch),
            )
        prompt_form.draw_method()
        prompt_form.draw_refusal()


def _draw_own_count() -> bool:
    """Say how many prompts of one's own there are and how many are asked, or what is wrong with them.

    Returns whether they can be asked; without any, a press says what is missing.
    """
    try:
        prompts = own_prompts()
    except InputError as error:
        st.text(page_words.of(error))
        return False
    if prompts:
        prompt_count = min(len(prompts), int(COUNT.get()))
        which = f"; the first {prompt_count} are asked." if prompt_count < len(prompts) else ", each asked once."
        st.html(markup.note(amounts.counted(len(prompts), "different prompt", grouped=True) + which))
    return True


@dataclass(frozen=True, eq=False)
class _PromptResult:
    """The state of one prompt, and what each palette chooses for it."""

    generation: Generation
    shown: GenerationSnapshot
    choices: tuple[Choice | None, ...]


def draw_batch(scene: Scene, assessment: Assessment) -> None:
    """Draw the table and the figures, again and again while the batch runs."""
    batch = current_batch()
    if batch is None:
        st.html(markup.note("Each prompt gets its own candidates; the table and the levels fill in as prompts finish."))
        return
    running = not batch.ended

    def draw() -> None:
        _draw(scene, assessment, batch)
        if (running and batch.ended) or BATCH.get() != batch.id:
            st.rerun()

    st.fragment(draw, run_every=POLL_SECONDS if running else None)()


def _draw(scene: Scene, assessment: Assessment, batch: PromptBatch) -> None:
    first = batch.requests[0]
    columns = pinned.columns(scene, assessment, first.candidates, prompt_cohort.chosen())
    if generator.is_owner(batch):
        batch.reweigh(generator.of_scored(columns[0].weights.by_value, first.scored))
    answered = []
    for generation in batch.generations:
        snapshot = generation.snapshot()
        answered.append(_PromptResult(generation, snapshot, choices(generation, snapshot, columns)))
    done = [answer for answer in answered if answer.shown.phase is Phase.DONE and answer.choices[0] is not None]
    summary = f"{len(done)} of {len(batch.requests)} prompts are answered."
    waiting = next(
        (answer.shown.note for answer in answered if answer.shown.phase is Phase.WAITING and answer.shown.note), ""
    )
    st.html(f'<div role="status">{markup.note(f"{summary} {waiting}".strip())}</div>')
    if any(answer.shown.restarts for answer in answered):
        st.html(markup.note("The model process stopped and came back: unfinished replies were written again."))
    if batch.error:
        st.error("This ended early.", icon=":material/error:")
        st.text(page_words.of(batch.error))
    votable = [blind_vote.vote_question(answer.generation, answer.shown, answer.choices[0]) for answer in done]
    questions = [answer for answer in votable if answer is not None]
    if blind_vote.draw_instead_of_replies(questions, waiting=not batch.ended):
        return
    _draw_table(scene, batch, columns, answered)
    if questions:
        blind_vote.draw_summary()
    if done:
        _draw_levels(scene, assessment, columns[0], done, len(batch.requests))
    if batch.ended and answered:
        others = {answer.name: answer.weights.by_value for answer in columns[1:]}
        weights, model = columns[0].weights.by_value, generator.table_model(scene)
        candidate_field.draw_downloads(
            [records.generation_record(answer.generation, weights, others, model=model) for answer in answered],
            "many-prompts",
        )


def _draw_table(
    scene: Scene, batch: PromptBatch, columns: Sequence[PaletteColumn], answered: Sequence[_PromptResult]
) -> None:
    """Draw a row for each prompt, including those that wait."""
    names = [name for name in batch.requests[0].scored if columns[0].weights.by_value.get(name)]
    rows: list[dict[str, Any]] = []
    for number, request in enumerate(batch.requests):
        row: dict[str, Any] = {"No.": number + 1, "State": "waiting" if not batch.ended else "not asked"}
        row["Prompt"] = request.prompt
        answer = answered[number] if number < len(answered) else None
        candidates = answer.shown.candidates if answer else ()
        row["Base model"] = candidates[answer.shown.base].display_text if answer else None
        for column in columns:
            row[column.name] = None
        if answer is not None:
            row["State"] = page_words.of(answer.shown.error or "") or _STATES[answer.shown.phase]
            picks = [shown_candidate(answer.shown, choice) for choice in answer.choices]
            for column, picked in zip(columns, picks, strict=True):
                row[column.name] = None if picked is None else candidates[picked].display_text
            for name in names:
                title = sentences.capitalised(generator.value_title(scene, name))
                row[f"{title}, base"] = candidates[answer.shown.base].rewards.get(name)
                row[title] = None if picks[0] is None else candidates[picks[0]].rewards.get(name)
        rows.append(row)
    kinds = st.column_config
    st.dataframe(
        rows,
        hide_index=True,
        key="many_table",
        placeholder="–",
        height=min(36 * (len(rows) + 1), 440),
        column_config={
            "No.": kinds.NumberColumn(width=44),
            "State": kinds.TextColumn(width=80),
            "Prompt": kinds.TextColumn(width=240),
            "Base model": kinds.TextColumn(width=300),
            **{column.name: kinds.TextColumn(width=300) for column in columns},
            **{
                title: kinds.NumberColumn(format="%.3g", width=110)
                for name in names
                for value_title in [sentences.capitalised(generator.value_title(scene, name))]
                for title in (value_title, f"{value_title}, base")
            },
        },
    )


def _draw_levels(
    scene: Scene, assessment: Assessment, column: PaletteColumn, done: Sequence[_PromptResult], prompts: int
) -> None:
    """Draw the realised levels of the values that have a target, against what was forecast for them."""
    values = [int(j) for j in np.flatnonzero(~np.isnan(assessment.targets))]
    scored = done[0].generation.request.scored
    values = [j for j in values if scene.table.values[j] in scored]
    if not values:
        st.html(markup.note("No value has a target, so there is no level to follow."))
        return
    names = [name for name in scene.table.values if name in scored]
    rows = [expected_levels(answer.shown.candidates, choice, names) for answer in done if (choice := answer.choices[0])]
    count = len(scene.table.values)
    realised, base = np.full((len(rows), count), np.nan), np.full((len(rows), count), np.nan)
    positions = [scene.table.values.index(name) for name in names]
    for row, (levels, base_levels) in enumerate(rows):
        realised[row, positions], base[row, positions] = levels, base_levels
    complete = ~np.isnan(realised[:, values]).any(axis=1)
    if not complete.any():
        return
    targets = scene.oracle.rewards_at(assessment.targets)
    convergence = figures.ConvergenceData(realised[complete], base[complete], column.weights.levels, targets, prompts)
    units = scene.units()
    st.header("Levels, prompt by prompt")
    st.html(
        markup.note(
            "The thick line is the expected level over the prompts answered so far, with its 90% band; grey is the "
            "base model on the same prompts. The forecast is for the table's prompts; others may give other levels."
        )
    )
    with st.container(horizontal=True, key="many_charts"):
        for j in values:
            st.plotly_chart(
                figures.converging(convergence, j, units, scene.theme),
                key=f"converging_{j}",
                config=theme.CONFIG,
                alt=f"Realised level of {scene.names[j]} against the number of prompts answered",
            )
    with st.expander("In words", key="many_words"):
        for sentence in figures.summary(convergence, values, units):
            st.text(sentence)
    st.download_button(
        "Levels (CSV)",
        lambda: figures.converging_csv(convergence, scene.table.values),
        "levels-by-prompt.csv",
        "text/csv",
        icon=":material/download:",
        type="tertiary",
        key="many_levels_csv",
        on_click="ignore",
    )
