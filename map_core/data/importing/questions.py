"""Questions about ambiguities of a file, with the consequence of each answer.

An ambiguity that would change a count or a value is never resolved by a guess: the app asks, and the command line
refuses until an option decides. Constraint: the answer to a question is the value of one option of ``import``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from map_core.errors import InputError


@dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        value: the value of the option.
        gives: the result, with the number that changes, such as "2 prompts where they are kept apart".
    """

    value: str
    gives: str


@dataclass(frozen=True)
class Question:
    """One ambiguity of a file.

    Args:
        found: a sentence, without its full stop, about the ambiguous content.
        option: the option of ``import`` that answers it, such as ``--lookalikes``.
        answers: at least two.
    """

    found: str
    option: str
    answers: tuple[Answer, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the question as plain JSON values."""
        answers = [{"value": answer.value, "gives": answer.gives} for answer in self.answers]
        return {"found": self.found, "option": self.option, "answers": answers}

    def refusal(self) -> str:
        """Return the error message of a command that cannot ask."""
        gives = " or ".join(answer.gives for answer in self.answers)
        options = " or ".join(f"{self.option} {shlex.quote(answer.value)}" for answer in self.answers)
        return f"{self.found}: {gives}. Say which: {options}."


class UnansweredError(InputError):
    """A file has ambiguities that change a count or a value.

    Args:
        where: the file, as the message names it.
        questions: the ambiguities, at least one.
    """

    def __init__(self, where: str, questions: Sequence[Question]) -> None:
        super().__init__(f"{where}: {' '.join(question.refusal() for question in questions)}")
        self.where, self.questions = where, tuple(questions)

    def __reduce__(self) -> tuple[type[UnansweredError], tuple[str, tuple[Question, ...]]]:
        return type(self), (self.where, self.questions)
