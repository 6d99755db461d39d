"""A language model with two letters and replies of a few tokens, of which every probability is known.

Draws of the generator can be compared with exact distributions.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache

import numpy as np

from map_core.core.types import Reply
from map_core.engines.base import Engine, EngineInfo
from map_core.engines.draw_request import DrawRequest
from map_core.engines.tokens import Token, TokenStream
from map_core.scoring.base import Card, Scorer

LETTERS = "ab"
END = 2


def next_probabilities(written: Sequence[int]) -> np.ndarray:
    """Return p(a), p(b), p(end) after a beginning, by a formula that differs for every beginning."""
    place = 1 + sum((token + 1) * 3**i for i, token in enumerate(written))
    likely = np.array([1.0 + math.sin(place) ** 2, 0.5 + math.cos(2 * place) ** 2, 0.3 + 0.2 * len(written)])
    return np.asarray(likely / likely.sum())


@cache
def steps(written: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the probabilities after a beginning and their cumulative sums, cached."""
    p = next_probabilities(written)
    return tuple(p.tolist()), tuple(np.cumsum(p).tolist())


def every_reply(length: int) -> dict[tuple[tuple[int, ...], bool], float]:
    """Return the probability of each (tokens, ended) up to a length, with the end counted as a token."""
    replies: dict[tuple[tuple[int, ...], bool], float] = {}
    for size in range(length + 1):
        for tokens in itertools.product(range(2), repeat=size):
            steps = [next_probabilities(tokens[:i])[token] for i, token in enumerate(tokens)]
            p = math.prod(steps)
            if size == length:
                replies[tokens, False] = p
            else:
                replies[tokens, True] = p * next_probabilities(tokens)[END]
    return replies


class ToyEngine(Engine):
    """Draw from :func:`next_probabilities`; token ids are 0 and 1, and 2 ends a reply."""

    extends = True

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("toy", "toy", "", "float64", "cpu")

    def sample(self, request: DrawRequest) -> TokenStream:
        return self.extend(request, [()] * request.candidates, request.seeds)

    def extend(self, request: DrawRequest, beginnings: Sequence[Sequence[int]], seeds: Sequence[int]) -> TokenStream:
        length = request.settings.max_new_tokens
        assert len({len(beginning) for beginning in beginnings}) == 1
        written = [list(beginning) for beginning in beginnings]
        streams = [random.Random(seed) for seed in seeds]  # starts in half the time of a NumPy generator
        alive = list(range(len(written)))
        for position in range(length):
            step = []
            for k in list(alive):
                p, sums = steps(tuple(written[k]))
                token = bisect_right(sums, streams[k].random())
                finished = token == END
                last = finished or position + 1 == length
                step.append(Token(k, token, "" if finished else LETTERS[token], math.log(p[token]), last, finished))
                if finished:
                    alive.remove(k)
                else:
                    written[k].append(token)
            yield step
            if not alive:
                return


class Tally(Scorer):
    """Score replies by a formula of their letters, times ``scale`` plus ``offset``."""

    def __init__(self, name: str, scale: float = 1.0, offset: float = 0.0, partial: bool = True) -> None:
        self._card = Card(name, name, "letters", "all else", "MIT", "this test", "1", partial)
        self._scale, self._offset = scale, offset

    @property
    def name(self) -> str:
        return self._card.name

    @property
    def version(self) -> str:
        return "1"

    @property
    def partial(self) -> bool:
        return self._card.partial

    def reward(self, text: str) -> float:
        """Return the reward: +1 per a, -0.5 per b, and the first letter counted twice."""
        count = text.count("a") - 0.5 * text.count("b") + (0.7 if text.startswith("b") else 0.0)
        return self._offset + self._scale * count

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        return np.array([self.reward(reply.text) for reply in replies])


def text_of(tokens: Sequence[int]) -> str:
    """Return the letters of token ids."""
    return "".join(LETTERS[token] for token in tokens)
