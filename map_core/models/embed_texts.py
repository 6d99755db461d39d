"""Compute sentence embeddings in a child process, for a process that loads no model.

The child is run by :func:`embed_apart`: it reads a JSON list of texts on standard input and writes JSON rows.
Constraint: importing this module loads no model library.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from map_core.core.child_process import python_command, python_environment
from map_core.errors import EngineError
from map_core.models.files import locate
from map_core.models.packaged import DEFAULT_EMBEDDER

#: Seconds that a call may take: enough to load the model and to embed some thousand short texts.
TIMEOUT = 120.0


def embed_apart(texts: Sequence[str]) -> np.ndarray:
    """Return embeddings of length 1, (text, dimension); those of the latest lists are cached.

    Raises:
        MissingModelError: the model's weights are not on this machine.
        EngineError: the process did not answer.
    """
    return _embed(tuple(texts))


@lru_cache(maxsize=16)
def _embed(texts: tuple[str, ...]) -> np.ndarray:
    locate(DEFAULT_EMBEDDER)
    try:
        completed = subprocess.run(
            python_command("map_core.models.embed_texts"),
            input=json.dumps(texts),
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=python_environment(),
            timeout=TIMEOUT,
            check=True,
        )
        return np.array(json.loads(completed.stdout))
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EngineError(f"The process that embeds texts ended early: {reason}") from error
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise EngineError(f"The process that embeds texts gave no answer: {error}") from error


def main() -> None:
    """Answer one call."""
    from map_core.models.embedder import open_embedder

    texts = json.loads(sys.stdin.buffer.read())
    print(json.dumps(open_embedder().embed(texts).tolist()))


if __name__ == "__main__":
    main()
