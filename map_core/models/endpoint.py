"""Models on servers: their names, which servers may be called, and their API keys.

A model on a server is named NAME@URL. Tables contain such names too, and a table may come from anybody, so a server is
called only if the operator of this program named it: in ``VALUE_PALETTE_MODELS`` or, where that variable is not set,
once on this machine by a command or in the app (:func:`remember_server`). Constraint: keys are only read in
:func:`connection`, after that check, and each belongs to one host: those of :data:`KEYS_BY_HOST` to the host that is
named there, ``VALUE_PALETTE_API_KEY`` to the model's, ``OPENAI_API_KEY`` to OpenAI's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import filelock
import platformdirs

from map_core.core import remedies
from map_core.core.atomic_files import atomic_write
from map_core.errors import InputError

#: Environment variable with the models that every visitor of the app may choose, folders and NAME@URL, separated by
#: commas. When it is set, even to an empty text, no other server is called.
LISTED = "VALUE_PALETTE_MODELS"
#: Environment variable with keys by host, a JSON object: {"gpu-box:8000": "KEY", "api.example.com": "KEY"}.
KEYS_BY_HOST = "VALUE_PALETTE_API_KEYS"
#: Environment variables with the key of the model's server and with that server's host; a command sets the latter for
#: the processes that it starts.
MODEL_KEY, MODEL_KEY_HOST = "VALUE_PALETTE_API_KEY", "VALUE_PALETTE_API_KEY_HOST"
#: Environment variable with a key of OpenAI's, and of the server that OPENAI_BASE_URL names.
OPENAI_KEY = "OPENAI_API_KEY"
KEY_VARIABLES = (MODEL_KEY, OPENAI_KEY, KEYS_BY_HOST)
_OPENAI_HOST = "api.openai.com"
NO_KEY = "none"  # the client needs a key; servers without keys ignore it

_LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class Address:
    """A model on a server.

    Args:
        name: the model's name there.
        url: base URL of the server's ``/chat/completions``; mostly ends in ``/v1``.
    """

    name: str
    url: str

    def __str__(self) -> str:
        return f"{self.name}@{self.url}"

    @property
    def host(self) -> str:
        """The server's host, without its port."""
        return _host_of(self.url)


@dataclass(frozen=True)
class Connection:
    """URL and key with which a client calls a server.

    Args:
        url: the server's address.
        key: its key; :data:`NO_KEY` where there is none.
        key_variable: the environment variable that holds the key; "" where there is none.
    """

    url: str
    key: str
    key_variable: str


def address_of(model: str) -> Address | None:
    """Parse NAME@URL; return None for the name of a model on this machine.

    Raises:
        InputError: the URL is invalid, or contains a password or a key.

    Example:
        >>> address_of("tiny@http://127.0.0.1:8000/v1")
        Address(name='tiny', url='http://127.0.0.1:8000/v1')
    """
    match = re.fullmatch(r"(.*?)@(https?://.*)", model, re.DOTALL)
    if not match:
        return None
    name, url = match[1], match[2].rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = parts = None
    # The message does not repeat the URL, which may contain a secret.
    if parts is not None and ("@" in parts.netloc or parts.query or parts.fragment):
        raise InputError(
            f"The address of the server of {name!r} holds a user name, a password or a query; they would be recorded "
            f"with every table. Put the key into {KEY_VARIABLES[0]} and give the address as http://HOST:PORT/v1."
        )
    if not host or not name or re.search(r"\s", url):
        raise InputError(f"{name!r} names no model on a server; expected NAME@http://HOST:PORT/v1.")
    return Address(name, url)


def listed_models() -> tuple[str, ...] | None:
    """Return the models that :data:`LISTED` names; None where it is not set."""
    names = os.environ.get(LISTED)
    return None if names is None else tuple(name for name in map(str.strip, names.split(",")) if name)


