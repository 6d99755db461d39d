"""Numbers as text, and numbers as JSON: every number that somebody reads is written here.

Each function takes any float, None for an unknown number included, and always returns: what is not finite is written as
:data:`UNKNOWN`, what rounds to 0 has no sign, what is too long to read is written with a power of ten, and what counts
beyond :data:`LARGEST_BEST_OF` is said to be more than that. A test reads the modules that write text and holds them to
this: no format of a float stands anywhere else. Constraint: no import of the project, so that every module may use it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, SupportsFloat

from scipy.optimize import brentq

#: What stands for a number that is not known or not finite.
UNKNOWN = "–"
#: From here on the digits of a number are no help: it is written with a power of ten.
LONG = 1e15
#: Replies that one can picture to pick the best of; more are said to be more than a million.
LARGEST_BEST_OF = 1e6
#: Nats below which a palette costs nothing.
FREE_NATS = 5e-4

#: Any number that there is, or none.
Number = SupportsFloat | None


def fixed(
    value: Number, decimals: int = 0, *, signed: bool = False, grouped: bool = False, unknown: str = UNKNOWN
) -> str:
    """A number with so many decimals.

    Args:
        value: any number.
        decimals: behind the point, from 0 on.
        signed: write the plus sign of a positive number.
        grouped: separate thousands with commas.
        unknown: stands for what is not finite; "" in a column of numbers that a program reads.

    Example:
        >>> fixed(2.345, 1), fixed(-0.04, 1), fixed(0.5, 2, signed=True), fixed(1234.5, grouped=True), fixed(math.nan)
        ('2.3', '0.0', '+0.50', '1,234', '–')
    """
    number = _finite(value)
    if number is None:
        return unknown
    sign, group = "+" if signed else "", "," if grouped else ""
    if abs(number) >= LONG:
        return f"{number:{sign}.1e}"
    rounded = f"{number:{sign}{group}.{decimals}f}"
    # What rounds to 0 is 0: no "-0", and no sign that means nothing.
    return rounded if rounded.strip("+-0.") else rounded.lstrip("+-")


def significant(value: Number, figures: int = 6, *, unknown: str = UNKNOWN) -> str:
    """A number with so many significant figures at most, without zeros at its end.

    Args:
        value: any number.
        figures: from 1 on.
        unknown: as in :func:`fixed`.

    Example:
        >>> significant(0.25), significant(1234.5678, 3), significant(4.0), significant(math.inf)
        ('0.25', '1.23e+03', '4', '–')
    """
    number = _finite(value)
    return unknown if number is None else f"{number + 0.0:.{figures}g}"


def number(value: Number, figures: int = 3) -> str:
    """A number with so many figures that matter, as short as that allows.

    Example:
        >>> number(0.2468), number(-12.34), number(1234.5)
        ('0.247', '−12.3', '1,234')
    """
    there = _finite(value)
    if there is None:
        return UNKNOWN
    if there == 0:
        return "0"
    decimals = max(0, figures - 1 - math.floor(math.log10(abs(there))))
    short = decimals > 5 or abs(there) >= LONG
    return (f"{there:.1e}" if short else f"{there:,.{min(decimals, 4)}f}").replace("-", "−")


def scientific(value: Number, decimals: int = 0) -> str:
    """A number with a power of ten.

    Example:
        >>> scientific(3.2e-9), scientific(math.nan)
        ('3e-09', '–')
    """
    there = _finite(value)
    return UNKNOWN if there is None else f"{there + 0.0:.{decimals}e}"


def percentile(value: Number, decimals: int = 0, toward: Literal["nearest", "down", "up"] = "nearest") -> str:
    """A percentile of the base model's replies.

    Args:
        value: from 0 to 100.
        decimals: behind the point, from 0 on.
        toward: where it is rounded to; a limit that can be had is rounded so that it still can.

    Example:
        >>> percentile(69.7), percentile(69.7, toward="down"), percentile(math.nan)
        ('p70', 'p69', '–')
    """
    there = _finite(value)
    if there is None:
        return UNKNOWN
    if toward != "nearest" and abs(there) < LONG:
        whole = math.floor if toward == "down" else math.ceil
        there = whole(there * 10**decimals) / 10**decimals
    return f"p{fixed(there, decimals)}"


def percent(share: Number, decimals: int = 0, *, sign: bool = True) -> str:
    """A share in percent.

    Args:
        share: 0 to 1 for 0 to 100 percent.
        decimals: behind the point, from 0 on.
        sign: write the percent sign.

    Example:
        >>> percent(0.234), percent(0.005, 1), percent(math.nan)
        ('23%', '0.5%', '–')
    """
    there = _finite(share)
    written = UNKNOWN if there is None else fixed(100.0 * there, decimals)
    return written if written == UNKNOWN or not sign else f"{written}%"


def chance(probability: Number) -> str:
    """A probability in percent.

    Example:
        >>> chance(0.234), chance(0.004), chance(0.9999)
        ('23%', 'under 1%', 'over 99%')
    """
    there = _finite(probability)
    if there is not None and 0.0 < there < 0.01:
        return "under 1%"
    if there is not None and 0.99 < there < 1.0:
        return "over 99%"
    return percent(there)


def nats(kl: Number, decimals: int = 2) -> str:
    """A distance from the base model.

    Example:
        >>> nats(0.618)
        '0.62 nats'
    """
    return f"{fixed(kl, decimals)} nats"


def rounded_up(count: Number) -> str:
    """A count that is foretold, rounded up to two figures.

    Example:
        >>> rounded_up(1234.0), rounded_up(7.2), rounded_up(1e12), rounded_up(math.nan)
        ('1,300', '8', 'more than a billion', '–')
    """
    there = _float(count)
    if there > 1e9:
        return "more than a billion"
    if not math.isfinite(there):
        return UNKNOWN
    step = 10 ** max(0, len(str(math.ceil(there))) - 2)
    return f"{math.ceil(there / step) * step:,}"


def minutes_seconds(seconds: Number) -> str:
    """A time as minutes and seconds.

    Example:
        >>> minutes_seconds(125.4), minutes_seconds(math.inf)
        ('2:05', '–')
    """
    there = _finite(seconds)
    if there is None:
        return UNKNOWN
    minutes, rest = divmod(round(max(there, 0.0)), 60)
    return f"{minutes}:{rest:02d}"


def log_best_of(kl: Number) -> float:
    """Log n of :func:`best_of`: finite for every finite distance; NaN where it is not known."""
    there = _float(kl)
    if math.isnan(there):
        return math.nan
    if there <= 0:
        return 0.0
    # Beyond this 1/n is below the rounding of log n.
    if there > 40:
        return there + 1.0
    return float(brentq(lambda log_n: log_n + math.expm1(-log_n) - there, 0.0, there + 1.0 + 1e-9))


def best_of(kl: Number) -> float:
    """How many drafts one would pick the best of to spend as many nats: log n - (n - 1)/n = kl.

    Args:
        kl: nats.

    Returns:
        n, at least 1; infinity where no float is as large, NaN where the distance is not known.

    Source: KL divergence of best-of-n sampling, Stiennon et al., "Learning to summarize from human feedback", 2020.
    """
    log_n = log_best_of(kl)
    return math.inf if log_n > 700 else math.exp(log_n)


def best_of_text(kl: Number, *, exact: bool = False) -> str:
    """:func:`best_of` as people write it.

    Args:
        kl: nats.
        exact: keep the decimal of a large number and of a whole one, so that two of them can be told apart.

    Example:
        >>> best_of_text(0.62), best_of_text(3.0), best_of_text(3.0, exact=True), best_of_text(800.0)
        ('3.9', '54', '53.6', 'more than a million')
    """
    many = best_of(kl)
    if many > LARGEST_BEST_OF:
        return "more than a million"
    if exact:
        return fixed(many, 1, grouped=True)
    return fixed(many, grouped=True) if many >= 9.95 else fixed(many, 1).removesuffix(".0")


def rounded(value: Number, decimals: int) -> float | None:
    """A number for JSON: with so many decimals; None where it is not known or not finite.

    Example:
        >>> rounded(2.345, 1), rounded(math.inf, 1)
        (2.3, None)
    """
    there = _finite(value)
    return None if there is None else round(there, decimals) + 0.0


def json_safe(told: Any) -> Any:
    """What is told, as values for JSON: None in place of every number that is not finite, lists in place of tuples.

    Example:
        >>> json_safe({"level": math.nan, "range": (1.0, math.inf)})
        {'level': None, 'range': [1.0, None]}
    """
    if isinstance(told, float):
        return told if math.isfinite(told) else None
    if isinstance(told, Mapping):
        return {key: json_safe(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [json_safe(value) for value in told]
    return told


def _float(value: Number) -> float:
    if value is None:
        return math.nan
    try:
        return float(value)
    except OverflowError:  # a whole number beyond the floats
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def _finite(value: Number) -> float | None:
    there = _float(value)
    return there if math.isfinite(there) else None
