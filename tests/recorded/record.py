"""Record what real servers answer, as JSON that quick tests replay: ``python -m tests.recorded.record [NAME ...]``.

An exchange is a request and its answer, whose bytes are kept unchanged as text.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.recorded import servers

FOLDER = Path(__file__).parent
PROMPT = [{"role": "user", "content": "How do I sleep better?"}]
#: The settings with which the engine draws; each candidate has its own seed.
DRAWN = {"messages": PROMPT, "temperature": 1.0, "top_p": 1.0, "max_tokens": 12}
#: One alternative per token; without the field llama.cpp reports twenty.
STREAM = {"stream": True, "stream_options": {"include_usage": True}, "logprobs": True, "top_logprobs": 1}
SEEDS = range(1, 7)
#: Fields that a server may refuse, sent one per request.
FIELDS: dict[str, Any] = {
    "seed": 1,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "logprobs": True,
    "top_logprobs": 20,
    "stream_options": {"include_usage": True},
    "max_completion_tokens": 12,
    "chat_template_kwargs": {"enable_thinking": False},
    "generation_config": json.dumps({"do_sample": True, "max_new_tokens": 12}),
    "n": 2,
}


@contextlib.contextmanager
def _behind_litellm(folder: Path) -> Iterator[str]:
    with servers.llama_cpp(folder) as upstream, servers.litellm(folder, upstream) as address:
        yield address


@contextlib.contextmanager
def _transformers_behind_litellm(folder: Path) -> Iterator[str]:
    (folder / "behind").mkdir()
    behind = servers.transformers_serve(folder / "behind")
    with behind as upstream, servers.litellm(folder, upstream, "./tiny") as address:
        yield address


@contextlib.contextmanager
def _thinking(folder: Path) -> Iterator[str]:
    with servers.llama_cpp(folder, servers.THINKING) as address:
        yield address


SERVERS: dict[str, tuple[Callable[[Path], contextlib.AbstractContextManager[str]], str]] = {
    "llama_cpp": (servers.llama_cpp, "tiny"),
    "llama_cpp_thinking": (_thinking, "tiny"),
    "transformers_serve": (servers.transformers_serve, "./tiny"),
    "litellm": (_behind_litellm, "tiny"),
    "litellm_transformers": (_transformers_behind_litellm, "tiny"),
}


def exchange(address: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """Send one request; return it with the status, the content type and the text of the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {servers.KEY}"}
    request = urllib.request.Request(address + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, kind, text = answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        status, kind, text = error.code, error.headers["Content-Type"], error.read()
    return {"path": path, "body": body, "status": status, "type": kind, "text": text.decode("utf-8", "replace")}


def record(address: str, model: str) -> dict[str, Any]:
    """Record all exchanges with one server."""
    drawn = DRAWN | {"model": model}
    refused = {}
    for name, setting in FIELDS.items():
        extra_fields = {name: setting} | ({"logprobs": True} if name == "top_logprobs" else {})
        extra_fields |= {"stream": True} if name == "stream_options" else {}
        refused[name] = exchange(address, "/chat/completions", drawn | {"max_tokens": 2} | extra_fields)
    accepted_fields = {
        name: FIELDS[name] for name in ("top_k", "min_p", "repetition_penalty") if refused[name]["status"] == 200
    }
    streams = [
        exchange(address, "/chat/completions", drawn | STREAM | accepted_fields | {"seed": seed}) for seed in SEEDS
    ]
    complete_replies = [
        exchange(address, "/chat/completions", drawn | accepted_fields | {"seed": seed}) for seed in SEEDS[:2]
    ]
    longer = [{"role": "user", "content": "Where is my parcel? " * 100}]
    return {
        "model": model,
        "models": exchange(address, "/models", None),
        "fields": refused,
        "streams": streams,
        "whole": complete_replies,
        "overflow": exchange(address, "/chat/completions", drawn | {"messages": longer}),
        "overflow_stream": exchange(address, "/chat/completions", drawn | {"messages": longer, "stream": True}),
        "greedy": [exchange(address, "/chat/completions", drawn | {"temperature": 0, "seed": seed}) for seed in (1, 2)],
        "unknown_model": exchange(address, "/chat/completions", drawn | {"model": "other"}),
    }


def main(names: list[str]) -> None:
    """Write NAME.json for each named server, or for all servers."""
    for name in names or SERVERS:
        start, model = SERVERS[name]
        with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as address:
            recorded = record(address, model)
        text = json.dumps(recorded, indent=1, ensure_ascii=True)
        (FOLDER / f"{name}.json").write_text(text.replace(folder, "FOLDER") + "\n", encoding="utf-8")
        print(name, len(text))


if __name__ == "__main__":
    main(sys.argv[1:])
