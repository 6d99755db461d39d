"""What a build has made so far, in small files beside the table: replies and rewards, a file a prompt.

A part is written under another name, flushed to the disk and renamed, so that a part that is there is whole,
whenever the build is killed. Constraint: numpy, filelock and the standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from map_core.errors import InputError
from map_core.glossary import Reply

ScoreKey = tuple[str, str]
"""A value's name and its scorer's version."""


class Parts:
    """The folder ``OUT.parts`` of one build.

    Args:
        out: the table that is being built.
        plan: what decides the replies, as plain JSON values; parts of another plan are refused.
        fresh: throw away the parts of another plan.

    Raises:
        InputError: the folder holds the parts of another plan, cannot be written, or another build is using it.
    """

    def __init__(self, out: Path, plan: Mapping[str, Any], fresh: bool = False) -> None:
        self.folder = folder_of(out)
        self._plan = dict(plan)
        self._fresh = fresh
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder} cannot be made ({error}). Choose another place for the table.") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against a second build, and check that it belongs to this one's plan."""
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise InputError(
                f"Another build is working in {self.folder}. Wait for it, or give this one another --out."
            ) from error
        try:
            self._check_plan()
            yield
        finally:
            lock.release()

    def _check_plan(self) -> None:
        path = self.folder / "plan.json"
        found = _read(path)
        if found == self._plan:
            return
        if found is not None and not self._fresh:
            differs = [key for key in self._plan.keys() | found.keys() if self._plan.get(key) != found.get(key)]
            raise InputError(
                f"{self.folder} holds the unfinished table of another build (other {', '.join(sorted(differs))}). "
                "Finish that one with its own command, give this one another --out, or add --fresh to throw it away."
            )
        for part in self.folder.glob("re*-*.json"):
            part.unlink()
        _write(path, self._plan)

    def sampled(self, number: int) -> bool:
        """Whether the replies to prompt ``number`` are there."""
        return _read(self._replies(number)) is not None

    def replies(self, number: int) -> list[Reply]:
        """The replies to prompt ``number``."""
        found = _read(self._replies(number))
        if found is None:
            raise InputError(f"{self._replies(number)} is gone. Start the build again; it makes what is missing.")
        return [
            Reply(entry["text"], tuple(entry["tokens"]), tuple(entry["log_probs"]), entry["finished"])
            for entry in found
        ]

    def write_replies(self, number: int, replies: Sequence[Reply]) -> None:
        """Keep the replies to prompt ``number``; rewards of earlier ones are dropped."""
        self._rewards(number).unlink(missing_ok=True)
        _write(self._replies(number), [asdict(reply) for reply in replies])

    def rewards(self, number: int) -> dict[ScoreKey, np.ndarray]:
        """The rewards of prompt ``number`` that are there, by value and version."""
        found = _read(self._rewards(number)) or []
        return {(name, version): np.array(rewards, dtype=np.float64) for name, version, rewards in found}

    def write_rewards(self, number: int, rewards: Mapping[ScoreKey, np.ndarray]) -> None:
        """Keep the rewards of prompt ``number``."""
        _write(self._rewards(number), [[*key, column.tolist()] for key, column in rewards.items()])

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _replies(self, number: int) -> Path:
        return self.folder / f"replies-{number:05d}.json"

    def _rewards(self, number: int) -> Path:
        return self.folder / f"rewards-{number:05d}.json"


def folder_of(out: Path) -> Path:
    """Where the parts of a table are kept while it is built."""
    return out.with_name(out.name + ".parts")


def _read(path: Path) -> Any:
    """A part's content; None when it is not there or not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(path: Path, content: Any) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=True, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