def remember_server(model: str) -> None:
    """Record that the operator named this model, so that its server may be called from now on.

    Call it only with a name that a person typed on this machine, never with the content of a file. A model on this
    machine needs no record.

    Raises:
        InputError: the name is not of the form NAME@URL, or the record cannot be written.
    """
    address = address_of(model)
    if address is None or str(address) in _remembered():
        return
    path = _record_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock", timeout=_LOCK_SECONDS), atomic_write(path) as partial:
            names = sorted({*_remembered(), str(address)})
            partial.write_text(json.dumps(names, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except (OSError, filelock.Timeout) as error:
        raise InputError(
            f"{path}, which lists the servers that may be called, cannot be written ({error}). Make it writable, or "
            f"name the model in {LISTED}."
        ) from error


def may_call(address: Address) -> bool:
    """Return whether this server may be called: it is listed, or recorded on this machine where there is no list."""
    names = listed_models()
    return address in _addresses(_remembered() if names is None else names)


def refusal_reason(metadata: Mapping[str, Any]) -> str:
    """Return the reason why the server that a table's metadata names is not called; "" where it is, or none is named.

    Args:
        metadata: of the table; ``metadata["model"]["name"]`` names the model.
    """
    model = metadata.get("model")
    name = str(model.get("name") or "") if isinstance(model, Mapping) else ""
    try:
        address = address_of(name)
    except InputError as error:
        return str(error)
    if address is None or may_call(address):
        return ""
    return f"This table says that its replies are of {address}. {_REASON}"


def check_callable(model: str) -> None:
    """Refuse a model on a server that may not be called; accept any model on this machine.

    Raises:
        InputError: the server is not listed, see :func:`may_call`, or the name is not of the form NAME@URL.
    """
    address = address_of(model)
    if address is not None:
        _check_address(address)


def approved_model(named: str | None, recorded: str) -> str:
    """Return the model to open: the one that a person named, whose server is recorded, else the one of a file.

    Args:
        named: the name that a person typed on this machine; None where they gave none.
        recorded: the default, such as the model that a table names.

    Raises:
        InputError: the server of the model may not be called, the name is not of the form NAME@URL, or the record
            cannot be written.
    """
    if named and listed_models() is None:
        remember_server(named)
    address = address_of(named) if named else None
    if address is not None:
        os.environ.setdefault(MODEL_KEY_HOST, address.host)
    model = named or recorded
    check_callable(model)
    return model


def connection(address: Address, *, trusted: bool = False, judge: bool = False) -> Connection:
    """Return the URL and the key of a server.

    Args:
        address: of the model.
        trusted: the operator named this server for this call, as in a values file of their own.
        judge: the model rates or scores replies; it gets the key of the base model's server only on the same host.

    Raises:
        InputError: the server is not listed, see :func:`may_call`, or :data:`KEYS_BY_HOST` cannot be read.
    """
    if not trusted:
        _check_address(address)
    key = _keys_by_host(address)
    if key:
        return Connection(address.url, key, KEYS_BY_HOST)
    key = os.environ.get(MODEL_KEY, "").strip()
    if key and address.host in _model_key_hosts(address, named=trusted and not judge):
        return Connection(address.url, key, MODEL_KEY)
    key = os.environ.get(OPENAI_KEY, "").strip()
    if key and address.host in {_OPENAI_HOST, _host_of(os.environ.get("OPENAI_BASE_URL", ""))}:
        return Connection(address.url, key, OPENAI_KEY)
    return Connection(address.url, NO_KEY, "")


def key_advice(address: Address) -> str:
    """Return a sentence on how to set the key of one of several servers."""
    return f"A key is only sent to its own host: set {KEYS_BY_HOST} to {json.dumps({address.host: 'KEY'})}."


def _keys_by_host(address: Address) -> str:
    """Return the key that :data:`KEYS_BY_HOST` has for a host, with its port or without; "" for none."""
    text = os.environ.get(KEYS_BY_HOST, "").strip()
    if not text:
        return ""
    try:
        keys = json.loads(text)
    except ValueError:
        keys = None
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        # The message does not repeat the content, which has keys.
        raise InputError(f'{KEYS_BY_HOST} cannot be read; expected a JSON object such as {{"gpu-box:8000": "KEY"}}.')
    by_host = {host.lower(): key.strip() for host, key in keys.items()}
    return by_host.get(urlsplit(address.url).netloc.lower()) or by_host.get(address.host) or ""


def _model_key_hosts(address: Address, named: bool) -> set[str]:
    """Return the host to which :data:`MODEL_KEY` belongs; none where that is ambiguous.

    Args:
        address: the server to call.
        named: a person has just named it as the model's.
    """
    host = os.environ.get(MODEL_KEY_HOST, "").strip().lower()
    if host:
        return {host}
    names = listed_models()
    hosts = {known.host for known in _addresses(_remembered() if names is None else names)}
    if named and names is None:
        return {address.host}
    return hosts if len(hosts) == 1 else set()


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


_REASON = f"No server is called because a file says so. {remedies.CALL_SERVER.of(LISTED)}"


def _check_address(address: Address) -> None:
    if not may_call(address):
        raise InputError(f"The server of {address} is not called. {_REASON}")


def _addresses(names: Iterable[str]) -> Iterator[Address]:
    """Yield the addresses among names; invalid ones are ignored."""
    for name in names:
        with suppress(InputError):
            address = address_of(name)
            if address is not None:
                yield address


def _record_path() -> Path:
    """Return the file with the recorded models on servers."""
    return platformdirs.user_data_path("value-palette") / "servers.json"


def _remembered() -> tuple[str, ...]:
    try:
        names = json.loads(_record_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()
