"""How far the trainer's p0 is from the table's: computed on the table's replies.

A trainer's p0 is the model at its temperature over the whole vocabulary, up to the length limit. A table that was drawn
at the same temperature with nothing cut has the same p0. Cut at top-p or top-k, the table's is p0(y) / prod_t m_t with
m_t the probability of the words kept at step t, so that KL(table || trainer) = E_table[-sum_t log m_t], an average over
the table's replies. Constraint: imported only when a model is tuned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from map_core.core import amounts
from map_core.core.types import SamplingSettings
from map_core.tuning.examples import PromptExamples
from map_core.tuning.policy import PADDING, Policy, ReplyBatch

#: Prompts, spread over all of them, and replies a prompt that the distance is computed on.
PROMPTS, REPLIES = 4, 4


@dataclass(frozen=True)
class P0Difference:
    """What separates the table's p0 from the trainer's.

    Args:
        cuts: settings of the table that a trainer does not have, in words.
        kl: nats a reply, KL(table || trainer).
        replies: that this was computed on.
    """

    cuts: tuple[str, ...]
    kl: float
    replies: int

    def as_dict(self) -> dict[str, Any]:
        """Return the difference as plain JSON values."""
        return asdict(self) | {"cuts": list(self.cuts)}


def p0_difference(
    policy: Policy, examples: Sequence[PromptExamples], sampling: SamplingSettings
) -> P0Difference | None:
    """Compute how far the table's p0 is from the trainer's; None where there are no replies to compute it on.

    Args:
        policy: before it is tuned.
        examples: of the table.
        sampling: settings of the table.
    """
    cuts: tuple[str, ...] = (f"top_p {amounts.significant(sampling.top_p)}",) if sampling.top_p < 1 else ()
    cuts += (f"top_k {sampling.top_k}",) if sampling.top_k else ()
    if not cuts:
        return P0Difference((), 0.0, 0)
    if not examples:
        return None
    positions = np.linspace(0, len(examples) - 1, min(PROMPTS, len(examples))).astype(int)
    sums: list[float] = []
    for position in positions:
        rows = range(min(REPLIES, len(examples[position].replies)))
        sums += cut_mass(policy, ReplyBatch.of(examples[position], rows), sampling).tolist()
    return P0Difference(cuts, -float(np.mean(sums)), len(sums))


def cut_mass(policy: Policy, batch: ReplyBatch, sampling: SamplingSettings) -> torch.Tensor:
    """Return (reply,) sum_t log m_t, with m_t the base probability of the words that the cuts keep at step t."""
    kept = torch.zeros(batch.targets.shape, dtype=torch.float64)
    with torch.no_grad():
        model = policy.reference if policy.reference is not None else policy.model
        steps = batch.targets.shape[1]
        logits = model(
            input_ids=batch.input_ids.to(model.device),
            attention_mask=torch.ones_like(batch.input_ids).to(model.device),
            logits_to_keep=steps,
            use_cache=False,
        ).logits[:, -steps:]
        for row, scores in enumerate(logits):  # a row at a time: sorting all words of all rows takes gigabytes
            probabilities = (scores.double() / policy.temperature).softmax(-1).sort(-1, descending=True).values
            if sampling.top_k:
                probabilities = probabilities[:, : sampling.top_k]
            total = probabilities.sum(-1, keepdim=True)
            shares = probabilities / total
            before = shares.cumsum(-1) - shares
            # Top-p is applied to what top-k has left, as the engines do.
            kept[row] = probabilities.masked_fill(before >= sampling.top_p, 0.0).sum(-1).log().cpu()
    return kept.masked_fill(batch.targets == PADDING, 0.0).sum(-1)


def p0_sentence(difference: P0Difference | None) -> str:
    """Return what a person should know of the difference; "" where there is none."""
    if difference is None or not difference.cuts:
        return ""
    return (
        f"The table was drawn at {' and '.join(difference.cuts)}; the tuned model is sampled over its whole "
        f"vocabulary. The table's replies are {amounts.nats(difference.kl)} a reply from what the trainer starts from "
        f"(on {difference.replies} replies), so the forecast is of another base model. A table drawn at --top-p 1 "
        "--top-k 0 has none of this."
    )
