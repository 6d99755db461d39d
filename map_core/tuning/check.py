"""A tuned model's own replies to prompts that it was not tuned on, compared with the weights' forecast there.

Everything is compared prompt by prompt with the base model's replies in the table: the base level, the level of the
tilt (which a perfect tuning would have), and the levels of choosing among k candidates, of the base model by lambda . r
and of the tuned one by lambda . r + log p0 - log q. The divergence from the base model is the mean of log q - log p0
over the tuned model's replies, both over the whole vocabulary at the table's temperature. Constraint: engines and
scorers are handed in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from map_core.core import amounts
from map_core.core.softmax import softmax
from map_core.core.types import SamplingSettings
from map_core.data.reward_table import RewardTable
from map_core.engines.draw_request import DrawRequest
from map_core.errors import InputError
from map_core.generation.proposal import log_offsets
from map_core.scoring import score_checked
from map_core.tuning.examples import with_weighted_columns

if TYPE_CHECKING:
    from map_core.engines.base import Engine
    from map_core.scoring import Scorer

#: Metadata key of a table of a tuned model's replies: log q - log p0 of each.
LOG_RATIOS = "log_ratios"
#: Candidates to choose from, of the tuned model and of the base model.
TUNED_CANDIDATES, BASE_CANDIDATES = (1, 2, 4, 8), (1, 2, 4, 8, 16, 32, 64)


class TuningOutcome(StrEnum):
    """Whether a value's level is what the weights promise on the same prompts, judged by the intervals.

    ``UNSURE``: too few replies to tell it from the promised level and from the base level as well.
    """

    DELIVERS = "delivers"
    SHORT = "falls short"
    OVER = "overshoots"
    UNSURE = "unsure"


@dataclass(frozen=True, eq=False)
class Choosing:
    """What choosing among k candidates gives.

    Args:
        candidates: k.
        levels: (prompt, value) expected levels, in reward units.
        ess: effective sample size, the mean over prompts.
    """

    candidates: int
    levels: np.ndarray
    ess: float


@dataclass(frozen=True, eq=False)
class TunedCheck:
    """What a tuned model does on held-out prompts; levels (prompt, value), in reward units.

    Args:
        values: names.
        lam: (value,) lambda.
        base: of the base model's replies in the table.
        forecast: of the tilt of those replies.
        tuned: of the tuned model's replies.
        spread: (value,) standard deviation of the base model's replies.
        log_ratios: (prompt, reply) log q - log p0 of the tuned model's replies.
        kl_forecast: (prompt,) nats of the tilt.
        chosen: of the tuned model's candidates, with exact weights.
        base_chosen: of the base model's candidates.
        lengths: mean tokens of a reply, of the base and of the tuned model.
        level: probability of the intervals.
    """

    values: tuple[str, ...]
    lam: np.ndarray
    base: np.ndarray
    forecast: np.ndarray
    tuned: np.ndarray
    spread: np.ndarray
    log_ratios: np.ndarray
    kl_forecast: np.ndarray
    chosen: tuple[Choosing, ...]
    base_chosen: tuple[Choosing, ...]
    lengths: tuple[float, float]
    level: float = 0.9

    def share_of_way(self, levels: np.ndarray) -> float:
        """Return how far some levels (prompt, value) are from base to tilt in lambda . r; NaN where there is no way."""
        way = float(((self.forecast - self.base) @ self.lam).sum())
        return float(((levels - self.base) @ self.lam).sum()) / way if way else math.nan

    def share_interval(self, levels: np.ndarray, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
        """Return a bootstrap interval over prompts of :meth:`share_of_way`."""
        gained, way = (levels - self.base) @ self.lam, (self.forecast - self.base) @ self.lam
        resampled = np.random.default_rng(seed).integers(len(way), size=(draws, len(way)))
        total = way[resampled].sum(axis=1)
        shares = gained[resampled].sum(axis=1) / np.where(total == 0, np.nan, total)
        low, high = np.nanquantile(shares, [(1 - self.level) / 2, (1 + self.level) / 2])
        return float(low), float(high)

    def half_width(self, differences: np.ndarray) -> np.ndarray:
        """Return half the width of the interval of a mean over prompts; (prompt, ...) in, (...) out."""
        count = len(differences)
        quantile = float(stdtrit(count - 1, (1 + self.level) / 2))
        return np.asarray(quantile * differences.std(axis=0, ddof=1) / math.sqrt(count))

    def outcome(self, value: int) -> TuningOutcome:
        """Return whether a value's level is what the weights promise on the same prompts."""
        difference = self.tuned[:, value] - self.forecast[:, value]
        mean, half = float(difference.mean()), float(self.half_width(difference))
        if abs(mean) > half:
            return TuningOutcome.SHORT if mean < 0 else TuningOutcome.OVER
        gain = self.tuned[:, value] - self.base[:, value]
        return (
            TuningOutcome.DELIVERS if abs(float(gain.mean())) > float(self.half_width(gain)) else TuningOutcome.UNSURE
        )

    def gains(self) -> dict[str, np.ndarray]:
        """Return how far the levels of each way lie above base, (value,) in deviations: forecast, tuned, candidates."""
        ways = {"forecast": self.forecast, "tuned": self.tuned}
        for side, rows in (("tuned", self.chosen), ("base", self.base_chosen)):
            ways |= {f"{side}, {choice.candidates} candidates": choice.levels for choice in rows[1:]}
        scale = np.where(self.spread > 0, self.spread, 1.0)
        return {way: (levels - self.base).mean(axis=0) / scale for way, levels in ways.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return the check as plain JSON values."""
        kl = self.log_ratios.mean(axis=1)
        values = {}
        for j, name in enumerate(self.values):
            base, tuned, forecast = (levels[:, j] for levels in (self.base, self.tuned, self.forecast))
            way = float((forecast - base).mean())
            values[name] = {
                "weight": float(self.lam[j]),
                "base": float(base.mean()),
                "tuned": float(tuned.mean()),
                "tuned_error": float(self.half_width(tuned - base)),
                "forecast": float(forecast.mean()),
                "spread": float(self.spread[j]),
                "share_of_way": float((tuned - base).mean()) / way if self.lam[j] and way else None,
                "outcome": self.outcome(j).value if self.lam[j] else None,
            }
        return {
            "prompts": len(self.base),
            "replies": self.log_ratios.shape[1],
            "level": self.level,
            "values": values,
            "share_of_way": amounts.json_safe(self.share_of_way(self.tuned)),
            "share_of_way_interval": [amounts.json_safe(end) for end in self.share_interval(self.tuned)],
            "kl": float(kl.mean()),
            "kl_error": float(self.half_width(kl)),
            "kl_forecast": float(self.kl_forecast.mean()),
            "lengths": {"base": self.lengths[0], "tuned": self.lengths[1]},
            "choosing": {
                name: [
                    {
                        "candidates": row.candidates,
                        "share_of_way": amounts.json_safe(self.share_of_way(row.levels)),
                        "share_of_way_interval": [amounts.json_safe(end) for end in self.share_interval(row.levels)],
                        "ess": row.ess,
                    }
                    for row in rows
                ]
                for name, rows in (("tuned", self.chosen), ("base", self.base_chosen))
            },
        }


def draw_replies(
    record: Mapping[str, Any],
    table: RewardTable,
    base: Engine,
    tuned: Engine,
    scorers: Sequence[Scorer],
    *,
    replies: int,
    seed: int = 1,
) -> RewardTable:
    """Draw a tuned model's replies to prompts and score them.

    Args:
        record: of the tuning.
        table: of the prompts, none of which was tuned on.
        base: the base model; it tells log p0, and the log-probabilities that some values read.
        tuned: the tuned model.
        scorers: of the table's values.
        replies: a prompt.
        seed: of the replies.

    Returns:
        A table of the replies, with log q - log p0 of each in its metadata.
    """
    settings, system = SamplingSettings.from_metadata(record), record.get("system")
    drawn, rewards, ratios = [], [], []
    for prompt in table.prompts:
        request = DrawRequest(prompt, replies, settings, seed, system=system)
        plain = tuned.complete(request)
        scores = [engine.reply_scores(request, plain) for engine in (tuned, base)]
        # Some values read the base model's log-probabilities; the tuned model's own would be another value.
        judged = [
            replace(reply, log_probs=score.token_log_probs) for reply, score in zip(plain, scores[1], strict=True)
        ]
        rewards.append(np.column_stack([score_checked(scorer, prompt, judged) for scorer in scorers]))
        ratios += [q.log_prob - p.log_prob for q, p in zip(*scores, strict=True)]
        drawn += judged
    return RewardTable(
        values=tuple(scorer.name for scorer in scorers),
        rewards=np.concatenate(rewards),
        offsets=np.arange(len(table.prompts) + 1) * replies,
        prompt_ids=table.prompt_ids,
        prompts=table.prompts,
        use_cases=table.use_cases,
        replies=tuple(reply.text for reply in drawn),
        tokens=tuple(reply.tokens for reply in drawn),
        log_probs=np.array([math.fsum(reply.log_probs) for reply in drawn]),
        metadata={
            "model": {"name": tuned.info.model, "sha256": tuned.info.model_hash},
            "sampling": settings.as_dict(),
            "seed": seed,
            "system": system,
            "scorers": table.metadata.get("scorers"),
            LOG_RATIOS: ratios,
        },
    )


def joined(first: RewardTable | None, second: RewardTable) -> RewardTable:
    """Return a tuned model's replies to some prompts and to further ones as one table."""
    if first is None:
        return second
    ratios = [*first.metadata[LOG_RATIOS], *second.metadata[LOG_RATIOS]]
    return RewardTable(
        values=first.values,
        rewards=np.concatenate([first.rewards, second.reordered(first.values).rewards]),
        offsets=np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
        prompt_ids=first.prompt_ids + second.prompt_ids,
        prompts=first.prompts + second.prompts,
        use_cases=first.use_cases + second.use_cases,
        replies=first.replies + second.replies,
        tokens=first.tokens + second.tokens,
        log_probs=np.concatenate([first.log_probs, second.log_probs]),
        metadata={**first.metadata, LOG_RATIOS: ratios},
    )


def of_prompts(fresh: RewardTable, prompt_ids: Sequence[str]) -> RewardTable:
    """Return a tuned model's replies to these prompts, in this order."""
    numbers = [fresh.prompt_ids.index(prompt_id) for prompt_id in prompt_ids]
    ratios = fresh.metadata[LOG_RATIOS]
    kept = [ratios[row] for number in numbers for row in range(*fresh.rows(number).indices(len(ratios)))]
    return replace(fresh.take(numbers), metadata={**fresh.metadata, LOG_RATIOS: kept})


def check_tuned(record: Mapping[str, Any], table: RewardTable, fresh: RewardTable) -> TunedCheck:
    """Hold a tuned model's replies against the table's.

    Args:
        record: of the tuning, with its weights.
        table: the base model's replies to the prompts.
        fresh: the tuned model's replies to the same prompts, of :func:`draw_replies`.

    Raises:
        InputError: the tables are of other prompts, or ``fresh`` does not say how likely its replies are.
    """
    if fresh.prompts != table.prompts:
        raise InputError("The tuned model's replies are to other prompts than those that it was not tuned on.")
    if len(table.prompts) < 2:
        raise InputError("There is one held-out prompt; to tell how sure the levels are, at least 2.")
    table, fresh = (with_weighted_columns(held_out, record["weights"]) for held_out in (table, fresh))
    ratios = fresh.metadata.get(LOG_RATIOS)
    if not isinstance(ratios, Sequence) or len(ratios) != len(fresh.rewards):
        raise InputError("The replies come without log q - log p0. Draw them again: give --fresh another file.")
    fresh = fresh.reordered(table.values)
    lam = np.array([record["weights"].get(name, 0.0) for name in table.values])
    base_rows = [table.rewards[table.rows(i)] for i in range(len(table.prompts))]
    tuned_rows = [fresh.rewards[fresh.rows(i)] for i in range(len(table.prompts))]
    by_prompt = np.asarray(ratios, dtype=float).reshape(len(table.prompts), -1)
    tilts = [softmax(rows @ lam) for rows in base_rows]
    nothing = [np.zeros(len(rows)) for rows in base_rows]
    return TunedCheck(
        values=table.values,
        lam=lam,
        base=np.array([rows.mean(axis=0) for rows in base_rows]),
        forecast=np.array([tilt.probabilities @ rows for tilt, rows in zip(tilts, base_rows, strict=True)]),
        tuned=np.array([rows.mean(axis=0) for rows in tuned_rows]),
        spread=table.rewards.std(axis=0),
        log_ratios=by_prompt,
        kl_forecast=np.array([tilt.kl for tilt in tilts]),
        chosen=_choosing(tuned_rows, [log_offsets(row, 0) for row in by_prompt], lam, TUNED_CANDIDATES),
        base_chosen=_choosing(base_rows, nothing, lam, BASE_CANDIDATES),
        lengths=(_mean_length(table), _mean_length(fresh)),
    )


def _choosing(
    rewards: Sequence[np.ndarray], offsets: Sequence[np.ndarray], lam: np.ndarray, counts: Sequence[int]
) -> tuple[Choosing, ...]:
    """Return what each number of candidates gives, the mean over disjoint groups of a prompt's replies."""
    rows = []
    for count in counts:
        if count > min(map(len, rewards)):
            break
        levels, sizes = [], []
        for of_prompt, paid in zip(rewards, offsets, strict=True):
            starts = range(0, len(of_prompt) - count + 1, count)
            groups = [
                (softmax(of_prompt[a : a + count] @ lam - paid[a : a + count]), of_prompt[a : a + count])
                for a in starts
            ]
            levels.append(np.mean([weights.probabilities @ group for weights, group in groups], axis=0))
            sizes.append(np.mean([weights.effective_sample_size for weights, _ in groups]))
        rows.append(Choosing(count, np.array(levels), float(np.mean(sizes))))
    return tuple(rows)


def _mean_length(table: RewardTable) -> float:
    return float(np.mean([len(tokens) for tokens in table.tokens])) if table.tokens else math.nan
