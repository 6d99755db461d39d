"""The generator behind the pages: the service of a table, the weights that steer it, and this viewer's generation.

Constraint: the model runs in a process of its own; no model library is imported on this side.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import streamlit as st

from map_core.access import Action, Kind, Thing, Visibility, may
from map_core.analysis.generation_weights import (
    assess_keeping_locks,
    effective_solution,
    of_prompt,
    scored_weights,
    steerable,
)
from map_core.core.types import Form
from map_core.data.derived_columns import Cohort
from map_core.data.subsample import subsample_candidates
from map_core.errors import InputError, MissingModelError, PaletteError
from map_core.feasibility import Assessment
from map_core.generation.request import GenerationRequest
from map_core.models.endpoint import address_of, refusal_reason
from map_core.models.files import locate, recorded_model
from map_core.models.request_extra import recorded_request_extra
from map_core.models.tuned import find_tuned
from map_core.oracle import MemoryOracle
from map_core.palettes.column_names import scored_value
from map_core.scoring import DEFAULT_EMBEDDER, Specification, cards, from_metadata, scorable_values
from map_core.service.batch import PromptBatch
from map_core.service.generation import Generation
from map_core.service.service import GenerationService
from map_core.service.shared import shared_generation, shared_service
from map_core.text.generation_weights import page_note
from pages.view.compare import writer
from pages.view.session.scene import Scene
from pages.view.shell import account
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.session_keys import Key

#: The id of the visitor who started each piece of work.
_OWNERS: WeakKeyDictionary[Generation | PromptBatch, str] = WeakKeyDictionary()
#: The tuned model that writes the candidates of a generation.
_TUNED: WeakKeyDictionary[Generation, str] = WeakKeyDictionary()


class _Begun:
    """The id of the generation that a click of this visit has just begun, until the page shows it.

    Where a further click has come, Streamlit ends a callback at its next access to the session state. The id is kept
    here, in an object that is reached without such an access, so that the generation is neither lost nor left running
    unseen.
    """

    def __init__(self) -> None:
        self.id = ""


#: The id of the generation that is shown; a reload on another page finds it again too.
GENERATION: KeptKey[str] = KeptKey("generation", "", str, str)
BEGUN: Key[_Begun | None] = Key("generation_begun", None)
READING: Key[int | None] = Key("reading", None)


@dataclass(frozen=True)
class MissingModel:
    """Why nothing can be generated now, and the command that fixes it where there is one."""

    reason: str
    command: str | None


@dataclass(frozen=True, eq=False)
class SteeringWeights:
    """The weights that steer the aligned model.

    Args:
        by_value: lambda, 1/reward, of the values that have one and a scorer here.
        note: what a reader should know about them; "" for nothing.
        levels: (value,) the levels that they are forecast to give, in reward units.
    """

    by_value: Mapping[str, float]
    note: str
    levels: np.ndarray


def table_model(scene: Scene) -> str:
    """Return the model that the table's replies came from."""
    return recorded_model(scene.table.metadata)


def unnamed_model_note(scene: Scene) -> str:
    """Return which model writes new replies where the table does not name its own; "" where it does."""
    if (scene.table.metadata.get("model") or {}).get("name"):
        return ""
    return f"This table does not name its model, so {table_model(scene)} writes the new replies."


def missing_model(scene: Scene) -> MissingModel | None:
    """Return what is missing for the generator to run; checked again every few seconds."""
    if reason := refusal_reason(scene.table.metadata):
        return MissingModel(reason, None)
    return _missing_model(table_model(scene))


@st.cache_data(ttl=5.0, show_spinner=False)
def _missing_model(model: str) -> MissingModel | None:
    for name in (model, DEFAULT_EMBEDDER):
        # A server is not called to find out. A tuned model is merged when it is opened.
        if address_of(name) or find_tuned(name):
            continue
        try:
            locate(name)
        except MissingModelError as error:
            return MissingModel(str(error).split(" Run: ")[0], error.command)
        except PaletteError as error:
            return MissingModel(str(error), None)
    return None


