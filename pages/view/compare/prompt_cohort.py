"""Which use case a prompt belongs to, where the palette has targets for single ones: chosen, or inferred.

A prompt of the table is known at once. Another one is compared with the table's prompts by a child process in the
background; until that has answered, and where the answer is unclear, the overall weights are used and the page says so.
"""

from __future__ import annotations

import streamlit as st

from map_core.analysis.prompt_cohorts import PromptCohorts, prompt_cohorts
from map_core.core.jobs import Job
from map_core.data.derived_columns import Cohort
from map_core.models.embed_texts import embed_apart
from map_core.text import protections, sentences
from pages.view.session.scene import Scene
from pages.view.shell import background, markup, page_words
from pages.view.shell.session_keys import Key

FIND, NONE = "Find out from the prompt", "None of these"
CHOICE: Key[Cohort | str] = Key("prompt_cohort", FIND)


def chosen() -> tuple[Cohort, ...]:
    """Return the cohort that was chosen; none where it is to be inferred or is none of them."""
    choice = CHOICE.get()
    return (choice,) if isinstance(choice, Cohort) else ()


def targeted_cohorts(scene: Scene) -> tuple[Cohort, ...]:
    """Return the cohorts that the palette has targets for, each once."""
    cohorts = (column.cohort for column in scene.table.derived)
    return tuple(dict.fromkeys(cohort for cohort in cohorts if cohort is not None))


def in_force(scene: Scene, prompt: str) -> tuple[Cohort, ...]:
    """Return the cohorts whose weights are used for a prompt."""
    if not targeted_cohorts(scene) or CHOICE.get() != FIND:
        return chosen()
    match = _match(scene, prompt)
    return () if match is None else match.cohorts


def _match(scene: Scene, prompt: str) -> PromptCohorts | None:
    """Return the cohorts of a prompt; None while it is being compared, or where that failed."""
    match: PromptCohorts | None = prompt_cohorts(scene.table, prompt)
    if match is not None and not match.known and prompt.strip():
        match = _job(scene, prompt).result
    return match


def _job(scene: Scene, prompt: str) -> Job:
    def work(job: Job) -> PromptCohorts:
        return prompt_cohorts(scene.table, prompt, embed_apart)

    return background.job("prompt_cohort", (scene.key[:3], prompt), work)


def draw_choice(scene: Scene, prompt: str) -> None:
    """Draw the choice and the match; nothing where the palette has no target for a use case."""
    cohorts = targeted_cohorts(scene)
    if not cohorts:
        return
    options: list[Cohort | str] = [FIND, *cohorts, NONE]
    if CHOICE.get_or_set(FIND) not in options:
        CHOICE.set(FIND)
    st.selectbox(
        "What kind of prompt is it?",
        options,
        format_func=lambda option: option if isinstance(option, str) else sentences.capitalised(str(option)),
        key=CHOICE.name,
        persist_state="session",
        help="Your palette has targets for single use cases. Their weights are used only for their own prompts.",
    )
    if CHOICE.get() != FIND:
        return
    known = prompt_cohorts(scene.table, prompt)
    if known.known or not prompt.strip():
        st.html(markup.note(_sentence(known)))
    else:
        background.poll(_job(scene, prompt), _draw_match)


def _draw_match(job: Job) -> None:
    match: PromptCohorts | None = job.result
    if job.error:
        st.html(
            markup.note(
                "The kind of prompt could not be found out, so the overall weights are used: "
                f"{page_words.of(job.error)}"
            )
        )
    elif match is None:
        st.html(markup.note("Finding out what kind of prompt it is; until then the overall weights are used."))
    else:
        st.html(markup.note(_sentence(match)))


def _sentence(match: PromptCohorts) -> str:
    if not match.cohorts:
        return "It is not clear what kind of prompt this is, so the overall weights are used."
    where = sentences.listed([protections.cohort_text(cohort) for cohort in match.cohorts])
    return f"{'A prompt of the table' if match.known else 'Like prompts'} {where}: its weights are used."
