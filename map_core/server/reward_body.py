"""The body of ``/get_reward``: given prompts and replies, in the shape of OpenRLHF's remote reward models and in ours.

A prompt is what the person asked, a chat, or the text that a model's template made of a chat; the last is read back
into the chat, so that scorers hear the person and log-probabilities are those of the chat.

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
    prompts: Any = Field(None, description="What was asked: texts, chats, or texts in the model's chat template.")
    replies: Any = Field(None, description="In place of query: the replies alone, as texts or chats of one message.")
    labels: Any = Field(None, description="OpenRLHF's; not read.")
    model: str | None = Field(None, description="MODEL:PALETTE names a palette, as elsewhere.")
    palette: str | None = Field(None, description="The name of a palette; the address may say ?palette=NAME instead.")
    weights: dict[str, float] | None = Field(None, description="Weights by value, 1/reward, in place of a palette.")
    values: list[str] | None = Field(None, description="Further values whose rewards are told.")


def read_rows(body: RewardBody, tokenizer: ChatTokenizer | None, limits: RequestLimits) -> list[tuple[Chat, str]]:
    """Return the chat and the reply of each row.

    Args:
        body: the request.
        tokenizer: of the base model; None for one on another server, whose template is not known here.
        limits: of a request.

    Raises:
        Refusal: fields that do not fit each other, a row that cannot be read, or too many or too long ones.
    """
    if (body.query is None) == (body.replies is None):
        raise Refusal("Give either query or replies: what is to be scored, one text a row.", param="replies")
    field = "replies" if body.query is None else "query"
    rows = _rows(body.replies if body.query is None else body.query, field, limits)
    if body.prompts is None and field == "replies":
        raise Refusal(f"prompts is missing; expected {_LISTS}.", param="prompts")
    prompts = [None] * len(rows) if body.prompts is None else _rows(body.prompts, "prompts", limits)
    if len(prompts) != len(rows):
        raise Refusal(f"There are {len(prompts):,} prompts and {len(rows):,} {field}; expected as many.", param=field)
    read = []
    for number, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        if field == "query":
            read.append(_query(prompt, row, number, tokenizer, limits))
        else:
            read.append((_chat(prompt, number, tokenizer, limits), _reply(row, number, tokenizer)))
    return read


def by_chat(rows: Sequence[tuple[Chat, str]], system: str | None = None) -> tuple[list[GivenReplies], list[list[int]]]:
    """Return the replies to each chat, and the rows that they come from.

    Args:
        rows: chats and replies.
        system: the system message of chats that have none.
    """
    places: dict[Chat, list[int]] = {}
    for number, (chat, _) in enumerate(rows):
        places.setdefault(chat, []).append(number)
    given = [
        GivenReplies(
            chat.prompt,
            tuple(rows[number][1] for number in numbers),
            system if chat.system is None else chat.system,
            chat.history,
        )
        for chat, numbers in places.items()
    ]
    return given, list(places.values())


def _rows(rows: Any, field: str, limits: RequestLimits) -> list[Any]:
    if isinstance(rows, str):
        rows = [rows]
    if not isinstance(rows, list) or not rows:
        raise Refusal(f"{field} is {shortened(repr(rows))}; expected {_LISTS}.", param=field)
    if len(rows) > limits.candidates:
        raise Refusal(f"{field} has {len(rows):,} rows; expected at most {limits.candidates:,}.", param=field)
    return rows


def _query(
    prompt: Any, query: Any, number: int, tokenizer: ChatTokenizer | None, limits: RequestLimits
) -> tuple[Chat, str]:
    """Return the chat and the reply of a text that holds both."""
    if not isinstance(query, str):
        raise Refusal(f"query.{number} is {shortened(repr(query))}; expected text.", param="query")
    if isinstance(prompt, str) and query.startswith(prompt):
        reply = _reply(query.removeprefix(prompt), number, tokenizer)
        return _chat(prompt, number, tokenizer, limits), reply
    rendered = read_rendered(tokenizer, query) if tokenizer else None
    if rendered is None:
        raise Refusal(
            f"Row {number + 1} of query does not begin with its prompt, and is no chat in the base model's template; "
            "expected the prompt in prompts and the reply behind it, or the reply alone in replies.",
            param="query",
        )
    content_text(query, number, "query")  # refuses what is no Unicode
    return _of_messages(rendered.messages, limits), rendered.reply


def _chat(prompt: Any, number: int, tokenizer: ChatTokenizer | None, limits: RequestLimits) -> Chat:
    """Return what was asked, from a text, a chat, or a chat that was rendered."""
    if isinstance(prompt, list):
        if not all(isinstance(message, Mapping) for message in prompt):
            raise Refusal(
                f"prompts.{number} is {shortened(repr(prompt))}; expected a list of messages.", param="prompts"
            )
        chat = read_chat(prompt, limits, "prompts")
        if chat.beginning:
            raise Refusal(
                f"The last message of prompts.{number} is the assistant's; expected the user's, and the whole reply in "
                "replies.",
                param="prompts",
            )
        return chat
    if not isinstance(prompt, str):
        raise Refusal(f"prompts.{number} is {shortened(repr(prompt))}; expected {_LISTS}.", param="prompts")
    rendered = read_rendered(tokenizer, prompt) if tokenizer else None
    if rendered is not None and not rendered.reply:
        return _of_messages(rendered.messages, limits)
    if tokenizer and any(control in prompt for control in tokenizer.control_texts):
        raise Refusal(
            f"Row {number + 1} of prompts holds special tokens and is no chat in the base model's template; expected "
            "what the person asked, a list of messages, or a chat that this model's template has rendered.",
            param="prompts",
        )
    return _of_messages([{"role": "user", "content": prompt}], limits)


def _of_messages(messages: Sequence[Mapping[str, Any]], limits: RequestLimits) -> Chat:
    return read_chat(messages, limits, "prompts")


def _reply(reply: Any, number: int, tokenizer: ChatTokenizer | None) -> str:
    """Return a reply's text without the tokens that end it."""
    if isinstance(reply, list) and len(reply) == 1 and isinstance(reply[0], Mapping):
        reply = reply[0].get("content")
    if not isinstance(reply, str):
        raise Refusal(
            f"replies.{number} is {shortened(repr(reply))}; expected text, or a list of one message.", param="replies"
        )
    text = content_text(reply, number, "replies")
    return without_end(tokenizer, text) if tokenizer else text
