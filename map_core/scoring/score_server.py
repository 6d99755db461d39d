"""A server that scores replies, as judges and served values call it: its address, its client, its failures in words.

Constraint: openai loads when a server is first called; the key comes from the environment alone and stands in no table,
log or message.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from map_core.errors import EngineError, InputError
from map_core.models.endpoint import Address, Connection, connection, key_advice
from map_core.models.endpoint import address_of as address_in
from map_core.models.refused_fields import OptionalField, RefusedFields
from map_core.models.server_reasons import server_reason
from map_core.scoring.settings import Setting
from map_core.scoring.shared_models import ScoringModels

_RETRIES = 4


@dataclass(frozen=True)
class ScoreServer:
    """A server: how it is called, its client, and what it refuses of a request."""

    connection: Connection
    client: Any
    fields: RefusedFields

    def __post_init__(self) -> None:
        # Its connections are closed with it, and not when the garbage collector comes upon them.
        weakref.finalize(self, self.client.close)


def model_address(
    name: str, given: Mapping[str, Any], settings: Mapping[str, Setting], needed: Sequence[str]
) -> Address:
    """Return the address of a value's model.

    Args:
        name: the value's name.
        given: its settings.
        settings: all that it can have.
        needed: those that it must have.

    Raises:
        InputError: a setting that is missing, or a model that names no server.
    """
    for key in needed:
        if key not in given:
            raise InputError(f"The value {name!r} lacks {key!r}; expected {settings[key].words}.")
    address = address_in(given["model"])
    if address is None:
        raise InputError(f"model of {name!r} is {given['model']!r}; expected {settings['model'].words}.")
    return address


def open_server(
    models: ScoringModels,
    address: Address,
    kind: tuple[Hashable, ...],
    url_of: Callable[[str], str],
    optional: Sequence[OptionalField],
    seconds: float,
    *,
    trusted: bool,
) -> ScoreServer:
    """Open a server, or return it as it was opened for another value.

    Args:
        models: keeps it for all values of the same server.
        address: of its model.
        kind: what tells it from others at this address.
        url_of: from the server's URL to that under which requests go.
        optional: fields of a request that it may refuse.
        seconds: to wait for an answer.
        trusted: whoever runs this program named this value, so its server may be called.

    Raises:
        EngineError: openai is not installed, or the server may not be called.
    """
    try:
        import openai
    except ImportError as error:
        raise EngineError("openai is not installed. Run: pip install -r requirements.txt") from error
    server = connection(address, trusted=trusted, judge=True)
    return models.shared(
        (*kind, server, address.name, seconds),
        lambda: ScoreServer(
            server,
            openai.OpenAI(base_url=url_of(server.url), api_key=server.key, max_retries=_RETRIES, timeout=seconds),
            RefusedFields(optional),
        ),
    )


def send(
    server: ScoreServer,
    body: dict[str, Any],
    call: Callable[[dict[str, Any]], Any],
    address: Address,
    *,
    who: str,
    fails: str,
    mend: str,
) -> Any:
    """Send a request, without what the server refuses of it, and return the answer.

    Args:
        server: from :func:`open_server`.
        body: the request.
        call: sends one form of it.
        address: of the model.
        who: the server as the subject of a sentence.
        fails: what it does where it refuses.
        mend: what to do, in a sentence.

    Raises:
        EngineError: it refuses, does not answer, or answers with what is no JSON.
    """
    import openai

    try:
        return server.fields.send(body, call)
    except openai.APIStatusError as error:
        reason, refused = server_reason(error.body, server.connection), error.status_code in (401, 403)
        answer = f"{'the key is refused, ' if refused else ''}it answers {error.status_code}"
        advice = f"{key_advice(address)} " if refused else ""
        raise EngineError(f"{who} {fails}: {answer}{f': {reason}' if reason else ''}. {advice}{mend}") from error
    except openai.APIError as error:
        raise EngineError(f"{who} does not answer ({type(error).__name__}). {mend}") from error
    except ValueError as error:
        raise EngineError(f"{who} answers with what is no JSON. {mend}") from error
