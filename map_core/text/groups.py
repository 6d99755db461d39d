"""Describe what several groups agree on, in sentences that a meeting can repeat.

Each function takes an agreement and the reader's units, and returns plain text: no markup, no colour. Constraint: names
of groups are users' input, so these sentences must be shown as text and never as markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from map_core.core import amounts
from map_core.groups import BindingLimit, Clash, GroupAgreement, Relation, Rule
from map_core.text.sentences import capitalised, listed, number
from map_core.text.units import Units
from map_core.text.wording import NUMBERS, Wording

RULES = {Rule.WORST_OFF: "Most equal", Rule.BARGAIN: "Best overall compromise"}
MEANINGS = {
    Rule.WORST_OFF: "The group that gets the least gets as much as it can (Chebyshev).",
    Rule.BARGAIN: "The product of all satisfactions is as large as it can be (Nash).",
}
#: Most names that are listed; further ones are counted.
MAX_NAMES = 3
#: Percentile points within which targets count as the same, and within which a level meets its target.
SAME, MET = 5.0, 0.5
#: Phrases for a wish, each by its largest difference from the base level, in percentile points.
WISHES = (
    (-12.0, "may drop far"),
    (-3.0, "may drop some"),
    (3.0, "as it is"),
    (10.0, "a little more"),
    (20.0, "clearly more"),
    (30.0, "a lot more"),
    (math.inf, "nearly the best"),
)


def name_list(names: Sequence[str]) -> str:
    """List the first few names and count the others.

    Example:
        >>> name_list(["Ana", "Ben", "Cem", "Dao", "Eli"])
        'Ana, Ben, Cem and 2 others'
    """
    if len(names) <= MAX_NAMES + 1:
        return listed(names)
    return f"{', '.join(names[:MAX_NAMES])} and {len(names) - MAX_NAMES} others"


def wish_text(percentile: float, base: float) -> str:
    """Describe a target relative to the base model's level; both are percentiles of its replies.

    Example:
        >>> wish_text(60, 52), wish_text(51, 52)
        ('a little more', 'as it is')
    """
    return next((wording for most, wording in WISHES if percentile - base <= most), "not known")


def meaning(rule: Rule, wording: Wording = NUMBERS) -> str:
    """Describe what a rule does.

    Example:
        >>> meaning(Rule.WORST_OFF, Wording(False))
        'The group that gets the least gets as much as it can.'
    """
    plain = {
        Rule.WORST_OFF: "The group that gets the least gets as much as it can.",
        Rule.BARGAIN: "What one group loses by a change is weighed against what the others gain by it.",
    }
    return wording.pick(MEANINGS[rule], plain[rule])


def share_of_way(share: float) -> str:
    """Format a share of the way in percent, never rounded up to all of it.

    Example:
        >>> share_of_way(0.804), share_of_way(0.9999), share_of_way(1.0)
        ('80%', '99%', '100%')
    """
    if share >= 1 - 1e-6:
        return "100%"
    return amounts.percent(min(max(share, 0.0), 0.99))


def price_in_drafts(kl: float, wording: Wording = NUMBERS) -> str:
    """Format nats with the number of drafts whose best costs as much; or the effort.

    Example:
        >>> price_in_drafts(1.0), price_in_drafts(1.0, Wording(False))
        ('1.00 nats, like sending the best of 6.3 drafts', 'a medium effort')
    """
    if not wording.numbers:
        return wording.price(kl)
    return f"{amounts.nats(kl)}, like sending the best of {amounts.best_of_count(kl)} drafts"


def headline(agreement: GroupAgreement, wording: Wording = NUMBERS) -> str:
    """Describe what the groups agree on, in a sentence or two; empty until the first common palette is known."""
    common = agreement.common.get(Rule.WORST_OFF)
    if common is None:
        return ""
    if not any(group.raised.any() for group in agreement.groups):
        return "Nobody asks for more than the base model gives already."
    everyone = "The group" if len(agreement.groups) == 1 else "Every group"
    least = float(common.satisfaction.min())
    if common.limit is BindingLimit.NONE:
        return f"{everyone} can have all that it asks for, {_for(common.solution.kl, wording)}."
    if least < 1e-6:
        why = (
            "these wishes pull exactly against each other"
            if common.limit is BindingLimit.REACH
            else wording.pick("the budget buys nothing; raise it", "the effort allowed is too small; raise it")
        )
        return f"There is no common ground above the base model: {why}."
    within = wording.pick("within the budget", "with the effort allowed")
    ends = within if common.limit is BindingLimit.BUDGET else "and more is not possible at any price"
    return f"{everyone} can get at least {share_of_way(least)} of the way to what it asks for, {ends}."


def outcome_sentence(agreement: GroupAgreement, rule: Rule, wording: Wording = NUMBERS) -> str:
    """Describe the outcome of one rule: the least and the mean satisfaction, and who has the least."""
    common = agreement.common.get(rule)
    if common is None:
        return ""
    shares = common.satisfaction
    price = wording.pick(f"for {amounts.nats(common.solution.kl)}", f"with {wording.price(common.solution.kl)}")
    least = float(shares.min())
    if least >= 1 - 1e-6:
        return f"Everyone has all that was asked for, {price}."
    if float(shares.max()) - least < 0.005:
        return f"Everyone gets {share_of_way(least)} of the way, {price}."
    worst = [agreement.groups[g].name for g in np.flatnonzero(shares <= least + 0.005)]
    return (
        f"From {share_of_way(least)} of the way ({name_list(worst)}) to {share_of_way(float(shares.max()))}, "
        f"{share_of_way(float(shares.mean()))} on average, {price}."
    )


def concession_sentences(agreement: GroupAgreement, rule: Rule, units: Units) -> list[str]:
    """Describe what each group gives up for the others under a rule, a sentence each; nothing until it is known."""
    texts = []
    for group, part in zip(agreement.groups, agreement.concessions(rule), strict=False):
        if not group.raised.any():
            texts.append(f"{group.name} asks for no more than the base model has, and keeps it.")
            continue
        levels = agreement.common[rule].solution.levels
        short = [
            f"{units.names[int(j)]} {_below(units, int(j), float(levels[j]), float(group.targets[j]))}"
            for j in np.argsort(-np.nan_to_num(part.short))
            if np.nan_to_num(part.short)[j] > 0
        ]
        if part.lost < 0.005:
            start = f"{group.name} gives up nothing: {share_of_way(part.common)}"
            start += " of the way, as far as alone" if part.common < 1 - 1e-6 else " of what it asks for"
        else:
            start = f"{group.name} gets {share_of_way(part.common)} of the way, where alone it would get "
            start += f"{share_of_way(part.alone)}: it gives up {_points(part.lost)}"
        texts.append(f"{start}; {listed(short[:3])}." if short else f"{start}.")
    return texts


def differences(agreement: GroupAgreement, units: Units, most: int = 3) -> list[str]:
    """Describe the values on which the groups differ most, the widest first; none where all ask for about the same."""
    texts = []
    for _, j in sorted(_spreads(agreement, units), reverse=True)[:most]:
        targets = _percentiles(agreement, units, j)
        high, low = np.nanmax(targets), np.nanmin(targets)
        free = [group.name for group, target in zip(agreement.groups, targets, strict=True) if math.isnan(target)]
        sentence = f"{capitalised(units.names[j])}: {_asking(agreement, targets, high)} {units.wording.level(high)}"
        if high - low > SAME:
            sentence += f", {_asking(agreement, targets, low)} {units.wording.level(low)}"
        if free:
            sentence += f"; {name_list(free)} {'has' if len(free) == 1 else 'have'} no preference"
        texts.append(f"{sentence}.")
    return texts


def common_ground(agreement: GroupAgreement, units: Units) -> list[str]:
    """Describe what the groups share: values with about the same targets, and values without any target."""
    differing = {j for _, j in _spreads(agreement, units)}
    targeted = ~np.isnan(np.array([group.targets for group in agreement.groups]))
    texts = []
    if len(agreement.groups) > 1:
        alike = [int(j) for j in np.flatnonzero(targeted.all(axis=0)) if int(j) not in differing]
        if alike:
            levels = [
                f"{units.names[j]} ({units.wording.level(np.nanmean(_percentiles(agreement, units, j)))})"
                for j in alike
            ]
            texts.append(f"All ask for about the same level of {listed(levels)}.")
    untouched = [units.names[int(j)] for j in np.flatnonzero(~targeted.any(axis=0))]
    if untouched:
        texts.append(f"Nobody sets a target for {listed(untouched)}.")
    return texts


def joint_sentence(agreement: GroupAgreement, units: Units) -> str:
    """Describe whether all wishes can be reached at once, and what prevents it."""
    joint = agreement.joint
    if joint is None:
        return ""
    alone = [group.name for group, can in zip(agreement.groups, agreement.reachable, strict=True) if not can]
    if alone:
        return f"What {name_list(alone)} {'asks' if len(alone) == 1 else 'ask'} for is not possible even alone."
    if len(agreement.groups) < 2:
        return ""
    if joint.values:
        conflicting = [
            f"{units.names[j]} (asked for most by {name_list([agreement.groups[g].name for g in asking])})"
            for j, asking in zip(joint.values[:3], joint.asked_by, strict=False)
        ]
        missing = -joint.margin.value
        shortfall = units.wording.pick(
            f", {'less than 0.01' if missing < 0.01 else number(missing, 2)} standard deviations short",
            f" and {units.wording.miss(missing, several=True)}",
        )
        return f"All wishes at once are not possible: {listed(conflicting)} {_pull(conflicting)}{shortfall}."
    if joint.kl > agreement.budget + 1e-9:
        more = units.wording.pick("the budget", "is allowed")
        return f"All wishes at once are possible, {_for(joint.kl, units.wording)}, which is more than {more}."
    return f"All wishes at once are possible, {_for(joint.kl, units.wording)}."


def pair_sentences(agreement: GroupAgreement, units: Units, most: int = 4) -> list[str]:
    """Describe the pairs that cannot both reach all their targets, the worst first; the last entry counts the rest."""
    all_pairs = agreement.pairs or ()
    clash = sorted((pair for pair in all_pairs if pair.relation is Relation.CLASH), key=_margin)
    expensive = sorted((pair for pair in all_pairs if pair.relation is Relation.TOO_DEAR), key=lambda pair: -pair.kl)
    ranked = [*clash, *expensive]
    texts = [_pair(agreement, units, pair) for pair in ranked[:most]]
    if len(ranked) > most:
        texts.append(f"{amounts.counted(len(ranked) - most, 'more pair')} cannot both have all of theirs.")
    if all_pairs and not ranked:
        if any(pair.relation is Relation.ALONE for pair in all_pairs):
            texts.append("Beside what is not possible even alone, no two groups rule each other out.")
        elif all(pair.kl <= agreement.budget + 1e-9 for pair in all_pairs):
            within = units.wording.pick("within the budget", "with the effort allowed")
            texts.append(f"Any two groups can both have all of theirs {within}.")
        else:
            more = units.wording.pick("the budget", "the effort allowed")
            texts.append(f"No two groups rule each other out; some ask for more than {more} even alone.")
    return texts


def _pair(agreement: GroupAgreement, units: Units, pair: Clash) -> str:
    first, second = (agreement.groups[g].name for g in (pair.first, pair.second))
    if pair.relation is Relation.TOO_DEAR:
        takes = f"{units.wording.pick('cost', 'take')} {_amount(pair.kl, units.wording)}"
        more = units.wording.pick("the budget", "is allowed")
        return f"{first} and {second} together would {takes}, more than {more}."
    conflicting = [
        f"{units.names[j]} ({agreement.groups[g].name})" for j, g in zip(pair.values[:3], pair.asked_by, strict=False)
    ]
    return f"{first} and {second} cannot both have all of theirs: {listed(conflicting)} {_pull(conflicting)}."


def _pull(names: Sequence[str]) -> str:
    """Return the predicate for values that conflict; a single one conflicts with others that are not named."""
    return "pulls against the others" if len(names) == 1 else "pull against each other"


def _for(kl: float, wording: Wording) -> str:
    return f"{wording.pick('for', 'with')} {price_in_drafts(kl, wording)}"


def _amount(kl: float, wording: Wording) -> str:
    return amounts.nats(kl) if wording.numbers else wording.price(kl)


def _margin(pair: Clash) -> float:
    return pair.margin.value if pair.margin is not None else 0.0


def _points(share: float) -> str:
    points = amounts.percent(share, sign=False)
    return "less than a point" if share <= 0.005 else "1 point" if points == "1" else f"{points} points"


def _below(units: Units, value: int, level: float, target: float) -> str:
    reached, wanted = (float(units.of(value, np.array(amount))) for amount in (level, target))
    if wanted - reached < MET:
        return "stays just below"
    return f"stays at {units.wording.level(reached)} of {units.wording.level(wanted)}"


def _asking(agreement: GroupAgreement, targets: np.ndarray, level: float) -> str:
    """Return who asks for about this level, with the verb."""
    names = [
        group.name for group, target in zip(agreement.groups, targets, strict=True) if abs(target - level) <= SAME / 2
    ]
    return f"{name_list(names)} {'asks' if len(names) == 1 else 'ask'} for"


def _percentiles(agreement: GroupAgreement, units: Units, value: int) -> np.ndarray:
    """Return each group's target of one value in the reader's units, (group,); NaN where it is free."""
    return np.asarray(units.of(value, np.array([group.targets[value] for group in agreement.groups])))


def _spreads(agreement: GroupAgreement, units: Units) -> list[tuple[float, int]]:
    """Return (spread in percentile points, position) of each value whose targets differ.

    A group without a target counts with the base level, or with the lowest target where that is lower.
    """
    spreads = []
    for j in range(len(units.names)):
        targets = _percentiles(agreement, units, j)
        if np.isnan(targets).all():
            continue
        base = float(units.of(j, np.array(0.0)))
        ends = np.where(np.isnan(targets), np.minimum(base, np.nanmin(targets)), targets)
        spread = float(ends.max() - ends.min())
        if spread > SAME:
            spreads.append((spread, j))
    return spreads
