"""Palettes of groups in each use case and across all: the same levels, judged on other prompts.

Constraint: levels are compared in reward units, since base level and scale differ from use case to use case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import Assessment, assess
from map_core.groups.common import CommonPalette
from map_core.groups.group import Group
from map_core.oracle import MemoryOracle, Oracle


@dataclass(frozen=True, eq=False)
class CaseVerdict:
    """How the palettes fare on the prompts of one use case, or of all.

    Args:
        use_case: its name; None for all prompts.
        prompts: how many it has.
        groups: (group,) the assessment of each group's palette; None where the use case cannot be judged.
        common: the assessment of the common palette, likewise.
        levels: (value,) that the common palette's weights realise here, in reward units; NaN likewise.
        why_not: why it cannot be judged; empty where it can.
    """

    use_case: str | None
    prompts: int
    groups: tuple[Assessment | None, ...]
    common: Assessment | None
    levels: np.ndarray
    why_not: str = ""


def use_case_verdicts(
    table: RewardTable, oracle: Oracle, groups: Sequence[Group], common: CommonPalette
) -> tuple[CaseVerdict, ...]:
    """Verdicts across all prompts, and in each use case.

    Args:
        table: the whole table.
        oracle: its oracle, in the form in force; the units of groups and palette.
        groups: the groups.
        common: their common palette.

    Returns:
        All prompts first, then the use cases in the table's order.
    """
    palettes = [oracle.rewards_at(targets) for targets in (*(group.targets for group in groups), common.targets)]
    weights = common.solution.weights / oracle.scale

    def of(use_case: str | None) -> CaseVerdict:
        part = table.select(use_case)
        try:
            there: Oracle = oracle if use_case is None else MemoryOracle.of(part, oracle.form)
        except InputError as error:
            nothing = np.full(len(oracle.values), np.nan)
            return CaseVerdict(use_case, len(part.prompts), (None,) * len(groups), None, nothing, str(error))
        *judged, shared = (assess(there, there.standardise(levels)) for levels in palettes)
        realised = there.rewards_at(there.moments(weights * there.scale).levels)
        return CaseVerdict(use_case, len(part.prompts), tuple(judged), shared, realised)

    return tuple(of(name) for name in (None, *table.use_case_names))
