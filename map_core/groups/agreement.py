"""All that several groups come to within a budget, in stages that can be shown while the next one is computed.

The common palette that serves the worst-off best comes first, then the fair bargain, then what each group could have
alone, then every pair. What belongs to one group or to one pair is remembered, so that in a meeting only what changed
is computed again. Constraint: nothing new is decided here; the mathematics is in the other files of the package.
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

#: What is remembered of groups and pairs; those not asked for the longest go first.
CAPACITY = 20_000
#: Pairs that are solved together.
TOGETHER = 150


class Rule(StrEnum):
    """How a common palette is chosen."""

    #: The smallest satisfaction is as large as it can be (Chebyshev).
    WORST_OFF = "worst_off"
    #: The product of satisfactions is as large as it can be (Nash).
    BARGAIN = "bargain"


@dataclass(frozen=True, eq=False)
class JointPalette:
    """The palette that gives every group all that it wants, attainable or not.

    Args:
        margin: of that palette, with its certificate.
        kl: nats that it costs; NaN where it is not attainable.
        values: positions of the values that pull against each other, the strongest first; empty where it is attainable.
        asked_by: for each of these, the positions of the groups that ask the most of it.
    """

    margin: Margin
    kl: float
    values: tuple[int, ...]
    asked_by: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class GroupAgreement:
    """What several groups come to; a part is None, or missing, until it has been computed.

    Args:
        groups: who they are and what they want.
        budget: nats that a common palette may spend.
        joint: everything that everybody wants at once.
        reachable: (group,) whether each group's palette is attainable by itself, at any price.
        common: the common palette of each rule.
        verdicts: on the common palette of each rule.
        alone: (group,) how satisfied each would be if only it counted.
        pairs: every pair of groups and how their palettes go together.
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
        """Return the same with the groups called so: what is computed does not depend on names."""
        groups = tuple(replace(group, name=name) for group, name in zip(self.groups, names, strict=True))
        return replace(self, groups=groups)

    def concessions(self, rule: Rule) -> tuple[Concession, ...]:
        """Return what each group gives up in the common palette of a rule; empty until that is known."""
        if rule not in self.common or self.alone is None:
            return ()
        return concessions(self.groups, self.common[rule], self.alone)


class AgreementCache:
    """What was computed of single groups and of pairs on one oracle, whatever they are called.

    Args:
        oracle: the table that all of it belongs to.
        attainable: corners to start the linear programs from.
    """

    def __init__(self, oracle: Oracle, attainable: AttainableLevels | None = None) -> None:
        self.oracle = oracle
        self.attainable = attainable or AttainableLevels(oracle)
        self._known: OrderedDict[Hashable, object] = OrderedDict()

    def _remember(self, key: Hashable, found: object) -> None:
        self._known[key] = found
        while len(self._known) > CAPACITY:
            self._known.popitem(last=False)

    def reachable(self, group: Group) -> bool:
        """Return whether a group's palette is attainable by itself."""
        key = ("reachable", group.targets.tobytes())
        if key not in self._known:
            self._remember(key, self.attainable.margin(group.targets).attainable)
        return bool(self._known[key])

    def alone(self, group: Group, budget: float) -> float:
        """Return how satisfied a group would be if only it counted."""
        key = ("alone", group.targets.tobytes(), budget)
        if key not in self._known:
            self._remember(key, float(satisfaction_alone(self.oracle, [group], budget)[0]))
        return self._known[key]  # type: ignore[return-value]

    def pairs(
        self, groups: Sequence[Group], budget: float, check: Callable[[], None] = lambda: None
    ) -> tuple[Clash, ...]:
        """Return every pair; those that are not known yet are solved so many at once, with a check before each batch."""
        keys = {
            (a, b): ("pair", groups[a].targets.tobytes(), groups[b].targets.tobytes(), budget)
            for a, b in combinations(range(len(groups)), 2)
        }
        missing = [pair for pair, key in keys.items() if key not in self._known]
        for begin in range(0, len(missing), TOGETHER):
            check()
            batch = missing[begin : begin + TOGETHER]
            for found in clashes(self.oracle, groups, budget, self.attainable, among=batch):
                places = {found.first: 0, found.second: 1}
                kept = replace(found, first=0, second=1, asked_by=tuple(places[g] for g in found.asked_by))
                self._remember(keys[found.first, found.second], kept)
        told = []
        for pair, key in keys.items():
            kept = self._known[key]  # type: ignore[assignment]
            told.append(replace(kept, first=pair[0], second=pair[1], asked_by=tuple(pair[g] for g in kept.asked_by)))
        return tuple(told)


def agreement(
    memory: AgreementCache,
    groups: Sequence[Group],
    budget: float,
    report: Callable[[GroupAgreement], None] = lambda so_far: None,
) -> GroupAgreement:
    """All that several groups come to within a budget.

    Args:
        memory: the table, and what is known of these groups already.
        groups: at least one, each with a name of its own.
        budget: nats that a common palette may spend.
        report: called with what there is after each stage; it may raise to stop.

    Returns:
        The agreement with all its parts.

    Raises:
        InputError: groups or budget that cannot be used, see :func:`map_core.groups.group.check_groups`.

    Example:
        >>> agreement(AgreementCache(oracle), groups, budget=1.0).common[Rule.WORST_OFF].satisfaction  # doctest: +SKIP
        array([0.8, 0.8])
    """
    check_groups(memory.oracle, groups, budget)
    found = GroupAgreement(tuple(groups), budget, _joint(memory, groups), tuple(map(memory.reachable, groups)))
    for rule, method in ((Rule.WORST_OFF, max_min), (Rule.BARGAIN, nash)):
        with one_blas_thread():  # small systems, many times over: five times as fast with 60 groups
            common = method(memory.oracle, groups, budget)
        judged = assess(memory.oracle, common.targets, solution=common.solution, attainable=memory.attainable)
        found = replace(found, common={**found.common, rule: common}, verdicts={**found.verdicts, rule: judged.verdict})
        report(found)
    shares = []
    for group in groups:
        shares.append(memory.alone(group, budget))
        report(found)
    found = replace(found, alone=np.array(shares))
    report(found)
    return replace(found, pairs=memory.pairs(groups, budget, lambda: report(found)))


def _joint(memory: AgreementCache, groups: Sequence[Group]) -> JointPalette:
    """Return everything that everybody wants, in one palette."""
    targets = joint_targets(groups)
    margin = memory.attainable.margin(targets)
    if margin.attainable:
        return JointPalette(margin, float(solve_many(memory.oracle, targets[None, :]).kl[0]), (), ())
    mix = margin.certificate
    values = tuple(int(j) for j in np.argsort(-mix) if mix[j] >= NAMED_SHARE)
    asked_by = tuple(
        tuple(g for g, group in enumerate(groups) if group.targets[j] >= targets[j] - 1e-9) for j in values
    )
    return JointPalette(margin, float("nan"), values, asked_by)
