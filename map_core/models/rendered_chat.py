"""Parse a chat that was rendered with a model's template back into messages.

Trainers pass prompts as the text that the model reads. The template is rendered with placeholders, and the texts
between its literal parts are the messages; nothing is guessed from names of roles or tokens.

Constraint: no model library; an empty message that a template leaves out cannot be recovered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from map_core.errors import InputError
from map_core.models.chat_template import ChatTokenizer, Message

#: Most messages of the user in a chat.
MOST_TURNS = 256


@dataclass(frozen=True)
class RenderedChat:
    """A chat, and the text after it.

    Args:
        messages: the turns up to the reply; the last is the user's.
        reply: the text of the assistant's reply, without the tokens that end it.
    """

    messages: tuple[Message, ...]
    reply: str


def read_rendered(tokenizer: ChatTokenizer, text: str) -> RenderedChat | None:
    """Parse a rendered chat and the reply after it; None where the text is not of this form.

    Args:
        tokenizer: of the model.
        text: a rendered chat up to the reply, with or without the reply; a beginning-of-text token may be missing or
            doubled.
    """
    if not tokenizer.template:
        return None
    text = _without_start(tokenizer, text)
    for turns in range(1, MOST_TURNS + 1):
        literals_match = False
        for system in (False, True):
            roles = _roles(turns, system)
            try:
                literals = tokenizer.literal_parts(roles)
            except InputError:  # the template takes no system message, or no further turns
                continue
            contents = _between((_without_start(tokenizer, literals[0]), *literals[1:]), text)
            if contents is None or len(contents) != len(roles) + 1:
                continue
            literals_match = True
            contents[-1] = without_end(tokenizer, contents[-1])
            if not any(control in content for content in contents for control in tokenizer.control_texts):
                messages = ({"role": role, "content": content} for role, content in zip(roles, contents, strict=False))
                return RenderedChat(tuple(messages), contents[-1])
        if not literals_match:  # more turns have the same literal parts and more, so they cannot match either
            return None
    return None


def _roles(turns: int, system: bool) -> tuple[str, ...]:
    """Return the roles of a chat with so many messages of the user."""
    return (*(("system",) if system else ()), "user", *(("assistant", "user") * (turns - 1)))


def _between(literals: Sequence[str], text: str) -> list[str] | None:
    """Return the texts between literal parts and after them; None where the text lacks the parts in this order."""
    if not text.startswith(literals[0]):
        return None
    contents, start = [], len(literals[0])
    for literal in literals[1:]:
        # The first place will do: no content holds a control token, and most literal parts begin with one.
        end = text.find(literal, start)
        if end < 0:
            return None
        contents.append(text[start:end])
        start = end + len(literal)
    return [*contents, text[start:]]


def _without_start(tokenizer: ChatTokenizer, text: str) -> str:
    """Return a text without the beginning-of-text tokens before it."""
    while tokenizer.bos_text and text.startswith(tokenizer.bos_text):
        text = text.removeprefix(tokenizer.bos_text)
    return text


def without_end(tokenizer: ChatTokenizer, reply: str) -> str:
    """Return a reply without the special tokens at its end: the end of its turn, padding."""
    while True:
        ending = reply.rstrip()
        control = next((name for name in tokenizer.control_texts if ending.endswith(name)), None)
        if not control:
            return reply
        reply = ending.removesuffix(control)
