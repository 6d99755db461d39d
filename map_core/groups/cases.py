"""Verdicts on the palettes of groups in each use case and across all prompts.

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
    """Verdicts on the palettes on the prompts of one use case, or of all.

    Args:
        use_case: its name; None for all prompts.
        prompts: number of its prompts.
        groups: (group,) the assessment of each group's palette; None where the use case cannot be assessed.
        common: the assessment of the common palette; None where the use case cannot be assessed.
        levels: (value,) that the common palette's weights give on these prompts, in reward units; NaN where the use
        case
            cannot be assessed.
        why_not: the reason why it cannot be assessed; empty where it can.
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
    """Assess the palettes on all prompts, and in each use case.

    Args:
        table: the whole table.
        oracle: its oracle, in the form used; the units of groups and palette.
        groups: the groups.
        common: their common palette.

    Returns:
        All prompts first, then the use cases in the table's order.
    """
    palettes = [oracle.rewards_at(targets) for targets in (*(group.targets for group in groups), common.targets)]
    weights = common.solution.weights / oracle.scale

    def verdict(use_case: str | None) -> CaseVerdict:
        prompts = len(table.prompts) if use_case is None else table.use_cases.count(use_case)
        try:
            case_oracle: Oracle = oracle if use_case is None else MemoryOracle.of(table.select(use_case), oracle.form)
        except InputError as error:  # one reply a prompt, or all prompts held out
            unknown = np.full(len(oracle.values), np.nan)
            return CaseVerdict(use_case, prompts, (None,) * len(groups), None, unknown, str(error))
        *assessments, common_assessment = (assess(case_oracle, case_oracle.standardise(levels)) for levels in palettes)
        realised = case_oracle.rewards_at(case_oracle.moments(weights * case_oracle.scale).levels)
        return CaseVerdict(use_case, prompts, tuple(assessments), common_assessment, realised)

    return tuple(map(verdict, (None, *table.use_case_names)))
