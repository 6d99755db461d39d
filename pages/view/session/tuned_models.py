"""The tuned models that this visitor sees, with the record of each.

Constraint: the catalog decides who owns and who sees a tuned model; no model library is loaded here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.models.tuned import RECORD
from map_core.tuning.folder import is_of_model, is_of_table, read_record
from pages.view.shell import account


def of_model(table: RewardTable) -> dict[str, dict[str, Any]]:
    """Return the records of models whose base is the model that wrote a table's replies, the newest first."""
    return {name: record for name, record in _records().items() if is_of_model(record, table)}


def of_table(table: RewardTable) -> dict[str, dict[str, Any]]:
    """Return the records of models that were tuned on a table, the newest first."""
    return {name: record for name, record in _records().items() if is_of_table(record, table)}


def _records() -> dict[str, dict[str, Any]]:
    records = {}
    for name in account.tables().list_tuned():
        try:
            folder = account.tables().tuned_folder(name)
            records[name] = _record(str(folder), (folder / RECORD).stat().st_mtime)
        except (InputError, OSError):  # deleted meanwhile, or of another version
            continue
    return records


@st.cache_data(show_spinner=False, max_entries=128)
def _record(folder: str, modified: float) -> dict[str, Any]:
    return read_record(Path(folder))
