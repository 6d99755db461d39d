"""Replies in groups that share a log-sum-exp: sums, maxima and softmax of each group.

Where all groups have equally many replies, they are kept as every group's first reply, then every second one, and so
on: what is summed or compared then lies in long rows, which processors take several numbers at a time. Constraint:
arithmetic in the precision of what comes in.
"""

from __future__ import annotations

import numpy as np


class Groups:
    """Replies that share a log-sum-exp, along the last axis.

    Args:
        counts: (group,) replies of each.
        turned: reply numbers outside and groups inside, which needs groups that are all alike; by default where
            there are many of them.
    """

    def __init__(self, counts: np.ndarray, turned: bool | None = None) -> None:
        self.counts = counts
        self._log_counts = np.log(counts)
        groups, most = len(counts), int(counts.max())
        self._uniform = bool(counts.min() == most)
        self.turned = self._uniform and groups >= most if turned is None else turned
        self._shape, self._axis = ((most, groups), -2) if self.turned else ((groups, most), -1)
        self._starts = np.cumsum(counts) - counts

    def arranged(self, rows: np.ndarray) -> np.ndarray:
        """(..., reply) from group after group to the order of this class."""
        if not self.turned:
            return rows
        return rows.reshape(*rows.shape[:-1], *self._shape[::-1]).swapaxes(-1, -2).reshape(rows.shape)

    def arrange(self, rows: np.ndarray, out: np.ndarray) -> None:
        """The same of (reply,) rows into an array, of any precision."""
        if self.turned:
            np.copyto(out.reshape(self._shape), rows.reshape(self._shape[::-1]).T)
        else:
            np.copyto(out, rows)

    def in_order(self, rows: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`arranged`."""
        return self._split(rows).swapaxes(-1, -2).reshape(rows.shape) if self.turned else rows

    def first(self, rows: np.ndarray, groups: int) -> np.ndarray:
        """(..., reply) of the first groups alone, turned as before."""
        if self.turned:
            return self._split(rows)[..., :groups].reshape(*rows.shape[:-1], -1)
        return rows[..., : self.counts[:groups].sum()]

    def sum(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """(..., reply) to (..., group)."""
        if self._uniform:
            return np.add.reduce(self._split(rows), axis=self._axis, out=out)
        return np.add.reduceat(rows, self._starts, axis=-1, out=out)

    def max(self, rows: np.ndarray) -> np.ndarray:
        """(..., reply) to (..., group)."""
        if self._uniform:
            return np.maximum.reduce(self._split(rows), axis=self._axis)
        return np.maximum.reduceat(rows, self._starts, axis=-1)

    def combine(self, operation: np.ufunc, rows: np.ndarray, groups: np.ndarray) -> None:
        """Apply a ufunc in place to each reply and its group's number: (..., reply) and (..., group)."""
        if self._uniform:
            split = self._split(rows)
            operation(split, groups[..., None, :] if self.turned else groups[..., None], out=split)
        else:
            operation(rows, np.repeat(groups, self.counts, axis=-1), out=rows)

    def spread(self, groups: np.ndarray) -> np.ndarray:
        """(..., group) to (..., reply): each group's number for all of its replies."""
        return self.arranged(np.repeat(groups, self.counts, axis=-1))

    def tilt(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log of each group's mean exp(logit), (..., group), and P within each group, in the place of the logits."""
        top = self.max(logits)
        self.combine(np.subtract, logits, top)
        np.exp(logits, out=logits)
        total = self.sum(logits)
        self.combine(np.divide, logits, total)
        return top + np.log(total) - self._log_counts, logits

    def best(self, logits: np.ndarray) -> np.ndarray:
        """(group,) position in ``logits``, (reply,), of each group's first highest one."""
        if self.turned:
            highest = self._split(logits) == self.max(logits)
            return highest.argmax(axis=0) * len(self.counts) + np.arange(len(self.counts))
        if self._uniform:
            return self._starts + self._split(logits).argmax(axis=-1)
        hits = np.flatnonzero(logits == np.repeat(self.max(logits), self.counts))
        return hits[np.searchsorted(hits, self._starts)]

    def _split(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(*rows.shape[:-1], *self._shape)
