"""``python -m map_core serve``: serve the aligned generator to programs by OpenAI's HTTP interfaces."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from map_core.cli.generation_inputs import sampling_settings
from map_core.cli.inputs import LoadedTable, open_table, read_palettes
from map_core.cli.options import (
    candidates_option,
    dtype_option,
    engine_option,
    form_option,
    model_option,
    palettes_file_option,
    table_argument,
    use_case_option,
)
from map_core.core.file_lock import check_output_path, lock
from map_core.core.types import DEFAULT_REPLY_LENGTH, recorded_length
from map_core.errors import EngineError, InputError

if TYPE_CHECKING:
    from map_core.models.endpoint import Address

KEY_VARIABLE = "VALUE_PALETTE_SERVER_KEY"


@click.command(
    epilog="""\b
Examples:
  python -m map_core serve --palettes palettes.jsonl
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
      -d '{"messages": [{"role": "user", "content": "My parcel is late!"}], "palette": "warm", "seed": 1}'

\b
In Python:
  client = openai.OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
  reply = client.chat.completions.create(model="smollm2-135m-instruct", messages=messages,
      extra_body={"weights": {"humor": 2.0}, "candidates": 32})
  reply.choices[0].message.content, reply.choices[0].value_palette

\b
A line of the palettes file:
  {"name": "warm", "targets": {"kindness": "p70", "positivity": "+0.3sd"}}
