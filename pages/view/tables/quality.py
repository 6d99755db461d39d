"""How good the open table is: its size, the range of each value, and what would help the current palette most."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import streamlit as st

from map_core.confidence.table_quality import Advice, Help, advise
from map_core.core import amounts
from map_core.core.jobs import Job, JobStatus
from map_core.data.distribution import reply_masses, typical_candidates
from map_core.data.prompts import Prompt
from map_core.errors import InputError
from map_core.feasibility.trusted_ranges import TrustedRanges, trusted_ranges
from map_core.models.endpoint import refusal_reason
from map_core.scoring import unscorable_values
from map_core.text import table_quality as words
from map_core.text.sentences import capitalised, scored_elsewhere
from pages.view.session import header, palette_state
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import account, background, markup, page_words, tabs
from pages.view.shell import wording as wordings
from pages.view.shell.session_keys import Key
from pages.view.shell.viewer import viewer_id
from pages.view.tables import build_form
from pages.view.tables import markup as table_markup
from pages.view.tables.catalog import DEFAULT_TITLE

BEGUN: Key[bool] = Key("tables_extension_begun", False)

#: Candidates beyond which the page offers no more.
MAX_CANDIDATES = 512


def draw_quality() -> None:
    """Draw facts, advice, ranges and use cases."""
    scene, palette = palette_state.current()
    assessment = palette_state.current_assessment(scene, palette)
    with st.container(horizontal=True, vertical_alignment="bottom", key="good_head"):
        st.html(table_markup.title(scenes.chosen_table() or DEFAULT_TITLE))
        palette_state.draw_use_case_picker()
    table_markup.draw_message()
    header.draw_palette_line(scene, assessment)
    st.html(markup.facts(_facts(scene)))
    targets = assessment.targets
    job = background.job("advice", (scene.key, targets.tobytes()), partial(_advise, scene, targets))
    background.poll(job, partial(_draw_advice, scene))
    st.header("How far each value goes by itself")
    background.poll(background.job("ranges", scene.key, partial(_ranges, scene)), partial(_draw_ranges, scene))
    _draw_use_cases(scene)


def _facts(scene: Scene) -> list[tuple[str, str, str]]:
    """Return the facts of the table in the current use case."""
    table, counts = scene.table, scene.table.candidates
    low, high = int(counts.min()), int(counts.max())
    tokens = sum(map(len, table.tokens)) if wordings.current().numbers else 0
    model = table.metadata.get("model")
    name = str(model.get("name") or "") if isinstance(model, dict) else ""
    masses = reply_masses(table)
    each = amounts.fixed(float(np.average([len(reply) for reply in table.tokens], weights=masses)) if tokens else 0.0)
    return [
        ("Prompts", f"{len(table.prompts):,}", "the more, the surer every level is"),
        ("Replies per prompt", f"{low}" if low == high else f"{low} to {high}", "to choose from"),
        ("Tokens", f"{tokens:,}" if tokens else "", f"{each} a reply" if tokens else ""),
        ("Model", name, "wrote the replies"),
    ]


def _advise(scene: Scene, targets: np.ndarray, job: Job) -> Advice:
    with scene.attainable() as attainable:
        return advise(scene.table, scene.oracle, targets, attainable=attainable)


def _ranges(scene: Scene, job: Job) -> TrustedRanges:
    return trusted_ranges(scene.oracle)


def _draw_unfinished(job: Job) -> bool:
    """Draw why a job has no result, and return whether it has none."""
    if job.status is JobStatus.FAILED:
        st.text(page_words.of(job.error or ""))
    elif not job.ended:
        st.html(markup.note("Checking …"))
    return job.status is not JobStatus.DONE


def _draw_advice(scene: Scene, job: Job) -> None:
    if BEGUN.pop():
        st.rerun()  # the whole page shows the job that was started, or why it was not
    if _draw_unfinished(job):
        return
    advice: Advice = job.result
    with st.container(border=True, key="advice"):
        st.header(words.HEADLINES[advice.help])
        st.text(words.advice_reason(advice, scene.oracle.counted_prompts, wordings.current()))
        if rows := words.outlook_rows(advice, wordings.current()):
            header = ("", "this table", "twice the replies, predicted", "twice the prompts, predicted")
            st.html(markup.levels_table(header, [(-1, row) for row in rows], wide=True))
        _draw_more(scene, advice)


def _draw_ranges(scene: Scene, job: Job) -> None:
    if _draw_unfinished(job):
        return
    ranges: TrustedRanges = job.result
    rows = []
    for j, name in enumerate(scene.names):
        ends = (0.0, ranges.trusted[j], ranges.furthest[j])
        percentiles = [wordings.current().level(scene.percentile(j, float(level))) for level in ends]
        rows.append((j, (capitalised(name), *percentiles)))
    st.html(markup.levels_table(("Value", "base model", "reliable", "possible"), rows, wide=True))
    st.html(
        markup.note(
            wordings.current().pick("In percentiles", "Out of 100")
            + " of the base model's own replies. Reliable: enough different replies give it. Possible: "
            "every prompt answered with its best reply."
        )
    )


def _draw_use_cases(scene: Scene) -> None:
    """Draw how many prompts each use case has, how often they count, and how many are held out."""
    table = scenes.load(scenes.ALL).table
    cases = np.array(table.use_cases)
    weights, held_out = table.weights, table.held_out
    counted = np.ones(len(cases)) if table.prompt_weights is None else table.prompt_weights
    if len(table.use_case_names) < 2 and not weights.size and not held_out.any():
        return
    st.header("Prompts by use case")
    header, rows = ["Use case", "prompts"], []
    header += ["share of use"] if weights.size else []
    header += ["held out"] if held_out.any() else []
    for name in table.use_case_names:
        own = cases == name
        cells = [name, f"{int(own.sum()):,}"]
        cells += [amounts.percent(counted[own].sum() / counted.sum())] if weights.size else []
        cells += [f"{int(held_out[own].sum()):,}"] if held_out.any() else []
        rows.append((-1, cells))
    st.html(markup.levels_table(header, rows, wide=True))
    if held_out.any():
        st.html(markup.note("Prompts that are held out are used only to check what was promised."))


def _draw_more(scene: Scene, advice: Advice) -> None:
    """Draw a button that adds what would help, or why no replies can be added."""
    if advice.help is Help.NEITHER:
        return
    metadata = scenes.load(scenes.ALL).table.metadata
    if not metadata.get("engine"):
        st.html(
            markup.note(
                "The table does not say how its replies were drawn, so no more can be drawn here. Bring a larger "
                "file, or build a table."
            )
        )
        return
    if reason := refusal_reason(metadata):
        st.text(page_words.of(reason))
        return
    if unscorable := unscorable_values(scenes.load(scenes.ALL).table.values, metadata):
        st.text(scored_elsewhere(unscorable, "no more can be drawn"))
        return
    source = scenes.chosen_table() or "The first table"
    if advice.help is Help.CANDIDATES:
        now = typical_candidates(scene.table)
        factor = 2.0 if not math.isfinite(advice.factor) else min(max(advice.factor, 1.25), 4.0)
        wanted = min(MAX_CANDIDATES, 4 * math.ceil(now * factor / 4))
        st.button(
            f"Draw {wanted - now} more replies to every prompt",
            key="good_candidates",
            type="primary",
            icon=":material/add:",
            on_click=_extend,
            args=(_larger_name(source, f"{wanted} each"), (f"--candidates={wanted}",), {"candidates": wanted}, ()),
            disabled=wanted <= now,
        )
        return
    prompts = build_form.draw_prompts_input("good")
    st.button(
        "Add these prompts",
        key="good_prompts",
        type="primary",
        icon=":material/add:",
        on_click=_extend,
        args=(_larger_name(source, "more prompts"), (), {"prompts": len(prompts)}, prompts),
        disabled=not prompts,
    )


def _larger_name(source: str, what: str) -> str:
    """Return a name for the larger table."""
    return f"{source[:40].rstrip()} - {what}"


def _extend(name: str, options: tuple[str, ...], about: dict[str, object], added: tuple[Prompt, ...]) -> None:
    """Start a build that extends a copy of the table, so that nobody's open table changes."""
    arguments = [
        "build",
        f"--extend={scenes.table_path()}",
        "--out",
        "{out}",
        "--progress-file",
        "{progress}",
        "--quiet",
    ]
    inputs = {}
    if added:
        arguments += ["--prompts", "{folder}/prompts.jsonl"]
        inputs["prompts.jsonl"] = build_form.prompts_jsonl(added)
    about = about | {"table": scenes.chosen_table() or DEFAULT_TITLE.lower()}
    BEGUN.set(True)
    try:
        account.tables().start(name, "extend", [*arguments, *options], about, inputs, visit=viewer_id())
    except InputError as error:
        table_markup.set_message(page_words.of(error))
        return
    tabs.VIEW.of("tables").set("kept")
