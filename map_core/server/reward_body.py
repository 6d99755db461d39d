"""Read the body of ``/get_reward``: prompts and replies in OpenRLHF's format for remote reward models, or as lists.

A prompt is a user's text, a chat, or a chat that was rendered with the model's template; the last is parsed back into
the chat, so that scorers read the user's text and log-probabilities are those of the chat.

Source: OpenRLHF, openrlhf/utils/agent.py (``_fetch_rewards_via_http``: query, prompts and labels, one row a request)
and openrlhf/cli/serve_rm.py (the answer: rewards, scores, extra_logs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from map_core.generation.given_replies import GivenReplies
from map_core.models.chat_template import ChatTokenizer
from map_core.models.rendered_chat import read_rendered, without_end
from map_core.server.chat_body import Chat, content_text, read_chat
from map_core.server.errors import Refusal, RequestLimits, shortened

_LISTS = "texts or chats, one a row"


class RewardBody(BaseModel):
    """The body of ``/get_reward``; null leaves a field out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: Any = Field(None, description="OpenRLHF's: each row's prompt and reply in one text, as the model reads it.")
    prompts: Any = Field(None, description="The prompts: texts, chats, or chats rendered with the model's template.")
    replies: Any = Field(None, description="Instead of query: the replies alone, as texts or chats of one message.")
    labels: Any = Field(None, description="OpenRLHF's; ignored.")
    model: str | None = Field(None, description="MODEL:PALETTE names a palette, as elsewhere.")
    palette: str | None = Field(None, description="The name of a palette; ?palette=NAME in the address does the same.")
    weights: dict[str, float] | None = Field(None, description="Weights by value, 1/reward, instead of a palette.")
    values: list[str] | None = Field(None, description="Further values whose rewards are reported.")


def read_rows(body: RewardBody, tokenizer: ChatTokenizer | None, limits: RequestLimits) -> list[tuple[Chat, str]]:
    """Return the chat and the reply of each row.

    Args:
        body: the request.
        tokenizer: of the base model; None for one on another server, whose template is not known.
        limits: of a request.

    Raises:
        Refusal: fields that contradict each other, an invalid row, or too many or too long ones.
    """
    if (body.query is None) == (body.replies is None):
        raise Refusal("Give either query or replies: the texts to score, one per row.", param="replies")
    field = "replies" if body.query is None else "query"
    rows = _rows(body.replies if body.query is None else body.query, field, limits)
    if body.prompts is None and field == "replies":
        raise Refusal(f"prompts is missing; expected {_LISTS}.", param="prompts")
    prompts = [None] * len(rows) if body.prompts is None else _rows(body.prompts, "prompts", limits)
    if len(prompts) != len(rows):
        raise Refusal(
            f"There are {len(prompts):,} prompts and {len(rows):,} {field}; expected the same number.", param=field
        )
    parsed = []
    for index, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        if field == "query":
            parsed.append(_query(prompt, row, index, tokenizer, limits))
        else:
            parsed.append((_chat(prompt, index, tokenizer, limits), _reply(row, index, tokenizer)))
    return parsed


def by_chat(rows: Sequence[tuple[Chat, str]], system: str | None = None) -> tuple[list[GivenReplies], list[list[int]]]:
    """Return the replies to each distinct chat, and the indices of their rows.

    Args:
        rows: chats and replies.
        system: the system message of chats that have none.
    """
    indices_by_chat: dict[Chat, list[int]] = {}
    for index, (chat, _) in enumerate(rows):
        indices_by_chat.setdefault(chat, []).append(index)
    given = [
        GivenReplies(
            chat.prompt,
            tuple(rows[index][1] for index in indices),
            system if chat.system is None else chat.system,
            chat.history,
        )
        for chat, indices in indices_by_chat.items()
    ]
    return given, list(indices_by_chat.values())


def _rows(rows: Any, field: str, limits: RequestLimits) -> list[Any]:
    if isinstance(rows, str):
        rows = [rows]
    if not isinstance(rows, list) or not rows:
        raise Refusal(f"{field} is {shortened(repr(rows))}; expected {_LISTS}.", param=field)
    if len(rows) > limits.candidates:
        raise Refusal(f"{field} has {len(rows):,} rows; expected at most {limits.candidates:,}.", param=field)
    return rows


def _query(
    prompt: Any, query: Any, index: int, tokenizer: ChatTokenizer | None, limits: RequestLimits
) -> tuple[Chat, str]:
    """Return the chat and the reply of a text that holds both."""
    if not isinstance(query, str):
        raise Refusal(f"query.{index} is {shortened(repr(query))}; expected text.", param="query")
    if isinstance(prompt, str) and query.startswith(prompt):
        reply = _reply(query.removeprefix(prompt), index, tokenizer)
        return _chat(prompt, index, tokenizer, limits), reply
    rendered = read_rendered(tokenizer, query) if tokenizer else None
    if rendered is None:
        raise Refusal(
            f"Row {index + 1} of query does not begin with its prompt, and is not a chat in the base model's template; "
            "expected the prompt in prompts and the reply after it, or the reply alone in replies.",
            param="query",
        )
    content_text(query, index, "query")  # refuses invalid Unicode
    return _of_messages(rendered.messages, limits), rendered.reply


def _chat(prompt: Any, index: int, tokenizer: ChatTokenizer | None, limits: RequestLimits) -> Chat:
    """Return the chat of a prompt: a text, a chat, or a rendered chat."""
    if isinstance(prompt, list):
        if not all(isinstance(message, Mapping) for message in prompt):
            raise Refusal(
                f"prompts.{index} is {shortened(repr(prompt))}; expected a list of messages.", param="prompts"
            )
        chat = read_chat(prompt, limits, "prompts")
        if chat.beginning:
            raise Refusal(
                f"The last message of prompts.{index} is the assistant's; expected the user's, and the whole reply in "
                "replies.",
                param="prompts",
            )
        return chat
    if not isinstance(prompt, str):
        raise Refusal(f"prompts.{index} is {shortened(repr(prompt))}; expected {_LISTS}.", param="prompts")
    rendered = read_rendered(tokenizer, prompt) if tokenizer else None
    if rendered is not None and not rendered.reply:
        return _of_messages(rendered.messages, limits)
    if tokenizer and any(control in prompt for control in tokenizer.control_texts):
        raise Refusal(
            f"Row {index + 1} of prompts holds special tokens and is not a chat in the base model's template; expected "
            "the user's text, a list of messages, or a chat rendered with this model's template.",
            param="prompts",
        )
    return _of_messages([{"role": "user", "content": prompt}], limits)


def _of_messages(messages: Sequence[Mapping[str, Any]], limits: RequestLimits) -> Chat:
    return read_chat(messages, limits, "prompts")


def _reply(reply: Any, index: int, tokenizer: ChatTokenizer | None) -> str:
    """Return a reply's text without the tokens that end it."""
    if isinstance(reply, list) and len(reply) == 1 and isinstance(reply[0], Mapping):
        reply = reply[0].get("content")
    if not isinstance(reply, str):
        raise Refusal(
            f"replies.{index} is {shortened(repr(reply))}; expected text, or a list of one message.", param="replies"
        )
    text = content_text(reply, index, "replies")
    return without_end(tokenizer, text) if tokenizer else text
