"""Agreement of two or more judges on the same replies: Cohen's kappa of two, Fleiss' of more.

    kappa = (observed - expected) / (1 - expected)

Its interval is a jackknife over prompts, since replies to one prompt are not independent. Constraint: labels in, a
frozen result out.

Source: Cohen, 1960; Fleiss, 1971, with numbers of judges that differ between replies; Efron, 1982.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from map_core.errors import InputError
from map_core.scoring.validation import Label

#: Probability of intervals.
LEVEL = 0.9


@dataclass(frozen=True)
class JudgeAgreement:
    """Agreement of judges on one value.

    Args:
        value: its name.
        kappa: 1 for judges who always agree, 0 for agreement by chance; NaN where all give one answer throughout.
        low, high: 90% interval; NaN where fewer than two prompts are shared, or without one all give one answer.
        observed: share of pairs of judges who agree, 0 to 1.
        replies: replies with two judges or more.
        judges: share of yes by judge, on all that each of them judged.
        agrees: share of shared judgements in which each judge agrees with the others.
    """

    value: str
    kappa: float
    low: float
    high: float
    observed: float
    replies: int
    judges: Mapping[str, float] = field(default_factory=dict)
    agrees: Mapping[str, float] = field(default_factory=dict)


#: By reply, what each judge said.
_Said = Mapping[tuple[str, int], Mapping[str, int]]


def judge_agreement(labels: Sequence[Label], value: str) -> JudgeAgreement:
    """Measure how far judges agree on a value.

    Raises:
        InputError: fewer than two judges judged the same reply.
    """
    given: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for label in labels:
        if value in label.labels:
            given[label.prompt_id, label.candidate][label.judge] = label.labels[value]
    shared = {reply: said for reply, said in given.items() if len(said) > 1}
    if not shared:
        raise InputError(f"No reply was judged on {value!r} by two judges. Name the judge of each label, and overlap.")
    kappa, observed = _kappa(shared)
    prompts = sorted({prompt for prompt, _ in shared})
    low = high = float("nan")
    if len(prompts) > 1:
        left_out = np.array(
            [_kappa({reply: said for reply, said in shared.items() if reply[0] != out})[0] for out in prompts]
        )
        spread = np.sqrt((len(prompts) - 1) / len(prompts) * np.sum((left_out - left_out.mean()) ** 2))
        half = float(stdtrit(len(prompts) - 1, (1 + LEVEL) / 2) * spread)
        if np.isfinite(half):
            low, high = max(-1.0, kappa - half), min(1.0, kappa + half)
    judges = sorted({judge for said in given.values() for judge in said})
    yes = {judge: float(np.mean([said[judge] for said in given.values() if judge in said])) for judge in judges}
    agrees = {
        judge: float(np.mean(with_others))
        for judge in judges
        if (
            with_others := [
                float(answer == said[judge])
                for said in shared.values()
                if judge in said
                for other, answer in said.items()
                if other != judge
            ]
        )
    }
    return JudgeAgreement(value, kappa, low, high, observed, len(shared), yes, agrees)


def _kappa(shared: _Said) -> tuple[float, float]:
    """Return kappa and the observed agreement."""
    if not shared:
        return float("nan"), float("nan")
    judges = {judge for said in shared.values() for judge in said}
    counts = np.array([(len(said), sum(said.values())) for said in shared.values()], dtype=np.float64)
    raters, yes = counts.T
    observed = float(np.mean((yes * (yes - 1) + (raters - yes) * (raters - yes - 1)) / (raters * (raters - 1))))
    if len(judges) == 2:
        first, second = (np.array([said[judge] for said in shared.values()]).mean() for judge in sorted(judges))
        expected = float(first * second + (1 - first) * (1 - second))
    else:
        share = float(yes.sum() / raters.sum())
        expected = share**2 + (1 - share) ** 2
    return (float("nan") if expected == 1 else (observed - expected) / (1 - expected)), observed
