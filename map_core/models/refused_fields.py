"""Adapt requests to servers that refuse some fields, and remember which fields each server refuses.

Servers with OpenAI's chat completions differ in the fields that they accept: some refuse ``top_k``, some ``seed``, some
need ``max_completion_tokens`` instead of ``max_tokens``, and a gateway does not tell which field the server behind it
refused. So a request is first sent in full; if it is refused, it is sent without the fields that the refusal names or,
if it names none, without all optional fields; then each of these is tried again by itself. Constraint: the transport is
an argument; openai is imported when a request is sent.
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
"""A function from the value of a field to the fields that replace it."""

#: Status codes with which servers refuse a field, and those of them that may concern any field if none is named.
REFUSALS, UNNAMED_REFUSALS = (400, 403, 422), (400, 422)


def left_out(value: object) -> Body:
    """Leave a field out."""
    return {}


def renamed(name: str) -> Replacement:
    """Return the replacement that renames a field."""
    return lambda value: {name: value}


def lowered(name: str, value: object) -> Replacement:
    """Return the replacement that gives a field this value."""
    return lambda _: {name: value}


@dataclass(frozen=True)
class OptionalField:
    """A field that a server may refuse.

    Args:
        name: its name.
        instead: the replacements to try, the best first.
    """

    name: str
    instead: tuple[Replacement, ...] = (left_out,)


class RefusedFields:
    """The fields that one server is known to refuse in requests for one model.

    A field of a request that the server accepted is never suspected in a later refusal.

    Args:
        fields: the optional fields, the most valuable first.
    """

    def __init__(self, fields: Sequence[OptionalField]) -> None:
        self._fields = {field.name: field for field in fields}
        #: The number of the replacement, from 1, for each refused field.
        self._replaced: dict[str, int] = {}
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    @property
    def refused(self) -> frozenset[str]:
        """The fields that the server refuses."""
        return frozenset(self._replaced)

    def accepted_form(self, body: Mapping[str, Any], required: Collection[str] = ()) -> Body:
        """Return a request without the fields that the server is known to refuse; ``required`` fields are kept."""
        return self._form(body, {name: n for name, n in self._replaced.items() if name not in required})

    def send(self, body: Mapping[str, Any], call: Callable[[Body], T], required: Collection[str] = ()) -> T:
        """Send a request in the fullest form that the server accepts.

        Args:
            body: the full request.
            call: sends one form of it; raises ``openai.APIStatusError`` where the server refuses.
            required: fields that must not be replaced.

        Returns:
            The answer.

        Raises:
            openai.APIStatusError: no form was accepted; the server's reason.
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
            # Breaks the reference cycle of the error and its frames, which would keep the connection open.
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
            body: the full request.
            call: sends one form of it.
            discard: closes an answer that is not needed.
            lock: held while the refused fields are determined, so that concurrent requests do so once.
            required: fields that must not be replaced.

        An accepted answer stays open until a fuller form is accepted. A server with one random stream for all requests
        may draw one more token for an answer after it is closed, and so disturb the request that follows.

        Raises:
            openai.APIStatusError: no form was accepted; the server's reason.
        """
        import openai

        taken: list[T] = []

        async def refusal_of(form: Body) -> APIStatusError | None:
            try:
                taken.append(await call(form))
            except openai.APIStatusError as error:
                return error
            if len(taken) > 1:
                await discard(taken.pop(0))
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
            return taken.pop()
        finally:
            refusal = None  # as in send()
            for answer in taken:
                await discard(answer)

    def _attempts(
        self, body: Mapping[str, Any], form: Body, refusal: APIStatusError, required: Collection[str]
    ) -> Generator[Body | None, APIStatusError | None, None]:
        """Yield the forms to try after a refusal, and None at the end; the answer to the last accepted one counts.

        Args:
            body: the full request.
            form: the form that was refused.
            refusal: the server's error.
            required: fields that must not be replaced.
        """
        reason: APIStatusError | None = None
        last: APIStatusError | None = None
        try:
            known = self.accepted_form(body, required)
            if known != form:  # another request has determined the refused fields meanwhile
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
                # A field that is the only suspect is refused; of several suspects each may be accepted.
                for number in range(self._replaced.get(name, 0) + (len(suspects) == 1), self._last(name)):
                    last = yield self._form(body, replaced | {name: number})
                    if last is None:
                        replaced[name] = number
                        break
                    if last.status_code not in REFUSALS:
                        raise last
            self._replaced = {name: number for name, number in replaced.items() if number}
            self._taken.update(body)
            yield None
        finally:
            del refusal, reason, last  # as in send()

    def _suspects(
        self, body: Mapping[str, Any], refusal: APIStatusError, required: Collection[str], known: Collection[str]
    ) -> tuple[bool, set[str]]:
        """Return whether a refusal names fields, and the fields that it may concern, without the ``known`` suspects."""
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
