"""Find the study of delivery for the page Evidence: that of the open table, or the shipped one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from map_core.core.sidecars import DELIVERY
from map_core.figures.delivery import DeliveryFigureData
from map_core.report import evidence as studies_by_table
from map_core.studies.comparisons import Comparison, read_comparisons
from map_core.studies.delivery import DeliveryStudy, fingerprint
from map_core.studies.delivery import study as studies
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import server_paths
from pages.view.shell import wording as wordings


@dataclass(frozen=True, eq=False)
class DeliveryEvidence:
    """The study on the page.

    Args:
        study: the one beside the table that is open, or the one that is shipped.
        graded: its graded palettes, with the names and colours of the open table where it has the values.
        of_this_table: the open table is the one that was studied.
        command: that makes a study of the open table where this page finds it.
        first: the palette that is shown first: the one with the most targets among the mostly reachable ones.
        comparisons: blind comparisons of the shipped table's presets; none for another table.
    """

    study: DeliveryStudy
    graded: DeliveryFigureData
    of_this_table: bool
    command: str
    first: int
    comparisons: tuple[Comparison, ...]


def find_evidence(scene: Scene) -> DeliveryEvidence | None:
    """Return the study for the open table, or None when there is none at all."""
    table = scenes.table_path()
    own = table.with_suffix(DELIVERY)
    study = studies_by_table.find_study(table, lambda path: _study(path, path.stat().st_mtime))
    if study is None:
        return None
    values = study.graded.values
    names, colours = [name.replace("_", " ") for name in values], list(range(len(values)))
    for position, name in enumerate(scene.table.values):
        if name in values:
            studied = values.index(name)
            names[studied], colours[studied] = scene.names[position], position
    sizes = np.where(study.graded.mostly_reachable, (~np.isnan(study.graded.asked)).sum(axis=1), 0)
    shown, study_shown = (shlex.quote(server_paths.shown(path)) for path in (table, own))
    command = f"python -m map_core verify {shown} --study {study_shown}"
    compared = table.with_name("comparisons.jsonl") if table == scenes.DEFAULT_TABLE else None
    return DeliveryEvidence(
        study,
        DeliveryFigureData(study.graded, study.percentiles, names, colours, scene.theme, wordings.current()),
        study.made.get("table") == _fingerprint(str(table), table.stat().st_mtime),
        command,
        int(sizes.argmax()),
        read_comparisons(compared) if compared is not None and compared.is_file() else (),
    )


@st.cache_resource(show_spinner=False, max_entries=2)
def _study(path: Path, modified: float) -> DeliveryStudy:
    """Read a study; a fault is raised and so not cached, as it may be one of the moment."""
    return studies.load(path)


@st.cache_resource(show_spinner=False, max_entries=2)
def _fingerprint(path: str, modified: float) -> str:
    """Return the fingerprint of the whole table of the file, of every use case."""
    return fingerprint(scenes.file_table())
