"""Describe results in sentences that a person who reads no mathematics can repeat in a meeting.

Each function takes frozen results and the names that people read, and returns plain text: no markup, no colour.
Constraint: every figure in these sentences was computed; nothing is promised beyond the table.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from map_core.analysis.sensitivity import LocalSensitivity, SensitivityCurve
from map_core.core import amounts
from map_core.core.amounts import FREE_NATS, chance, number
from map_core.core.types import Form, Verdict
from map_core.feasibility import Assessment
from map_core.feasibility.trust import TRUSTED_POOLED, trust_threshold
from map_core.oracle import EffectiveSampleSize, Oracle
from map_core.text.wording import NUMBERS, Wording, effort

HEADLINES = {
    Verdict.REACHABLE: "Reachable",
    Verdict.ON_PAPER: "Possible, but not reliable",
    Verdict.OUT_OF_REACH: "Not possible together",
}
#: The headline of a palette with a single target that is not possible.
ALONE = "Not possible"
#: For palettes in which every target is a single column.
NO_GROUPS: Mapping[int, str] = {}
#: Least share of the certificate with which a value is named.
NAMED_SHARE = 0.02


def listed(names: Sequence[str]) -> str:
    """List names as people do.

    Example:
        >>> listed(["humor", "coherence", "fluency"])
        'humor, coherence and fluency'
    """
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


def better_than(percentile: float) -> str:
    """Describe a percentile of the base model's replies as a share.

    Example:
        >>> better_than(70.2)
        "better than 70 of 100 of the model's own replies"
    """
    if math.isnan(percentile):
        return "at a level that is not known"
    if percentile >= 99.5:
        return "as good as the model's very best replies"
    if percentile <= 5:
        return "no better than the model's weakest replies"
    return f"better than {round(percentile)} of 100 of the model's own replies"


def limit(reliable: float, possible: float, wording: Wording = NUMBERS, share: bool = False) -> str:
    """Describe the highest level of a value beside the other targets, rounded down so that it is reachable.

    Args:
        reliable: percentile up to which the verdict is *reachable*; NaN where the others alone are not.
        possible: percentile beyond which nothing is possible.
        wording: with numbers, or in everyday words.
        share: both are replies of 100 and not percentiles.

    Example:
        >>> limit(75.4, 80.9), limit(80.2, 80.9), limit(math.nan, 80.9)
        ('p75 (reliable), p80 (possible)', 'p80', 'p80 (possible, but not reliable)')
    """
    sure, most = (wording.level(end, toward="down", share=share) for end in (reliable, possible))
    if math.isnan(reliable):
        return f"{most} (possible, but not reliable)"
    return most if sure == most else f"{sure} (reliable), {most} (possible)"


def distance(kl: float, most: float, wording: Wording = NUMBERS) -> str:
    """Describe the distance from the base model, compared with the most that can be spent."""
    if kl < FREE_NATS:
        return "None: the base model does this already."
    share = kl / most if most > 0 else 0.0
    percent = amounts.percent(max(share, 0.01))
    if not wording.numbers:
        return f"{capitalised(effort(kl))} effort: {percent} of the most that choosing among its replies can do."
    if share < 0.06:
        nearness = "Very close to"
    elif share < 0.2:
        nearness = "Close to"
    elif share < 0.5:
        nearness = "Some way from"
    else:
        nearness = "Far from"
    return (
        f"{nearness} the base model: {percent} of the {amounts.fixed(most, 2)} that can be spent, like sending the "
        f"best of {amounts.best_of_count(kl)} drafts."
    )


def spent(kl: float, candidates: int, wording: Wording = NUMBERS) -> str:
    """Describe the distance that a choice among candidates has spent, compared with the most that it can."""
    most = math.log(candidates)
    if not wording.numbers:
        if kl < FREE_NATS:
            return "all candidates are equally likely."
        return f"{amounts.percent(max(kl / most, 0.01) if most > 0 else 0.0)} of what {candidates} candidates allow"
    if kl < FREE_NATS:
        return f"of log {candidates} = {amounts.fixed(most, 2)} at most: all candidates are equally likely."
    drafts = amounts.best_of_count(kl)
    return f"of log {candidates} = {amounts.fixed(most, 2)} at most, like sending the best of {drafts} drafts."


def race(lost: float, decided: bool) -> str:
    """Describe how exact a pick is that was drawn until no further candidate could win, with the current weights.

    Args:
        lost: share of such picks, at most, that would be others under the exact tilt.
        decided: no further candidate could be picked.
    """
    of_100 = "fewer than 1" if lost < 0.01 else f"up to {math.ceil(100 * lost - 1e-9)}"
    drawn = "No further candidate could be picked" if decided else "A further candidate could still be picked"
    return f"{drawn}. With these targets {of_100} of 100 such picks would be others if drawing never ended."


def ess_text(ess: EffectiveSampleSize, form: Form) -> tuple[str, str]:
    """Describe the effective sample size as replies that carry the weight: a figure, and what it means."""
    pooled = amounts.fixed(ess.pooled, grouped=True)
    if form is Form.POOLED:
        return (
            f"{pooled} of {amounts.fixed(ess.candidates, grouped=True)} replies",
            "carry the weight of this forecast.",
        )
    return (
        f"{amounts.significant(ess.per_prompt, 3)} of {amounts.fixed(ess.candidates)} replies",
        f"carry the weight for each prompt, {pooled} in all.",
    )


def headline(assessment: Assessment) -> str:
    """Return a verdict in a few words."""
    alone = int(np.sum(~np.isnan(assessment.targets))) == 1
    return ALONE if alone and assessment.verdict is Verdict.OUT_OF_REACH else HEADLINES[assessment.verdict]


def verdict(
    assessment: Assessment,
    oracle: Oracle,
    names: Sequence[str],
    wording: Wording = NUMBERS,
    asked: int | None = None,
    groups: Mapping[int, str] = NO_GROUPS,
) -> str:
    """Explain the verdict on a palette in one or two sentences.

    Args:
        assessment: the verdict with its numbers.
        oracle: the table.
        names: of the values.
        wording: with numbers, or in everyday words.
        asked: number of targets that people set, where some of them have several columns.
        groups: the target's name, by the positions of a target with several columns.
    """
    wanted = int(np.sum(~np.isnan(assessment.targets))) if asked is None else asked
    if assessment.verdict is Verdict.REACHABLE:
        if not wanted:
            return "No value has a target, so this is the base model as it is. Set a target to begin."
        targets = "The target is" if wanted == 1 else "Both targets are" if wanted == 2 else f"All {wanted} targets are"
        return f"{targets} met by choosing among replies that the model already gives."
    if assessment.verdict is Verdict.ON_PAPER:
        return on_paper(assessment, oracle)
    return certificate(assessment, names, wording, groups)


def grouped(positions: Sequence[int], names: Sequence[str], groups: Mapping[int, str]) -> list[str]:
    """Return the names at some positions; several columns of one target are named once, by the target.

    Example:
        >>> grouped([0, 1, 2], ["humor", "calm in A", "calm in B"], {1: "calm everywhere", 2: "calm everywhere"})
        ['humor', 'calm everywhere']
    """
    count = Counter(groups[j] for j in positions if j in groups)
    return list(dict.fromkeys(groups[j] if j in groups and count[groups[j]] > 1 else names[j] for j in positions))


def certificate(
    assessment: Assessment,
    names: Sequence[str],
    wording: Wording = NUMBERS,
    groups: Mapping[int, str] = NO_GROUPS,
) -> str:
    """Explain why no weights reach a palette: the values that conflict with each other."""
    w, missing = assessment.margin.certificate, -assessment.margin.value
    order = [int(j) for j in np.argsort(-w) if w[j] >= NAMED_SHARE]
    conflicting = grouped(order, names, groups)
    if len(conflicting) == 1:
        return (
            f"{capitalised(conflicting[0])} is set higher than even the best of this model's replies. "
            f"It {wording.miss(missing)}."
        )
    both = "both" if len(conflicting) == 2 else f"all {len(conflicting)}"
    return (
        f"{capitalised(listed(conflicting))} pull against each other here: no mix of this model's replies gives {both} "
        f"at these levels. Together they {wording.miss(missing, several=True)}."
    )


def on_paper(assessment: Assessment, oracle: Oracle) -> str:
    """Explain why a palette that can be met on the table cannot be trusted: the figure and the threshold."""
    ess, threshold = assessment.ess, trust_threshold(oracle)
    assert ess is not None
    if oracle.form is Form.PER_PROMPT and ess.per_prompt < threshold:
        return (
            f"These levels can be met in this table, but the weights lean on only {amounts.fixed(ess.per_prompt, 1)} "
            f"replies per prompt; below {number(threshold)} the forecast is not to be trusted."
        )
    if ess.pooled < TRUSTED_POOLED:
        return (
            f"These levels can be met in this table, but the weights lean on only {amounts.fixed(ess.pooled)} replies "
            f"in all; below {TRUSTED_POOLED:.0f} the forecast is not to be trusted."
        )
    return "These levels lie on the very edge of what this model's replies give; the slightest change tips them over."


def bottleneck(local: LocalSensitivity, names: Sequence[str]) -> tuple[str, str]:
    """Return the name of the target that costs the most, and its share of the price."""
    worst = local.bottleneck
    if worst is None:
        return "Nothing", "The base model meets this palette."
    share = local.share[worst]
    name = capitalised(names[worst])
    if share > 0.995:
        return name, "All of the cost of asking for a little more."
    return name, f"{amounts.percent(share)} of the cost of asking for a little more."


def slack(assessment: Assessment, names: Sequence[str], among: Collection[int] | None = None) -> str:
    """Name the targets that cost nothing because the others raise them too; empty when there are none.

    Args:
        assessment: the verdict with its numbers.
        names: of the values.
        among: positions to consider; None for all.
    """
    solution = assessment.solution
    if solution is None:
        return ""
    over = [
        names[int(j)]
        for j in np.flatnonzero(~np.isnan(assessment.targets))
        if solution.levels[j] > assessment.targets[j] + 1e-6 and (among is None or int(j) in among)
    ]
    if not over:
        return ""
    come = "comes" if len(over) == 1 else "come"
    return f"{capitalised(listed(over))} {come} for free: above target without being asked for."


def form(oracle: Oracle, wording: Wording = NUMBERS) -> str:
    """Describe which form of the problem is used, and why its forecast can be trusted."""
    if oracle.form is Form.PER_PROMPT:
        candidates = amounts.fixed(math.exp(oracle.log_candidates))
        if not wording.numbers:
            return (
                f"Each prompt is answered by choosing among its own {candidates} replies, which is exactly how aligned "
                "replies are generated, so the forecast holds for them."
            )
        return (
            f"Form: per prompt. Each prompt is answered by choosing among its own {candidates} replies, which is "
            f"exactly how aligned replies are generated, so the forecast holds for them: choosing among "
            f"{candidates} can move the model by at most log {candidates} = {amounts.nats(oracle.log_candidates)}."
        )
    if not wording.numbers:
        return (
            "This table has one reply for most prompts, so the forecast is made over all replies together; a generator "
            "that chooses prompt by prompt may fall short of these levels."
        )
    return (
        "Form: pooled. This table has one reply for most prompts, so weights are found over all replies together; a "
        "generator that chooses prompt by prompt may fall short of these levels."
    )


def price(local: LocalSensitivity, value: int, names: Sequence[str], wording: Wording = NUMBERS) -> str:
    """Describe the shadow price of one target, and which other value falls most when it is raised."""
    name = capitalised(names[value])
    if not local.active[value]:
        return f"{name} costs nothing at this level: the other targets, or the base model itself, bring it along."
    cost = 0.1 * local.price[value]
    sentence = wording.pick(
        f"Asking for a little more {names[value]} (a tenth of a standard deviation) costs about {number(cost, 2)} nats",
        f"Asking for a little more {names[value]} takes {more_effort(cost)}",
    )
    moves = local.levels[:, value].copy()
    moves[value] = 0.0
    moves[local.active] = 0.0
    loser = int(np.argmin(moves))
    if moves[loser] < -0.05:
        if not wording.numbers:
            return f"{sentence} and lowers {names[loser]}, which has no target of its own."
        lost = 0.1 * -moves[loser]
        loss = f"{number(lost, 2)} standard deviations from {names[loser]}"
        return f"{sentence} and takes {loss}, which has no target of its own."
    return f"{sentence}."


def more_effort(nats: float) -> str:
    """Describe how much further from the base model something leads.

    Example:
        >>> more_effort(0.01), more_effort(0.05), more_effort(0.2)
        ('hardly more effort', 'a little more effort', 'much more effort')
    """
    return f"{'hardly' if nats < 0.03 else 'a little' if nats < 0.12 else 'much'} more effort"


def switches(curve: SensitivityCurve, names: Sequence[str], levels: Sequence[str]) -> list[str]:
    """Describe where targets start or stop binding along a sweep.

    Args:
        curve: the sweep.
        names: of the values.
        levels: each switch's level, as text.
    """
    texts = []
    for switch, level in zip(curve.switches, levels, strict=True):
        if switch.value == curve.value:
            texts.append(f"From {level} {names[switch.value]} begins to cost: below, it comes for free.")
        elif switch.active:
            texts.append(
                f"From {level} {names[curve.value]} pulls {names[switch.value]} down to its target, which costs extra."
            )
        else:
            texts.append(f"From {level} {names[switch.value]} comes along for free.")
    return texts


def scored_elsewhere(names: Sequence[str], so: str) -> str:
    """Return that new replies cannot be scored on values of a table, and what follows.

    Args:
        names: of the values.
        so: what is not possible therefore.
    """
    came = "Its scores" if len(names) == 1 else "Their scores"
    return f"New replies cannot be scored on {listed(names)} here, so {so}. {came} came with the table."


def capitalised(text: str) -> str:
    """Return the text with its first letter in upper case and the rest unchanged."""
    return text[:1].upper() + text[1:]


def why_picked(
    rewards: np.ndarray,
    weights: np.ndarray,
    probability: float,
    likeliest: bool,
    names: Sequence[str],
    drawn: bool = True,
) -> str:
    """Explain why a candidate was picked: its probability, and the values that speak for and against it.

    Args:
        rewards: (candidate, value), the picked one first.
        weights: (value,) lambda.
        probability: of the picked one.
        likeliest: no other candidate had a higher probability.
        names: of the values.
        drawn: it was drawn by its probability; otherwise the likeliest one was taken.
    """
    contributions = (rewards[0] - rewards.mean(axis=0)) * weights
    against = f"{chance(probability)}, against {chance(1 / len(rewards))} under the base model"
    if drawn:
        first = f"Drawn with a probability of {against}"
        first += ", the likeliest of all." if likeliest else "; the draw is by chance, and another one was likelier."
    else:
        first = f"It is the likeliest one: {against}."
    order = np.argsort(-contributions)
    in_favour = [names[j] for j in order if contributions[j] > 0.1][:2]
    opposed = [names[j] for j in order[::-1] if contributions[j] < -0.1][:1]
    reasons = []
    if in_favour:
        reasons.append(f"{listed(in_favour)} {'speaks' if len(in_favour) == 1 else 'speak'} for it")
    if opposed:
        reasons.append(f"{opposed[0]} {'against it' if in_favour else 'speaks against it'}")
    return f"{first} Beside the average candidate, {', '.join(reasons)}." if reasons else first
