"""Definitions of custom values: texts with more of the value and texts with less, in a user's words.

A definition is plain data: it can be stored in a database, written into a table's metadata and sent to the model
process. Its scorer is a :class:`map_core.scoring.contrast.Contrast` or, where a head was trained on judgements of it, a
:class:`map_core.scoring.head.Head`. Constraint: standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from map_core.errors import InputError
from map_core.scoring.head_weights import HeadWeights

#: Limits that keep a definition readable and its texts within the embedding model's limit.
MAX_NAME_LENGTH, MAX_TITLE_LENGTH, MAX_TEXT_LENGTH, MAX_TEXTS = 40, 60, 1_000, 20
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class DefinitionKind(StrEnum):
    """The kind of a definition's texts."""

    DESCRIPTION = "description"
    EXAMPLES = "examples"


@dataclass(frozen=True)
class Definition:
    """A value defined by texts with more of it and texts with less.

    Args:
        name: as tables, commands and addresses write it: a small letter, then small letters, digits and underscores
            (:func:`name_from` derives one from a title).
        title: as people read it.
        more: descriptions ("sounds like a calm nurse") or example replies with more of the value, 1 to
            :data:`MAX_TEXTS`.
        less: descriptions or example replies with less of it, 1 to :data:`MAX_TEXTS`.
        kind: "description" or "examples".
        colour: "#rrggbb" or None; without effect on scores.
        head: the weights of a head that was trained on judgements, with the texts as its prior; None without one.

    Raises:
        InputError: an invalid field, which the message names.

    Example:
        >>> nurse = Definition("calm_nurse", "Calm nurse", ("sounds like a calm nurse",), ("sounds like a salesman",))
        >>> Definition.from_json(nurse.to_json()) == nurse
        True
    """

    name: str
    title: str
    more: tuple[str, ...]
    less: tuple[str, ...]
    kind: DefinitionKind = DefinitionKind.DESCRIPTION
    colour: str | None = None
    head: HeadWeights | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "title", _checked_text("title", self.title, MAX_TITLE_LENGTH))
        for side in ("more", "less"):
            object.__setattr__(self, side, _checked_texts(side, getattr(self, side)))
        same = sorted({_plain(text) for text in self.more} & {_plain(text) for text in self.less})
        if same:
            raise InputError(
                f"{same[0]!r} stands on both sides of {self.title!r}, which must differ. Change one of them."
            )
        try:
            object.__setattr__(self, "kind", DefinitionKind(self.kind))
        except ValueError as error:
            raise InputError(f"kind is {self.kind!r}; expected {' or '.join(DefinitionKind)}.") from error
        if self.colour is not None and not (isinstance(self.colour, str) and _COLOUR.fullmatch(self.colour)):
            raise InputError(f"The colour is {self.colour!r}; expected #rrggbb, as in #2a7f62, or none.")
        if isinstance(self.head, Mapping):
            object.__setattr__(self, "head", HeadWeights.from_dict(self.head))

    @property
    def key(self) -> str:
        """A short hash of the fields that determine scores: kind, texts and head, but neither name nor colour."""
        head = () if self.head is None else (self.head.key,)
        decisive = json.dumps([self.kind.value, self.more, self.less, *head], ensure_ascii=True)
        return hashlib.sha256(decisive.encode()).hexdigest()[:16]

    @property
    def words(self) -> Definition:
        """The definition without its head."""
        return replace(self, head=None)

    def as_dict(self) -> dict[str, Any]:
        """Return the definition as plain JSON values, which :meth:`from_dict` reads."""
        entry = {
            "name": self.name,
            "title": self.title,
            "more": list(self.more),
            "less": list(self.less),
            "kind": self.kind.value,
            "colour": self.colour,
        }
        return entry if self.head is None else entry | {"head": self.head.as_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Definition:
        """Read a definition from the plain values of :meth:`as_dict`.

        Raises:
            InputError: a field is missing, unknown, or cannot be used.
        """
        if not isinstance(data, Mapping):
            raise InputError(f"A definition is {type(data).__name__}; expected an object with name, more and less.")
        unknown = sorted(map(str, data.keys() - cls.__dataclass_fields__.keys()))
        if unknown:
            raise InputError(
                f"A definition has the unknown field {unknown[0]!r}; there are {', '.join(cls.__dataclass_fields__)}."
            )
        missing = [name for name in ("name", "more", "less") if name not in data]
        if missing:
            raise InputError(f"A definition lacks {missing[0]!r}; expected at least name, more and less.")
        fields = dict(data)
        fields.setdefault("title", title_from(str(data["name"])))
        return cls(**fields)

    def to_json(self) -> str:
        """Return the definition as one line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Definition:
        """Read a definition from the JSON of :meth:`to_json`.

        Raises:
            InputError: the text is not JSON, or not a definition.
        """
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"The definition is not JSON ({error}); expected the output of to_json.") from error
        return cls.from_dict(data)


def name_from(title: str, taken: Sequence[str] = ()) -> str:
    """Derive an unused name from a title: "Calm nurse!" gives "calm_nurse".

    A title without any letter from a to z gives "value_" and a short hash of the title.
    """
    name = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[: MAX_NAME_LENGTH - 4].strip("_")
    if not name or not name[0].isalpha():
        name = f"value_{name or hashlib.sha256(title.encode()).hexdigest()[:8]}"[: MAX_NAME_LENGTH - 4]
    chosen, number = name, 2
    while chosen in taken:
        chosen, number = f"{name}_{number}", number + 1
    return chosen


def title_from(name: str) -> str:
    """Derive a title from a name: "calm_nurse" gives "Calm nurse"."""
    return name.replace("_", " ").strip().capitalize() or name


def check_name(name: Any) -> None:
    """Refuse a name that tables, commands or addresses could not write.

    Raises:
        InputError: it is not a small letter followed by small letters, digits and underscores, or it is too long.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        raise InputError(
            f"The name of a value is {name!r}; expected a small letter, then small letters, digits and underscores, "
            f"at most {MAX_NAME_LENGTH} in all, as in calm_nurse."
        )


def _checked_texts(side: str, texts: Any) -> tuple[str, ...]:
    if isinstance(texts, str):
        texts = (texts,)
    if not isinstance(texts, Sequence):
        raise InputError(f"The side {side!r} is {type(texts).__name__}; expected one text or several.")
    kept = tuple(dict.fromkeys(_checked_text(f"side {side!r}", text, MAX_TEXT_LENGTH) for text in texts))
    if not 1 <= len(kept) <= MAX_TEXTS:
        raise InputError(f"The side {side!r} has {len(kept)} texts; expected 1 to {MAX_TEXTS}.")
    return kept


def _checked_text(label: str, text: Any, longest: int) -> str:
    if not isinstance(text, str):
        raise InputError(f"The {label} holds {text!r}; expected text.")
    text = text.strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"The {label} is not valid text at character {error.start + 1}; expected Unicode.") from error
    if not any(character.isalnum() for character in text):
        raise InputError(f"The {label} is {text!r}; expected at least one word.")
    if len(text) > longest:
        raise InputError(f"The {label} has {len(text):,} characters; expected at most {longest:,}. Shorten it.")
    return text


def _plain(text: str) -> str:
    """Return a text without case, extra spaces and punctuation around it, for comparisons."""
    return " ".join(text.lower().split()).strip(" .!?,;:")
