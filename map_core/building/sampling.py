"""Drawing replies to one prompt, and looking beforehand which prompts the model can take.

Constraint: a reply is decided by the build's seed, its prompt's text and its number alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from map_core.building.plan import SamplingSpec, prompt_seed
from map_core.core.types import Reply
from map_core.data.prompts import Prompt
from map_core.engines.base import Engine
from map_core.engines.draw_request import DrawRequest
from map_core.errors import InputError


def sample_candidates(engine: Engine, drawing: SamplingSpec, prompt: str, first: int, count: int) -> list[Reply]:
    """Draw the candidates ``first`` to ``first + count - 1`` of a prompt, whole."""
    seed = prompt_seed(drawing.seed, prompt)
    return engine.complete(DrawRequest(prompt, count, drawing.settings, seed, first, drawing.system))


def usable_prompts(engine: Engine, drawing: SamplingSpec, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
    """Return the prompts that the model can take, checked before the first token is drawn.

    Args:
        engine: the base model.
        drawing: how it will draw.
        prompts: what is asked.
        skip: leave out those that it cannot take.

    Raises:
        InputError: it cannot take one and ``skip`` is off, or it can take none; nothing is ever cut to fit.
    """
    kept, refused = [], []
    for prompt in prompts:
        try:
            engine.check(DrawRequest(prompt.text, settings=drawing.settings, system=drawing.system))
        except InputError as error:
            refused.append((prompt, error))
        else:
            kept.append(prompt)
    if refused and (not skip or not kept):
        first, reason = refused[0]
        more = f" The same goes for {len(refused) - 1} more." if len(refused) > 1 else ""
        raise InputError(f"The prompt {first.id!r} cannot be used. {reason}{more}") from reason
    return kept
