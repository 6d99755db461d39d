"""Format numbers as text and as JSON: every number that people read is formatted here.

Each function takes any float, or None for an unknown number, and never raises: a number that is not finite is written
as :data:`UNKNOWN`, one that rounds to 0 has no sign, one that is too long to read has a power of ten, and a count above
:data:`LARGEST_BEST_OF` is written as more than that. A test checks that no module that writes text formats a float
itself. Constraint: no import of the project, so that every module may use it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, SupportsFloat

#: Written for a number that is unknown or not finite.
UNKNOWN = "–"
#: Numbers from here on are written with a power of ten.
LONG = 1e15
#: Largest n of best-of-n that is written out.
LARGEST_BEST_OF = 1e6
#: KL divergence, in nats, below which a palette is said to cost nothing.
FREE_NATS = 5e-4

#: Any number, or None for an unknown one.
Number = SupportsFloat | None


def fixed(
    value: Number, decimals: int = 0, *, signed: bool = False, grouped: bool = False, unknown: str = UNKNOWN
) -> str:
    """Format a number with a fixed number of decimals.

    Args:
        value: any number.
        decimals: digits after the point, 0 or more.
        signed: write the plus sign of a positive number.
        grouped: separate thousands with commas.
        unknown: written for a number that is not finite; "" in a column that a program reads.

    Example:
        >>> fixed(2.345, 1), fixed(-0.04, 1), fixed(0.5, 2, signed=True), fixed(1234.5, grouped=True), fixed(math.nan)
        ('2.3', '0.0', '+0.50', '1,234', '–')
    """
    number = finite(value)
    if number is None:
        return unknown
    sign, group = "+" if signed else "", "," if grouped else ""
    if abs(number) >= LONG:
        return f"{number:{sign}.1e}"
    rounded = f"{number:{sign}{group}.{decimals}f}"
    # A number that rounds to 0 has no meaningful sign: no "-0" and no "+0".
    return rounded if rounded.strip("+-0.") else rounded.lstrip("+-")


def significant(value: Number, figures: int = 6, *, unknown: str = UNKNOWN) -> str:
    """Format a number with at most ``figures`` significant figures, without trailing zeros.

    Args:
        value: any number.
        figures: 1 or more.
        unknown: as in :func:`fixed`.

    Example:
        >>> significant(0.25), significant(1234.5678, 3), significant(4.0), significant(math.inf)
        ('0.25', '1.23e+03', '4', '–')
    """
    number = finite(value)
    return unknown if number is None else f"{number + 0.0:.{figures}g}"


def number(value: Number, figures: int = 3) -> str:
    """Format a number with ``figures`` significant figures for people: a true minus sign, grouped thousands.

    Example:
        >>> number(0.2468), number(-12.34), number(1234.5)
        ('0.247', '−12.3', '1,234')
    """
    number = finite(value)
    if number is None:
        return UNKNOWN
    if number == 0:
        return "0"
    decimals = max(0, figures - 1 - math.floor(math.log10(abs(number))))
    short = decimals > 5 or abs(number) >= LONG
    return (f"{number:.1e}" if short else f"{number:,.{min(decimals, 4)}f}").replace("-", "−")


def scientific(value: Number, decimals: int = 0) -> str:
    """Format a number with a power of ten.

    Example:
        >>> scientific(3.2e-9), scientific(math.nan)
        ('3e-09', '–')
    """
    number = finite(value)
    return UNKNOWN if number is None else f"{number + 0.0:.{decimals}e}"


def counted(count: int, singular: str, plural: str = "", *, grouped: bool = False) -> str:
    """Return a number and what it counts.

    Args:
        count: how many.
        singular: the word for one.
        plural: the word for others; ``singular`` with an s by default.
        grouped: separate thousands with commas.

    Example:
        >>> counted(1, "reply", "replies"), counted(2000, "prompt"), counted(2000, "prompt", grouped=True)
        ('1 reply', '2000 prompts', '2,000 prompts')
    """
    return f"{count:{',' if grouped else ''}} {singular if count == 1 else plural or singular + 's'}"


def percentile(value: Number, decimals: int = 0, toward: Literal["nearest", "down", "up"] = "nearest") -> str:
    """Format a percentile of the base model's replies.

    Args:
        value: from 0 to 100.
        decimals: digits after the point, 0 or more.
        toward: rounding direction; a reachable limit is rounded so that it stays reachable.

    Example:
        >>> percentile(69.7), percentile(69.7, toward="down"), percentile(math.nan)
        ('p70', 'p69', '–')
    """
    number = finite(value)
    if number is None:
        return UNKNOWN
    if toward != "nearest" and abs(number) < LONG:
        round_to_whole = math.floor if toward == "down" else math.ceil
        number = round_to_whole(number * 10**decimals) / 10**decimals
    return f"p{fixed(number, decimals)}"


def percent(share: Number, decimals: int = 0, *, sign: bool = True) -> str:
    """Format a share in percent.

    Args:
        share: 0 to 1 for 0 to 100 percent.
        decimals: digits after the point, 0 or more.
        sign: write the percent sign.

    Example:
        >>> percent(0.234), percent(0.005, 1), percent(math.nan)
        ('23%', '0.5%', '–')
    """
    number = finite(share)
    text = UNKNOWN if number is None else fixed(100.0 * number, decimals)
    return text if text == UNKNOWN or not sign else f"{text}%"


def chance(probability: Number) -> str:
    """Format a probability in percent; only an exact 0 or 1 is written as 0% or 100%.

    Example:
        >>> chance(0.234), chance(0.004), chance(0.9999)
        ('23%', 'under 1%', 'over 99%')
    """
    number = finite(probability)
    if number is not None and 0.0 < number < 0.01:
        return "under 1%"
    if number is not None and 0.99 < number < 1.0:
        return "over 99%"
    return percent(number)


def nats(kl: Number, decimals: int = 2) -> str:
    """Format a KL divergence from the base model.

    Example:
        >>> nats(0.618)
        '0.62 nats'
    """
    return f"{fixed(kl, decimals)} nats"


def rounded_up(count: Number) -> str:
    """Format an estimated count, rounded up to two figures.

    Example:
        >>> rounded_up(1234.0), rounded_up(7.2), rounded_up(1e12), rounded_up(math.nan)
        ('1,300', '8', 'more than a billion', '–')
    """
    estimate = _float(count)
    if estimate > 1e9:
        return "more than a billion"
    if not math.isfinite(estimate):
        return UNKNOWN
    step = 10 ** max(0, len(str(math.ceil(estimate))) - 2)
    return f"{math.ceil(estimate / step) * step:,}"


def minutes_seconds(seconds: Number) -> str:
    """Format a duration as minutes and seconds.

    Example:
        >>> minutes_seconds(125.4), minutes_seconds(math.inf)
        ('2:05', '–')
    """
    number = finite(seconds)
    if number is None:
        return UNKNOWN
    minutes, rest = divmod(round(max(number, 0.0)), 60)
    return f"{minutes}:{rest:02d}"


def rough_duration(seconds: Number) -> str:
    """Format an estimated duration in the unit that fits it.

    Example:
        >>> rough_duration(25.4), rough_duration(754.0), rough_duration(9_000.0), rough_duration(400_000.0)
        ('25 seconds', '13 minutes', '2.5 hours', '4.6 days')
    """
    number = finite(seconds)
    if number is None:
        return UNKNOWN
    if number < 90:
        return counted(round(max(number, 0.0)), "second")
    if number < 90 * 60:
        return counted(round(number / 60), "minute")
    hours = number / 3600
    return f"{fixed(hours, 1)} hours" if hours < 48 else f"{fixed(hours / 24, 1, grouped=True)} days"


def byte_size(count: Number) -> str:
    """Format a number of bytes.

    Example:
        >>> byte_size(300), byte_size(4_970_000), byte_size(12_340_000_000), byte_size(None)
        ('1 kB', '5.0 MB', '12.34 GB', '–')
    """
    number = finite(count)
    if number is None:
        return UNKNOWN
    if number < 10**6:
        return f"{max(1, round(number / 1e3)):,} kB"
    if number < 10**9:
        return f"{fixed(number / 1e6, 1, grouped=True)} MB"
    return f"{fixed(number / 1e9, 2, grouped=True)} GB"


def log_best_of(kl: Number) -> float:
    """Return log n of :func:`best_of`: finite for every finite KL; NaN where it is unknown."""
    spent = _float(kl)
    if math.isnan(spent):
        return math.nan
    if spent <= 0:
        return 0.0
    # Above 40 nats 1/n is below the rounding error of log n.
    if spent > 40:
        return spent + 1.0
    from scipy.optimize import brentq

    return float(brentq(lambda log_n: log_n + math.expm1(-log_n) - spent, 0.0, spent + 1.0 + 1e-9))


def best_of(kl: Number) -> float:
    """Return the n whose best-of-n sampling has this KL divergence: log n - (n - 1)/n = kl.

    Args:
        kl: nats.

    Returns:
        n, at least 1; infinity where it exceeds the floats, NaN where the KL is unknown.

    Source: KL divergence of best-of-n sampling, Stiennon et al., "Learning to summarize from human feedback", 2020.
    """
    log_n = log_best_of(kl)
    return math.inf if log_n > 700 else math.exp(log_n)


def best_of_count(kl: Number, *, exact: bool = False) -> str:
    """Format :func:`best_of` as a count.

    Args:
        kl: nats.
        exact: always write one decimal, so that two counts can be compared.

    Example:
        >>> best_of_count(0.62), best_of_count(3.0), best_of_count(3.0, exact=True), best_of_count(800.0)
        ('3.9', '54', '53.6', 'more than a million')
    """
    count = best_of(kl)
    if count > LARGEST_BEST_OF:
        return "more than a million"
    if exact:
        return fixed(count, 1, grouped=True)
    return fixed(count, grouped=True) if count >= 9.95 else fixed(count, 1).removesuffix(".0")


def rounded(value: Number, decimals: int) -> float | None:
    """Round a number for JSON; None where it is unknown or not finite.

    Example:
        >>> rounded(2.345, 1), rounded(math.inf, 1)
        (2.3, None)
    """
    number = finite(value)
    return None if number is None else round(number, decimals) + 0.0


def finite(value: Number) -> float | None:
    """Return a plain number; None for NaN, infinity and None.

    Example:
        >>> finite(2), finite(math.inf)
        (2.0, None)
    """
    number = _float(value)
    return number if math.isfinite(number) else None


def json_safe(content: Any) -> Any:
    """Return plain JSON values: None for every number that is not finite, lists for tuples.

    Example:
        >>> json_safe({"level": math.nan, "range": (1.0, math.inf)})
        {'level': None, 'range': [1.0, None]}
    """
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: json_safe(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [json_safe(value) for value in content]
    return content


def _float(value: Number) -> float:
    if value is None:
        return math.nan
    try:
        return float(value)
    except OverflowError:  # an integer beyond the floats
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]
