"""Which study of delivery may speak for a table: the one beside its file, else the one that is shipped.

Whether a study is of this very table is judged by the table's fingerprint, in :func:`map_core.report.contents`.
"""

from __future__ import annotations

from pathlib import Path

from map_core.data.table_format import DEFAULT_TABLE
from map_core.errors import InputError
from map_core.studies.delivery import DeliveryStudy
from map_core.studies.delivery import study as studies

SHIPPED = DEFAULT_TABLE.with_name("delivery.json")


def find_study(table: Path) -> DeliveryStudy | None:
    """Return the study in ``TABLE.delivery.json``, else the shipped one; None where none can be read."""
    for path in (table.with_suffix(".delivery.json"), SHIPPED):
        try:
            if path.is_file():
                return studies.load(path)
        except InputError:
            continue
    return None
