"""Find the study of delivery for a table: the file beside the table's own, else the shipped study.

:func:`map_core.report.compute.compute_report` ignores a study whose fingerprint is not that of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from map_core.core.sidecars import DELIVERY
from map_core.data.table_format import DEFAULT_TABLE
from map_core.errors import InputError
from map_core.studies.delivery import DeliveryStudy
from map_core.studies.delivery import study as studies

SHIPPED = DEFAULT_TABLE.with_name("delivery.json")


def find_study(table: Path, load: Callable[[Path], DeliveryStudy] = studies.load) -> DeliveryStudy | None:
    """Return the study in ``TABLE.delivery.json``, else the shipped one; None where neither file can be read.

    Args:
        table: its file.
        load: reads a study's file, for callers that cache studies; raises InputError where it cannot be read.
    """
    for path in _candidates(table):
        try:
            if path.is_file():
                return load(path)
        except InputError:
            continue
    return None


def study_version(table: Path) -> tuple[tuple[int, int], ...]:
    """Return a key that changes when the study that :func:`find_study` returns is written, replaced or deleted."""
    versions = []
    for path in _candidates(table):
        try:
            status = path.stat()
        except OSError:
            versions.append((0, 0))
        else:
            versions.append((status.st_mtime_ns, status.st_size))
    return tuple(versions)


def _candidates(table: Path) -> tuple[Path, Path]:
    return table.with_suffix(DELIVERY), SHIPPED
