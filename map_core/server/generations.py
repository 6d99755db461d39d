"""Submit a request's generations and respond with their replies, whole or as a stream, in any of OpenAI's interfaces.

Which reply is sent is known once it is chosen, so a stream opens at once, keeps the connection open with comments while
candidates are written, and then sends the chosen text word by word; a single candidate is sent as it is drawn.
Constraint: the event loop only waits and sends.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from map_core.errors import EngineError
from map_core.server.errors import Refusal, RequestLimits
from map_core.server.http import EventStream, JsonResponse
from map_core.server.keys import KeyRing
from map_core.server.replies import RETRY_SECONDS, ReplyFormat, chosen_reply, failure_of, usage_of
from map_core.server.request_parser import ReplyRequest
from map_core.service.generation import Generation
from map_core.service.service import GenerationService
from map_core.service.snapshot import GenerationSnapshot, Phase

#: Seconds between two checks of a generation and of its client.
POLL_SECONDS = 0.01
#: Seconds between comments that keep a stream's connection open.
KEEP_ALIVE_SECONDS = 2.0
#: Seconds that a stream waits for its first token before it opens, so that early failures get an HTTP status.
OPENING_SECONDS = 1.0
#: A piece of a stream is a word with the space after it.
_PIECES = re.compile(r"\S*\s*")

_log = logging.getLogger(__name__)


class Generations:
    """Submission of generations and their responses.

    Args:
        service: the generator.
        limits: of all requests together.
        keys: with the budgets that are charged.
        on_drawn: called with the client and the number of tokens drawn, once a request is over.
        draining: whether new work is refused because the server is shutting down.
        on_answered: called, in a thread, with each request and the final snapshots of its generations.
    """

    def __init__(
        self,
        service: GenerationService,
        limits: RequestLimits,
        keys: KeyRing | None = None,
        on_drawn: Callable[[str, int], None] | None = None,
        draining: Callable[[], bool] | None = None,
        on_answered: Callable[[ReplyRequest, Sequence[GenerationSnapshot]], None] | None = None,
    ) -> None:
        self._service, self._limits = service, limits
        self._keys = KeyRing() if keys is None else keys
        self._on_drawn, self._draining, self._on_answered = on_drawn, draining, on_answered
        self._seconds = 1.0  # moving average of the duration of a request

    async def answer(self, request: Request, replies: ReplyRequest, wording: ReplyFormat) -> Response:
        """Answer one request.

        Args:
            request: of HTTP.
            replies: its parsed body.
            wording: the interface of the response.

        Raises:
            Refusal: the queue is full, a budget is spent, the server is shutting down, or a generation failed.
            ClientDisconnect: the client has disconnected; its generations are stopped.
        """
        client = str(getattr(request.state, "client", ""))
        self.check_open()
        self._keys.check(client)
        generations = self._submit(replies, client)

        def cancel() -> None:
            for generation in generations:
                generation.cancel()
            tokens = sum(generation.snapshot().tokens for generation in generations)
            self._keys.charge(client, tokens)
            if self._on_drawn is not None:
                self._on_drawn(client, tokens)

        opened = False
        try:
            if replies.stream:
                await self._open(request, generations)
                opened = True
                return EventStream(self._events(replies, generations, wording), cancel, self.rate_limits())
            while not all(generation.ended for generation in generations):
                await poll(request)
            snapshots = await self._snapshots(replies, generations)
            chosen = [chosen_reply(replies, index, snapshot) for index, snapshot in enumerate(snapshots)]
            return JsonResponse(wording.whole(chosen, usage_of(replies, snapshots)), headers=self.rate_limits())
        finally:
            if not opened:
                cancel()

    def check_open(self) -> None:
        """Refuse new work while the server is shutting down.

        Raises:
            Refusal: the server is shutting down.
        """
        if self._draining is not None and self._draining():
            raise Refusal("The server is being stopped.", status=503, kind="server_error", retry_after=RETRY_SECONDS)

    def rate_limits(self) -> dict[str, str]:
        """Return headers on the number of replies that the server takes at a time, and on the room left."""
        status = self._service.status()
        most = self._limits.at_once + self._limits.waiting
        left = max(0, most - status.running - status.waiting)
        return {
            "x-ratelimit-limit-requests": str(most),
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": "0s" if left == most else f"{self.wait_seconds}s",
        }

    @property
    def wait_seconds(self) -> int:
        """Estimated seconds, 1 to 60, until there is room again."""
        status = self._service.status()
        wait = self._seconds * (status.waiting + status.running) / max(status.running, 1)
        return max(1, min(60, math.ceil(wait)))

    def _submit(self, replies: ReplyRequest, viewer: str) -> list[Generation]:
        generations: list[Generation] = []
        try:
            for reply_request in replies.requests:
                generations.append(self._service.submit(reply_request, viewer))
        except EngineError as error:
            for generation in generations:
                generation.cancel()
            raise rate_limit_refusal(error, self.wait_seconds) from error
        return generations

    async def _snapshots(self, replies: ReplyRequest, generations: Sequence[Generation]) -> list[GenerationSnapshot]:
        snapshots = [generation.snapshot() for generation in generations]
        self._seconds = 0.8 * self._seconds + 0.2 * max(snapshot.seconds for snapshot in snapshots)
        if self._on_answered is not None:
            try:
                await asyncio.to_thread(self._on_answered, replies, snapshots)
            except Exception:  # noqa: BLE001 (the reply is valid even if the observer fails)
                _log.exception("An answered request could not be recorded.")
        return snapshots

    async def _open(self, request: Request, generations: Sequence[Generation]) -> None:
        """Wait up to :data:`OPENING_SECONDS` for the first token.

        Raises:
            Refusal: a generation has failed already.
        """
        deadline = time.monotonic() + OPENING_SECONDS
        while time.monotonic() < deadline:
            if any(generation.ended or generation.begun_drawing for generation in generations):
                break
            await poll(request)
        for generation in generations:
            if generation.ended and generation.snapshot().phase is not Phase.DONE:
                raise failure_of(generation.snapshot())

    async def _events(
        self, replies: ReplyRequest, generations: Sequence[Generation], wording: ReplyFormat
    ) -> AsyncIterator[str]:
        """Yield the events of a stream."""
        for index in range(len(generations)):
            yield wording.begin(index)
        sent = [""] * len(generations)
        running = dict(enumerate(generations))
        chosen = {}
        last_comment = time.monotonic()
        try:
            while running:
                for index, generation in list(running.items()):
                    if generation.ended:
                        del running[index]
                        reply = chosen[index] = chosen_reply(replies, index, generation.snapshot())
                        for word in filter(None, _PIECES.findall(_unsent(reply.text, sent[index]))):
                            yield wording.piece(index, word)
                        yield wording.end(index, reply)
                    elif replies.live:
                        text = generation.snapshot().candidates[0].text
                        # A reply that is written again, after the model process was lost, may be behind ``sent``.
                        if len(text) > len(sent[index]):
                            yield wording.piece(index, _unsent(text, sent[index]))
                            sent[index] = text
                if running and time.monotonic() - last_comment > KEEP_ALIVE_SECONDS:
                    last_comment = time.monotonic()
                    first = next(iter(running.values())).snapshot()
                    yield f": {first.note or f'{first.tokens} tokens written'}\n\n"
                if running:
                    await asyncio.sleep(POLL_SECONDS)
        except Refusal as refusal:
            yield wording.failed(refusal)
            return
        yield wording.last(
            [chosen[index] for index in sorted(chosen)],
            usage_of(replies, await self._snapshots(replies, generations)),
        )


async def poll(request: Request) -> None:
    """Check that the client is connected, and wait for :data:`POLL_SECONDS`.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    if await request.is_disconnected():
        raise ClientDisconnect
    await asyncio.sleep(POLL_SECONDS)


def rate_limit_refusal(error: EngineError, seconds: int) -> Refusal:
    """Return the refusal of a request for which the queue has no room, to be sent again after ``seconds``."""
    return Refusal(str(error), status=429, kind="rate_limit_error", code="rate_limit_exceeded", retry_after=seconds)


def _unsent(text: str, sent: str) -> str:
    """Return the part of a text that has not been sent.

    Raises:
        Refusal: the text does not begin with what was sent.
    """
    if not text.startswith(sent):
        raise Refusal(
            "The model process was lost, and the second attempt gave another reply. Send the request again.",
            status=500,
            kind="server_error",
        )
    return text[len(sent) :]
