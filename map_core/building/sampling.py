"""Draw replies to one prompt, and check beforehand which prompts the model accepts.

Constraint: a reply is determined by the build's seed, its prompt's text and its number alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from map_core.building.plan import SamplingSpec, prompt_seed
from map_core.core import remedies
from map_core.core.types import Reply, SamplingSettings
from map_core.data.prompts import Prompt
from map_core.engines.base import Engine
from map_core.engines.draw_request import DrawRequest
from map_core.engines.sampling_probe import SamplingProbe
from map_core.errors import EngineError, InputError
from map_core.scoring import READ_LIKELIHOOD

#: A server is considered greedy if each of the first EQUAL_PROMPTS prompts gets EQUAL_REPLIES or more equal replies.
EQUAL_REPLIES, EQUAL_PROMPTS = 4, 3


def sample_candidates(engine: Engine, sampling: SamplingSpec, prompt: str, first: int, count: int) -> list[Reply]:
    """Draw the candidates ``first`` to ``first + count - 1`` of a prompt."""
    seed = prompt_seed(sampling.seed, prompt)
    return engine.complete(DrawRequest(prompt, count, sampling.settings, seed, first, sampling.system))


def check_log_probs(probe: SamplingProbe, values: Sequence[str]) -> None:
    """Refuse values that read log-probabilities where the model's replies have none.

    Raises:
        InputError: there are such values.
    """
    likelihood_values = [name for name in values if name in READ_LIKELIHOOD]
    if likelihood_values and not probe.log_probs:
        others = ",".join(name for name in values if name not in READ_LIKELIHOOD)
        choice = remedies.OTHER_VALUES.of(others) if others else ""
        raise InputError(
            f"{' and '.join(likelihood_values)} need the log-probabilities of each reply's tokens, and this server "
            "tells none with these settings. Nothing was drawn. Leave them "
            f"out{choice}, or draw with a model on this machine or on a server that "
            "tells them (vLLM, llama.cpp, SGLang at temperature 1)."
        )


class RepetitionGuard:
    """Holds back the replies to the first prompts until the model has drawn different replies to one prompt.

    Some servers decode greedily without reporting it (transformers serve, unless the model's ``generation_config`` sets
    ``do_sample``): all replies to a prompt are then equal, no weights change any level, and there is no error.

    Args:
        settings: sampling settings; at temperature 0 or top_k 1 equal replies are expected, and nothing is held back.
    """

    def __init__(self, settings: SamplingSettings) -> None:
        self._on = settings.temperature > 0 and settings.top_k != 1
        self._held: list[tuple[str, int, Sequence[Reply]]] = []

    def admit(self, key: str, first: int, replies: Sequence[Reply]) -> list[tuple[str, int, Sequence[Reply]]]:
        """Take the replies to one prompt, and return those that may be stored now, including ones held back before.

        Args:
            key: the prompt's key.
            first: number of the first reply.
            replies: the replies.

        Raises:
            EngineError: each of the first :data:`EQUAL_PROMPTS` prompts got equal replies only.
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
        return self.release()

    def release(self) -> list[tuple[str, int, Sequence[Reply]]]:
        """Return and clear the replies that are held back, also when there were too few prompts for the test."""
        released, self._held = self._held, []
        return released


def usable_prompts(engine: Engine, sampling: SamplingSpec, prompts: Sequence[Prompt], skip: bool) -> list[Prompt]:
    """Return the prompts that the model accepts, checked before the first token is drawn.

    Args:
        engine: the base model.
        sampling: how replies will be drawn.
        prompts: the prompts to check.
        skip: leave out those that it does not accept.

    Raises:
        InputError: it does not accept one and ``skip`` is off, or it accepts none; prompts are never truncated.
    """
    kept, refused = [], []
    for prompt in prompts:
        try:
            engine.check(DrawRequest(prompt.text, settings=sampling.settings, system=sampling.system))
        except InputError as error:
            refused.append((prompt, error))
        else:
            kept.append(prompt)
    if refused and (not skip or not kept):
        first, reason = refused[0]
        more = f" The same goes for {len(refused) - 1} more." if len(refused) > 1 else ""
        raise InputError(f"The prompt {first.id!r} cannot be used. {reason}{more}") from reason
    return kept
