"""Name the files beside a table that are about that very table, under its name: they go where it goes.

Constraint: standard library only.
"""

from __future__ import annotations

from pathlib import Path

#: Endings instead of ``.parquet``: people's labels of its replies, a study of delivery, how promises are kept.
LABELS, DELIVERY, PROMISES = ".labels.jsonl", ".delivery.json", ".promises.json"
SIDECARS = (LABELS, DELIVERY, PROMISES)


def delete_sidecars(table: Path) -> None:
    """Delete the files beside a deleted table, so that a later table of the same name does not get them as its own.

    Raises:
        OSError: one of them cannot be removed.
    """
    for ending in SIDECARS:
        table.with_suffix(ending).unlink(missing_ok=True)
