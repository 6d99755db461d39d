"""Helpers for the page Listen as a script: a fake model process, and the replies that the page shows."""

from __future__ import annotations

import re
import threading
from html import unescape
from types import SimpleNamespace

import numpy as np
from streamlit.testing.v1 import AppTest

from map_core.core.types import Reply
from map_core.engines.tokens import Token
from map_core.errors import InputError
from map_core.generation.choice import choose
from map_core.generation.events import Begun, Finished, Tokens
from map_core.generation.request import GenerationRequest
from map_core.service.generation import Generation
from map_core.service.snapshot import Phase
from tests.pages.app_script import panel, text_of


class Desk:
    """A fake model process: the test passes its messages to the generation."""

    def __init__(self) -> None:
        self.made: list[Generation] = []
        self._changed = threading.Condition()

    def submit(self, request: GenerationRequest, viewer: str = "") -> Generation:
        with self._changed:
            self.made.append(Generation(request, self.cancel, viewer=viewer))
            self._changed.notify_all()
            return self.made[-1]

    def wait_for(self, place: int) -> Generation:
        """Wait for the generation that was requested at this index, from 0, and return it."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.made) > place, 60)
            return self.made[place]

    def generation(self, name: str) -> Generation:
        for candidate in self.made:
            if candidate.id == name:
                return candidate
        raise InputError("There is no such generation.")

    def status(self) -> SimpleNamespace:
        return SimpleNamespace(state="ready", running=sum(not generation.ended for generation in self.made))

    def cancel(self, name: str) -> None:
        self.generation(name).end(Phase.CANCELLED)


def texts(app: AppTest) -> list[str]:
    """Return texts and replies in the order of the page, without markup."""
    page_texts = []
    for element in app.main:
        body = getattr(element.proto, "body", "")
        if element.type == "text":
            page_texts.append(element.value)
        elif '<div class="vp-reply">' in body:
            page_texts.append(unescape(re.sub(r"<[^>]*>", "", body)))
        elif getattr(element.proto, "component_name", "").endswith("replies"):
            panel_content = panel(app)
            page_texts += [panel_content["prompt"], *(text_of(slot["nodes"]) for slot in panel_content["slots"])]
    return page_texts


def write(generation: Generation, words: str) -> None:
    """Send one step of all candidates."""
    tokens = [Token(k, 1, f"{words} {k}", -1.0, False, False) for k in range(generation.request.candidates)]
    generation.apply(Tokens(1, tuple(tokens)))


def finish(generation: Generation, rewards: dict[str, list[float]], text: str = "final") -> None:
    """Send the outcome as the model process would."""
    count = len(next(iter(rewards.values())))
    weights = {name: weight for name, weight in generation.weights.items() if name in rewards}
    generation.apply(
        Finished(
            replies=tuple(Reply(f"{text} {k}") for k in range(count)),
            rewards={name: tuple(values) for name, values in rewards.items()},
            log_offsets=(0.0,) * count,
            choice=choose(np.array([rewards[name] for name in weights]).reshape(-1, count).T, [*weights.values()], 0),
            tokens=40,
            sampling_seconds=1.0,
            provisional_seconds=0.0,
            scoring_seconds=0.1,
        )
    )


def begun(compare: AppTest, desk: Desk, candidates: int = 4) -> Generation:
    """Start a generation, write a step of it, and return it."""
    compare.number_input(key="candidates_k").set_value(candidates)
    compare.button(key="generate").click().run()
    generation = desk.made[-1]
    generation.apply(Begun(generation.request.base))
    write(generation, "<b>Reply</b>")
    return generation


def favoured(generation: Generation, k: int, many: float = 60.0) -> dict[str, list[float]]:
    """Return rewards for which every palette with a weight picks candidate k."""
    count = generation.request.candidates
    return {name: [many * (place == k) for place in range(count)] for name in generation.request.scored}


def finished_by(compare: AppTest, desk: Desk, k: int) -> Generation:
    """Finish a generation so that every palette with a weight picks candidate k, and return it."""
    generation = begun(compare, desk)
    finish(generation, favoured(generation, k))
    compare.run()
    assert not compare.exception
    return generation


def draw_by_chance(compare: AppTest) -> AppTest:
    """Switch to randomly drawn replies instead of the likeliest ones."""
    return compare.button_group(key="shown_reply").set_value("drawn").run()


def captions(app: AppTest) -> list[str]:
    return [caption.value for caption in app.caption] + [slot["caption"] for slot in panel(app).get("slots", ())]
