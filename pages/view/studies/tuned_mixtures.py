"""Models that are tuned to one value each, mixed for the palette, beside exact decoding."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from map_core.access import Action, Kind
from map_core.analysis.generation_weights import weights_by_value
from map_core.catalog import processes
from map_core.catalog.jobs import MIX, TableJob, TableJobState
from map_core.core import amounts
from map_core.core.jobs import Job
from map_core.errors import InputError
from map_core.oracle import MemoryOracle
from map_core.palettes.palette import ALL
from map_core.solver.newton import Solution, Status, solve
from map_core.text import sentences
from map_core.text import tuned_mixtures as texts
from map_core.tuning.folder import read_ratios
from map_core.tuning.mixtures import SingleTuned, TunedMixture, held_out_of, levels_of, mixture, soup_path
from pages.view.session import scene as scenes
from pages.view.session import tuned_models
from pages.view.session.level_words import level_words
from pages.view.session.scene import Scene
from pages.view.shell import account, background, markup, page_words, server_paths, wording
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id
from pages.view.shell.work_cards import WorkCards, draw_state, place_text

FIRST_NAME = "Mixed models"
RERUN: Key[bool] = Key("mixtures_again", False)
MESSAGE: Key[str] = Key("mixtures_said", "")


@dataclass(frozen=True, eq=False)
class MixedModels:
    """The levels of mixed models for a palette.

    Args:
        mixture: of the models.
        levels: of the mixture, as plain values.
        soup: levels of the soup, likewise; None where they were not computed.
    """

    mixture: TunedMixture
    levels: Mapping[str, Any]
    soup: Mapping[str, Any] | None


def draw_mixtures(scene: Scene, targets: np.ndarray, solution: Solution) -> None:
    """Draw the part of the page.

    Args:
        scene: the table.
        targets: (value,) in standard deviations above base, NaN for free values.
        solution: of the palette.
    """
    st.header("One tuning for many palettes")
    pushed = list(weights_by_value(scene.oracle, solution))
    models = single_models()
    missing = [name for name in pushed if name not in models]
    if missing or len(pushed) < 2:
        titles = {name: scene.names[scene.table.index(name)] for name in pushed}
        if len(pushed) < 2:
            st.html(markup.note("Your palette pushes one value alone, so there is nothing to mix."))
        else:
            tuned = [titles[name] for name in pushed if name in models]
            st.html(markup.note(texts.missing_sentence(tuned, [titles[name] for name in missing])))
        st.page_link("tune.py", label="Tune a model", icon=":material/school:")
        return
    chosen = [models[name] for name in pushed]
    command = _command(scene, targets, chosen)
    work_cards().draw()

    def work(job: Job) -> MixedModels | str:
        return _mixed(scene, targets, chosen)

    read = tuple((model.name, len(model.ratios), _modified(model)) for model in chosen)
    key = (scene.key, targets.tobytes(), read)
    background.poll(background.job("mixtures", key, work), lambda job: _draw(job, command, chosen))


def single_models() -> dict[str, SingleTuned]:
    """Return the newest model that this visitor sees of each value that one was tuned to alone, by value."""
    models: dict[str, SingleTuned] = {}
    for name, record in tuned_models.of_table(scenes.load(ALL).table).items():
        model = SingleTuned.of(name, account.tables().tuned_folder(name), record)
        if model is not None:
            models.setdefault(model.value, model)
    return models


def _mixed(scene: Scene, targets: np.ndarray, models: list[SingleTuned]) -> MixedModels | str:
    """Return the levels of the mixed models, or why they are not known yet."""
    table = held_out_of(scene.table, models)
    oracle = MemoryOracle.of(table, scene.oracle.form)
    solution = solve(oracle, oracle.standardise(scene.oracle.rewards_at(targets)))
    if solution.status is not Status.CONVERGED:
        return (
            "On the prompts that the models learnt from your palette is not possible, so there is nothing to mix for."
        )
    weights = weights_by_value(oracle, solution)
    try:
        mixed = mixture(table, weights, models)
    except InputError:
        return "What these models make of the table's replies is not known yet."
    soup = None
    if mixed.shares:
        kept = read_ratios(soup_path(models, mixed.shares))
        if all(name in kept for name in mixed.prompts):
            soup = levels_of(table, weights, {name: kept[name] for name in mixed.prompts}).as_dict()
    return MixedModels(mixed, mixed.levels.as_dict(), soup)


def _draw(job: Job, command: Sequence[str], models: Sequence[SingleTuned]) -> None:
    if RERUN.pop():
        st.rerun()  # the work that was started has a card now
    if job.error or isinstance(job.result, str):
        st.html(markup.note(page_words.of(job.error or job.result)))
        _draw_start(command, models)
        return
    if job.result is None:
        st.html(markup.note("" if job.ended else "Mixing the tuned models."))
        return
    mixed: MixedModels = job.result
    words = level_words(scenes.load(ALL))
    levels = mixed.mixture.levels
    asked = [name for name, weight in zip(levels.values, levels.lam, strict=True) if weight]
    header, rows = texts.mixture_rows(mixed.levels, mixed.soup, asked, words)
    st.html(
        markup.note(
            "Models that are each tuned to one value serve many palettes: mixed, each reply counts by what all of them "
            "make of it; averaged, they become one model. How far each comes to your palette:"
        )
    )
    st.html(markup.levels_table(header, [(-1, row) for row in rows], wide=True))
    st.html(markup.note(texts.how_sentence(mixed.levels)))
    if wording.current().numbers:
        st.html(markup.note(texts.parts_sentence(mixed.mixture.weights, mixed.mixture.shares)))
    if mixed.soup is None and mixed.mixture.shares:
        _draw_start(command, models)


def work_cards() -> WorkCards:
    """Return the cards of models that read replies; those done go, as their result is kept beside the models."""
    for job in account.tables().list_jobs():
        if (
            job.kind == MIX
            and job.state is TableJobState.DONE
            and account.tables().may(Action.STOP, job.name, Kind.BUILD)
        ):
            account.tables().discard(job.name)
    return WorkCards("Models that read replies", lambda job: job.kind == MIX, _draw_card, RERUN, MESSAGE.set)


def _draw_card(job: TableJob) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"work_head_{job.name}"):
        st.html(markup.name(sentences.listed(list(map(str, job.about.get("models", ()))))), width="content")
        draw_state(job)
    if job.state is TableJobState.RUNNING:
        text = f"Reading replies: {job.done} of {job.total} prompts" if job.total else "Getting ready"
        st.progress(job.done / job.total if job.total else 0.0, text)
    elif job.state is TableJobState.WAITING:
        st.html(markup.note(place_text(job)))
    elif job.error:
        st.text(page_words.of(job.error))
    if not account.tables().may(Action.STOP, job.name, Kind.BUILD):
        return
    with st.container(horizontal=True, gap="small", key=f"work_buttons_{job.name}"):
        if job.going_on:
            work_cards().draw_button("Stop", "stop", job, ":material/stop_circle:", account.tables().stop)
        else:
            work_cards().draw_button("Resume", "on", job, ":material/play_arrow:", account.tables().resume)
            work_cards().draw_discard(job)


def _draw_start(command: Sequence[str], models: Sequence[SingleTuned]) -> None:
    """Draw how to let the models read replies: a button where this visitor may start such a job, and the command."""
    if text := MESSAGE.pop():
        st.text(text)
    if account.may_create(Kind.BUILD):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="mixtures_start"):
            st.button(
                "Have the models read replies",
                key="mixtures_go",
                icon=":material/menu_book:",
                on_click=_start,
                args=(command, models),
            )
            st.html(
                markup.note(
                    "It takes some minutes, continues when this page is closed, and shows the models' average too."
                )
            )
    with st.expander("For programs", icon=":material/terminal:", key="mixtures_programs"):
        shown = shlex.join(server_paths.shown(Path(word)) if word.startswith("/") else word for word in command)
        st.code(f"python -m map_core {shown}", language=None, wrap_lines=True)


def _start(command: Sequence[str], models: Sequence[SingleTuned]) -> None:
    arguments = (*command, "--count=10", "--json", "--progress-file", "{progress}")
    try:
        name = processes.free_name(FIRST_NAME)
        about = {"models": [model.name for model in models]}
        account.tables().start(name, MIX, arguments, about, visit=viewer_id())
    except InputError as error:
        MESSAGE.set(page_words.of(error))
    RERUN.set(True)


def _modified(model: SingleTuned) -> float:
    """Return when log-ratios of a model were last saved."""
    return max((path.stat().st_mtime for path in model.folder.glob("*.json")), default=0.0)


def _command(scene: Scene, targets: np.ndarray, models: Sequence[SingleTuned]) -> tuple[str, ...]:
    """Return the arguments of the command that has the models read replies for a palette."""
    levels = zip(scene.table.values, scene.oracle.rewards_at(targets).tolist(), strict=True)
    asked = [f"--target={name}={amounts.significant(level)}" for name, level in levels if not math.isnan(level)]
    use_case = [] if scene.use_case == ALL else [f"--use-case={scene.use_case}"]
    return ("baselines", str(scenes.table_path()), *asked, *use_case, *(f"--tuned={model.name}" for model in models))
