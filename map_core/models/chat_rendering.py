"""Render a chat as text with a model's chat template, and separate the template's text from the messages.

Constraint: jinja2 only, in its sandbox, since a template comes with a model, which may come from anybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nodes
import jinja2.sandbox
from jinja2.ext import Extension

from map_core.errors import InputError
from map_core.models.tokenizer_file import read_json

Message = Mapping[str, str]
"""One turn of a chat: ``{"role": "system" | "user" | "assistant", "content": ...}``."""

#: Marks the end of an assistant's turn that is to be continued; the space shows whether the template trims contents.
_OPEN_END = "\U000ffffd "
_PROMPT = "\U000ffffc"


class ChatTemplate:
    """A chat template, rendered as by transformers, except that the current date is always 1 January 2024.

    Args:
        source: the template; "" for none.
        names: the special tokens that it may write, by role.

    Source: ``apply_chat_template`` and ``render_jinja_template`` of transformers 5.
    """

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        self.source, self._names = source, dict(names)

    @classmethod
    def of_folder(cls, folder: Path, names: Mapping[str, str]) -> ChatTemplate:
        """Return the template of a model folder."""
        path = folder / "chat_template.jinja"
        if path.is_file():
            return cls(path.read_text(encoding="utf-8"), names)
        stated = read_json(folder / "tokenizer_config.json").get("chat_template", "")
        if isinstance(stated, list):  # several named templates: the one called default is meant for chats
            stated = {entry.get("name"): entry.get("template") for entry in stated}.get("default", "")
        return cls(stated if isinstance(stated, str) else "", names)

    @cached_property
    def _compiled(self) -> jinja2.Template:
        return _environment().from_string(self.source)

    def render(self, messages: Sequence[Message]) -> str:
        """Return a chat as text up to the assistant's reply; a last message of the assistant is left open.

        Raises:
            InputError: the template refuses these roles, or changes the reply that is to be continued.
        """
        continues = bool(messages) and messages[-1]["role"] == "assistant"
        chat = [dict(message) for message in messages]
        if continues:
            chat[-1]["content"] += _OPEN_END
        try:
            text = self._compiled.render(
                messages=chat, tools=None, documents=None, add_generation_prompt=not continues, **self._names
            )
        except (jinja2.TemplateError, TypeError) as error:
            roles = ", ".join(message["role"] for message in messages)
            raise InputError(
                f"The model's chat template refuses a chat with the roles {roles} ({error}); "
                "leave the system message out or take another model."
            ) from error
        if not continues:
            return text
        before, mark, _ = text.rpartition(_OPEN_END.strip())
        if not mark or messages[-1]["content"].strip() not in before:
            raise InputError(
                "The model's chat template does not write the assistant's last message as it stands, so no reply can "
                "continue it. End the chat with a message of the user."
            )
        return before if text[len(before) :].startswith(_OPEN_END) else before.rstrip()

    def before_prompt(self) -> str:
        """Return the template's text before a prompt without a system message; "" without a template."""
        return self.render([{"role": "user", "content": _PROMPT}]).split(_PROMPT)[0] if self.source else ""

    def literal_parts(self, roles: Sequence[str]) -> tuple[str, ...]:
        """Return the template's text before, between and after the contents of a chat, up to the reply.

        Args:
            roles: of the messages; the last is the user's.

        Returns:
            One part more than the number of contents in the rendered chat.

        Raises:
            InputError: the template refuses these roles.
        """
        return tuple(self.render([{"role": role, "content": _PROMPT} for role in roles]).split(_PROMPT))

    @cached_property
    def literals(self) -> str:
        """The literal texts of the template, joined by null characters."""
        tree = self._compiled.environment.parse(self.source)
        texts = {node.data for node in tree.find_all(jinja2.nodes.TemplateData)}
        texts |= {node.value for node in tree.find_all(jinja2.nodes.Const) if isinstance(node.value, str)}
        return "\0".join(sorted(texts))


class _Generation(Extension):
    """Jinja extension that renders ``{% generation %}`` blocks, which some templates carry for training, unchanged."""

    tags = {"generation"}  # noqa: RUF012 (the base class declares it so)

    def parse(self, parser: Any) -> Any:
        """Parse a block as its contents."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> jinja2.Environment:
    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def as_json(value: object, ensure_ascii: bool = False, **keys: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **keys)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda pattern: datetime(2024, 1, 1).strftime(pattern)
    environment.filters["tojson"] = as_json
    return environment
