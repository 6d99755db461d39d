"""A table in torch tensors, on the CPU or on a GPU.

The data are float32 by default; each block of prompts is computed in float64, so that a pass needs memory for a few
blocks beside the table. Constraint: only this module of the mathematics loads torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from map_core.core.types import Form
from map_core.errors import InputError
from map_core.oracle.base import BatchMoments, Oracle, PromptMoments
from map_core.oracle.block import stack_batches
from map_core.oracle.combine import combine_batches, combine_best, combine_prompts, prompt_mass
from map_core.oracle.memory import check_form
from map_core.oracle.reward_stats import RewardStats, combine_stats

#: Numbers in a block that keep a device busy.
BLOCK = {"cpu": 2**18, "cuda": 2**24}
#: Most weight vectors times replies that are tilted at once, in blocks.
TILTED = 4


class TensorBlock:
    """Whole prompts on a device.

    Args:
        z: (reply, value) standardised rewards.
        counts: (prompt,) replies of each prompt, on the CPU.
        form: per prompt or pooled.
    """

    def __init__(self, z: torch.Tensor, counts: np.ndarray, form: Form) -> None:
        self._stored, self.counts, self._form = z, counts, form
        self.prompts, self.replies = len(counts), len(z)
        self.size = self.prompts if form is Form.PER_PROMPT else self.replies
        self._uniform = int(counts[0]) if np.all(counts == counts[0]) else 0
        self._lengths = torch.as_tensor(counts, device=z.device)
        self._starts = torch.as_tensor(np.cumsum(counts) - counts, device=z.device)
        self._log_counts = torch.as_tensor(np.log(counts), device=z.device)[:, None]

    def of_values(self, which: np.ndarray) -> TensorBlock:
        """Return a block with some of the values alone."""
        return TensorBlock(
            self._stored[:, torch.as_tensor(which.copy(), device=self._stored.device)], self.counts, self._form
        )

    def sum(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the sum over each prompt, (prompt, batch), of (reply, batch)."""
        if self._uniform:
            return rows.view(self.prompts, self._uniform, -1).sum(1)
        return torch.segment_reduce(rows, "sum", lengths=self._lengths, axis=0)

    def max(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the maximum of each prompt, (prompt, batch), of (reply, batch)."""
        if self._uniform:
            return rows.view(self.prompts, self._uniform, -1).amax(1)
        return torch.segment_reduce(rows, "max", lengths=self._lengths, axis=0)

    def repeat(self, groups: torch.Tensor) -> torch.Tensor:
        """Repeat (prompt, batch) to (reply, batch)."""
        return torch.repeat_interleave(groups, self._lengths, dim=0, output_size=self.replies)

    def tilt(self, z: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the log of each prompt's mean exp(x . z), (prompt, batch), and its softmax, (reply, batch)."""
        logits = z @ weights.T
        top = self.max(logits)
        logits.sub_(self.repeat(top)).exp_()
        total = self.sum(logits)
        return top + total.log() - self._log_counts, logits.div_(self.repeat(total))

    def batch_moments(self, weights: torch.Tensor, multiplicity: torch.Tensor | None, covariance: bool) -> BatchMoments:
        """Return the moments at x, (batch, value), with multiplicities (batch, prompt)."""
        z = self._stored.double()
        evaluate = self._per_prompt if self._form is Form.PER_PROMPT else self._pooled
        counted = torch.ones(len(weights), self.prompts, dtype=z.dtype, device=z.device)
        return evaluate(z, weights, counted if multiplicity is None else multiplicity, covariance)

    def _per_prompt(
        self, z: torch.Tensor, weights: torch.Tensor, counted: torch.Tensor, covariance: bool
    ) -> BatchMoments:
        log_normalisers, probabilities = self.tilt(z, weights)
        concentration = self.sum(probabilities.square())
        size = counted.sum(1)
        share = (counted / size.clamp_min(torch.finfo(size.dtype).tiny)[:, None]).T
        means = torch.stack([self.sum(probabilities * column[:, None]) for column in z.T], dim=-1)
        second = None
        if covariance:
            between = torch.einsum("pb,pbi,pbj->bij", share, means, means)
            second = _second_moments(z, probabilities.mul_(self.repeat(share))) - between
        return BatchMoments(
            _array(size),
            _array((share * log_normalisers).sum(0)),
            _array(torch.einsum("pb,pbi->bi", share, means)),
            second if second is None else _array(second),
            _array((share / concentration).sum(0)),
            _array((share * concentration).sum(0)),
        )

    def _pooled(self, z: torch.Tensor, weights: torch.Tensor, counted: torch.Tensor, covariance: bool) -> BatchMoments:
        size = counted @ self._lengths.to(z.dtype)
        # A row without any reply here has size 0 and is ignored.
        copies = self.repeat(torch.where(size[:, None] > 0, counted, 1.0).T)
        logits = z @ weights.T + copies.log()
        top = logits.amax(0)
        mass = logits.sub_(top).exp_()
        total = mass.sum(0)
        mass /= total
        concentration = (mass.square() / torch.where(copies > 0, copies, 1.0)).sum(0)
        levels = mass.T @ z
        second = None
        if covariance:
            second = _second_moments(z, mass) - levels[:, :, None] * levels[:, None, :]
        log_normaliser = top + total.log() - torch.where(size > 0, size, 1.0).log()
        return BatchMoments(
            _array(size),
            _array(log_normaliser),
            _array(levels),
            second if second is None else _array(second),
            _array(1.0 / concentration),
            _array(concentration),
        )

    def by_prompt(self, weights: torch.Tensor) -> PromptMoments:
        """Return each prompt's own moments at x, (value,)."""
        z = self._stored.double()
        log_normalisers, probabilities = self.tilt(z, weights[None])
        log_normaliser, levels = _array(log_normalisers[:, 0]), _array(self.sum(probabilities * z))
        return PromptMoments(prompt_mass(self._form, log_normaliser, self.counts), log_normaliser, levels, self.counts)

    def best_by_prompt(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the levels, (prompt, value), of each prompt's first best reply for x."""
        logits = self._stored.double() @ weights[:, None]
        hits = torch.nonzero(logits[:, 0] == self.repeat(self.max(logits))[:, 0])[:, 0]
        return self._stored[hits[torch.searchsorted(hits, self._starts)]].double()

    def best(self, weights: torch.Tensor) -> np.ndarray:
        """Return the levels, (value,), of the best replies for x: one a prompt, or one in all when pooled."""
        levels = self.best_by_prompt(weights)
        return _array(levels.mean(0) if self._form is Form.PER_PROMPT else levels[(levels @ weights).argmax()])


class TorchOracle(Oracle):
    """A table in torch.

    Args:
        rewards: (reply, value), ordered by prompt; an array or a tensor.
        offsets: (prompt + 1,) where each prompt's replies begin.
        values: names of the values.
        form: per prompt or pooled.
        device: "cpu" or "cuda".
        precision: type of the stored data.

    Raises:
        InputError: there is no such device, or the per-prompt form is asked for and no prompt has two replies.
    """

    def __init__(
        self,
        rewards: np.ndarray | torch.Tensor,
        offsets: np.ndarray,
        values: tuple[str, ...],
        form: Form,
        *,
        device: str = "cpu",
        precision: torch.dtype = torch.float32,
    ) -> None:
        form, self._device = Form(form), torch.device(device)
        if self._device.type == "cuda" and not torch.cuda.is_available():
            raise InputError(f"There is no device {device!r} on this machine. Use device='cpu'.")
        rewards, offsets = torch.as_tensor(rewards), np.asarray(offsets, dtype=np.int64)
        counts = np.diff(offsets)
        check_form(form, int(counts.max()))
        self._numbers = BLOCK.get(self._device.type, BLOCK["cuda"])
        cuts_at = np.searchsorted(offsets, np.arange(0, offsets[-1], max(1, self._numbers // rewards.shape[1])))
        parts = list(pairwise(sorted({0, *(int(cut) for cut in cuts_at), len(counts)})))
        rows = [slice(int(offsets[a]), int(offsets[b])) for a, b in parts]
        stats = combine_stats(
            form,
            [
                RewardStats.of(rewards[r].cpu().numpy(), counts[a:b], form)
                for r, (a, b) in zip(rows, parts, strict=True)
            ],
        )
        self._describe(tuple(values), form, stats)
        if precision is not torch.float64:
            self.resolution = 1e-6
        base, unit = self._tensor(self.base), self._tensor(np.where(self.constant, np.inf, self.scale))
        self._blocks = [
            TensorBlock(((rewards[r].to(self._device).double() - base) / unit).to(precision), counts[a:b], form)
            for r, (a, b) in zip(rows, parts, strict=True)
        ]
        self._sizes = [block.size for block in self._blocks]

    def batch_moments(
        self, weights: np.ndarray, *, multiplicity: np.ndarray | None = None, covariance: bool = False
    ) -> BatchMoments:
        """Return the moments at many weight vectors, see :meth:`Oracle.batch_moments`."""
        step = max(1, TILTED * self._numbers // (self._blocks[0].replies * len(self.values)))
        parts = [
            self._all_blocks(
                weights[first : first + step],
                None if multiplicity is None else multiplicity[first : first + step],
                covariance,
            )
            for first in range(0, len(weights), step)
        ]
        return parts[0] if len(parts) == 1 else stack_batches(parts)

    def best(self, weights: np.ndarray) -> np.ndarray:
        """Return the levels of the best replies, see :meth:`Oracle.best`."""
        x = self._tensor(weights)
        return combine_best(self.form, weights, self._sizes, [block.best(x) for block in self._blocks])

    def by_prompt(self, weights: np.ndarray) -> PromptMoments:
        """Return each prompt's moments, see :meth:`Oracle.by_prompt`."""
        x = self._tensor(weights)
        return combine_prompts(self.form, [block.by_prompt(x) for block in self._blocks])

    def best_by_prompt(self, weights: np.ndarray) -> np.ndarray:
        """Return each prompt's best levels, see :meth:`Oracle.best_by_prompt`."""
        x = self._tensor(weights)
        return np.concatenate([_array(block.best_by_prompt(x)) for block in self._blocks])

    def of_values(self, which: np.ndarray) -> TorchOracle:
        """Return an oracle of some of the values alone, see :meth:`Oracle.of_values`."""
        part = self._copy_of_values(which)
        part._blocks = [block.of_values(which) for block in self._blocks]
        return part

    def _all_blocks(self, weights: np.ndarray, multiplicity: np.ndarray | None, covariance: bool) -> BatchMoments:
        x, first, parts = self._tensor(weights), 0, []
        for block in self._blocks:
            last = first + block.prompts
            counted = None if multiplicity is None else self._tensor(multiplicity[:, first:last])
            parts.append(block.batch_moments(x, counted, covariance))
            first = last
        return combine_batches(self.form, parts)

    def _tensor(self, array: np.ndarray | Sequence[float]) -> torch.Tensor:
        return torch.tensor(np.asarray(array), dtype=torch.float64, device=self._device)


def _second_moments(z: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """Return the sums of z_i z_j over replies, (batch, value, value), at masses (reply, batch)."""
    size = z.shape[1]
    rows, columns = torch.triu_indices(size, size, device=z.device)
    upper = mass.T @ (z[:, rows] * z[:, columns])
    matrices = upper.new_empty(len(upper), size, size)
    matrices[:, rows, columns] = upper
    matrices[:, columns, rows] = upper
    return matrices


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.asarray(tensor.cpu().numpy())
