"""Tune in rounds from the command line, and say beforehand what the rounds and the check take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from map_core.building import Progress
from map_core.cli.progress import ProgressReporter
from map_core.cli.tuned_replies import drawn_replies, measured_reply
from map_core.core import amounts
from map_core.data.reward_table import RewardTable
from map_core.models.files import recorded_model
from map_core.text.tuning import checking_sentence
from map_core.tuning import rounds as tuning_rounds
from map_core.tuning.request import EVIDENCE_REPLIES, LOOK_REPLIES, UNREAD_REPLIES, TuningRequest
from map_core.tuning.run import tune as run_tuning
from map_core.tuning.settings import TuningMethod


def say_estimate(
    request: TuningRequest,
    rounds: int,
    check_replies: int,
    progress: ProgressReporter,
    say: Callable[[str], None] | None,
) -> None:
    """Say what a tuning, its rounds and its check will take, all from measured parts of the first round.

    Args:
        request: of the tuning, with ``only_estimate``.
        rounds: at most.
        check_replies: to held-out prompts, in the end.
        progress: gets the estimate.
        say: called with sentences.
    """
    from map_core.tuning.estimate import peak_bytes

    answers, natural = 0, request.settings.method is TuningMethod.NATURAL
    if rounds > 1:
        looked_at = tuning_rounds.targeted_prompts(request.table)
        answers = len(looked_at.prompts) * tuning_rounds.REPLIES
        request = replace(request, out=tuning_rounds.round_folder(request.out, 1), evidence_prompts=0)
        read = len(looked_at.prompts) * UNREAD_REPLIES if natural else 0
    else:
        prompts = min(request.evidence_prompts, int(request.table.held_out.sum()))
        read = prompts * (EVIDENCE_REPLIES + (0 if natural else request.looks * LOOK_REPLIES))
    measured: list[Progress] = []
    run_tuning(request, measured.append, say)
    if not measured or not (estimate := dict(measured[-1].figures["estimate"] or {})):
        return  # finished already, or there is nothing to measure on
    estimate |= {"rounds": rounds, "round_seconds": 0.0, "check_seconds": 0.0}
    estimate["round_seconds" if rounds > 1 else "check_seconds"] = read * estimate.pop("reply_seconds")
    if answers or check_replies:
        model = request.model or recorded_model(request.table.metadata)
        seconds = measured_reply(model, request.table.without_columns(), tuning_rounds.REPLIES)
        estimate["round_seconds"] += answers * seconds
        estimate["check_seconds"] += check_replies * seconds
        estimate["peak_bytes"] = max(estimate["peak_bytes"], peak_bytes())
    if say is not None and (sentence := checking_sentence(estimate)):
        say(f"{sentence} All of it takes up to {amounts.byte_size(estimate['peak_bytes'])} of memory.")
    progress(replace(measured[-1], figures={"estimate": estimate}))


def tune_rounds(
    request: TuningRequest, rounds: int, progress: ProgressReporter, say: Callable[[str], None] | None
) -> dict[str, Any]:
    """Tune in rounds; the replies of each round's model are saved in its folder."""
    done: list[dict[str, Any]] = []

    def report(step: Progress) -> None:
        progress(replace(step, figures={**step.figures, "most_rounds": rounds, "rounds": done}))

    def answer(folder: Path, record: Mapping[str, Any], prompts: RewardTable) -> RewardTable:
        return drawn_replies(
            folder,
            record,
            prompts,
            replies=tuning_rounds.REPLIES,
            seed=2,
            engine="auto",
            fresh=folder / "round.parquet",
            report=lambda step: report(replace(step, stage="answering")),
        )

    record = tuning_rounds.tune_in_rounds(
        request,
        request.palette.get("constraints", {}),
        rounds,
        lambda request: run_tuning(request, report, say),
        answer,
        say or (lambda sentence: None),
        lambda ended: done.append(ended[-1].as_dict()),
    )
    progress(Progress("checking", 0, 0, 0, 0.0, figures={"most_rounds": None}))
    return record
