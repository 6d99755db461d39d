"""Choose between everyday words and the figures of the method; only this module decides.

With numbers: percentiles as p60, distances in nats and as best of N, standard deviations, AUC. Without: numbers out of
100 of the model's own replies, effort as small, medium or large, agreement as times in 100. Every function that
describes a result takes a :class:`Wording`. Constraint: machine-readable output (JSON, CSV, addresses, the command
line) always has numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from map_core.core import amounts

#: Names of efforts, each with its largest distance in nats.
EFFORTS = ((0.3, "very small"), (0.7, "small"), (1.5, "medium"), (math.inf, "large"))
#: Words for how far targets miss, each with its largest gap in standard deviations.
GAPS = ((0.1, "just"), (0.4, "well"), (math.inf, "far"))
#: Levels and budgets in texts with numbers.
_LEVEL, _BUDGET = re.compile(r"\bp(\d{1,3}(?:\.\d+)?)\b"), re.compile(r"\bat (\d+(?:\.\d+)?) nats\b")

#: A standardised level of a value, by its position, as a percentile.
Percentile = Callable[[int, float], float]


@dataclass(frozen=True)
class Wording:
    """How results are described.

    Args:
        numbers: with the figures of the method, for those who know them; otherwise in everyday words.
    """

    numbers: bool = True

    @property
    def mark(self) -> str:
        """The prefix of a level: p for a percentile, none for a number out of 100."""
        return "p" if self.numbers else ""

    @property
    def scale(self) -> str:
        """The title of an axis of levels."""
        return "percentile of the model's own replies" if self.numbers else "better than this many of 100 replies"

    @property
    def effort_name(self) -> str:
        """The name of the distance from the base model on an axis or in a list of facts."""
        return "Distance (nats)" if self.numbers else "Effort (% of the most)"

    def pick(self, numbers: str, plain: str) -> str:
        """Return the first text with numbers, the second without."""
        return numbers if self.numbers else plain

    def level(
        self,
        percentile: amounts.Number,
        decimals: int = 0,
        toward: Literal["nearest", "down", "up"] = "nearest",
        share: bool = False,
    ) -> str:
        """Format a level of the base model's replies, or a share of replies.

        Args:
            percentile: from 0 to 100.
            decimals: digits after the point.
            toward: rounding direction, as in :func:`map_core.core.amounts.percentile`.
            share: it is a number of 100 replies and not a percentile.

        Example:
            >>> Wording(True).level(69.7), Wording(False).level(69.7), Wording(False).level(95, share=True)
            ('p70', '70', '95 of 100')
        """
        return self._marked(amounts.percentile(percentile, decimals, toward).removeprefix("p"), share)

    def target(self, percentile: amounts.Number, share: bool = False) -> str:
        """Format a target: with the digits that it was set with, or as a whole number out of 100.

        Example:
            >>> Wording(True).target(69.7), Wording(False).target(69.7), Wording(True).target(95, share=True)
            ('p69.7', '70', '95%')
        """
        return self.place(percentile, share) if self.numbers else self.level(percentile, share=share)

    def place(self, percentile: amounts.Number, share: bool = False) -> str:
        """Format a percentile on an axis of levels, with all its digits.

        Example:
            >>> Wording(True).place(69.5), Wording(False).place(69.5)
            ('p69.5', '69.5')
        """
        return self._marked(amounts.significant(percentile, 3), share)

    def _marked(self, text: str, share: bool) -> str:
        if text == amounts.UNKNOWN:
            return text
        if share:
            return f"{text}%" if self.numbers else f"{text} of 100"
        return f"{self.mark}{text}"

    def distance(self, kl: float) -> str:
        """Format a distance from the base model.

        Example:
            >>> Wording(True).distance(0.62), Wording(False).distance(0.62)
            ('0.62 nats', 'small effort')
        """
        return amounts.nats(kl) if self.numbers else f"{effort(kl)} effort"

    def price(self, kl: float) -> str:
        """Format a price, to follow *for*.

        Example:
            >>> Wording(True).price(0.62), Wording(False).price(0.62)
            ('0.62 nats, like the best of 3.9 drafts', 'a small effort')
        """
        if self.numbers:
            return f"{amounts.nats(kl)}, like the best of {amounts.best_of_count(kl)} drafts"
        return f"{'' if kl < amounts.FREE_NATS else 'a '}{effort(kl)} effort"

    def budget(self, kl: float) -> str:
        """Format a budget, as an option or in a sentence.

        Example:
            >>> Wording(True).budget(0.5), Wording(False).budget(0.5)
            ('0.5 nats', 'small effort')
        """
        return f"{amounts.significant(kl)} nats" if self.numbers else f"{effort(kl)} effort"

    def at_budget(self, kl: float, start: bool = True) -> str:
        """Format the budget at which something holds, for the start of a sentence or within it.

        Example:
            >>> Wording(True).at_budget(0.5), Wording(False).at_budget(0.5, start=False)
            ('At 0.5 nats', 'with a small effort')
        """
        text = f"at {self.budget(kl)}" if self.numbers else f"with {self.price(kl)}"
        return text[:1].upper() + text[1:] if start else text

    def miss(self, gap: float, several: bool = False) -> str:
        """Describe by how much targets that are not possible miss.

        Args:
            gap: in standard deviations, above 0.
            several: the subject is several targets.

        Example:
            >>> Wording(True).miss(0.25), Wording(False).miss(0.25, several=True)
            ('falls 0.25 standard deviations short', 'fall well short')
        """
        fall = "fall" if several else "falls"
        if self.numbers:
            by = amounts.fixed(gap, 2) if gap >= 0.01 else "less than 0.01"
            return f"{fall} {by} standard deviations short"
        return f"{fall} {next((word for most, word in GAPS if gap <= most), GAPS[-1][1])} short"

    def agreement(self, auc: amounts.Number, low: amounts.Number, high: amounts.Number) -> str:
        """Describe how often a score orders two replies as people do, with its interval.

        Example:
            >>> Wording(True).agreement(0.86, 0.8, 0.9), Wording(False).agreement(0.86, 0.8, 0.9)
            ('AUC 0.86 (0.80 to 0.90)', 'agrees with people 86 times in 100 (80 to 90)')
        """
        ends = [None if end is None else float(end) for end in (auc, low, high)]
        if self.numbers:
            middle, lowest, highest = (amounts.fixed(end, 2) for end in ends)
            return f"AUC {middle} ({lowest} to {highest})"
        middle, lowest, highest = (amounts.fixed(None if end is None else 100 * end) for end in ends)
        return f"agrees with people {middle} times in 100 ({lowest} to {highest})"

    def reworded(self, text: str) -> str:
        """Rewrite a sentence that was saved with numbers, such as a step of a palette's history, in this wording.

        Example:
            >>> Wording(False).reworded("Set humor to p69.7, at 0.5 nats.")
            'Set humor to 70, with a small effort.'
        """
        if self.numbers:
            return text
        text = _LEVEL.sub(lambda match: self.level(float(match[1])), text)
        return _BUDGET.sub(lambda match: self.at_budget(float(match[1]), start=False), text)

    def correlation(self, number: str) -> str:
        """Format a rank correlation in brackets, to follow its meaning; "" without numbers."""
        return f" (rank correlation {number})" if self.numbers else ""


#: For readers who know the method, and for everybody else.
NUMBERS, PLAIN = Wording(True), Wording(False)


def effort(kl: float) -> str:
    """Return the name of the effort of a distance.

    Args:
        kl: nats.

    Example:
        >>> effort(0.0), effort(0.2), effort(0.6), effort(1.0), effort(3.0)
        ('no', 'very small', 'small', 'medium', 'large')
    """
    if kl < amounts.FREE_NATS:
        return "no"
    return next((word for most, word in EFFORTS if kl <= most), "unknown")


def whole_percentile(percentile: float) -> float:
    """Round a percentile down to a whole one; one that is within rounding of a whole one becomes that."""
    return float(math.floor(percentile + 1e-6))
