"""A language model small enough to be written out: two letters, replies of a few tokens, every probability known.

What the generator draws from it can be compared with exact distributions.
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
    """p(a), p(b), p(end) after what is written; different after every beginning, by a formula that needs no table."""
    place = 1 + sum((token + 1) * 3**i for i, token in enumerate(written))
    likely = np.array([1.0 + math.sin(place) ** 2, 0.5 + math.cos(2 * place) ** 2, 0.3 + 0.2 * len(written)])
    return np.asarray(likely / likely.sum())


@cache
def steps(written: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The probabilities after what is written and their running sums, once for each beginning."""
    p = next_probabilities(written)
    return tuple(p.tolist()), tuple(np.cumsum(p).tolist())


def every_reply(length: int) -> dict[tuple[tuple[int, ...], bool], float]:
    """Probability of each (tokens, ended by itself) of at most so many tokens, the end counted as a token."""
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
    """Draws from :func:`next_probabilities`; token ids are 0 and 1, and 2 ends a reply."""

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
        streams = [random.Random(seed) for seed in seeds]  # begins in half the time of one of numpy
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
    """Rewards from a formula of the letters; ``scale`` and ``offset`` make them as large as one likes."""

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
        """a counts +1, b -0.5, and the first letter once more."""
        count = text.count("a") - 0.5 * text.count("b") + (0.7 if text.startswith("b") else 0.0)
        return self._offset + self._scale * count

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        return np.array([self.reward(reply.text) for reply in replies])


def text_of(tokens: Sequence[int]) -> str:
    """The letters of token ids."""
    return "".join(LETTERS[token] for token in tokens)
