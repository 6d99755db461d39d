"""What each value of the open table measures and misses, and how well its scorer agrees with labels."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from map_core.calibration import labels_path
from map_core.core import amounts, safe_csv
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.scoring.validation import (
    MIN_AUC,
    Label,
    Separation,
    label_rows,
    length_correlations,
    read_labels,
    separations,
)
from map_core.text import sentences
from pages.view.session import scene as scenes
from pages.view.shell import page_words, wording

#: The rank correlation with the length of the reply from which it is mentioned.
NOTABLE_CORRELATION = 0.2


@dataclass(frozen=True)
class ScorerQuality:
    """How well the scorers of a table's values agree with labels.

    Args:
        separations: by value, where replies of this table are labelled.
        lengths: rank correlation of each value with the length of the reply.
        labels: number of labels that were read.
        problem: why existing labels could not be used; "" where they were, or there are none.
        given: the labels.
    """

    separations: dict[str, Separation]
    lengths: dict[str, float]
    labels: int
    problem: str = ""
    given: tuple[Label, ...] = ()


def labels_of_file() -> tuple[tuple[Label, ...], str]:
    """Return the labels beside the open table's file, and why they cannot be used; "" where nothing is wrong."""
    scene = scenes.load()
    labels = labels_path(scenes.table_path())
    try:
        return _labels_of_file((*scene.key, _modified(labels)), labels, scene.table), ""
    except InputError as error:
        return (), page_words.of(error)


def _modified(path: Path) -> tuple[int, int] | None:
    """Return a file's last modification and size, so that additions are read; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@st.cache_resource(show_spinner=False, max_entries=2)
def _labels_of_file(key: tuple[object, ...], labels: Path, _table: RewardTable) -> tuple[Label, ...]:
    """Read the labels; a fault is raised and so not cached, as it may be one of the moment."""
    if not labels.is_file():
        return ()
    read = read_labels(labels)
    label_rows(_table, read)
    return read


def scorer_quality() -> ScorerQuality:
    """Return how well the scorers of the whole open table agree with labels; measured once for all viewers."""
    scene = scenes.load()
    read, problem = labels_of_file()
    return _scorer_quality((*scene.key, _modified(labels_path(scenes.table_path()))), problem, read, scene.table)


@st.cache_resource(show_spinner="Reading the labels", max_entries=2)
def _scorer_quality(
    key: tuple[object, ...], problem: str, _read: tuple[Label, ...], _table: RewardTable
) -> ScorerQuality:
    """Measure the quality with the labels that could be read; the cache is keyed by the problem too, which may pass."""
    lengths = length_correlations(_table)
    return ScorerQuality(separations(_table, _read) if _read else {}, lengths, len(_read), problem, _read)


def agreement_sentence(quality: ScorerQuality, name: str) -> str:
    """Return how well a value agrees with readers, in one sentence."""
    reading = wording.current()
    separation = quality.separations.get(name)
    if separation is None:
        return "No labels say how well it agrees with readers."
    text = (
        f"{sentences.capitalised(reading.agreement(separation.auc, separation.low, separation.high))}, "
        f"{labels_basis(separation)}."
    )
    if separation.within is not None:
        text += f" Between two replies to one prompt {within_figure(separation)}, {within_basis(separation)}."
    if separation.auc < MIN_AUC:
        least = reading.pick(f"{MIN_AUC:g}", f"{amounts.fixed(100 * MIN_AUC)} times")
        text += f" That is below {least}, so do not trust its name."
    return text


def within_figure(separation: Separation) -> str:
    """Return how often the scores put two replies to one prompt in order, with its interval."""
    if not wording.current().numbers:
        middle, low, high = (
            amounts.fixed(None if end is None else 100 * end)
            for end in (separation.within, separation.within_low, separation.within_high)
        )
        return f"{middle} times in 100 ({low} to {high})"
    ends = (amounts.fixed(end, 2) for end in (separation.within_low, separation.within_high))
    return f"{amounts.fixed(separation.within, 2)} ({' to '.join(ends)})"


def labels_basis(separation: Separation) -> str:
    """Return the number of labelled replies behind an AUC, in words."""
    yes, no = separation.positives, separation.negatives
    return wording.current().pick(
        f"from {yes} replies labelled 1 and {no} labelled 0",
        f"from {yes} replies that readers say have it and {no} that they say do not",
    )


def within_basis(separation: Separation) -> str:
    """Return the number of pairs behind the AUC between two replies to one prompt, in words."""
    return f"from {separation.within_pairs:,} pairs of {separation.within_prompts:,} prompts"


def length_sentence(quality: ScorerQuality, name: str) -> str:
    """Return whether a value favours long or short replies, in one sentence."""
    size = quality.lengths.get(name, 0.0)
    if abs(size) < NOTABLE_CORRELATION:
        return f"Hardly depends on the length of the reply{wording.current().correlation(_signed(size))}."
    return f"Favours {'longer' if size > 0 else 'shorter'} replies{wording.current().correlation(_signed(size))}."


def _signed(number: float) -> str:
    return amounts.fixed(number, 2, signed=True).replace("-", "−")


def scorers_csv(quality: ScorerQuality, table: RewardTable) -> str:
    """Return the quality as CSV, a row per value, with the version of each scorer that the table names."""
    versions = {
        str(scorer.get("name")): str(scorer.get("version", "")) for scorer in table.metadata.get("scorers") or ()
    }
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(
        [
            *("value", "auc", "low", "high", "labelled_1", "labelled_0", "length_correlation", "version"),
            *("within_prompt_auc", "within_prompt_low", "within_prompt_high", "within_prompt_pairs"),
        ]
    )
    for name in table.values:
        scorer = quality.separations.get(name)
        cells, within = ["", "", "", "", ""], ["", "", "", ""]
        if scorer is not None:
            cells = [amounts.fixed(number, 4, unknown="") for number in (scorer.auc, scorer.low, scorer.high)]
            cells += [str(scorer.positives), str(scorer.negatives)]
            figures = (scorer.within, scorer.within_low, scorer.within_high)
            within = [*(amounts.fixed(number, 4, unknown="") for number in figures), str(scorer.within_pairs)]
        length = amounts.fixed(quality.lengths.get(name, 0.0), 4, unknown="")
        writer.writerow([name, *cells, length, versions.get(name, ""), *within])
    return out.getvalue()
