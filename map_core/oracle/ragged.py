"""Sums, maxima and softmax over ragged groups of replies that share a log-sum-exp.

Where all groups have equally many replies they may be stored transposed (every group's first reply, then every second
one, ...), so that reductions run over long rows, which vectorises. Constraint: arithmetic is in the input's precision.
"""

from __future__ import annotations

import numpy as np


class Groups:
    """Groups of replies along the last axis.

    Args:
        counts: (group,) replies of each group.
        transposed: store groups of equal size transposed; by default where there are at least as many groups as replies
            in each.
    """

    def __init__(self, counts: np.ndarray, transposed: bool | None = None) -> None:
        self.counts = counts
        self._log_counts = np.log(counts)
        groups, most = len(counts), int(counts.max())
        self._uniform = bool(counts.min() == most)
        self.transposed = self._uniform and groups >= most if transposed is None else transposed
        self._shape, self._axis = ((most, groups), -2) if self.transposed else ((groups, most), -1)
        self._starts = np.cumsum(counts) - counts

    def arranged(self, rows: np.ndarray) -> np.ndarray:
        """Reorder (..., reply) from group after group to the storage order."""
        if not self.transposed:
            return rows
        return rows.reshape(*rows.shape[:-1], *self._shape[::-1]).swapaxes(-1, -2).reshape(rows.shape)

    def arrange(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Reorder (reply,) as :meth:`arranged` does, into an array of any precision."""
        if self.transposed:
            np.copyto(out.reshape(self._shape), rows.reshape(self._shape[::-1]).T)
        else:
            np.copyto(out, rows)

    def in_order(self, rows: np.ndarray) -> np.ndarray:
        """Undo :meth:`arranged`."""
        return self._split(rows).swapaxes(-1, -2).reshape(rows.shape) if self.transposed else rows

    def first(self, rows: np.ndarray, groups: int) -> np.ndarray:
        """Return (..., reply) of the first groups, in the storage order."""
        if self.transposed:
            return self._split(rows)[..., :groups].reshape(*rows.shape[:-1], -1)
        return rows[..., : self.counts[:groups].sum()]

    def sum(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return the sum over each group, (..., group), of (..., reply)."""
        if self._uniform:
            return np.add.reduce(self._split(rows), axis=self._axis, out=out)
        return np.add.reduceat(rows, self._starts, axis=-1, out=out)

    def max(self, rows: np.ndarray) -> np.ndarray:
        """Return the maximum of each group, (..., group), of (..., reply)."""
        if self._uniform:
            return np.maximum.reduce(self._split(rows), axis=self._axis)
        return np.maximum.reduceat(rows, self._starts, axis=-1)

    def combine(self, operation: np.ufunc, rows: np.ndarray, groups: np.ndarray) -> None:
        """Apply a ufunc in place to each reply and its group's number: (..., reply) and (..., group)."""
        if self._uniform:
            split = self._split(rows)
            operation(split, groups[..., None, :] if self.transposed else groups[..., None], out=split)
        else:
            operation(rows, np.repeat(groups, self.counts, axis=-1), out=rows)

    def repeat(self, groups: np.ndarray) -> np.ndarray:
        """Repeat each group's number for all of its replies: (..., group) to (..., reply)."""
        return self.arranged(np.repeat(groups, self.counts, axis=-1))

    def tilt(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the log of each group's mean exp(logit), (..., group), and the softmax, which replaces the logits."""
        top = self.max(logits)
        self.combine(np.subtract, logits, top)
        np.exp(logits, out=logits)
        total = self.sum(logits)
        self.combine(np.divide, logits, total)
        return top + np.log(total) - self._log_counts, logits

    def best(self, logits: np.ndarray) -> np.ndarray:
        """Return the position, (group,), in ``logits``, (reply,), of each group's first maximum."""
        if self.transposed:
            highest = self._split(logits) == self.max(logits)
            return highest.argmax(axis=0) * len(self.counts) + np.arange(len(self.counts))
        if self._uniform:
            return self._starts + self._split(logits).argmax(axis=-1)
        hits = np.flatnonzero(logits == np.repeat(self.max(logits), self.counts))
        return hits[np.searchsorted(hits, self._starts)]

    def _split(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(*rows.shape[:-1], *self._shape)
