"""Store the replies and rewards of an unfinished build in small Parquet files beside the table, by prompt.

Each file, called a part, is written under a temporary name, synced to the disk and renamed, so that every part is
complete whenever the build is killed. A prompt's parts are keyed by its text alone, so a build with more prompts, more
candidates or more values continues from the existing parts. Constraint: no model library is imported here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from map_core.core import remedies
from map_core.core.checkpoint_folder import CheckpointFolder
from map_core.core.file_lock import lock
from map_core.core.types import Reply
from map_core.errors import InputError

ScoreKey = tuple[str, str]
"""A value's name and its scorer's version."""

_REPLIES = pa.schema(
    {
        "text": pa.string(),
        "tokens": pa.list_(pa.int32()),
        "log_probs": pa.list_(pa.float64()),
        "finished": pa.bool_(),
        "filtered": pa.bool_(),
    }
)
_NAME = re.compile(r"(.+)\.(\d+)-(\d+)\.replies\.parquet")
_REASONS = b"reasons"
_PLAN = "plan.json"


@dataclass
class PromptScores:
    """The rewards of one prompt's replies that exist so far.

    Args:
        rewards: for each value and version, the reward by candidate number; NaN where the scorer failed.
        reasons: likewise, the messages of the failures.
    """

    rewards: dict[ScoreKey, dict[int, float]] = field(default_factory=dict)
    reasons: dict[ScoreKey, dict[int, str]] = field(default_factory=dict)

    def add(self, key: ScoreKey, rewards: Mapping[int, float], reasons: Mapping[int, str]) -> None:
        """Add the rewards of further candidates."""
        self.rewards.setdefault(key, {}).update(rewards)
        self.reasons.setdefault(key, {}).update(reasons)


class BuildCheckpoints:
    """The folder ``OUT.parts`` of one build.

    Args:
        out: the table that is being built.
        plan: the settings that, with its prompt and its number, determine a reply, as plain JSON values; parts of
            another plan are refused.
        candidates: K; parts with more candidates are refused.
        fresh: discard the parts of another plan.

    Raises:
        InputError: the folder holds the parts of another plan, cannot be written, or another build is using it.
    """

    def __init__(self, out: Path, plan: Mapping[str, Any], candidates: int = 0, fresh: bool = False) -> None:
        self.folder = CheckpointFolder(checkpoint_path(out))
        self._out, self._plan, self._candidates, self._fresh = out, dict(plan), candidates, fresh
        self._ranges: dict[str, list[tuple[int, int]]] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the table against a second build, and check that the folder belongs to this build's plan."""
        with lock(self._out):
            self.folder.create()
            self._check_plan()
            for name in self.folder.names():
                if match := _NAME.fullmatch(name):
                    self._ranges.setdefault(match[1], []).append((int(match[2]), int(match[3])))
            for ranges in self._ranges.values():
                ranges.sort()
            yield

    def _check_plan(self) -> None:
        kept_plan = self._kept_plan()
        wanted_plan = self._plan | {"candidates": self._candidates}
        if kept_plan == wanted_plan:
            return
        differs = set() if kept_plan is None else self._differing(kept_plan)
        if differs and not self._fresh:
            raise InputError(
                f"{self.folder.path} holds the unfinished table of another build (other {', '.join(sorted(differs))}). "
                f"{remedies.OWN_COMMAND}"
            )
        if differs or kept_plan is None:
            self.folder.clear(".parquet")
        self.folder.write(_PLAN, json.dumps(wanted_plan).encode())

    def _differing(self, kept_plan: Mapping[str, Any]) -> set[str]:
        """Return the keys in which another plan differs, ignoring fewer candidates, as more can be drawn."""
        differs = {key for key in self._plan.keys() | kept_plan.keys() if self._plan.get(key) != kept_plan.get(key)}
        if kept_plan.get("candidates", 0) <= self._candidates:
            differs.discard("candidates")
        return differs

    def drawn(self, key: str) -> int:
        """Return the number after a prompt's last stored candidate; 0 where none is stored."""
        return self._ranges[key][-1][1] if key in self._ranges else 0

    def numbers(self, key: str) -> list[int]:
        """Return the numbers of a prompt's stored candidates."""
        return [number for first, end in self._ranges.get(key, ()) for number in range(first, end)]

    def replies(self, key: str) -> dict[int, Reply]:
        """Return a prompt's stored replies by candidate number."""
        by_number: dict[int, Reply] = {}
        for first, end in self._ranges.get(key, ()):
            data = self._read(_replies_name(key, first, end))
            # Parts of earlier versions have no column "filtered".
            columns = [
                data[name].to_pylist() if name in data.column_names else [False] * data.num_rows
                for name in _REPLIES.names
            ]
            for number, (text, tokens, log_probs, finished, filtered) in enumerate(zip(*columns, strict=True), first):
                by_number[number] = Reply(text, tuple(tokens), tuple(log_probs), finished, filtered)
        return by_number

    def size(self, key: str) -> int:
        """Return the bytes on disk of a prompt's parts."""
        names = [_replies_name(key, first, end) for first, end in self._ranges.get(key, ())]
        return sum(self.folder.size(name) for name in (*names, _scores_name(key)) if name in self.folder)

    def write_replies(self, key: str, first: int, replies: Sequence[Reply]) -> None:
        """Store replies to a prompt; the first of them is candidate number ``first``."""
        end = first + len(replies)
        columns = {
            "text": [reply.text for reply in replies],
            "tokens": [reply.tokens for reply in replies],
            "log_probs": [reply.log_probs for reply in replies],
            "finished": [reply.finished for reply in replies],
            "filtered": [reply.filtered for reply in replies],
        }
        self._write(_replies_name(key, first, end), pa.table(columns, schema=_REPLIES))
        self._ranges.setdefault(key, []).append((first, end))

    def scores(self, key: str) -> PromptScores:
        """Return the stored rewards of a prompt."""
        name = _scores_name(key)
        if name not in self.folder:
            return PromptScores()
        data = self._read(name)
        numbers = data["candidate"].to_pylist()
        reasons_json = json.loads((data.schema.metadata or {}).get(_REASONS, b"{}"))
        scores = PromptScores()
        for name in data.column_names[1:]:
            value, _, version = name.partition("\t")
            column = zip(numbers, data[name].to_pylist(), strict=True)
            reasons = {int(number): reason for number, reason in reasons_json.get(name, {}).items()}
            rewards = {number: reward for number, reward in column if reward is not None}
            scores.add((value, version), rewards, reasons)
        return scores

    def write_scores(self, key: str, scores: PromptScores) -> None:
        """Store the rewards of a prompt."""
        numbers = sorted({number for rewards in scores.rewards.values() for number in rewards})
        columns: dict[str, pa.Array] = {"candidate": pa.array(numbers, pa.int32())}
        for (name, version), rewards in scores.rewards.items():
            columns[f"{name}\t{version}"] = pa.array([rewards.get(number) for number in numbers], pa.float64())
        reasons_by_value = {"\t".join(value): reasons for value, reasons in scores.reasons.items() if reasons}
        self._write(
            _scores_name(key),
            pa.table(columns).replace_schema_metadata({_REASONS: json.dumps(reasons_by_value).encode()}),
        )

    def remove(self) -> None:
        """Delete the folder."""
        self.folder.remove()

    def _kept_plan(self) -> dict[str, Any] | None:
        """Return the plan stored in the folder; None when it is missing or damaged."""
        try:
            plan = json.loads(self.folder.read(_PLAN))
        except (InputError, ValueError):
            return None
        return plan if isinstance(plan, dict) else None

    def _read(self, name: str) -> pa.Table:
        try:
            return pq.read_table(pa.BufferReader(self.folder.read(name)))
        except pa.ArrowException as error:
            raise self.folder.damaged(name, error) from error

    def _write(self, name: str, data: pa.Table) -> None:
        buffer = pa.BufferOutputStream()
        pq.write_table(data, buffer, compression="zstd")
        self.folder.write(name, buffer.getvalue().to_pybytes())


def _replies_name(key: str, first: int, end: int) -> str:
    return f"{key}.{first:06d}-{end:06d}.replies.parquet"


def _scores_name(key: str) -> str:
    return f"{key}.rewards.parquet"


def checkpoint_key(prompt: str, occurrence: int = 0) -> str:
    """Return the key of a prompt's parts, made of its text and of the number of earlier prompts with the same text."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:24]
    return f"{digest}-{occurrence}" if occurrence else digest


def checkpoint_path(out: Path) -> Path:
    """Return the folder of a table's parts while it is built."""
    return out.with_name(out.name + ".parts")
