"""Drawing replies to one prompt, and looking beforehand which prompts the model can take.

Constraint: a reply is decided by the build's seed, its prompt's text and its number alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from map_core.building.plan import SamplingSpec, prompt_seed
from map_core.core.types import Reply, SamplingSettings
from map_core.data.prompts import Prompt
from map_core.engines.base import Engine
from map_core.engines.draw_request import DrawRequest
from map_core.engines.sampling_probe import SamplingProbe
from map_core.errors import EngineError, InputError
from map_core.scoring import READ_LIKELIHOOD

#: Replies to one prompt that must be equal, and prompts in a row from the first, for a server to be called greedy.
EQUAL_REPLIES, EQUAL_PROMPTS = 4, 3


def sample_candidates(engine: Engine, drawing: SamplingSpec, prompt: str, first: int, count: int) -> list[Reply]:
    """Draw the candidates ``first`` to ``first + count - 1`` of a prompt, whole."""
    seed = prompt_seed(drawing.seed, prompt)
    return engine.complete(DrawRequest(prompt, count, drawing.settings, seed, first, drawing.system))


def check_log_probs(probe: SamplingProbe, values: Sequence[str]) -> None:
    """Refuse values that read log-probabilities where the model's replies come without them.

    Raises:
        InputError: there are such values.
    """
    reading = [name for name in values if name in READ_LIKELIHOOD]
    if reading and not probe.log_probs:
        rest = ",".join(name for name in values if name not in READ_LIKELIHOOD)
        raise InputError(
            f"{' and '.join(reading)} need the log-probabilities of each reply's tokens, and this server tells none "
            "with these settings. Nothing was drawn. Leave them out"
            f"{f' (--values {rest})' if rest else ''}, or draw with a model on this machine or on a server that tells "
            "them (vLLM, llama.cpp, SGLang at temperature 1)."
        )


class RepetitionGuard:
    """Holds the replies to the first prompts back until a model has shown that it draws different ones.

    Some servers draw greedily without saying so (transformers serve, unless the model's ``generation_config`` says
    ``do_sample``): all replies to a prompt are then one, no weights can move anything, and no error says why.

    Args:
        settings: how replies are drawn; at temperature 0 and top_k 1 equal replies are what was asked for.
    """

    def __init__(self, settings: SamplingSettings) -> None:
        self._on = settings.temperature > 0 and settings.top_k != 1
        self._held: list[tuple[str, int, Sequence[Reply]]] = []

    def pass_on(self, key: str, first: int, replies: Sequence[Reply]) -> list[tuple[str, int, Sequence[Reply]]]:
        """Return the replies that may be kept now, those held back before included.

        Raises:
            EngineError: each of the first :data:`EQUAL_PROMPTS` prompts got one reply many times over.
        """
        self._held.append((key, first, replies))
        texts = [reply.text for reply in replies if not reply.filtered]
        if self._on and len(texts) >= EQUAL_REPLIES and len(set(texts)) == 1:
            if len(self._held) < EQUAL_PROMPTS:
                return []
            raise EngineError(
                f"Each of the first {EQUAL_PROMPTS} prompts got the same reply {len(texts)} times, although they are "
                "drawn at a temperature above 0: the server draws greedily. Nothing was kept. With transformers serve, "
                'set "do_sample": true in the model\'s generation_config.json; elsewhere look for a setting that '
                "overrides the temperature."
            )
        self._on = False
        return self.rest()

    def rest(self) -> list[tuple[str, int, Sequence[Reply]]]:
        """Return the replies that are still held back: there were too few prompts to judge by."""
        held, self._held = self._held, []
        return held


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
