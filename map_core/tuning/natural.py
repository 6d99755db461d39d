"""Reading the table's replies once for an output layer that is solved at once, and writing it as an adapter.

The sums of :mod:`map_core.tuning.output_layer` are kept by value, so that one reading serves every palette of the same
table. A reading that was stopped goes on from the last prompt that was kept. Constraint: imported only when a model is
tuned.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from map_core.building.progress import Progress, Reporter
from map_core.core.atomic_files import open_durable
from map_core.data.reward_table import RewardTable
from map_core.models.cache import cache_folder
from map_core.models.chat_template import ChatTokenizer
from map_core.models.files import ModelFiles
from map_core.scoring import Cost, Scorer, ScoringModels, from_metadata, resolve
from map_core.tuning.advantage import check_output_layer
from map_core.tuning.beginnings import advantages, slopes
from map_core.tuning.checkpoints import INTERVAL
from map_core.tuning.estimate import TuningEstimate, peak_bytes, resident_bytes
from map_core.tuning.examples import PromptExamples, prompt_counts
from map_core.tuning.output_layer import FOLDS, SAMPLED, OutputSums, low_rank, solve
from map_core.tuning.policy import Policy
from map_core.tuning.reply_reader import REPLIES_PER_PASS, ReadPrompt, ReplyReader
from map_core.tuning.settings import TuningSettings

#: The sums among the checkpoints.
SUMS = "sums.npz"

#: Prompts that the slopes of scores are fitted on; their hidden states wait in memory.
_PILOT_PROMPTS = 8
_FOLD_STREAM = 0x0A7


class SumsFile:
    """The sums over a table's replies while they are read, kept by the clock.

    Args:
        path: of the file; what it holds is read on from.
        values: of the table.
        hidden: size of a hidden state.
    """

    def __init__(self, path: Path, values: int, hidden: int) -> None:
        self._path = path
        self.done, self.slopes = 0, np.zeros((0, values))
        self.sums = OutputSums.empty(values, hidden)
        if path.is_file():
            self.sums = OutputSums.load(path)
            with np.load(path) as kept:
                self.done, self.slopes = int(kept["done"]), kept["slopes"]

    def keep(self) -> None:
        """Replace the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open_durable(self._path) as file:
            np.savez(file, done=self.done, slopes=self.slopes, **vars(self.sums))


def read_sums(
    reader: ReplyReader,
    examples: Sequence[PromptExamples],
    partial: Sequence[bool],
    file: SumsFile,
    seed: int,
    weights: np.ndarray | None = None,
    report: Callable[[int, float], None] = lambda done, seconds: None,
) -> OutputSums:
    """Read the replies to all prompts that the file does not hold yet.

    Args:
        reader: of replies.
        examples: the prompts.
        partial: (value,) whether beginnings are scored.
        file: of the sums.
        seed: of the folds of prompts.
        weights: (prompt,) how often each prompt counts; None for all alike.
        report: called with the number of prompts that are done and the seconds of this reading.
    """
    folds = np.random.default_rng([seed, _FOLD_STREAM]).permutation(len(examples)) % FOLDS
    counts = np.ones(len(examples)) if weights is None else weights / weights.mean()
    began = kept = time.monotonic()
    waiting: list[ReadPrompt] = []

    def add(prompt: ReadPrompt) -> None:
        gained = np.concatenate(advantages(prompt.scored, file.slopes, partial)).astype(np.float32)
        rewards = np.array([reply.rewards for reply in prompt.scored])
        file.sums = file.sums.add(
            int(folds[file.done]),
            prompt.shifts,
            prompt.states,
            gained,
            rewards - rewards.mean(axis=0),
            float(counts[file.done]),
        )
        file.done += 1

    for number in range(file.done, len(examples)):
        waiting.append(reader.read(examples[number]))
        report(file.done + len(waiting), time.monotonic() - began)
        if file.done == 0 and len(waiting) < min(_PILOT_PROMPTS, len(examples)):
            continue
        if file.done == 0:
            file.slopes = slopes([prompt.scored for prompt in waiting])
        for prompt in waiting:
            add(prompt)
        waiting.clear()
        now = time.monotonic()
        if now - kept >= INTERVAL:
            file.keep()
            kept = now
    file.keep()
    return file.sums


def put_into_adapter(policy: Policy, sums: OutputSums, matrix: np.ndarray, rank: int) -> None:
    """Set the adapter of the output layer to W M, at a rank.

    Args:
        policy: with an adapter on the output layer alone.
        sums: in whose metric the rank is taken.
        matrix: (hidden, hidden) M, of which logits change by W M h.
        rank: of the adapter.
    """
    layer: Any = policy.model.get_base_model().get_output_embeddings()
    left, right = low_rank(sums, matrix, rank)
    weight = layer.get_base_layer().weight
    with torch.no_grad():
        layer.lora_A["default"].weight.copy_(torch.from_numpy(right))
        changed = weight.float() @ torch.from_numpy(left).float().to(weight.device)
        layer.lora_B["default"].weight.copy_(changed / layer.scaling["default"])


