"""Run one build: find what is missing, draw and score it, and write the table.

A reply is taken from the base table or from the checkpoints; a reward from the base table, where the value is kept, or
from the checkpoints. Everything else is missing and is made. Constraint: each result is stored before the next task is
started.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from map_core.building.checkpoints import BuildCheckpoints, PromptScores, ScoreKey, checkpoint_key
from map_core.building.existing_table import ExistingTable
from map_core.building.fault_tolerant_scoring import FailureTracker, ScoredPrompt
from map_core.building.plan import FILTERED, BuildResult, FailedScore
from map_core.building.progress import Reporter, StageProgress
from map_core.building.reply_counts import ReplyCounts
from map_core.building.sampling import RepetitionGuard
from map_core.building.workers import SamplingTask, ScoringTask, Workers
from map_core.building.writer import TableRow, write_table
from map_core.core import remedies
from map_core.core.types import Reply, SamplingSettings
from map_core.data.prompts import Prompt
from map_core.errors import InputError
from map_core.scoring.base import Scorer, ScorerError, log_prob

#: Maximum number of failed scores that a table's metadata lists.
MAX_LISTED_FAILURES = 1000
#: Minimum share of the replies that a table must keep: with fewer it is no longer a sample of the model's replies.
MIN_SHARE_LEFT = 0.5


@dataclass(frozen=True)
class ValueColumn:
    """One value of the new table.

    Args:
        key: its name and its scorer's version.
        scorer: the scorer's index among the scorers; None where no reply lacks a reward.
        kept: whether the rewards of the base table are kept.
    """

    key: ScoreKey
    scorer: int | None
    kept: bool = False


@dataclass(frozen=True)
class BuildJob:
    """The table to build.

    Args:
        out: the table's file.
        prompts: in the table's order.
        candidates: K, replies per prompt.
        columns: the values in their order.
        scorers: the scorers.
        base: the table that is extended, or None; its prompts are the first of ``prompts``, in the same order.
        metadata: the table's metadata except its values and failed scores.
    """

    out: Path
    prompts: tuple[Prompt, ...]
    candidates: int
    columns: tuple[ValueColumn, ...]
    scorers: tuple[Scorer, ...]
    base: ExistingTable | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def base_of(self, index: int) -> ExistingTable | None:
        """Return the base table if it has this prompt, else None."""
        return self.base if self.base is not None and index < len(self.base.prompts) else None


class BuildRun:
    """A job with its checkpoints, which the caller has locked.

    Args:
        job: the table to build.
        parts: the checkpoints.
        report: called with progress reports.
    """

    def __init__(self, job: BuildJob, parts: BuildCheckpoints, report: Reporter | None) -> None:
        self._job, self._parts, self._report = job, parts, report
        occurrences: dict[str, int] = {}
        self._keys = []
        for prompt in job.prompts:
            self._keys.append(checkpoint_key(prompt.text, occurrences.setdefault(prompt.text, 0)))
            occurrences[prompt.text] += 1
        self._scored = 0
        #: Numbers of replies drawn in this run, and of their tokens as far as the model reports them.
        self.sampled = self.tokens = 0

    @property
    def prompts(self) -> int:
        """The number of prompts of the job."""
        return len(self._keys)

    def sample(self, workers: Workers, skip: bool = False, only: Collection[int] | None = None) -> None:
        """Draw the missing replies.

        Args:
            workers: draw the replies.
            skip: leave out prompts that the model does not accept.
            only: indices of the prompts to draw for; None for all.

        Raises:
            InputError: the model does not accept a prompt and ``skip`` is off, or it accepts none.
        """
        tasks, refused = list(self._sampling_tasks()), 0
        steps = StageProgress("sampling", len(self._keys) - len(tasks), len(self._keys), self._report)
        guard = RepetitionGuard(SamplingSettings.from_metadata(self._job.metadata))
        for task, replies in workers.draw(task for task in tasks if only is None or task.prompt_index in only):
            if isinstance(replies, InputError):
                refused += 1
                if skip and refused < len(self._keys):
                    steps.advance()
                    continue
                prompt = self._job.prompts[task.prompt_index].id
                raise InputError(f"The prompt {prompt!r} cannot be used. {replies}") from replies
            for key, first, kept in guard.admit(self._keys[task.prompt_index], task.first, replies):
                self._parts.write_replies(key, first, kept)
            self.sampled += len(replies)
            self.tokens += sum(len(reply.tokens) or len(reply.log_probs) for reply in replies)
            steps.advance()
        for key, first, kept in guard.release():
            self._parts.write_replies(key, first, kept)

    def _sampling_tasks(self) -> Iterator[SamplingTask]:
        for index, key in enumerate(self._keys):
            base = self._job.base_of(index)
            first = max(0 if base is None else base.candidates, self._parts.drawn(key))
            if first < self._job.candidates:
                yield SamplingTask(index, self._job.prompts[index].text, first, self._job.candidates - first)

    def score(self, workers: Workers, only: Collection[int] | None = None) -> None:
        """Compute the missing rewards.

        Args:
            workers: compute the rewards.
            only: indices of the prompts to score, without progress reports; None for all.

        Raises:
            ScorerError: a scorer fails on every reply.
        """
        self._mark_filtered()
        indices = range(len(self._keys)) if only is None else sorted(only)
        waiting = {index: count for index in indices if (count := len(self._missing_scores(index)))}
        failures = FailureTracker()
        if len(waiting) < len(indices):
            failures.worked.update(column.key for column in self._job.columns)
        report = self._report if only is None else None
        steps = StageProgress("scoring", len(self._keys) - len(waiting), len(self._keys), report)
        scored: dict[int, list[ScoredPrompt]] = {}
        try:
            for task, (scores, reasons) in workers.score(
                task for index in waiting for task in self._scoring_tasks(index)
            ):
                key, prompt = self._job.columns[task.column].key, task.prompt_index
                rewards = dict(zip(task.candidates, scores.tolist(), strict=True))
                result = key, rewards, {task.candidates[position]: reason for position, reason in reasons.items()}
                if len(reasons) == len(rewards):
                    failures.failed(prompt, result)
                else:
                    for index, held_back in failures.succeeded(key):
                        self._store_scores(index, [held_back])
                    scored.setdefault(prompt, []).append(result)
                waiting[prompt] -= 1
                if not waiting[prompt]:
                    self._store_scores(prompt, scored.pop(prompt, []))
                    steps.advance()
        finally:
            # Scores are stored in one file per prompt; an interruption within a prompt stores those it has.
            for index, results in scored.items():
                self._store_scores(index, results)
        for index, held_back in failures.end():
            self._store_scores(index, [held_back])

    @property
    def _on_server(self) -> bool:
        return bool((self._job.metadata.get("engine") or {}).get("name") == "remote")

    def _mark_filtered(self) -> None:
        """Mark replies that a content filter ended as failed, since they are not replies of the model alone."""
        if not self._on_server:
            return
        for index, key in enumerate(self._keys):
            missing = self._missing_scores(index)
            if not missing:
                continue
            filtered = {candidate for candidate, reply in self._parts.replies(key).items() if reply.filtered}
            results: list[ScoredPrompt] = []
            for _, column, candidates in missing:
                failed = sorted(filtered.intersection(candidates))
                if failed:
                    results.append((column.key, dict.fromkeys(failed, math.nan), dict.fromkeys(failed, FILTERED)))
            self._store_scores(index, results)

    def unfinished(self) -> list[int]:
        """Return the indices of the prompts that lack replies or rewards."""
        undrawn = {task.prompt_index for task in self._sampling_tasks()}
        return [index for index in range(len(self._keys)) if index in undrawn or self._missing_scores(index)]

    def checkpoint_bytes(self, indices: Iterable[int]) -> int:
        """Return the size of some prompts' checkpoints in bytes."""
        return sum(self._parts.size(self._keys[index]) for index in indices)

    def table_bytes(self, indices: Sequence[int]) -> int:
        """Return the size of some prompts' rows in a table's file in bytes, without the table's metadata."""
        prompts = [self._job.prompts[index] for index in indices]
        names = [column.key[0] for column in self._job.columns]
        with TemporaryDirectory() as folder:
            out = Path(folder) / "rows.parquet"
            write_table(out, prompts, lambda row: self._rows(indices[row]), names, {})
            return out.stat().st_size

    def _missing_scores(self, index: int) -> list[tuple[int, ValueColumn, list[int]]]:
        """Return the values that lack rewards on a prompt: index, column, and the candidates without a reward."""
        scores = self._parts.scores(self._keys[index])
        numbers, kept = self._numbers(index), set(self._kept_numbers(index))
        missing = []
        for column_index, column in enumerate(self._job.columns):
            scored = scores.rewards.get(column.key, {}).keys() | (kept if column.kept else set())
            candidates = [number for number in numbers if number not in scored]
            if candidates and column.scorer is not None:
                missing.append((column_index, column, candidates))
        return missing

    def _scoring_tasks(self, index: int) -> Iterator[ScoringTask]:
        replies, text = self._replies(index), self._job.prompts[index].text
        for column_index, column, candidates in self._missing_scores(index):
            assert column.scorer is not None
            batch = tuple(replies[candidate] for candidate in candidates)
            yield ScoringTask(index, text, column_index, column.scorer, tuple(candidates), batch)

    def _store_scores(self, index: int, results: Sequence[ScoredPrompt]) -> None:
        if not results:
            return
        scores = self._parts.scores(self._keys[index])
        for key, rewards, reasons in results:
            scores.add(key, rewards, reasons)
            self._scored += len(rewards) - len(reasons)
        self._parts.write_scores(self._keys[index], scores)

    def write(self) -> BuildResult:
        """Write the table.

        Raises:
            ScorerError: scorers failed on most of the replies, or on all.
            InputError: the disc is full.
        """
        job = self._job
        names = [column.key[0] for column in job.columns]
        marks: list[FailedScore] = []
        empty, replies, drawn = [], 0, 0
        for index, prompt in enumerate(job.prompts):
            marked = self._marked(index)
            marks += marked
            count = len(self._numbers(index))
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
                f"out, and {remedies.SAME_COMMAND}."
            )
        counts = ReplyCounts()

        def rows(index: int) -> list[TableRow]:
            rows = self._rows(index)
            counts.add(rows)
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
            remarks=counts.remarks(self._on_server),
        )

    def _forget_failures(self) -> None:
        """Remove the failed scores from the checkpoints, so that fixed scorers are called again."""
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
        earlier = job.metadata.get("left_out") or {}
        count = len({(mark.prompt, mark.candidate) for mark in marks}) + int(earlier.get("replies", 0))
        metadata = {key: entry for key, entry in job.metadata.items() if key != "left_out"}
        if count or empty:
            listed = [*earlier.get("marks", ()), *map(asdict, marks)][:MAX_LISTED_FAILURES]
            metadata["left_out"] = {"replies": count, "prompts": list(empty), "marks": listed}
        return metadata | {
            "values": [column.key[0] for column in job.columns],
            "scorers": [entries[column.key[0]] for column in job.columns if column.key[0] in entries],
            "created": datetime.now(UTC).date().isoformat(),
        }

    def _numbers(self, index: int) -> list[int]:
        return [*self._kept_numbers(index), *self._parts.numbers(self._keys[index])]

    def _kept_numbers(self, index: int) -> list[int]:
        base = self._job.base_of(index)
        return [] if base is None else base.numbers(index)

    def _replies(self, index: int) -> dict[int, Reply]:
        base = self._job.base_of(index)
        kept = {} if base is None else base.replies(index)
        return kept | self._parts.replies(self._keys[index])

    def _all_scores(self, index: int) -> PromptScores:
        """Return the rewards of a prompt for every value, including those kept from the base table."""
        scores, base = self._parts.scores(self._keys[index]), self._job.base_of(index)
        if base is not None:
            for column in self._job.columns:
                if column.kept:
                    scores.add(column.key, base.rewards(index, column.key[0]), {})
        return scores

    def _marked(self, index: int) -> list[FailedScore]:
        """Return the failed scores of a prompt's replies."""
        scores, prompt = self._parts.scores(self._keys[index]), self._job.prompts[index].id
        return [
            FailedScore(prompt, candidate, column.key[0], reason)
            for column in self._job.columns
            for candidate, reason in sorted(scores.reasons.get(column.key, {}).items())
        ]

    def _rows(self, index: int) -> list[TableRow]:
        scores, replies, base = self._all_scores(index), self._replies(index), self._job.base_of(index)
        log_probs = {} if base is None else base.log_probs(index)
        rows = []
        for candidate, reply in replies.items():
            rewards = [scores.rewards.get(column.key, {}).get(candidate, math.nan) for column in self._job.columns]
            if all(math.isfinite(reward) for reward in rewards):
                known = log_probs[candidate] if candidate in log_probs else log_prob(reply)
                rows.append(TableRow(candidate, reply, known, tuple(rewards)))
        return rows