def service(scene: Scene) -> GenerationService:
    """Return the service that the whole app shares for the table's model."""
    return shared_service(table_model(scene), request_extra=recorded_request_extra(scene.table.metadata))


def service_of(scene: Scene, tuned: str) -> GenerationService:
    """Return the service that draws candidates of a tuned model; that of the base model for ""."""
    return shared_service(table_model(scene), tuned=tuned) if tuned else service(scene)


def warm_up(scene: Scene) -> None:
    """Load the models while the prompt is being written."""
    generating = service_of(scene, writer.chosen(scene))
    if generating.status().state == "stopped":
        generating.start(scored_values(scene), custom_specifications(scene))


def scored_values(scene: Scene) -> tuple[str, ...]:
    """Return the table's values that can be scored on new replies."""
    scorable = scorable_values(from_metadata(scene.table.metadata))
    return tuple(name for name in scene.table.values if name in scorable)


def custom_specifications(scene: Scene) -> tuple[Specification, ...]:
    """Return how the table's values that are not built in are scored on new replies, as far as it tells."""
    definitions = from_metadata(scene.table.metadata)
    return tuple(definitions[name] for name in scored_values(scene) if name not in cards())


@st.cache_resource(show_spinner=False, max_entries=32)
def _scene_of_fewer(key: tuple[Any, ...], candidates: int, _scene: Scene) -> Scene:
    """Return a scene with at most ``candidates`` replies per prompt, as a generator that draws so many sees it."""
    table = subsample_candidates(_scene.table, candidates)
    oracle = MemoryOracle.of(table, Form.PER_PROMPT)
    return Scene((*key, candidates), table, oracle, _scene.names, _scene.cards, _scene.theme)


def steering_weights(
    scene: Scene, assessment: Assessment, candidates: int, cohorts: tuple[Cohort, ...] = ()
) -> SteeringWeights:
    """Return the weights of the palette for a generator that draws ``candidates`` replies.

    Where the palette is out of reach, or is so with that few candidates, they are those of the nearest one that works.
    It keeps locked targets, unless so few candidates cannot meet them.

    Args:
        scene: the table, with the columns of what is asked beyond averages.
        assessment: of the palette.
        candidates: K.
        cohorts: whose prompt it is; none where that is not known.
    """
    locked, nearest = assessment.locked, assessment.nearest
    decisive = (assessment.targets, locked, None if nearest is None else nearest.targets)
    key = (scene.key, *(None if array is None else array.tobytes() for array in decisive), cohorts)
    return _steering_weights(key, candidates, _WeightsQuery(scene, assessment, cohorts))


def of_scored(weights: Mapping[str, float], scored: Collection[str]) -> dict[str, float]:
    """Return the weights of values that replies are scored on, and of shares and tails of them."""
    return {name: weight for name, weight in weights.items() if scored_value(name) in scored or name in scored}


def most_drawn(request: GenerationRequest, drawn: int) -> int:
    """Return the number of candidates that the weights of a generation are solved for.

    These are the candidates that are drawn; for a race, all that it may draw, however few it needs.
    """
    return drawn if request.headroom is None else max(request.most_candidates or 0, drawn)


@dataclass(frozen=True, eq=False)
class _WeightsQuery:
    """The arguments of :func:`steering_weights` that the cache does not hash; their content is in its key."""

    scene: Scene
    assessment: Assessment
    cohorts: tuple[Cohort, ...]


@st.cache_resource(show_spinner=False, max_entries=512)
def _steering_weights(key: tuple[Any, ...], candidates: int, _asked: _WeightsQuery) -> SteeringWeights:
    scene, assessment = _asked.scene, _asked.assessment
    if scene.oracle.form is Form.PER_PROMPT and 2 <= candidates < scene.table.candidates.max():
        fewer = _scene_of_fewer(scene.key, candidates, scene)
        targets = fewer.oracle.standardise(scene.oracle.rewards_at(assessment.targets))
        for_k, locks_lowered = assess_keeping_locks(
            lambda kept: fewer.assess(targets, kept),
            assessment.locked,
            lambda: effective_solution(assessment) is not None,
        )
    else:
        fewer, for_k, locks_lowered = scene, assessment, False
    steered = steerable(scene.table, scored_values(scene))
    weights, facts = scored_weights(for_k, fewer.oracle, candidates, steered, assessment.verdict, locks_lowered)
    by_value, facts = of_prompt(scene.table.derived, weights, facts, _asked.cohorts)
    solution = effective_solution(for_k)
    levels = scene.oracle.base if solution is None else fewer.oracle.rewards_at(solution.levels)
    return SteeringWeights(by_value, page_note(facts), levels)


