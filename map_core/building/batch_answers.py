"""Answer many prompts into one file of JSON lines that an interrupted run resumes.

Each line is one prompt's record (:mod:`map_core.service.records`), written whole and flushed, in the order of the
prompts. To resume, a last line that was cut off is removed; all others must be answers to the same request.
Constraint: no model library is imported here; the caller passes engine and scorers.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from map_core.building.plan import prompt_seed
from map_core.building.progress import Progress
from map_core.core.atomic_files import write_error
from map_core.core.file_lock import check_output_path, lock
from map_core.data.prompts import Prompt
from map_core.errors import InputError
from map_core.generation.events import Finished, Tokens
from map_core.generation.request import GenerationRequest
from map_core.generation.reward_cache import RewardCache, ScoringCosts
from map_core.generation.sampler import generation_events
from map_core.scoring.base import Scorer
from map_core.service.records import json_line, outcome_record

if TYPE_CHECKING:
    from map_core.engines.base import Engine

#: Significant figures in which requests are compared: weights that are solved again may differ in their last figures.
_FIGURES = 9


class AnswerFile:
    """The file that prompts are answered into.

    Args:
        out: JSON lines.
        prompts: the prompts to answer, in the order of the lines.
        request: the request for every prompt; its prompt and seed are replaced for each.
        more: further plain entries of every line.
        fresh: replace an existing file.

    Raises:
        InputError: ``out`` is a folder, or its folder does not exist.
    """

    def __init__(
        self,
        out: Path,
        prompts: Sequence[Prompt],
        request: GenerationRequest,
        more: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> None:
        self.out, self.prompts = out, tuple(prompts)
        self._request, self._more, self._fresh = request, dict(more or {}), fresh
        check_output_path(out, "replies.jsonl")

    def request(self, number: int) -> GenerationRequest:
        """Return the request of one prompt; its seed depends only on the request's seed and the prompt's text."""
        text = self.prompts[number].text
        return replace(self._request, prompt=text, seed=prompt_seed(self._request.seed, text))

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Lock the file against a second run, and yield the number of prompts that it already answers.

        Raises:
            InputError: the file is in use, cannot be read, or holds the answers to another request.
        """
        with lock(self.out, "run"):
            yield self._repaired()

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one line and sync it to the disk.

        Raises:
            InputError: the disk is full or the file cannot be written.
        """
        line = json_line(record)
        try:
            with self.out.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self.out, error) from error

    def record(self, number: int, request: GenerationRequest, finished: Finished) -> dict[str, Any]:
        """Return one line of the file."""
        return self._determined(number) | outcome_record(request, finished) | timing_record(finished) | self._more

    def _determined(self, number: int) -> dict[str, Any]:
        """Return the part of a line that is determined by the prompt and the request."""
        request, prompt = self.request(number), self.prompts[number]
        return {
            "id": prompt.id,
            "use_case": prompt.use_case,
            "prompt": prompt.text,
            "seed": request.seed,
            "weights": dict(request.weights),
            "sampling": request.settings.as_dict(),
            "method": request.method.value,
            "asked": {
                "candidates": request.candidates,
                "values": list(request.scored),
                "system": request.system,
                "block": request.block,
                "least_ess": request.least_ess,
                "most_candidates": request.most_candidates,
                **({"floors": dict(request.floors)} if request.floors else {}),
                **({} if request.headroom is None else {"headroom": request.headroom}),
            },
        } | self._more

    def _repaired(self) -> int:
        """Remove a last line that was cut off, and return the number of lines."""
        try:
            if self._fresh:
                self.out.unlink(missing_ok=True)
            content = self.out.read_bytes() if self.out.exists() else b""
        except OSError as error:
            raise InputError(f"{self.out} cannot be read ({error}). Choose another --out.") from error
        *lines, rest = content.split(b"\n")
        for number, line in enumerate(lines):
            self._check(number, line)
        if rest and not lines and not rest.startswith(b'{"id": '):
            raise self._foreign("something other than answers")
        if rest:
            with self.out.open("r+b") as file:
                file.truncate(len(content) - len(rest))
        return len(lines)

    def _check(self, number: int, line: bytes) -> None:
        if number >= len(self.prompts):
            raise self._foreign(f"answers to more than these {len(self.prompts)} prompts")
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise self._foreign(f"in line {number + 1} something other than an answer")
        expected = _rounded(self._determined(number))
        differing = [name for name, value in expected.items() if _rounded(record.get(name)) != value]
        if differing:
            raise self._foreign(
                f"in line {number + 1} the answer to another request (other {', '.join(sorted(differing))})"
            )

    def _foreign(self, content: str) -> InputError:
        return InputError(
            f"{self.out} holds {content}. Finish that one with its own command, give this one another --out, or add "
            "--fresh to replace it."
        )


def answer_prompts(
    answers: AnswerFile,
    engine: Engine,
    scorers: Mapping[str, Scorer],
    report: Callable[[Progress], None] | None = None,
) -> int:
    """Answer every prompt that is not answered yet.

    Args:
        answers: the file, its prompts and its request.
        engine: the base model.
        scorers: by name; at least those of the request.
        report: called before the first prompt and after each.

    Returns:
        The number of prompts that were answered by this call.

    Raises:
        InputError: a prompt that the engine refuses (raised before any work), or a file of another request.
        ScorerError, EngineError: the file is kept, and the same call resumes from there.
    """
    count = len(answers.prompts)
    with answers.locked() as resumed:
        for number in range(resumed, count):
            request = answers.request(number)
            try:
                engine.check(request.draw_request())
            except InputError as error:
                raise InputError(f"The prompt {answers.prompts[number].id!r} cannot be used. {error}") from error
        costs, cache = ScoringCosts(), RewardCache()
        began = time.perf_counter()

        def report_progress(done: int) -> None:
            if report is not None:
                report(Progress("answering", done, count, resumed, time.perf_counter() - began))

        report_progress(resumed)
        for number in range(resumed, count):
            request = answers.request(number)
            started, first = time.perf_counter(), None
            for event in generation_events(engine, scorers, request, costs=costs, cache=cache):
                if isinstance(event, Tokens) and first is None:
                    first = time.perf_counter() - started
                if isinstance(event, Finished):
                    seconds = time.perf_counter() - started
                    timing = {"seconds": seconds, "first_token_seconds": seconds if first is None else first}
                    answers.write(answers.record(number, request, event) | timing)
            report_progress(number + 1)
    return count - resumed


def timing_record(finished: Finished) -> dict[str, Any]:
    """Return the entries that a record has in addition to :func:`map_core.service.records.outcome_record`.

    These are log K in nats, notes, and times in seconds.
    """
    return {
        "log_k": math.log(len(finished.replies)),
        "notes": list(finished.notes),
        "sampling_seconds": finished.sampling_seconds,
        "scoring_seconds": finished.scoring_seconds,
    }


def _rounded(value: Any) -> Any:
    """Round the numbers among plain JSON values to :data:`_FIGURES` significant figures, for comparison."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(f"{value:.{_FIGURES}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return value
