"""How much of lambda . r a value of beginnings can tell: from the words of a reply, on held-out prompts.

Ridge regression of lambda . r, centred by prompt, on the shares of words in the embedded table's replies. Where a tuned
model's log-ratio has the correlation rho with lambda . r within prompts and spends n times lambda's nats, it comes
rho sqrt(n) of the way, up to third order in lambda . r; so the last column is a limit of tuning on such values alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from map_core.data import table_format
from tests import ROOT

WEIGHTS = {"kindness": 1.13, "humor": 0.66}  # of kindness p65 and humor p60
LEAST, SHRINK, PENALTIES, BUDGET = 5, 8, (0.3, 1.0, 3.0), 1.25


def run() -> dict[str, Any]:
    """Print and return what 8 and all replies a prompt explain."""
    table = table_format.load(ROOT / "assets" / "default.parquet")
    lam = np.array([WEIGHTS.get(name, 0.0) for name in table.values])
    prompts, count = len(table.prompts), int(table.candidates[0])
    counts = [np.unique(reply, return_counts=True) for reply in table.tokens]
    words = scipy.sparse.csr_matrix(
        (
            np.concatenate([n / (len(reply) + SHRINK) for (_, n), reply in zip(counts, table.tokens, strict=True)]),
            (np.repeat(np.arange(len(counts)), [len(w) for w, _ in counts]), np.concatenate([w for w, _ in counts])),
        ),
        dtype=np.float32,
    )
    words = words[:, np.asarray((words > 0).sum(axis=0)).ravel() >= LEAST]
    products = (words @ words.T).toarray().reshape(prompts, count, prompts, count)
    gains = (table.rewards @ lam).reshape(prompts, count)
    result = {}
    print(f"{'replies a prompt':>18}{'penalty':>9}{'R^2':>8}{'rho':>8}{f'share at {BUDGET}':>15}")
    for replies in (8, count):
        kernel = products[:, :, :, :replies]
        kernel = kernel - kernel.mean(axis=3, keepdims=True)
        kernel = kernel - kernel[:, :replies].mean(axis=1, keepdims=True)
        known, held_out = table.counted, table.held_out
        target = (gains - gains[:, :replies].mean(axis=1, keepdims=True))[known][:, :replies].ravel()
        inside = kernel[known][:, :replies][:, :, known].reshape(len(target), -1)
        across = kernel[held_out][:, :, known].reshape(-1, len(target))
        truth = (gains - gains.mean(axis=1, keepdims=True))[held_out]
        scale = np.trace(inside) / len(target)
        for penalty in PENALTIES:
            ridge = inside / scale + penalty * np.eye(len(target), dtype=np.float32)
            predicted = (across / scale @ scipy.linalg.solve(ridge, target, assume_a="pos")).reshape(truth.shape)
            predicted -= predicted.mean(axis=1, keepdims=True)
            explained = 1.0 - float(((truth - predicted) ** 2).sum() / (truth**2).sum())
            rho = float((truth * predicted).sum() / np.sqrt((truth**2).sum() * (predicted**2).sum()))
            share = rho * math.sqrt(BUDGET)
            print(f"{replies:>18}{penalty:>9.1f}{explained:>8.2f}{rho:>8.2f}{share:>15.0%}")
            result[f"{replies} replies, penalty {penalty}"] = {"explained": explained, "rho": rho, "share": share}
    return result