def tuned_of(generation: Generation) -> str:
    """Return the tuned model that writes the candidates of a generation; "" for the base model."""
    return _TUNED.get(generation, "")


def weights_count(scene: Scene, tuned: str, candidates: int) -> int:
    """Return the number of base-model candidates that weights are solved for.

    As many as are drawn; where a tuned model writes, as many as the table has, because the choice among its candidates
    reaches what the weights ask for, and not only what so few candidates of the base model allow.
    """
    return int(scene.table.candidates.max()) if tuned else candidates


def submit(scene: Scene, request: GenerationRequest, tuned: str = "") -> Generation:
    """Hand in a request, make it this viewer's generation, and return it.

    Args:
        scene: the table.
        request: what is generated.
        tuned: the tuned model that writes the candidates; "" for the base model.
    """
    stop(scene)
    begun = BEGUN.get() or _Begun()
    BEGUN.set(begun)
    generating, viewer = service_of(scene, tuned), account.counted_as()
    generation = generating.submit(request, viewer=viewer)
    begun.id = generation.id  # before any access to the session state, see _Begun
    if tuned:
        _TUNED[generation] = tuned
    claim(generation)
    _show_begun()
    return generation


def _show_begun() -> None:
    """Make what a click has just begun the generation on this page."""
    if (begun := BEGUN.get()) is not None and begun.id:
        GENERATION.set(begun.id)
        READING.pop()
        begun.id = ""


def current(scene: Scene) -> Generation | None:
    """Return the generation on this page: this viewer's newest, or the one that the address names."""
    _show_begun()
    name = GENERATION.get() or st.query_params.get("generation")
    if not name:
        return None
    try:
        generation = service(scene).generation(name)
    except InputError:
        try:
            generation = shared_generation(table_model(scene), name)  # one that a tuned model writes
        except InputError:
            return None
    GENERATION.set(name)
    return generation


def is_owner(work: Generation | PromptBatch) -> bool:
    """Return whether this viewer started the work, in this tab or as the same person in another.

    Somebody who only has its address may watch, but neither stop nor steer it.
    """
    owner = _OWNERS.get(work)
    return work.viewer == account.counted_as() or (
        owner is not None and may(account.visitor(), Action.STOP, Thing(Kind.GENERATION, owner, Visibility.LINK))
    )


def claim(work: Generation | PromptBatch) -> None:
    """Record this visitor as the owner of work, where it is known who they are."""
    if (who := account.visitor()).is_known:
        _OWNERS[work] = who.id


def stop(scene: Scene) -> None:
    """Stop the generation on this page within one token, if this viewer started it; what was written stays."""
    generation = current(scene)
    if generation is not None and not generation.ended and is_owner(generation):
        generation.cancel()


def forget(scene: Scene) -> None:
    """Remove the generation from this page, and stop it if it runs and is this viewer's."""
    stop(scene)
    GENERATION.pop()
    READING.pop()
    st.query_params.pop("generation", None)


def write_address(name: str, generation_id: str | None) -> None:
    """Write the id of what is shown into the address, so that a reload finds it again.

    Args:
        name: "generation" or "many".
        generation_id: its id, or None when nothing is shown.
    """
    for parameter in ("generation", "many"):
        wanted = generation_id if parameter == name else None
        if st.query_params.get(parameter) != wanted:
            if wanted is None:
                st.query_params.pop(parameter, None)
            else:
                st.query_params[parameter] = wanted


def value_title(scene: Scene, name: str) -> str:
    """Return a value's name as it reads within a sentence, those included that the table does not have."""
    card = cards().get(name) if name not in scene.table.values else None
    return card.title.lower() if card else scene.weight_title(name)
