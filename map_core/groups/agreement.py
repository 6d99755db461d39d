"""The agreement of several groups within a budget, computed in stages that can be shown as they finish.

The max-min palette comes first, then the Nash bargain, then the satisfaction of each group alone, then every pair.
Results of one group or one pair are cached, so that in a meeting only what changed is computed again. Constraint:
the mathematics is in the other modules of the package.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import combinations

import numpy as np

from map_core.core.types import Verdict
from map_core.feasibility import AttainableLevels, Margin, assess
from map_core.groups.common import CommonPalette, max_min
from map_core.groups.conflict import NAMED_SHARE, Clash, Concession, clashes, concessions, satisfaction_alone
from map_core.groups.group import Group, check_groups, joint_targets
from map_core.groups.nash import nash
from map_core.oracle import Oracle
from map_core.oracle.threads import one_blas_thread
from map_core.solver.batched import solve_many

#: Cached results of groups and pairs; the oldest are dropped first.
CAPACITY = 20_000
#: Pairs that are solved as one batch.
BATCH_SIZE = 150


class Rule(StrEnum):
    """How a common palette is chosen."""

    #: The smallest satisfaction is as large as it can be (Chebyshev).
    WORST_OFF = "worst_off"
    #: The product of satisfactions is as large as it can be (Nash).
    BARGAIN = "bargain"


@dataclass(frozen=True, eq=False)
class JointPalette:
    """The palette with every group's targets, attainable or not.

    Args:
        margin: of that palette, with its certificate.
        kl: nats that it costs; NaN where it is not attainable.
        values: positions of the values that pull against each other, the strongest first; empty where it is attainable.
        asked_by: for each of these, the positions of the groups with the highest target.
    """

    margin: Margin
    kl: float
    values: tuple[int, ...]
    asked_by: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class GroupAgreement:
    """The agreement of several groups; a part is None, or missing, until it has been computed.

    Args:
        groups: the groups and their targets.
        budget: nats that a common palette may spend.
        joint: the palette with the targets of all groups.
        reachable: (group,) whether each group's palette is attainable by itself, at any price.
        common: the common palette of each rule.
        verdicts: on the common palette of each rule.
        alone: (group,) satisfaction of each if only it counted.
        pairs: every pair of groups and how their palettes combine.
    """

    groups: tuple[Group, ...]
    budget: float
    joint: JointPalette | None = None
    reachable: tuple[bool, ...] = ()
    common: Mapping[Rule, CommonPalette] = field(default_factory=dict)
    verdicts: Mapping[Rule, Verdict] = field(default_factory=dict)
    alone: np.ndarray | None = None
    pairs: tuple[Clash, ...] | None = None

    def named(self, names: Sequence[str]) -> GroupAgreement:
        """Return the agreement with other names of the groups; no result depends on them."""
        groups = tuple(replace(group, name=name) for group, name in zip(self.groups, names, strict=True))
        return replace(self, groups=groups)

    def concessions(self, rule: Rule) -> tuple[Concession, ...]:
        """Return what each group gives up in the common palette of a rule; empty until it is computed."""
        if rule not in self.common or self.alone is None:
            return ()
        return concessions(self.groups, self.common[rule], self.alone)


class AgreementCache:
    """A cache of results of single groups and pairs on one oracle, by their targets.

    Args:
        oracle: the table of all results.
        attainable: corners to start the linear programs from.
    """

    def __init__(self, oracle: Oracle, attainable: AttainableLevels | None = None) -> None:
        self.oracle = oracle
        self.attainable = attainable or AttainableLevels(oracle)
        self._cache: OrderedDict[Hashable, object] = OrderedDict()

    def _store(self, key: Hashable, result: object) -> None:
        self._cache[key] = result
        while len(self._cache) > CAPACITY:
            self._cache.popitem(last=False)

    def reachable(self, group: Group) -> bool:
        """Return whether a group's palette is attainable by itself."""
        key = ("reachable", group.targets.tobytes())
        if key not in self._cache:
            self._store(key, self.attainable.margin(group.targets).attainable)
        return bool(self._cache[key])

    def alone(self, group: Group, budget: float) -> float:
        """Return the satisfaction of a group if only it counted."""
        key = ("alone", group.targets.tobytes(), budget)
        if key not in self._cache:
            self._store(key, float(satisfaction_alone(self.oracle, [group], budget)[0]))
        return self._cache[key]  # type: ignore[return-value]

    def pairs(
        self, groups: Sequence[Group], budget: float, check: Callable[[], None] = lambda: None
    ) -> tuple[Clash, ...]:
        """Return every pair; those that are not cached are solved in batches, with a check before each."""
        keys = {
            (a, b): ("pair", groups[a].targets.tobytes(), groups[b].targets.tobytes(), budget)
            for a, b in combinations(range(len(groups)), 2)
        }
        # By pair and apart from the cache, which may drop what was read first while the others are being stored.
        known = {pair: self._cache[key] for pair, key in keys.items() if key in self._cache}
        missing = [pair for pair in keys if pair not in known]
        for begin in range(0, len(missing), BATCH_SIZE):
            check()
            batch = missing[begin : begin + BATCH_SIZE]
            for clash in clashes(self.oracle, groups, budget, self.attainable, among=batch):
                position = {clash.first: 0, clash.second: 1}
                pair_result = replace(clash, first=0, second=1, asked_by=tuple(position[g] for g in clash.asked_by))
                known[clash.first, clash.second] = pair_result
                self._store(keys[clash.first, clash.second], pair_result)
        results = []
        for pair in keys:
            pair_result = known[pair]  # type: ignore[assignment]
            results.append(
                replace(
                    pair_result, first=pair[0], second=pair[1], asked_by=tuple(pair[g] for g in pair_result.asked_by)
                )
            )
        return tuple(results)


