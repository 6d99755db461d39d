"""One tuning, from a table and weights to a folder with adapter, evidence and card.

A run keeps checkpoints in OUT/checkpoints and goes on from the last whole one, whatever ended it; OUT/tuning.json is
written last and says that the folder is finished. Constraint: torch, transformers, peft and trl load when
:func:`tune` is called, never when this module is imported.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from map_core.building.progress import Progress, Reporter
from map_core.core import amounts, remedies
from map_core.core.atomic_files import open_durable, write_error
from map_core.core.file_lock import lock
from map_core.core.types import SamplingSettings
from map_core.errors import InputError
from map_core.models.adapters import copy_tokenizer, merge
from map_core.models.files import ModelFiles, locate, recorded_model
from map_core.models.quiet import quiet
from map_core.models.tuned import RECORD
from map_core.oracle import MemoryOracle
from map_core.tuning.evidence import HeldOutReplies, reply_seconds, unread_ratios
from map_core.tuning.examples import (
    PromptExamples,
    check_table,
    lambda_by_value,
    make_examples,
    prompt_counts,
    with_weighted_columns,
)
from map_core.tuning.folder import (
    CHECKPOINTS,
    MERGED,
    RATIOS,
    UNREAD_RATIOS,
    check_plan,
    keep_ratios,
    read_record,
    set_sampling,
    write_record,
)
from map_core.tuning.held_out import HeldOutLevels
from map_core.tuning.losses import loss_of_base
from map_core.tuning.request import (
    EVIDENCE_REPLIES,
    LOOK_REPLIES,
    TuningRequest,
    check_model,
    plan,
    require_libraries,
)
from map_core.tuning.rewards import SharedRewards
from map_core.tuning.settings import TuningMethod
from map_core.tuning.token_values import TokenValues

if TYPE_CHECKING:
    from map_core.tuning.natural import OutputLayerTuning
    from map_core.tuning.offline import Schedule
    from map_core.tuning.policy import Policy

Say = Callable[[str], None]


def tune(request: TuningRequest, report: Reporter | None = None, say: Say | None = None) -> dict[str, Any] | None:
    """Tune a model on a palette.

    Args:
        request: what is tuned; the same request on the same folder resumes where it stopped.
        report: called with the progress in steps.
        say: called with sentences: how p0 of the trainer and of the table differ, what the tuning will take.

    Returns:
        The record that is written to OUT/tuning.json; None where only the estimate was asked for.

    Raises:
        InputError: the table, the model or the folder cannot be used, or the loss is no number.
        EngineError: a library is not installed or the model cannot be loaded.
        MissingModelError: the model is not on this machine.
    """
    require_libraries()
    say = say or (lambda sentence: None)
    request = replace(request, table=with_weighted_columns(request.table, request.weights))
    settings, table = request.settings, request.table
    if settings.method.online and (derived := [column.name for column in table.derived]):
        raise InputError(f"rloo scores whole values alone; leave {', '.join(derived)} out, or tune by pairs.")
    lam = lambda_by_value(table, request.weights)
    if not settings.method.online:
        check_table(table)
    files = locate(request.model or recorded_model(table.metadata))
    check_model(files, table)
    from map_core.tuning.estimate import check_memory

    check_memory(files, settings)
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(request.out, error) from error
    with lock(request.out / RECORD, who="tuning"):
        check_plan(request.out, plan(request, lam, files), request.fresh)
        if (request.out / RECORD).is_file():
            say(f"{request.out} is finished already; --fresh makes it anew.")
            return read_record(request.out)
        with quiet():
            return _Run(request, lam, files, report, say).run()


class _Run:
    """One run with its model; the folder is locked and the request is checked."""

    def __init__(
        self, request: TuningRequest, lam: np.ndarray, files: ModelFiles, report: Reporter | None, say: Say
    ) -> None:
        from map_core.models.language_model import LanguageModel
        from map_core.tuning.policy import Policy

        self.request, self.lam, self.files, self.say = request, lam, files, say
        self.report = report or (lambda progress: None)
        self.oracle = MemoryOracle.of(request.table)
        self.rewards: SharedRewards | None = None
        self.schedule: Schedule | None = None
        self.looks: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.sampling = SamplingSettings.from_metadata(request.table.metadata)
        opened = LanguageModel(files, dtype="float32")
        self.tokenizer = opened.tokenizer
        counted = request.table.counted
        self.offline = not request.settings.method.online
        self.examples: list[PromptExamples] = []
        self.held_out = HeldOutReplies(request.table.values, lam)
        if request.table.tokens:
            self.examples = make_examples(request.table, lam, opened.tokenizer, np.flatnonzero(counted).tolist())
            self.held_out = HeldOutReplies.of(request.table, lam, opened.tokenizer, request.evidence_prompts)
        self.policy: Policy = Policy.of(
            opened.model,
            sorted(opened.tokenizer.stop_tokens),
            self.sampling.temperature,
            request.settings.rank,
            request.settings.seed,
            request.settings.blocks,
            output=request.settings.method is TuningMethod.NATURAL,
        )
        self.output_layer: OutputLayerTuning | None = None
        self.solved: dict[str, Any] | None = None
        if request.settings.method is TuningMethod.NATURAL:
            from map_core.tuning.natural import OutputLayerTuning

            self.output_layer = OutputLayerTuning(
                request.table,
                request.table_hash,
                request.out / CHECKPOINTS,
                request.settings,
                lam,
                files,
                self.policy,
                opened.tokenizer,
                self.examples,
            )

    def run(self) -> dict[str, Any] | None:
        from map_core.tuning.estimate import estimate_sentence, measure
        from map_core.tuning.sampling import p0_difference, p0_sentence

        request = self.request
        difference = p0_difference(self.policy, self.examples, self.sampling)
        if sentence := p0_sentence(difference):
            self.say(sentence)
        if self.output_layer is None:
            estimate = measure(self.policy, self.examples, request.settings, request.merged)
        else:
            estimate = self.output_layer.estimate(request.merged)
        if estimate is not None:
            self.say(estimate_sentence(estimate))
            estimate.check_disk(request.out)
        figures = {"estimate": None if estimate is None else estimate.as_dict()}
        if request.only_estimate:
            if figures["estimate"]:
                figures["estimate"]["reply_seconds"] = reply_seconds(self.policy, self.examples)
            self.report(Progress("tuning", 0, request.settings.steps, 0, 0.0, unit="steps", figures=figures))
            return None
        history = self._train(figures) if self.output_layer is None else self._solve(self.output_layer, figures)
        if sentence := self._worse_than_nothing(history):
            self._warn(sentence)
        if self.rewards is not None and self.rewards.left_out:
            count = amounts.counted(self.rewards.left_out, "reply", "replies")
            self._warn(f"{count} could not be scored and did not count. The last reason: {self.rewards.reason}")
        self._save()
        levels = self._evidence()
        if request.unread_of and self.output_layer is not None:  # the other methods may read all replies
            ratios = unread_ratios(
                self.policy, self.examples, request.unread_of, request.settings.value_replies, self.report
            )
            keep_ratios(request.out / UNREAD_RATIOS, ratios)
        record = self._record(history, levels, difference, estimate)
        write_record(request.out, record)
        shutil.rmtree(request.out / CHECKPOINTS, ignore_errors=True)
        return record

    def _warn(self, sentence: str) -> None:
        self.say(sentence)
        self.warnings.append(sentence)

    def _worse_than_nothing(self, history: list[dict[str, Any]]) -> str:
        """Return a warning where the last quarter of the steps had a larger loss than the base model has; else ""."""
        if self.schedule is None:
            return ""
        steps = max(1, len(history) // 4)
        last = [row["loss"] for row in history[-steps:]]
        size = len(self.schedule)
        read = [self.schedule[number] for number in range(size - steps * self.request.settings.prompts, size)]
        before = loss_of_base(self.request.settings.method, [example.gains[rows] for example, rows in read])
        if before is None or np.mean(last) <= before:
            return ""
        return (
            f"The loss ended at {amounts.significant(float(np.mean(last)), 3)}, and it is "
            f"{amounts.significant(before, 3)} where nothing is tuned: what was learnt is mostly noise. "
            f"{remedies.LESS_NOISE}"
        )

    def _train(self, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
        from transformers import PrinterCallback

        from map_core.tuning.checkpoints import ClockedCheckpoints, held_out_looks, last_checkpoint

        folder = self.request.out / CHECKPOINTS
        look = self._look if self.held_out.enough else None
        watch = ClockedCheckpoints(self.request.settings.steps, self.report, look, self.request.looks, figures)
        trainer = self._offline(folder, watch) if self.offline else self._online(folder, watch)
        trainer.remove_callback(PrinterCallback)
        last = last_checkpoint(folder)
        try:
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
        except OSError as error:
            raise write_error(folder, error) from error
        self.policy.model.eval()
        self.looks = held_out_looks(trainer.state.log_history)
        return [self._logged(row) for row in trainer.state.log_history if "loss" in row]

    def _logged(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is kept of a step's log: rewards as they are, not as they were centred for the trainer."""
        kept = {name: row[name] for name in ("step", "loss", "grad_norm", "kl") if name in row}
        for name, base in zip(self.request.table.values, self.oracle.base.tolist(), strict=True):
            if (key := f"rewards/{name}/mean") in row:
                kept[key] = row[key] + base
        return kept

    def _offline(self, folder: Path, watch: Any) -> Any:
        from map_core.tuning.offline import offline_trainer

        counts = prompt_counts(self.request.table, self.examples)
        settings = self.request.settings
        if settings.method is TuningMethod.ADVANTAGE:
            from map_core.tuning.advantage import advantage_trainer

            values = self._token_values(folder)
            trainer = advantage_trainer(self.policy, self.examples, settings, values, folder, counts, [watch])
        else:
            trainer = offline_trainer(self.policy, self.examples, settings, folder, counts, [watch])
        self.schedule = trainer.train_dataset
        return trainer

    def _token_values(self, folder: Path) -> TokenValues:
        """Return the values of beginnings of replies: those that a run before this one has fitted, or new ones."""
        from map_core.tuning.advantage import check_output_layer, fit_values

        path = folder / "values.npz"
        if path.is_file():
            return TokenValues.load(path)
        check_output_layer(self.policy, self.examples[0])
        began, count = time.monotonic(), len(self.examples)
        values = fit_values(
            self.policy,
            self.examples,
            self.request.settings,
            self.sampling.max_new_tokens,
            lambda done: self.report(Progress("reading", done, count, 0, time.monotonic() - began)),
        )
        folder.mkdir(parents=True, exist_ok=True)
        with open_durable(path) as file:
            values.save(file)
        return values

    def _solve(self, output_layer: OutputLayerTuning, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Solve the output layer at once; there are no steps to return the losses of."""
        weights = self.lam * self.oracle.scale
        moments = self.oracle.moments(weights)
        nats = float(weights @ moments.levels - moments.log_normaliser)
        self.solved = output_layer.solve(nats, lambda progress: self.report(replace(progress, figures=figures)))
        self.policy.model.eval()
        share = amounts.fixed(100 * min(1.0, self.solved["correlation"] * math.sqrt(self.request.settings.strength)))
        self.say(f"By prompts that were left out, one plain reply comes about {share}% of the way in lambda . r.")
        return []

    def _online(self, folder: Path, watch: Any) -> Any:
        from map_core.interface.table import Table
        from map_core.interface.training import reward_functions
        from map_core.tuning.online import rloo_settings, rloo_trainer

        table = self.request.table
        names = [name for name, weight in zip(table.values, self.lam, strict=True) if weight]
        functions = reward_functions(
            names,
            table=Table(table, self.oracle),
            values_file=self.request.values_file,
            model=self.files.name,
            dtype="float32",  # as the model that is tuned
        )
        self.rewards = SharedRewards(functions, dict(zip(table.values, self.oracle.base.tolist(), strict=True)))
        lam = [float(self.lam[table.index(name)]) for name in names]
        numbers = np.flatnonzero(table.counted)
        system = table.metadata.get("system")
        first = [] if system is None else [{"role": "system", "content": str(system)}]
        prompts: list[Any] = [[*first, {"role": "user", "content": table.prompts[number]}] for number in numbers]
        if not self.tokenizer.template:
            prompts = [table.prompts[number] for number in numbers]
        counts = None if table.prompt_weights is None else table.prompt_weights[numbers]
        from transformers import AutoTokenizer

        return rloo_trainer(
            self.policy.model,
            AutoTokenizer.from_pretrained(self.files.folder, local_files_only=True),
            prompts,
            self.rewards.functions(),
            rloo_settings(self.request.settings, self.sampling, lam, folder),
            None if counts is None or np.ptp(counts) == 0 else counts,
            [watch],
        )

    def _save(self) -> None:
        out, model = self.request.out, self.policy.model
        try:
            if not self.request.settings.full:
                for config in model.peft_config.values():
                    config.base_model_name_or_path = self.files.name
                # Of the output layer too, the adapter alone is saved, without the layer's own weights.
                model.save_pretrained(out, selected_adapters=["default"], save_embedding_layers=False)
            else:
                model.save_pretrained(out)
            copy_tokenizer(self.files.folder, out)
            set_sampling(out, self.sampling)
            if self.request.merged and not self.request.settings.full:
                merge(self.files.folder, out, out / MERGED)
                set_sampling(out / MERGED, self.sampling)
        except OSError as error:
            raise write_error(out, error) from error

    def _look(self) -> dict[str, Any]:
        """Return what the model does on held-out prompts at this moment of the training."""
        return self.held_out.levels(self.policy, LOOK_REPLIES).as_dict()

    def _evidence(self) -> HeldOutLevels | None:
        """Return what the tuned model does on held-out prompts, and keep how it differs there from the base model."""
        if not self.held_out.enough:
            return None
        levels = self.held_out.levels(self.policy, EVIDENCE_REPLIES, self.report)
        names = [example.name for example in self.held_out.examples]
        keep_ratios(self.request.out / RATIOS, dict(zip(names, levels.log_ratios, strict=True)))
        return levels

    def _record(
        self, history: list[dict[str, Any]], levels: HeldOutLevels | None, difference: Any, estimate: Any
    ) -> dict[str, Any]:
        request, table, oracle = self.request, self.request.table, self.oracle
        forecast = oracle.rewards_at(oracle.moments(self.lam * oracle.scale).levels)
        return {
            "format": 1,
            "method": request.settings.method.value,
            "settings": request.settings.as_dict(),
            "palette": dict(request.palette),
            "weights": {name: float(w) for name, w in zip(table.values, self.lam, strict=True) if w},
            "values": list(table.values),
            "base": dict(zip(table.values, oracle.base.tolist(), strict=True)),
            "forecast": dict(zip(table.values, forecast.tolist(), strict=True)),
            "model": {"name": self.files.name, "sha256": self.files.sha256},
            "sampling": self.sampling.as_dict(),
            "system": table.metadata.get("system"),
            "scorers": table.metadata.get("scorers"),
            "table": {"sha256": request.table_hash, "prompts": len(table.prompts)},
            "held_out": [
                prompt_id for prompt_id, counted in zip(table.prompt_ids, table.counted, strict=True) if not counted
            ],
            "merged": request.merged or request.settings.full,
            "p0": None if difference is None else difference.as_dict(),
            "estimate": None if estimate is None else estimate.as_dict(),
            "left_out": 0 if self.rewards is None else self.rewards.left_out,
            "history": history,
            "solved": self.solved,
            "looks": self.looks,
            "warnings": self.warnings,
            "evidence": None if levels is None else levels.as_dict(),
        }