"""
)
@table_argument
@palettes_file_option(
    "--palettes", "JSON lines, one palette per line, as --targets-file elsewhere; a line may carry a name."
)
@use_case_option("Solve the palettes on the prompts of this use case alone.")
@form_option("Per prompt unless most have one reply.")
@model_option("The base model: a name, a folder or NAME@URL; the table's by default.")
@click.option(
    "--tuned",
    metavar="NAME",
    help="A model that `tune` made of the base model: all candidates but one are drawn from it, with exact weights.",
)
@engine_option("torch", "openvino", "remote")
@dtype_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 for requests from other machines.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--api-key", envvar=KEY_VARIABLE, show_envvar=True, help="Key that clients must send; better set by the variable."
)
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path),
    help='One key per line, one for each client: {"name": "support", "key": "...", "tokens_a_day": 200000}.',
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Pages of https://HOST may ask from a browser; may be repeated. None may by default.",
)
@click.option(
    "--promises",
    "promises_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep how the palettes' promises stand in this file, for the next start and for the app: TABLE.promises.json.",
)
@candidates_option("Candidates (K) where a request names no number.")
@click.option(
    "--most-candidates",
    type=click.IntRange(1, 1024),
    default=1024,
    show_default=True,
    help="Most candidates of a request, K times n.",
)
@click.option("--most-tokens", type=click.IntRange(min=1), default=1024, show_default=True, help="Longest reply.")
@click.option(
    "--most-characters", type=click.IntRange(1, 200_000), default=200_000, show_default=True, help="Of a chat."
)
@click.option("--most-messages", type=click.IntRange(min=1), default=256, show_default=True, help="Of a chat.")
@click.option("--most-bytes", type=click.IntRange(min=1), default=2_000_000, show_default=True, help="Of a request.")
@click.option(
    "--most-waiting",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Most requests that wait; further ones get status 429.",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Replies that are written at the same time.",
)
@click.option(
    "--drain-seconds",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="How long running replies may take to finish after SIGTERM.",
)
def serve(
    table: Path,
    palettes: Path | None,
    use_case: str | None,
    form: str | None,
    model: str | None,
    tuned: str | None,
    engine: str,
    dtype: str | None,
    host: str,
    port: int,
    api_key: str | None,
    keys_file: Path | None,
    origins: tuple[str, ...],
    promises_file: Path | None,
    candidates: int,
    most_candidates: int,
    most_tokens: int,
    most_characters: int,
    most_messages: int,
    most_bytes: int,
    most_waiting: int,
    at_once: int,
    drain_seconds: int,
) -> None:
    """Serve the aligned model by an OpenAI-compatible API; /docs lists addresses and fields.

    A request names a palette of --palettes, by the field "palette" or as the model MODEL:PALETTE, and its weights are
    solved on TABLE for the K that it draws; the nearest palette stands in for one that is not possible, and the reply
    says so. Or it gives "weights" by value. Without either it is the base model, drawn once. Further fields:
    "candidates" (K), "method" (resample, best, blocks), "block", "least_ess" with "most_candidates", "values". Sampling
    is that of the table unless a request says otherwise; without max_tokens replies end by themselves, at 160
    tokens at the latest where the table does not say how long its own were.

    GET /v1/palettes/NAME/promise says whether the requests so far show that a palette keeps its targets: kept, in doubt
    or broken, each wrong with a probability of 5% at most, whenever one looks.

    POST /get_reward scores given replies for a trainer: a palette's weighted reward, and each value's.

    With --tuned a reply is picked among K - 1 replies of the tuned model and one of the base model, with weights that
    make it exact in the limit; the effective sample size says how near the tuned model is to the palette.

    Each choice has its certificate in "value_palette": rewards, probability, nats, effective sample size and the base
    reply; the whole answer's "value_palette" has the weights in force. With n > 1 the replies are independent, the
    first with the seed of the request, each other with one made of that seed and its number; certificates tell them.

    Streams: a reply is only certain once it is chosen, so the text comes word by word after that; comments keep the
    line open until then. With one candidate tokens come as they are drawn. When a client disconnects, its replies stop.
    """
    import uvicorn

    from map_core.analysis.generation_weights import GenerationWeightsSolver
    from map_core.core import heap
    from map_core.generation.weighted_rewards import scored_values
    from map_core.models.endpoint import address_of, approved_model
    from map_core.models.files import locate, recorded_model
    from map_core.models.request_extra import recorded_request_extra
    from map_core.scoring import from_metadata, scorable_values
    from map_core.server.access import Access, check_origin, is_loopback
    from map_core.server.app import create_app
    from map_core.server.connections import DrainingServer, uvicorn_settings
    from map_core.server.errors import RequestLimits
    from map_core.server.keys import read_keys
    from map_core.server.promises import PromiseWatch
    from map_core.server.prompt_tokens import PromptTokens
    from map_core.server.request_parser import RequestParser
    from map_core.server.steering import Steering
    from map_core.service.service import GenerationService

    if promises_file is not None:
        check_output_path(promises_file, "table.promises.json")
        # Of two servers that write one file each would keep its own requests alone.
        click.get_current_context().with_resource(lock(promises_file, "server", "--promises"))
    heap.keep_few_arenas()
    opened = open_table(table, use_case, form)
    opened, palette_levels, locked = _read_named_palettes(opened, palettes)
    table_model = recorded_model(opened.table.metadata)
    name = approved_model(model, table_model)
    address = address_of(name)
    files = None if address else locate(name)
    if tuned is not None:
        if address:
            raise click.UsageError("--tuned needs the base model on this machine, to tell how likely replies are.")
        locate(tuned)
    limits = RequestLimits(
        body=most_bytes,
        messages=most_messages,
        characters=most_characters,
        candidates=most_candidates,
        tokens=most_tokens,
        waiting=most_waiting,
        at_once=at_once,
    )
    if candidates > most_candidates:
        raise click.UsageError(f"--candidates is {candidates}; expected at most the {most_candidates} of one request.")
    own = from_metadata(opened.table.metadata)
    scorable = scorable_values(own)
    other_model_note = foreign_note(name, files.sha256 if files else None, opened.table.metadata)
    parser = RequestParser(
        Steering(
            _client_name(name, address),
            GenerationWeightsSolver(opened.table, opened.oracle.form, scored=scorable),
            palette_levels,
            own,
            other_model_note,
            locked,
        ),
        sampling_settings({}, opened.table.metadata),
        opened.table.metadata.get("system"),
        PromptTokens(files.folder if files else None),
        limits,
        candidates,
        DEFAULT_REPLY_LENGTH if recorded_length(opened.table.metadata) is None else None,
    )
    loopback = is_loopback(host)
    keys = read_keys(keys_file) if keys_file else ()
    origins = tuple(map(check_origin, origins))
    listening = _listen(host, port)
    shown_host = f"[{host}]" if ":" in host else host

    def ready() -> None:
        click.echo(
            f"Serving {parser.steering.model} at http://{shown_host}:{listening.getsockname()[1]}/v1 (Ctrl-C ends it).",
            err=True,
        )
        click.echo(f"Palettes: {', '.join(palette_levels) or 'none; give some with --palettes'}.", err=True)
        if palette_levels and other_model_note:
            click.echo(other_model_note, err=True)
        if not loopback and not api_key and not keys:
            click.echo("Other machines can reach it without a key; set one: --api-key.", err=True)

    service = GenerationService(
        name,
        engine,
        dtype,
        at_once=at_once,
        most_waiting=most_waiting,
        most_of_viewer=max(1, most_waiting // 2) if keys else most_waiting,
        request_extra=recorded_request_extra(opened.table.metadata) if name == table_model else None,
        tuned=tuned,
    )
    levels = np.array([*palette_levels.values()]).reshape(-1, len(opened.table.values))
    has_target = ~np.isnan(levels).all(axis=0)
    targeted = [value for value, targets in zip(opened.table.values, has_target, strict=True) if targets]
    warmed = [value for value in scored_values(targeted, scorable) if value in scorable]
    access = Access(api_key or None, loopback, keys)
    app = create_app(
        parser,
        service,
        access=access,
        origins=origins,
        values=warmed,
        ready=ready,
        draining=lambda: server.draining,
        promises=PromiseWatch(parser.steering, candidates, promises_file, only_base=tuned is None),
    )
    server = DrainingServer(uvicorn.Config(app, **uvicorn_settings()), service, drain_seconds)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    finally:
        listening.close()


def _read_named_palettes(
    opened: LoadedTable, path: Path | None
) -> tuple[LoadedTable, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the table with the columns that the palettes name, and by name their levels and locked targets, (value,).

    Raises:
        InputError: a name is not text, or is used twice.
    """
    palettes: dict[str, np.ndarray] = {}
    locked: dict[str, np.ndarray] = {}
    opened, targets = read_palettes(opened, (), path) if path else (opened, [])
    for number, palette in enumerate(targets, start=1):
        name = palette.record.get("name", f"palette-{number}")
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"The name of palette {number} is {name!r}; expected text.")
        if name in palettes:
            raise InputError(f"{path} has two palettes {name!r}. Rename one of them.")
        palettes[name], locked[name] = palette.levels, palette.locked
    return opened, palettes, locked


def foreign_note(model: str, sha256: str | None, metadata: Mapping[str, Any]) -> str | None:
    """Return a note where the base model is not the one that drew a table's replies; None where it is.

    Args:
        model: the base model's name.
        sha256: hash of its weights; None for a model on a server, which is identified by its name alone.
        metadata: the table's metadata.
    """
    from map_core.models.files import recorded_model

    table_model = recorded_model(metadata)
    recorded = (metadata.get("model") or {}).get("sha256")
    hashes_known = sha256 and recorded and recorded != "unknown"
    same = sha256 == recorded if hashes_known else model == table_model
    if same:
        return None
    return f"The palettes are solved on replies of {table_model}; this is another model, so the forecast need not hold."


def _client_name(model: str, address: Address | None) -> str:
    """Return the model's name as clients know it: without its folder or its server."""
    if address is not None:
        return address.name
    return Path(model).resolve().name if Path(model).is_dir() else model


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that an unavailable address is reported before a model is loaded.

    Raises:
        EngineError: the address is not available.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise EngineError(
            f"{host}, port {port}, cannot be listened on ({error.strerror or error}). Give another --port or --host."
        ) from error