def agreement(
    cache: AgreementCache,
    groups: Sequence[Group],
    budget: float,
    report: Callable[[GroupAgreement], None] = lambda agreement: None,
) -> GroupAgreement:
    """Compute the agreement of several groups within a budget.

    Args:
        cache: the table, and results of earlier calls.
        groups: at least one, each with a name of its own.
        budget: nats that a common palette may spend.
        report: called with the parts so far after each stage; may raise to stop.

    Returns:
        The agreement with all its parts.

    Raises:
        InputError: groups or budget that cannot be used, see :func:`map_core.groups.group.check_groups`.

    Example:
        >>> agreement(AgreementCache(oracle), groups, budget=1.0).common[Rule.WORST_OFF].satisfaction  # doctest: +SKIP
        array([0.8, 0.8])
    """
    check_groups(cache.oracle, groups, budget)
    result = GroupAgreement(tuple(groups), budget, _joint(cache, groups), tuple(map(cache.reachable, groups)))
    for rule, method in ((Rule.WORST_OFF, max_min), (Rule.BARGAIN, nash)):
        with one_blas_thread():  # many small systems: five times as fast with 60 groups
            common = method(cache.oracle, groups, budget)
        assessment = assess(cache.oracle, common.targets, solution=common.solution, attainable=cache.attainable)
        result = replace(
            result, common={**result.common, rule: common}, verdicts={**result.verdicts, rule: assessment.verdict}
        )
        report(result)
    satisfactions = []
    for group in groups:
        satisfactions.append(cache.alone(group, budget))
        report(result)
    result = replace(result, alone=np.array(satisfactions))
    report(result)
    return replace(result, pairs=cache.pairs(groups, budget, lambda: report(result)))


def _joint(cache: AgreementCache, groups: Sequence[Group]) -> JointPalette:
    """Assess the palette with the targets of all groups."""
    targets = joint_targets(groups)
    margin = cache.attainable.margin(targets)
    if margin.attainable:
        return JointPalette(margin, float(solve_many(cache.oracle, targets[None, :]).kl[0]), (), ())
    certificate = margin.certificate
    values = tuple(int(j) for j in np.argsort(-certificate) if certificate[j] >= NAMED_SHARE)
    asked_by = tuple(
        tuple(g for g, group in enumerate(groups) if group.targets[j] >= targets[j] - 1e-9) for j in values
    )
    return JointPalette(margin, float("nan"), values, asked_by)
