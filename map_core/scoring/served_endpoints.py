"""Build requests to servers of reward models, and parse their answers: vLLM's pooling endpoints, OpenRLHF's server.

Source: vLLM, ``/classify``, ``/pooling`` and ``/score`` (docs.vllm.ai, "Pooling models"; ``protocol.py`` under
``vllm/entrypoints/pooling``): ``use_activation`` false gives a model's raw outputs, and versions up to 0.11 called it
``activation``. OpenRLHF, ``openrlhf/cli/serve_rm.py``: ``{"query": [...], "prompts": [...]}`` is answered by
``{"rewards": [...]}``. Constraint: plain data in and out; no request is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CLASSIFY, POOLING, SCORE, GET_REWARD = "classify", "pooling", "score", "get_reward"
ENDPOINTS = (CLASSIFY, POOLING, SCORE, GET_REWARD)


class UnexpectedAnswer(ValueError):
    """An answer that does not have the endpoint's form; the message says what came and what was expected."""


@dataclass(frozen=True)
class ServedText:
    """A text for a server.

    Args:
        prompt: the prompt of the reply.
        first: the text, the first of a pair, or the user's message of a chat.
        second: the second of a pair, or the assistant's message of a chat; None for a single text.
        chat: whether the server renders the two as a chat, with its model's template.
    """

    prompt: str
    first: str
    second: str | None = None
    chat: bool = False


def body_of(endpoint: str, model: str, texts: Sequence[ServedText], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request.

    Args:
        endpoint: of :data:`ENDPOINTS`.
        model: its name on the server.
        texts: any number; a chat must be the only one.
        options: further fields, such as ``use_activation``; OpenRLHF's server has none.
    """
    if endpoint == GET_REWARD:
        return {"query": [text.first for text in texts], "prompts": [text.prompt for text in texts]}
    body: dict[str, Any] = {"model": model, **options}
    if texts[0].chat:
        (text,) = texts
        turns = [{"role": "user", "content": text.first}, {"role": "assistant", "content": text.second}]
        return body | {"messages": turns}
    if endpoint == SCORE:
        return body | {"text_1": [text.first for text in texts], "text_2": [text.second for text in texts]}
    return body | {"input": [text.first for text in texts]}


def outputs_in(endpoint: str, answer: object, count: int, last_token: bool) -> np.ndarray:
    """Parse the outputs in an answer.

    Args:
        endpoint: of the request.
        answer: its JSON.
        count: number of texts in the request.
        last_token: take the outputs of the last token where each token has some.

    Returns:
        (text, output) float64, finite.

    Raises:
        UnexpectedAnswer: it has another form, another number of outputs, or an output that is not a finite number.
    """
    if not isinstance(answer, Mapping):
        raise UnexpectedAnswer(f"it answers with {_shown(answer)}, which is no object")
    if endpoint == GET_REWARD:
        rewards = answer.get("rewards", answer.get("scores"))
        if not isinstance(rewards, list):
            raise UnexpectedAnswer(f"its answer has no list of rewards but the fields {', '.join(map(str, answer))}")
        rows = [reward if isinstance(reward, list) else [reward] for reward in rewards]
    else:
        rows = [_outputs(endpoint, entry, last_token) for entry in _entries(answer)]
    if len(rows) != count:
        raise UnexpectedAnswer(f"it gives scores for {len(rows)} texts; {count} were asked about")
    if len({len(row) for row in rows}) > 1 or not rows[0]:
        raise UnexpectedAnswer(
            f"it gives {_shown(sorted({len(row) for row in rows}))} outputs a text; expected as many each"
        )
    for row in rows:
        for output in row:
            if isinstance(output, bool) or not isinstance(output, (int, float)) or not np.isfinite(output):
                raise UnexpectedAnswer(f"it gives {_shown(output)} as a score; expected a finite number")
    return np.array(rows, dtype=np.float64)


def _entries(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return vLLM's entry of each text, in the order of the texts."""
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(entry, Mapping) for entry in data):
        raise UnexpectedAnswer(f"its answer has no list of data but the fields {', '.join(map(str, answer))}")
    indices = [entry.get("index", position) for position, entry in enumerate(data)]
    if sorted(map(str, indices)) != sorted(map(str, range(len(data)))):
        raise UnexpectedAnswer(f"its texts are numbered {_shown(indices)}; expected each of 0 to {len(data) - 1} once")
    return [entry for _, entry in sorted(zip(map(int, indices), data, strict=True), key=lambda pair: pair[0])]


def _outputs(endpoint: str, entry: Mapping[str, Any], last_token: bool) -> list[Any]:
    name = {CLASSIFY: "probs", POOLING: "data", SCORE: "score"}[endpoint]
    entries = [entry.get(name)] if endpoint == SCORE else entry.get(name)
    if not isinstance(entries, list):
        raise UnexpectedAnswer(f"it tells no {name} of a text but {_shown(dict(entry))}")
    if entries and all(isinstance(row, list) for row in entries):  # a row a token
        if len(entries) > 1 and not last_token:
            raise UnexpectedAnswer(
                f'it gives outputs for each of {len(entries)} tokens; take token = "last" if '
                "those of the last are meant"
            )
        return list(entries[-1])
    return entries


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
