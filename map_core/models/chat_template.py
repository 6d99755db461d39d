"""Render chats to tokens, and decode tokens to text incrementally, for one model.

Constraint: only ``tokenizers`` and ``jinja2`` are loaded (a fraction of a second), so that a process that samples with
OpenVINO never loads torch. Both engines and the scoring model use this class, so they read exactly the same tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nodes
import jinja2.sandbox
from jinja2.ext import Extension
from tokenizers import Tokenizer

from map_core.errors import EngineError, InputError
from map_core.models.tokenizer_file import tokenizer_file

Message = Mapping[str, str]
"""One turn of a chat: ``{"role": "system" | "user" | "assistant", "content": ...}``."""

_UNFINISHED = "\ufffd"
# Placeholders for message contents while a template is rendered: private-use characters that no template contains.
_PLACEHOLDER = "\ue0f0{}\ue0f1"
_PLACEHOLDERS = re.compile("\ue0f0([0-9]+)\ue0f1")


class _Generation(Extension):
    """Jinja extension that renders ``{% generation %}`` blocks, which some templates carry for training, unchanged."""

    tags = {"generation"}  # noqa: RUF012 (the base class declares it so)

    def parse(self, parser: Any) -> Any:
        """Parse a block as its contents."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _compiled(template: str) -> jinja2.Template:
    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda pattern: datetime(2024, 1, 1).strftime(pattern)
    environment.filters["tojson"] = lambda x, **keys: json.dumps(x, ensure_ascii=False, **keys)
    return environment.from_string(template)


def _token_text(value: object) -> str:
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else ""


