"""One build at work: what is there, what is missing, and the table that comes of it.

A candidate comes from the table that is added to or from the parts; a reward from that table, where the value is kept,
or from the parts. Everything else is missing and is made. Constraint: whatever is made is kept before the next
thing is begun.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from map_core.building.checkpoints import BuildCheckpoints, PromptScores, ScoreKey, checkpoint_key
from map_core.building.existing_table import ExistingTable
from map_core.building.fault_tolerant_scoring import FailureTracker, ScoredPrompt
from map_core.building.plan import FILTERED, BuildResult, FailedScore
from map_core.building.progress import Reporter, StageProgress
from map_core.building.sampling import RepetitionGuard
from map_core.building.workers import SamplingTask, ScoringTask, Workers
from map_core.building.writer import TableRow, write_table
from map_core.core.types import Reply, SamplingSettings
from map_core.data.prompts import Prompt
from map_core.errors import InputError
from map_core.scoring.base import Scorer, ScorerError, log_prob

#: Marks that a table's metadata tell one by one.
MAX_LISTED_FAILURES = 1000
#: The least share of the replies that a table must keep: one that lost most of them is no sample of the model's.
MIN_SHARE_LEFT = 0.5


@dataclass(frozen=True)
class ValueColumn:
    """One value of the table that is made.

    Args:
        key: its name and its scorer's version.
        scorer: the scorer's place among the scorers; None where no reply lacks a reward.
        kept: the rewards of the table that is added to are kept.
    """

    key: ScoreKey
    scorer: int | None
    kept: bool = False


@dataclass(frozen=True)
class BuildJob:
    """What is to be made.

    Args:
        out: the table's file.
        prompts: in the table's order.
        candidates: K, replies a prompt.
        columns: the values in their order.
        scorers: what scores them.
        base: the table that is added to, or None; its prompts are the first of these, in their order.
        metadata: what the table will tell of itself beside its values and marks.
    """

    out: Path
    prompts: tuple[Prompt, ...]
    candidates: int
    columns: tuple[ValueColumn, ...]
    scorers: tuple[Scorer, ...]
    base: ExistingTable | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def base_of(self, number: int) -> ExistingTable | None:
        """Return the table that is added to, where it has this prompt; else None."""
        return self.base if self.base is not None and number < len(self.base.prompts) else None


class BuildRun:
    """A job with its parts; the parts are locked by the caller.

    Args:
        job: what is to be made.
        parts: what is made so far.
        report: called with how far it is.
    """

    def __init__(self, job: BuildJob, parts: BuildCheckpoints, report: Reporter | None) -> None:
        self._job, self._parts, self._report = job, parts, report
        occurrences: dict[str, int] = {}
        self._keys = []
        for prompt in job.prompts:
            self._keys.append(checkpoint_key(prompt.text, occurrences.setdefault(prompt.text, 0)))
            occurrences[prompt.text] += 1
        self._scored = 0
        #: Replies drawn in this run, and their tokens as far as the model tells them.
        self.sampled = self.tokens = 0

    @property
    def prompts(self) -> int:
        """How many prompts the table will have."""
        return len(self._keys)

    def sample(self, crew: Workers, skip: bool = False, only: Collection[int] | None = None) -> None:
        """Draw what is missing.

        Args:
            crew: who draws.
            skip: go on without prompts that the model does not take.
            only: the places of the prompts that are looked at; None for all.

        Raises:
            InputError: the model does not take a prompt and ``skip`` is off, or it takes none.
        """
        lacking, refused = list(self._lacking()), 0
        steps = StageProgress("sampling", len(self._keys) - len(lacking), len(self._keys), self._report)
        guard = RepetitionGuard(SamplingSettings.from_metadata(self._job.metadata))
        for lack, replies in crew.draw(task for task in lacking if only is None or task.number in only):
            if isinstance(replies, InputError):
                refused += 1
                if skip and refused < len(self._keys):
                    steps.one()
                    continue
                prompt = self._job.prompts[lack.number].id
                raise InputError(f"The prompt {prompt!r} cannot be used. {replies}") from replies
            for key, first, kept in guard.pass_on(self._keys[lack.number], lack.first, replies):
                self._parts.write_replies(key, first, kept)
            self.sampled += len(replies)
            self.tokens += sum(len(reply.tokens) or len(reply.log_probs) for reply in replies)
            steps.one()
        for key, first, kept in guard.rest():
            self._parts.write_replies(key, first, kept)

    def _lacking(self) -> Iterator[SamplingTask]:
        for number, key in enumerate(self._keys):
            base = self._job.base_of(number)
            first = max(0 if base is None else base.candidates, self._parts.drawn(key))
            if first < self._job.candidates:
                yield SamplingTask(number, self._job.prompts[number].text, first, self._job.candidates - first)

    def score(self, crew: Workers, only: Collection[int] | None = None) -> None:
        """Score what is missing.

        Args:
            crew: who scores.
            only: the places of the prompts that are looked at, without a report of progress; None for all.

        Raises:
            ScorerError: a scorer fails on everything.
        """
        self._mark_filtered()
        numbers = range(len(self._keys)) if only is None else sorted(only)
        waiting = {number: count for number in numbers if (count := len(self._wanted(number)))}
        faults = FailureTracker()
        if len(waiting) < len(numbers):
            faults.worked.update(column.key for column in self._job.columns)
        report = self._report if only is None else None
        steps = StageProgress("scoring", len(self._keys) - len(waiting), len(self._keys), report)
        ready: dict[int, list[ScoredPrompt]] = {}
        try:
            for batch, (given, why) in crew.score(batch for number in waiting for batch in self._batches(number)):
                key = self._job.columns[batch.column].key
                rewards = dict(zip(batch.candidates, given.tolist(), strict=True))
                scored = key, rewards, {batch.candidates[place]: reason for place, reason in why.items()}
                if len(why) == len(rewards):
                    faults.failed(batch.number, scored)
                else:
                    for number, earlier in faults.succeeded(key):
                        self._keep_scores(number, [earlier])
                    ready.setdefault(batch.number, []).append(scored)
                waiting[batch.number] -= 1
                if not waiting[batch.number]:
                    self._keep_scores(batch.number, ready.pop(batch.number, []))
                    steps.one()
        finally:
            # A file a prompt, not one a value; a stop in the middle of a prompt keeps what it has.
            for number, some in ready.items():
                self._keep_scores(number, some)
        for number, earlier in faults.end():
            self._keep_scores(number, [earlier])

    @property
    def _on_server(self) -> bool:
        return bool((self._job.metadata.get("engine") or {}).get("name") == "remote")

    def _mark_filtered(self) -> None:
        """Leave out replies that a server's content filter ended: nobody knows what the model would have said."""
        if not self._on_server:
            return
        for number, key in enumerate(self._keys):
            wanted = self._wanted(number)
            filtered = {n for n, reply in self._parts.replies(key).items() if reply.filtered} if wanted else set()
            marked: list[ScoredPrompt] = []
            for _, column, lacking in wanted:
                lost = sorted(filtered.intersection(lacking))
                marked += [(column.key, dict.fromkeys(lost, math.nan), dict.fromkeys(lost, FILTERED))] if lost else []
            self._keep_scores(number, marked)

    def unfinished(self) -> list[int]:
        """Return the places of the prompts that lack replies or rewards."""
        undrawn = {task.number for task in self._lacking()}
        return [number for number in range(len(self._keys)) if number in undrawn or self._wanted(number)]

    def checkpoint_bytes(self, numbers: Iterable[int]) -> int:
        """Return the size on disk of what is kept of some prompts."""
        return sum(self._parts.size(self._keys[number]) for number in numbers)

    def table_bytes(self, numbers: Sequence[int]) -> int:
        """Return the size on disk of some prompts' rows in a table, without its metadata."""
        prompts = [self._job.prompts[number] for number in numbers]
        names = [column.key[0] for column in self._job.columns]
        with TemporaryDirectory() as folder:
            out = Path(folder) / "rows.parquet"
            write_table(out, prompts, lambda place: self._rows(numbers[place]), names, {})
            return out.stat().st_size

    def _wanted(self, number: int) -> list[tuple[int, ValueColumn, list[int]]]:
        """Return the values that lack rewards on a prompt, and the candidates that lack them."""
        scores = self._parts.scores(self._keys[number])
        numbers, kept = self._numbers(number), set(self._kept_numbers(number))
        wanted = []
        for place, column in enumerate(self._job.columns):
            there = scores.rewards.get(column.key, {})
            lacking = [n for n in numbers if n not in there and not (column.kept and n in kept)]
            if lacking and column.scorer is not None:
                wanted.append((place, column, lacking))
        return wanted

    def _batches(self, number: int) -> Iterator[ScoringTask]:
        replies, text = self._replies(number), self._job.prompts[number].text
        for place, column, lacking in self._wanted(number):
            assert column.scorer is not None
            some = tuple(replies[n] for n in lacking)
            yield ScoringTask(number, text, place, column.scorer, tuple(lacking), some)

    def _keep_scores(self, number: int, scored_values: Sequence[ScoredPrompt]) -> None:
        if not scored_values:
            return
        scores = self._parts.scores(self._keys[number])
        for key, rewards, reasons in scored_values:
            scores.add(key, rewards, reasons)
            self._scored += len(rewards) - len(reasons)
        self._parts.write_scores(self._keys[number], scores)

    def write(self) -> BuildResult:
        """Put the table together.

        Raises:
            ScorerError: no reply is left, as a scorer failed on each.
            InputError: the disc is full.
        """
        job = self._job
        names = [column.key[0] for column in job.columns]
        marks: list[FailedScore] = []
        empty, replies, drawn = [], 0, 0
        for number, prompt in enumerate(job.prompts):
            marked = self._marked(number)
            marks += marked
            count = len(self._numbers(number))
            left = count - len({mark.candidate for mark in marked})
            replies, drawn = replies + left, drawn + count
            if not left:
                empty.append(prompt.id)
        if not replies:
            reason = f": {marks[0].reason}" if marks else ""
            raise ScorerError(f"No reply could be scored on every value{reason}. Mend the scorers and start again.")
        if replies < MIN_SHARE_LEFT * drawn:
            self._forget_failures()
            raise ScorerError(
                f"{drawn - replies:,} of {drawn:,} replies would be left out, so that the table would say nothing of "
                f"the model: {marks[0].value} of candidate {marks[0].candidate} of the prompt {marks[0].prompt!r}: "
                f"{marks[0].reason}. No table was written; the replies are kept. Mend the scorer or leave the value "
                "out, and start the same again."
            )
        unknown_log_probs = 0

        def rows(number: int) -> list[TableRow]:
            nonlocal unknown_log_probs
            rows = self._rows(number)
            unknown_log_probs += sum(math.isnan(row.log_prob) for row in rows)
            return rows

        written = write_table(job.out, job.prompts, rows, names, self._metadata(marks, empty))
        return BuildResult(
            job.out,
            tuple(names),
            len(job.prompts) - len(empty),
            written,
            sampled=self.sampled,
            scored=self._scored,
            marked=tuple(marks),
            skipped=tuple(empty),
            remarks=_log_prob_remarks(unknown_log_probs, written) if self._on_server else (),
        )

    def _forget_failures(self) -> None:
        """Forget which replies scorers failed on, so that mended ones are asked again."""
        for key in self._keys:
            scores = self._parts.scores(key)
            failed = {value: reasons for value, reasons in scores.reasons.items() if reasons}
            for value, reasons in failed.items():
                for candidate in reasons:
                    scores.rewards[value].pop(candidate, None)
                reasons.clear()
            if failed:
                self._parts.write_scores(key, scores)

    def _metadata(self, marks: Sequence[FailedScore], empty: Sequence[str]) -> dict[str, Any]:
        job = self._job
        entries = {str(entry.get("name")): entry for entry in job.metadata.get("scorers") or ()}
        for column in job.columns:
            if column.scorer is not None and not (column.kept and column.key[0] in entries):
                entries[column.key[0]] = job.scorers[column.scorer].entry()
        before = job.metadata.get("left_out") or {}
        scorer_entries = [
            {"prompt": mark.prompt, "candidate": mark.candidate, "value": mark.value, "reason": mark.reason}
            for mark in marks
        ]
        count = len({(mark.prompt, mark.candidate) for mark in marks}) + int(before.get("replies", 0))
        metadata = {key: entry for key, entry in job.metadata.items() if key != "left_out"}
        if count or empty:
            marked = [*before.get("marks", ()), *scorer_entries][:MAX_LISTED_FAILURES]
            metadata["left_out"] = {"replies": count, "prompts": list(empty), "marks": marked}
        return metadata | {
            "values": [column.key[0] for column in job.columns],
            "scorers": [entries[column.key[0]] for column in job.columns if column.key[0] in entries],
            "created": datetime.now(UTC).date().isoformat(),
        }

    def _numbers(self, number: int) -> list[int]:
        return [*self._kept_numbers(number), *self._parts.numbers(self._keys[number])]

    def _kept_numbers(self, number: int) -> list[int]:
        base = self._job.base_of(number)
        return [] if base is None else base.numbers(number)

    def _replies(self, number: int) -> dict[int, Reply]:
        base = self._job.base_of(number)
        there = {} if base is None else base.replies(number)
        return there | self._parts.replies(self._keys[number])

    def _all_scores(self, number: int) -> PromptScores:
        """Return the rewards of a prompt for every value, those that are kept included."""
        scores, base = self._parts.scores(self._keys[number]), self._job.base_of(number)
        if base is not None:
            for column in self._job.columns:
                if column.kept:
                    scores.add(column.key, base.rewards(number, column.key[0]), {})
        return scores

    def _marked(self, number: int) -> list[FailedScore]:
        """Return the marks of a prompt's replies."""
        scores, prompt = self._parts.scores(self._keys[number]), self._job.prompts[number].id
        return [
            FailedScore(prompt, candidate, column.key[0], reason)
            for column in self._job.columns
            for candidate, reason in sorted(scores.reasons.get(column.key, {}).items())
        ]

    def _rows(self, number: int) -> list[TableRow]:
        scores, replies, base = self._all_scores(number), self._replies(number), self._job.base_of(number)
        log_probs = {} if base is None else base.log_probs(number)
        rows = []
        for candidate, reply in replies.items():
            rewards = [scores.rewards.get(column.key, {}).get(candidate, math.nan) for column in self._job.columns]
            if all(math.isfinite(reward) for reward in rewards):
                known = log_probs[candidate] if candidate in log_probs else log_prob(reply)
                rows.append(TableRow(candidate, reply, known, tuple(rewards)))
        return rows


def _log_prob_remarks(unknown: int, replies: int) -> tuple[str, ...]:
    """Return what a person should know of log-probabilities that lack in some replies, though not in all."""
    if not unknown or unknown == replies:
        return ()
    are = "reply has" if unknown == 1 else "replies have"
    return (
        f"{unknown:,} of {replies:,} {are} no log-probability: the server told fewer than it counted tokens, as some "
        "do where several tokens make one character.",
    )