class OutputLayerTuning:
    """A tuning of the output layer: what it takes, the reading, and the solution.

    Args:
        table: whose replies are read.
        table_hash: sha256 of what the table says; "" where nothing is to be kept for other palettes.
        folder: of the sums while they are read.
        settings: of the tuning.
        lam: (value,) lambda, 1 / reward.
        files: of the base model.
        policy: with an adapter on the output layer alone; :meth:`solve` sets it.
        tokenizer: of the base model.
        examples: the prompts to tune on.

    Raises:
        InputError: the model's logits are not its last hidden states times its output layer.
    """

    def __init__(
        self,
        table: RewardTable,
        table_hash: str,
        folder: Path,
        settings: TuningSettings,
        lam: np.ndarray,
        files: ModelFiles,
        policy: Policy,
        tokenizer: ChatTokenizer,
        examples: Sequence[PromptExamples],
    ) -> None:
        check_output_layer(policy, examples[0])
        self._settings, self._folder = settings, folder
        self._lam, self._policy, self._examples = lam, policy, examples
        self._scorers = scorers_of_beginnings(table, lam)
        self._weights = prompt_counts(table, examples)
        self._kept = (
            _kept_sums(table, table_hash, settings, files, self._scorers, examples, self._weights)
            if table_hash
            else None
        )
        self._reader = ReplyReader(
            policy, self._scorers, tokenizer.decode, settings.beginnings, settings.value_replies, settings.bfloat16
        )

    def estimate(self, merged: bool) -> TuningEstimate:
        """Read some replies to a prompt of middle length and return what the whole reading takes.

        Args:
            merged: the merged model is written too.
        """
        settings, model = self._settings, self._policy.model
        tuned = sum(p.numel() for p in model.parameters() if p.requires_grad)
        hidden = self._policy.output_weight().shape[1]
        sums_bytes = FOLDS * hidden**2 * (4 * len(self._lam) + 16) + len(self._examples) * SAMPLED * 2 * hidden * 2
        seconds, counts = 0.0, [min(settings.value_replies, len(example.replies)) for example in self._examples]
        if not self._is_read():
            by_length = sorted(self._examples, key=lambda example: sum(map(len, example.replies)))
            # The first one loads the scorers, and the longest one takes the most memory.
            self._reader.read(by_length[-1], REPLIES_PER_PASS)
            began = time.perf_counter()
            some = self._reader.read(by_length[len(counts) // 2], REPLIES_PER_PASS)
            seconds = (time.perf_counter() - began) / len(some.scored) * sum(counts)
        model_bytes = 4 * sum(p.numel() for p in model.parameters())
        return TuningEstimate(
            step_seconds=None,
            seconds=seconds,
            # Where nothing is read, the peak may be that of an earlier round.
            peak_bytes=(peak_bytes() if seconds else resident_bytes()) + sums_bytes,
            checkpoint_bytes=2 * sums_bytes,
            result_bytes=4 * tuned + (model_bytes if merged else 0),
            tuned=tuned,
        )

    def solve(self, nats: float, report: Reporter) -> dict[str, Any]:
        """Read the replies, or take what an earlier tuning has read, and set the adapter.

        Args:
            nats: that lambda itself takes.
            report: called after each prompt.

        Returns:
            What was solved, as plain JSON values.
        """
        settings = self._settings
        sums = self._sums(report)
        report(Progress("solving", 0, 0, 0, 0.0))
        change = solve(sums, self._lam, nats * settings.strength)
        put_into_adapter(self._policy, sums, change.matrix, settings.rank)
        return {
            "replies": int(sum(min(settings.value_replies, len(example.replies)) for example in self._examples)),
            "correlation": change.correlation,
            "penalty": change.penalty,
            "nats": change.nats,
        }

    def _is_read(self) -> bool:
        return self._kept is not None and self._kept.is_file()

    def _sums(self, report: Reporter) -> OutputSums:
        if self._kept is not None and self._kept.is_file():
            return OutputSums.load(self._kept)
        path = self._folder / SUMS
        file = SumsFile(path, len(self._lam), self._policy.output_weight().shape[1])
        resumed, count = file.done, len(self._examples)
        sums = read_sums(
            self._reader,
            self._examples,
            [scorer is not None for scorer in self._scorers],
            file,
            self._settings.seed,
            self._weights,
            lambda done, seconds: report(Progress("reading", done, count, resumed, seconds)),
        )
        if self._kept is not None:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            with open_durable(self._kept) as copy:
                sums.save(copy)
        return sums


def scorers_of_beginnings(table: RewardTable, lam: np.ndarray) -> list[Scorer | None]:
    """Return the scorers (value,) of the values whose beginnings are scored, None for others.

    Values without a weight are scored where that costs little, so that the sums serve other palettes too.
    """
    specifications, models = from_metadata(table.metadata), ScoringModels()
    scorers: list[Scorer | None] = []
    for name, weight in zip(table.values, lam, strict=True):
        scorer = None
        if name in specifications:
            (opened,) = resolve([name], specifications, models)
            cheap = opened.card.costs in (Cost.NONE, Cost.EMBEDDING)
            scorer = opened if opened.partial and (cheap or weight) else None
        scorers.append(scorer)
    return scorers


def _kept_sums(
    table: RewardTable,
    table_hash: str,
    settings: TuningSettings,
    files: ModelFiles,
    scorers: Sequence[Scorer | None],
    examples: Sequence[PromptExamples],
    weights: np.ndarray | None,
) -> Path:
    """Return the file that keeps the sums of these replies for other palettes."""
    facts = {
        "format": 2,
        "model": files.sha256,
        "table": table_hash,
        "prompts": [example.name for example in examples],
        "weights": None if weights is None else weights.tolist(),
        "values": [
            [name, None if scorer is None else scorer.version]
            for name, scorer in zip(table.values, scorers, strict=True)
        ],
        "beginnings": settings.beginnings,
        "replies": settings.value_replies,
        "seed": settings.seed,
        "bfloat16": settings.bfloat16,
    }
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return cache_folder() / "tuning" / f"{digest[:20]}.npz"