class ChatTokenizer:
    """The tokenizer and chat template of one model folder.

    A prompt's text can never become a control token: the template's own special tokens are encoded as such, all other
    text, even when it spells a special token, as plain text. A template that writes a date gets 1 January 2024, so that
    the same prompt has the same tokens on every day.

    Args:
        folder: a model folder with ``tokenizer.json`` or files that it can be converted from;
            ``tokenizer_config.json``, ``chat_template.jinja``, ``generation_config.json`` and ``config.json`` are
            optional.

    Raises:
        InputError: there is no tokenizer that can be read.
    """

    def __init__(self, folder: Path) -> None:
        path = tokenizer_file(folder)
        try:
            self._special = Tokenizer.from_file(str(path))
        except Exception as error:
            raise EngineError(f"{path} cannot be read ({error}); the model's files are damaged.") from error
        added = self._special.get_added_tokens_decoder()
        self._special_texts = {token.content: i for i, token in added.items()}
        # The same tokenizer without the added tokens, so that text never becomes one of them.
        self._plain = Tokenizer(self._special.model)
        for part in ("normalizer", "pre_tokenizer", "decoder"):
            if (value := getattr(self._special, part)) is not None:
                setattr(self._plain, part, value)
        self._special.no_padding()
        self._special.no_truncation()
        config = _json(folder / "tokenizer_config.json")
        self._names = {
            name: _token_text(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        self.template = _template(folder, config)
        self.stop_tokens = self._stops(folder)

    def _stops(self, folder: Path) -> frozenset[int]:
        stop_tokens: set[int] = set()
        for source in ("generation_config.json", "config.json"):
            value = _json(folder / source).get("eos_token_id")
            if value is not None:
                stop_tokens.update(int(v) for v in (value if isinstance(value, list) else [value]))
                break
        eos = self._special_texts.get(self._names["eos_token"])
        return frozenset(stop_tokens if eos is None else stop_tokens | {eos})

    @cached_property
    def _jinja(self) -> jinja2.Template | None:
        return _compiled(self.template) if self.template else None

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, added ones included."""
        return int(self._special.get_vocab_size(with_added_tokens=True))

    def _plain_ids(self, text: str) -> list[int]:
        ids = list(self._plain.encode(text, add_special_tokens=False).ids) if text else []
        unknown = self._special_texts.get(self._names["unk_token"])
        control = {i: name for name, i in self._special_texts.items() if i != unknown}
        if forbidden := control.keys() & ids:
            raise InputError(
                f"The text contains {control[min(forbidden)]!r}, which this model's tokenizer cannot read as plain "
                "text; take it out of the text."
            )
        return ids

    def _pieces(self, text: str) -> list[str | int]:
        """Split template text at its special tokens: plain runs as text, special tokens as ids."""
        pieces: list[str | int] = []
        start = 0
        names = sorted(self._special_texts, key=len, reverse=True)
        while start < len(text):
            matches = [(at, name) for name in names if (at := text.find(name, start)) >= 0]
            if not matches:
                break
            at, name = min(matches, key=lambda pair: (pair[0], -len(pair[1])))
            pieces += [text[start:at], self._special_texts[name]]
            start = at + len(name)
        return [*pieces, text[start:]]

    def render(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a chat up to the beginning of the assistant's reply.

        Args:
            messages: the turns so far. Without a system message the template may write its own default, as SmolLM2's
                does, see :meth:`preamble`.

        Returns:
            The token ids; without a chat template those of the contents, separated by blank lines.

        Raises:
            InputError: the template refuses these roles, or a message is malformed.
        """
        for message in messages:
            if not isinstance(message.get("content"), str) or "role" not in message:
                raise InputError(f"A message is {message!r}; expected a role and a content that is text.")
        contents = [message["content"] for message in messages]
        if self._jinja is None:
            bos = self._special_texts.get(self._names["bos_token"])
            starts = bos is not None and self._special.encode("a", add_special_tokens=True).ids[:1] == [bos]
            return ([bos] if starts and bos is not None else []) + self._plain_ids("\n\n".join(contents))
        marked = [{**m, "content": _PLACEHOLDER.format(i)} for i, m in enumerate(messages)]
        try:
            text = self._jinja.render(messages=marked, add_generation_prompt=True, tools=None, **self._names)
        except jinja2.TemplateError as error:
            roles = ", ".join(m["role"] for m in messages)
            raise InputError(
                f"The model's chat template refuses a chat with the roles {roles} ({error}); "
                "leave the system message out or take another model."
            ) from error
        ids: list[int] = []
        for piece in self._pieces(text):
            if isinstance(piece, int):
                ids.append(piece)
                continue
            ids += self._plain_ids(_PLACEHOLDERS.sub(lambda match: contents[int(match[1])], piece))
        return ids

    def preamble(self) -> str:
        """Return what the template writes before a prompt when there is no system message."""
        if self._jinja is None:
            return ""
        messages = [{"role": "user", "content": _PLACEHOLDER.format(0)}]
        text = self._jinja.render(messages=messages, add_generation_prompt=True, tools=None, **self._names)
        return text.split(_PLACEHOLDER.format(0))[0]

    def encode(self, text: str) -> list[int]:
        """Encode plain text as token ids; text that spells a special token stays text."""
        return self._plain_ids(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """Decode token ids as text, special tokens left out."""
        return str(self._special.decode(list(tokens), skip_special_tokens=True))


class TextStream:
    """Incremental decoder of one reply; the pieces joined are ``decode(all tokens)``.

    A token that ends inside a character (a third of an emoji) adds nothing until the character is complete.

    Args:
        tokenizer: of the model.
        beginning: tokens that the reply has already; their text is not returned again.
    """

    def __init__(self, tokenizer: ChatTokenizer, beginning: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []
        self._before = 0
        self._seen = 0
        for token in beginning:
            self.push(token)

    def push(self, token: int | None, last: bool = False) -> str:
        """Add a token and return the text that became final with it.

        Args:
            token: the next token id, or None for the remaining text alone.
            last: no token follows; an incomplete character becomes the replacement character.
        """
        if token is not None:
            self._tokens.append(token)
        known = self._tokenizer.decode(self._tokens[self._before : self._seen])
        text = self._tokenizer.decode(self._tokens[self._before :])
        if not last and (text.endswith(_UNFINISHED) or len(text) <= len(known)):
            return ""
        self._before, self._seen = self._seen, len(self._tokens)
        return text[len(known) :]


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineError(f"{path} is no valid JSON ({error}); the model's files are damaged.") from error
    return content if isinstance(content, dict) else {}


def _template(folder: Path, config: Mapping[str, Any]) -> str:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    value = config.get("chat_template", "")
    if isinstance(value, list):  # several named templates: the one called default is meant for chats
        named = {entry.get("name"): entry.get("template") for entry in value}
        value = named.get("default", "")
    return value if isinstance(value, str) else ""
