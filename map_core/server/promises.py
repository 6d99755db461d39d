"""``/v1/palettes/NAME/promise``: whether the requests so far show that a palette keeps its targets.

A request counts once, with the expected level over its candidates, averaged over its replies; the palette's gain is
this level less the mean of the same candidates. A promise is for the server's K: requests with another number of
candidates, or another kind of choice (``best``, ``blocks``, floors), are not counted. Constraint: targets and bounds
are computed from the table, for this K and whatever a request asks for, before the first request is counted; one lock,
no model.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter

from map_core.analysis.generation_weights import GenerationWeights
from map_core.confidence.prompt_samples import solved_sample
from map_core.confidence.running_promise import RunningPromise, WatchedTargets
from map_core.core.atomic_files import atomic_write
from map_core.core.types import Form
from map_core.data.derived_columns import DerivedColumn
from map_core.errors import InputError
from map_core.generation.request import GenerationRequest, Method
from map_core.server.errors import Refusal, shortened
from map_core.server.http import get
from map_core.server.request_parser import ReplyRequest
from map_core.server.steering import Steering
from map_core.service.snapshot import GenerationSnapshot, Phase

#: Standard deviations by which a promise is below its target: at the target itself it would be in doubt for ever.
TOLERANCE = 0.1
#: Least distance of a bound from the promised level, in standard deviations.
LEAST_ROOM = 0.5
#: Seconds between two writes of the file.
KEEP_SECONDS = 5.0
#: The kinds of promises: on the gain over the base model, and on levels.
KINDS = ("over_base", "levels")

_log = logging.getLogger(__name__)


class PromiseWatch:
    """The running promises of a server's palettes.

    Args:
        steering: the palettes, and the table on which they are solved.
        candidates: K of the requests that count, the server's default.
        file: the file of the promises' state; None to keep it in memory.
        only_base: candidates are drawn from the base model, so that their mean estimates its level.
    """

    def __init__(self, steering: Steering, candidates: int, file: Path | None = None, only_base: bool = True) -> None:
        self._steering, self._candidates, self._file = steering, candidates, file
        self._table = steering.table.without_held_out()
        self.palettes, self._kinds = steering.palettes, KINDS if only_base else KINDS[1:]
        self._columns = {column.name: column for column in steering.table.derived}
        self._lock, self._written = threading.Lock(), 0.0
        self._running: dict[tuple[str, str], RunningPromise] = {}
        self._uncounted = dict.fromkeys(self.palettes, 0)
        self._kept = _read(file) if file is not None and file.exists() else {}
        self._since: dict[str, str] = {}
        self._aims: dict[str, GenerationWeights] = {}

    def note(self, replies: ReplyRequest, snapshots: Sequence[GenerationSnapshot]) -> None:
        """Count an answered request; one without a palette is ignored."""
        if replies.palette is None or replies.aim is None:
            return
        palette = replies.palette
        with self._lock:
            self._begin(palette)
            levels = self._levels(replies, snapshots)
            if levels is None or not np.isfinite(levels[1:]).all():
                self._uncounted[palette] += 1
            else:
                names, tilted, base = levels
                for kind in self._kinds:
                    promise = self._promise(palette, kind, names)
                    promise.add(tilted if kind == "levels" else tilted - base)
            if self._file is not None and time.monotonic() - self._written > KEEP_SECONDS:
                self._write(self._file)

    def close(self) -> None:
        """Write the state to the file."""
        with self._lock:
            if self._file is not None:
                self._write(self._file)

    def described(self, palette: str) -> dict[str, Any]:
        """Return the state of a palette's promise as plain JSON values."""
        with self._lock:
            kinds = {kind: self._running.get((palette, kind)) for kind in self._kinds}
            return {
                "palette": palette,
                "since": self._since.get(palette),
                "candidates": self._candidates,
                "not_counted": self._uncounted[palette],
                "tolerance_sd": TOLERANCE,
                **{kind: None if promise is None else promise.described() for kind, promise in kinds.items()},
            }

    def _begin(self, palette: str) -> None:
        """Begin a palette at its first request, or restore from the file when that was and how many do not count."""
        if palette not in self._since:
            kept = self._kept_state(palette)
            self._since[palette] = kept.get("since") or datetime.now(UTC).isoformat(timespec="seconds")
            uncounted = kept.get("not_counted")
            self._uncounted[palette] = uncounted if isinstance(uncounted, int) else 0

    def _kept_state(self, palette: str) -> dict[str, Any]:
        """Return a palette's state in the file; empty where it is not that of requests with this K."""
        kept: dict[str, Any] = self._kept.get(palette, {})
        return kept if kept.get("candidates") == self._candidates else {}

    def _aim(self, palette: str) -> GenerationWeights:
        """Return a palette's solution for the server's K and a prompt of no known kind."""
        if palette not in self._aims:
            self._aims[palette] = self._steering.aim(palette, self._candidates)
        return self._aims[palette]

    def _levels(
        self, replies: ReplyRequest, snapshots: Sequence[GenerationSnapshot]
    ) -> tuple[tuple[str, ...], np.ndarray, np.ndarray] | None:
        """Return the targeted values, and their expected levels and means over candidates, (value,) each.

        None where the request is not counted, or a value was not scored.
        """
        assert replies.palette is not None
        if self._table.form is Form.POOLED or int(self._table.candidates.min()) < 2:
            return None
        if not all(map(self._counts, replies.requests)) or any(s.phase is not Phase.DONE for s in snapshots):
            return None
        targets = self._aim(replies.palette).targets
        columns = [self._columns.get(name) or DerivedColumn(name, name) for name in targets]
        columns = [column for column in columns if column.cohort is None and not column.mix]
        tilted, base = [], []
        for snapshot in snapshots:
            scored = [c for c in snapshot.candidates if all(column.value in c.rewards for column in columns)]
            if len(scored) < len(snapshot.candidates) or not columns:
                return None
            rewards = np.array(
                [[column.transform(np.array(c.rewards[column.value])) for column in columns] for c in scored]
            )
            tilted.append(np.array([c.probability for c in scored], dtype=float) @ rewards)
            base.append(rewards.mean(axis=0))
        return tuple(column.name for column in columns), np.mean(tilted, axis=0), np.mean(base, axis=0)

    def _counts(self, request: GenerationRequest) -> bool:
        """Return whether a request chooses as the promise says, among K candidates."""
        drawn = {request.candidates, request.most_candidates or request.candidates}
        chosen = request.method is Method.RESAMPLE and not request.floors
        return chosen and request.candidates > 1 and drawn == {self._candidates}

    def _promise(self, palette: str, kind: str, names: tuple[str, ...]) -> RunningPromise:
        """Return a palette's promise of a kind; restore it from the file, or begin it, at the first counted request."""
        if (palette, kind) not in self._running:
            kept = self._kept_state(palette).get(kind)
            self._running[palette, kind] = RunningPromise.restored(self._targets(palette, kind, names), kept)
        return self._running[palette, kind]

    def _targets(self, palette: str, kind: str, names: tuple[str, ...]) -> WatchedTargets:
        """Return the promised levels and their bounds, from the table's prompts at the palette's weights."""
        aim = self._aim(palette)
        oracle, seen = solved_sample(self._table, min(self._candidates, int(self._table.candidates.min())))
        positions = [oracle.values.index(name) for name in names]
        weights = np.zeros(len(oracle.values))
        for name, weight in aim.weights.items():
            column = next((c.name for c in self._columns.values() if c.reply_name == name and c.cohort is None), name)
            if column in oracle.values:
                weights[oracle.values.index(column)] = weight
        x = weights * oracle.scale
        levels = oracle.rewards_at(seen.at(x))[:, positions]
        targets = np.array([aim.targets[name] for name in names])
        if kind == "over_base":
            levels = levels - oracle.rewards_at(seen.at(0 * x))[:, positions]
            targets = targets - oracle.base[positions]
        scale = oracle.scale[positions]
        promised, room = targets - TOLERANCE * scale, LEAST_ROOM * scale
        low, high = np.minimum(levels.min(axis=0), promised - room), np.maximum(levels.max(axis=0), promised + room)
        deviation = np.maximum(levels.std(axis=0), LEAST_ROOM / 10 * scale)
        return WatchedTargets(names, promised, low, high, deviation)

    def _write(self, file: Path) -> None:
        """Write the state of all promises; a failed write is logged, so that it costs no request its reply."""
        self._written = time.monotonic()
        content = dict(self._kept)
        for palette, since in self._since.items():
            uncounted = self._uncounted[palette]
            content[palette] = {"since": since, "candidates": self._candidates, "not_counted": uncounted}
        for (palette, kind), promise in self._running.items():
            content[palette][kind] = promise.as_dict() | {"described": promise.described()}
        try:
            with atomic_write(file) as partial:
                partial.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
        except OSError as error:
            _log.warning("%s cannot be written (%s): the state of promises is kept in memory only.", file, error)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} holds no promises ({error}). Name another file, or move it away.") from error
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise InputError(f"{file} holds no promises. Name another file, or move it away.")
    return content


def promise_router(watch: PromiseWatch) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["models"])

    @get(router, "/v1/palettes/{name}/promise")
    def promise(name: str) -> dict[str, Any]:  # in a thread: a request that is being counted may hold the lock
        """Say whether the requests so far show that a palette keeps its targets: kept, in doubt or broken."""
        if name not in watch.palettes:
            known = ", ".join(watch.palettes) or "none"
            raise Refusal(f"There is no palette {shortened(name)!r} here; there are {known}.", status=404, param="name")
        return watch.described(name)

    return router
