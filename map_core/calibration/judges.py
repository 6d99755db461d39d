"""Agreement of judges on the same replies: Cohen's kappa for two judges, Fleiss' kappa for more.

    kappa = (observed - expected) / (1 - expected)

Its interval is a jackknife over prompts, since replies to one prompt are not independent. Constraint: labels in, a
frozen result out.

Source: Cohen, 1960; Fleiss, 1971, with numbers of judges that differ between replies; Efron, 1982.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

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
        kappa: 1 for judges who always agree, 0 for agreement by chance; NaN where all answers are equal.
        low, high: 90% interval; NaN where fewer than two prompts are shared, or where all answers are equal once one
            prompt is left out.
        observed: share of pairs of judges who agree, 0 to 1.
        replies: number of replies with two or more judges.
        judges: share of yes by judge, over all replies of the judge.
        agrees: share of agreement of each judge with the others, over the replies that they share.
    """

    value: str
    kappa: float
    low: float
    high: float
    observed: float
    replies: int
    judges: Mapping[str, float] = field(default_factory=dict)
    agrees: Mapping[str, float] = field(default_factory=dict)


#: The answers by reply, and within it by judge.
_Answers = Mapping[tuple[str, int], Mapping[str, int]]


def judge_agreement(labels: Sequence[Label], value: str) -> JudgeAgreement:
    """Measure how far judges agree on a value.

    Raises:
        InputError: fewer than two judges judged the same reply.
    """
    by_reply: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for label in labels:
        if value in label.labels:
            by_reply[label.prompt_id, label.candidate][label.judge] = label.labels[value]
    shared = {reply: answers for reply, answers in by_reply.items() if len(answers) > 1}
    if not shared:
        raise InputError(f"No reply was judged on {value!r} by two judges. Name the judge of each label, and overlap.")
    kappa, observed = _kappa(shared)
    prompts = sorted({prompt for prompt, _ in shared})
    low = high = float("nan")
    if len(prompts) > 1:
        kappas = [_kappa({reply: shared[reply] for reply in shared if reply[0] != left_out})[0] for left_out in prompts]
        spread = np.sqrt((len(prompts) - 1) / len(prompts) * np.sum((np.array(kappas) - np.mean(kappas)) ** 2))
        half = float(stdtrit(len(prompts) - 1, (1 + LEVEL) / 2) * spread)
        if np.isfinite(half):
            low, high = max(-1.0, kappa - half), min(1.0, kappa + half)
    answers_by_judge: dict[str, list[int]] = defaultdict(list)
    for answers in by_reply.values():
        for judge, answer in answers.items():
            answers_by_judge[judge].append(answer)
    agreements: dict[str, list[bool]] = defaultdict(list)
    for answers in shared.values():
        for judge, other in permutations(answers, 2):
            agreements[judge].append(answers[judge] == answers[other])
    yes = {judge: float(np.mean(ones)) for judge, ones in sorted(answers_by_judge.items())}
    agrees = {judge: float(np.mean(agreed)) for judge, agreed in sorted(agreements.items())}
    return JudgeAgreement(value, kappa, low, high, observed, len(shared), yes, agrees)


def _kappa(shared: _Answers) -> tuple[float, float]:
    """Return kappa and the observed agreement."""
    if not shared:
        return float("nan"), float("nan")
    judges = {judge for answers in shared.values() for judge in answers}
    counts = np.array([(len(answers), sum(answers.values())) for answers in shared.values()], dtype=np.float64)
    raters, yes = counts.T
    observed = float(np.mean((yes * (yes - 1) + (raters - yes) * (raters - yes - 1)) / (raters * (raters - 1))))
    if len(judges) == 2:
        first, second = (np.array([answers[judge] for answers in shared.values()]).mean() for judge in sorted(judges))
        expected = float(first * second + (1 - first) * (1 - second))
    else:
        share = float(yes.sum() / raters.sum())
        expected = share**2 + (1 - share) ** 2
    return (float("nan") if expected == 1 else (observed - expected) / (1 - expected)), observed
