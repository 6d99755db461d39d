"""Render chats to tokens, and decode tokens to text incrementally, for one model.

Constraint: only ``tokenizers`` and ``jinja2`` are loaded (a fraction of a second), so that a process that samples with
OpenVINO never loads torch; the one exception is a tokenizer that has to be converted, once. Both engines and the
scoring model use this class, so they read exactly the same tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from map_core.errors import InputError
from map_core.models.chat_rendering import ChatTemplate, Message
from map_core.models.tokenizer_file import open_tokenizer, read_json

_UNFINISHED = "\ufffd"
# Begins and ends the placeholder of a control token while the text around it is encoded as plain text.
_PLACEHOLDER = "\U0010fffd"


class ChatTokenizer:
    """The tokenizer and chat template of one model folder.

    A chat has the tokens that transformers' ``apply_chat_template`` gives it, with two exceptions. Messages never
    contain control tokens: only the template's own are encoded as such, and a message that spells one stays text. And a
    template that writes a date gets 1 January 2024, so that a prompt has the same tokens on every day. Control tokens
    are the special ones, and other added ones that the template names.

    Args:
        folder: a model folder with ``tokenizer.json`` or files that it can be converted from;
            ``tokenizer_config.json``, ``chat_template.jinja``, ``generation_config.json`` and ``config.json`` are
            optional.

    Raises:
        InputError: there is no tokenizer that can be read.
    """

    def __init__(self, folder: Path) -> None:
        opened = open_tokenizer(folder)
        self._path, self._tokenizer, self._names = opened.path, opened.tokenizer, opened.names
        self._template = ChatTemplate.of_folder(folder, self._names)
        added = self._tokenizer.get_added_tokens_decoder()
        named = self._template.literals if self._template.source else ""
        # Added tokens that are spaces or line breaks are ordinary text in every template.
        self._control = {
            token_id: token.content
            for token_id, token in added.items()
            if token.special or (token.content in named and not token.content.isspace())
        }
        self._ids = {content: token_id for token_id, content in self._control.items()}
        self._unknown = self._ids.get(self._names.get("unk_token", ""))
        self.stop_tokens = self._stops(folder)

    def _stops(self, folder: Path) -> frozenset[int]:
        stop_tokens: set[int] = set()
        for source in ("generation_config.json", "config.json"):
            value = read_json(folder / source).get("eos_token_id")
            if value is not None:
                stop_tokens.update(int(v) for v in (value if isinstance(value, list) else [value]))
                break
        eos = self._ids.get(self._names.get("eos_token", ""))
        return frozenset(stop_tokens if eos is None else stop_tokens | {eos})

    @property
    def template(self) -> str:
        """The chat template; "" for a model without one."""
        return self._template.source

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, added ones included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def render(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a chat up to the assistant's reply, or up to its continuation.

        Args:
            messages: the turns so far. Without a system message the template may write its own default, as SmolLM2's
                does, see :meth:`preamble`. A last turn of the assistant is the beginning of the reply.

        Returns:
            The token ids; without a chat template those of the contents, separated by blank lines.

        Raises:
            InputError: the template refuses these roles, or a message is malformed.
        """
        for message in messages:
            if not isinstance(message.get("content"), str) or "role" not in message:
                raise InputError(f"A message is {message!r}; expected a role and a content that is text.")
        marks = _Marks([message["content"] for message in messages])
        marked = [{**message, "content": self._marked(message["content"], marks)} for message in messages]
        if self.template:
            return self._encoded(self._template.render(marked), marks)
        bos = self._ids.get(self._names.get("bos_token", ""))
        starts = bos is not None and self._tokenizer.encode("a", add_special_tokens=True).ids[:1] == [bos]
        text = "\n\n".join(message["content"] for message in marked)
        return ([bos] if starts and bos is not None else []) + self._encoded(text, marks)

    def preamble(self) -> str:
        """Return the template's text before a prompt without a system message."""
        return self._template.before_prompt()

    def encode(self, text: str) -> list[int]:
        """Encode plain text as token ids; text that spells a control token stays text."""
        marks = _Marks([text])
        return self._encoded(self._marked(text, marks), marks)

    def encode_document(self, text: str) -> list[int]:
        """Encode text without a chat, with a beginning-of-text token if the model has one.

        Names of control tokens in the text are encoded as those tokens, so that a rendered chat is read as one; a
        beginning-of-text token in the text is not repeated.
        """
        ids = list(self._tokenizer.encode(text, add_special_tokens=True).ids)
        bos = self._ids.get(self.bos_text)
        return ids[1:] if bos is not None and ids[:2] == [bos, bos] else ids

    def literal_parts(self, roles: Sequence[str]) -> tuple[str, ...]:
        """Return the template's text before, between and after the contents of a chat, see :class:`ChatTemplate`.

        Raises:
            InputError: the template refuses these roles.
        """
        return self._template.literal_parts(roles)

    @property
    def bos_text(self) -> str:
        """The beginning-of-text token as text; "" where there is none."""
        return self._names.get("bos_token", "")

    @property
    def control_texts(self) -> tuple[str, ...]:
        """The control tokens as text, without the token for unknown text."""
        return tuple(content for token_id, content in self._control.items() if token_id != self._unknown)

    def decode(self, tokens: Sequence[int]) -> str:
        """Decode token ids as text, special tokens left out."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def _marked(self, content: str, marks: _Marks) -> str:
        """Mark control tokens that a message spells, and parts of them at its beginning and end."""
        encoding = self._tokenizer.encode(content, add_special_tokens=False)
        spans = [_stripped(content, *span) for _, span in self._controls(encoding, content)]
        start, stop = _stripped(content, 0, len(content))
        inner, (beginnings, ends) = content[start:stop], self._parts
        sizes = range(1, min(len(inner), max(map(len, self._ids), default=0)) + 1)
        spans.append((start, start + max((size for size in sizes if inner[:size] in ends), default=0)))
        spans.append((stop - max((size for size in sizes if inner[-size:] in beginnings), default=0), stop))
        return marks.around(content, spans)

    @cached_property
    def _parts(self) -> tuple[set[str], set[str]]:
        """The proper prefixes and suffixes of control tokens."""
        beginnings = {control[:size] for control in self._ids for size in range(1, len(control))}
        return beginnings, {control[size:] for control in self._ids for size in range(1, len(control))}

    def _encoded(self, marked: str, marks: _Marks) -> list[int]:
        """Encode a rendered chat whose messages are marked."""
        text, masked = marks.removed(marked)
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        if text == masked:
            return list(encoding.ids)
        own = self._controls(self._tokenizer.encode(masked, add_special_tokens=False), masked)
        if self._controls(encoding, text) == own:
            return list(encoding.ids)  # no message became a control token
        pieces: list[str] = []
        end = 0
        for token_id, span in own:
            start, stop = _stripped(text, *span)
            pieces += [text[end:start], _placeholder(token_id)]
            end = stop
        return self._plain_ids([*pieces, text[end:]])

    def _controls(self, encoding: Encoding, text: str) -> list[tuple[int, tuple[int, int]]]:
        """Return the control tokens of an encoding: id and span, including spaces that the token absorbs."""
        return [
            (token_id, (start, stop))
            for token_id, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True)
            if token_id in self._control
            # The token for unknown text also encodes anything that has no token of its own.
            and (token_id != self._unknown or text[start:stop].strip() == self._control[token_id])
        ]

    @cached_property
    def _plain(self) -> tuple[Tokenizer, dict[int, int]]:
        """A copy of the tokenizer for which control tokens are ordinary text, and their placeholders control tokens."""
        plain = Tokenizer.from_str(self._tokenizer.to_str())
        tokens = self._tokenizer.get_added_tokens_decoder()
        controls = [tokens[token_id] for token_id in self._control]
        for token in controls:
            token.special = True
        plain.add_special_tokens(controls)
        plain.encode_special_tokens = True
        for token_id, token in zip(self._control, controls, strict=True):
            token.content, token.special = _placeholder(token_id), False
        plain.add_tokens(controls)
        ids = {token.content: token_id for token_id, token in plain.get_added_tokens_decoder().items()}
        return plain, {ids[_placeholder(token_id)]: token_id for token_id in self._control}

    def _plain_ids(self, pieces: Sequence[str]) -> list[int]:
        """Encode texts and placeholders of control tokens, which alternate."""
        if any(_PLACEHOLDER in text for text in pieces[::2]):
            raise InputError(f"The text contains the character {_PLACEHOLDER!r}, which has no meaning; take it out.")
        plain, control = self._plain
        ids = plain.encode("".join(pieces), add_special_tokens=False).ids
        forbidden = (self._control.keys() - {self._unknown}) & set(ids)
        if forbidden:
            raise InputError(
                f"The text contains {self._control[min(forbidden)]!r}, which this model's tokenizer cannot read as "
                "plain text; take it out of the text."
            )
        return [control.get(token_id, token_id) for token_id in ids]


def _placeholder(token_id: int) -> str:
    """Return the placeholder of a control token, without letters or spaces."""
    digits = "".join(chr(0x10F000 + int(digit)) for digit in str(token_id))
    return f"{_PLACEHOLDER}{digits}{_PLACEHOLDER}"


class _Marks:
    """Two characters that occur in none of some texts, to mark parts of them.

    A template that cuts its texts may separate a pair; a mark without its partner is removed too.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        used = set().union(*texts)
        free = (chr(code) for code in range(0xF0000, 0xFFF00) if chr(code) not in used)
        self._start, self._stop = next(free), next(free)
        # A letter of a rare script: some control tokens are only recognised between words.
        self._letter = next((chr(code) for code in range(0xA500, 0xA600) if chr(code) not in used), self._start)
        self._pattern = re.compile(
            f"{self._start}([^{self._start}{self._stop}]*){self._stop}|[{self._start}{self._stop}]"
        )

    def around(self, text: str, spans: Sequence[tuple[int, int]]) -> str:
        """Return a text with marks around spans of it; overlapping spans are merged."""
        pieces, end = [], 0
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(span for span in spans if span[0] < span[1]):
            if merged and start < merged[-1][1]:
                merged[-1] = merged[-1][0], max(stop, merged[-1][1])
            else:
                merged.append((start, stop))
        for start, stop in merged:
            pieces += [text[end:start], self._start, text[start:stop], self._stop]
            end = stop
        return "".join([*pieces, text[end:]])

    def removed(self, marked: str) -> tuple[str, str]:
        """Return a text without its marks, and the same text with each marked character replaced by a mask."""
        text = self._pattern.sub(lambda match: match[1] or "", marked)
        return text, self._pattern.sub(lambda match: self._masked(match[1] or ""), marked)

    def _masked(self, text: str) -> str:
        return "".join(self._letter if letter.isalnum() or letter == "_" else self._start for letter in text)


def _stripped(text: str, start: int, stop: int) -> tuple[int, int]:
    """Return the span of a part of a text without the spaces around it."""
    part = text[start:stop]
    start = start + len(part) - len(part.lstrip())
    return start, start + len(part.strip())


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
