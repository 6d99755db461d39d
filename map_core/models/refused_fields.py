"""Requests to servers that refuse some fields: what is refused is left out or replaced, and that is remembered.

Servers that speak OpenAI's chat completions differ in what they take: some refuse ``top_k``, some ``seed``, some want
``max_completion_tokens`` in place of ``max_tokens``, and a gateway does not say which field the server behind it has
refused. So a request is sent as it is meant; where it is refused, without the fields that the refusal names, or, where
it names none, without all that could be meant; and what is found to be taken after all is put back. Constraint: how
requests travel is handed in; openai is imported when a request is sent.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from openai import APIStatusError

T = TypeVar("T")

Body = dict[str, Any]
"""The JSON object of a request."""

Replacement = Callable[[Any], Body]
"""The value of a field to the fields that stand in for it."""

#: Status codes with which servers refuse a field, and those of them that may stand for any field when none is named.
REFUSALS, UNNAMED_REFUSALS = (400, 403, 422), (400, 422)


def left_out(value: object) -> Body:
    """Replace a field by nothing."""
    return {}


def renamed(name: str) -> Replacement:
    """Return what gives a field another name."""
    return lambda value: {name: value}


def lowered(name: str, value: object) -> Replacement:
    """Return what gives a field this value."""
    return lambda _: {name: value}


@dataclass(frozen=True)
class OptionalField:
    """A field that a server may refuse.

    Args:
        name: its name.
        instead: what is tried in its place, from the best to the last resort.
    """

    name: str
    instead: tuple[Replacement, ...] = (left_out,)


class RefusedFields:
    """What one server refuses of the requests for one model, as far as it has shown.

    A field that was part of a request that the server took is never blamed for a later refusal.

    Args:
        fields: those that may be refused; the most valuable first.
    """

    def __init__(self, fields: Sequence[OptionalField]) -> None:
        self._fields = {field.name: field for field in fields}
        #: Of each field that is refused, which replacement stands in for it, from 1.
        self._replaced: dict[str, int] = {}
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    @property
    def refused(self) -> frozenset[str]:
        """The fields that the server refuses as they were meant."""
        return frozenset(self._replaced)

    def accepted_form(self, body: Mapping[str, Any], required: Collection[str] = ()) -> Body:
        """Return a request without what the server is known to refuse; ``required`` fields stay as they are."""
        return self._form(body, {name: n for name, n in self._replaced.items() if name not in required})

    def send(self, body: Mapping[str, Any], call: Callable[[Body], T], required: Collection[str] = ()) -> T:
        """Send a request in the fullest form that the server takes.

        Args:
            body: the request as it is meant.
            call: sends one form of it; raises ``openai.APIStatusError`` where the server refuses.
            required: fields that nothing may stand in for.

        Returns:
            The answer.

        Raises:
            openai.APIStatusError: no form was taken; the server's reason.
        """
        import openai

        taken: list[T] = []

        def refusal_of(form: Body) -> APIStatusError | None:
            try:
                taken.append(call(form))
            except openai.APIStatusError as error:
                return error
            return None

        form = self.accepted_form(body, required)
        refusal = refusal_of(form)
        try:
            if refusal is None:
                self._taken.update(body)
            else:
                with self._lock:
                    attempts = self._attempts(body, form, refusal, required)
                    attempt = next(attempts)
                    while attempt is not None:
                        attempt = attempts.send(refusal_of(attempt))
            return taken[-1]
        finally:
            # An error that its own frames hold lives until the garbage is collected, and its connection with it.
            refusal = None

    async def send_async(
        self,
        body: Mapping[str, Any],
        call: Callable[[Body], Awaitable[T]],
        discard: Callable[[T], Awaitable[None]],
        lock: asyncio.Lock,
        required: Collection[str] = (),
    ) -> T:
        """Send a request as :meth:`send` does.

        Args:
            body: the request as it is meant.
            call: sends one form of it.
            discard: closes an answer that is not wanted.
            lock: held while it is found out what is refused, so that requests side by side find it out once.
            required: fields that nothing may stand in for.

        Raises:
            openai.APIStatusError: no form was taken; the server's reason.
        """
        import openai

        taken: list[T] = []

        async def refusal_of(form: Body) -> APIStatusError | None:
            if taken:
                await discard(taken.pop())
            try:
                taken.append(await call(form))
            except openai.APIStatusError as error:
                return error
            return None

        form = self.accepted_form(body, required)
        refusal = await refusal_of(form)
        try:
            if refusal is None:
                self._taken.update(body)
            else:
                async with lock:
                    attempts = self._attempts(body, form, refusal, required)
                    attempt = next(attempts)
                    while attempt is not None:
                        attempt = attempts.send(await refusal_of(attempt))
            return taken[-1]
        finally:
            refusal = None  # as in send()

    def _attempts(
        self, body: Mapping[str, Any], form: Body, refusal: APIStatusError, required: Collection[str]
    ) -> Generator[Body | None, APIStatusError | None, None]:
        """Yield the forms to try after a refusal, and None at the end; the answer to the last one counts.

        Args:
            body: the request as it is meant.
            form: what was refused of it.
            refusal: how.
            required: fields that nothing may stand in for.
        """
        reason: APIStatusError | None = None
        last: APIStatusError | None = None
        try:
            known = self.accepted_form(body, required)
            if known != form:  # found out by another request meanwhile
                reason = yield known
                if reason is None:
                    self._taken.update(body)
                    yield None
                    return
                refusal = reason
            suspects: set[str] = set()
            reason = refusal
            while reason is not None:
                named, more = self._suspects(body, reason, required, suspects)
                if not more:
                    raise refusal
                suspects |= more
                reason = yield self._form(body, self._replaced | {name: self._last(name) for name in suspects})
                if reason is not None and (named or reason.status_code not in REFUSALS):
                    refusal = reason
            replaced = self._replaced | {name: self._last(name) for name in suspects}
            last = None
            for name in (field for field in self._fields if field in suspects):
                # A field that was suspected alone is the one; of several each may be innocent.
                for number in range(self._replaced.get(name, 0) + (len(suspects) == 1), self._last(name)):
                    last = yield self._form(body, replaced | {name: number})
                    if last is None:
                        replaced[name] = number
                        break
                    if last.status_code not in REFUSALS:
                        raise last
            # Refused requests may have disturbed a server that has one random stream for all.
            if last is not None and (last := (yield self._form(body, replaced))) is not None:
                raise last
            self._replaced = {name: number for name, number in replaced.items() if number}
            self._taken.update(body)
            yield None
        finally:
            del refusal, reason, last  # as in send()

    def _suspects(
        self, body: Mapping[str, Any], refusal: APIStatusError, required: Collection[str], known: Collection[str]
    ) -> tuple[bool, set[str]]:
        """Return whether a refusal names fields, and those that may be meant and are not suspected yet."""
        if refusal.status_code not in REFUSALS:
            return False, set()
        possible = {name for name in self._fields if name in body} - self._taken - {*required} - {*known}
        answer = f"{refusal} {refusal.body}"
        named = {name for name in possible if re.search(rf"(?<![\w.]){name}(?!\w)", answer)}
        if named or refusal.status_code not in UNNAMED_REFUSALS:
            return True, named
        return False, possible

    def _form(self, body: Mapping[str, Any], replaced: Mapping[str, int]) -> Body:
        form: Body = {}
        for name, value in body.items():
            number = replaced.get(name, 0)
            form |= self._fields[name].instead[number - 1](value) if number else {name: value}
        return form

    def _last(self, name: str) -> int:
        return len(self._fields[name].instead)
