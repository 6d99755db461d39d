"""A palette's demands beside its targets, as written: tails, worst means, other mixes of prompts, floors of cohorts.

Constraint: text and numbers; :mod:`map_core.feasibility.aim` resolves levels and computes the columns for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from map_core.errors import InputError

#: Fields of a saved palette and of a line of --targets-file, named as the options.
FIELDS = ("no_worse_tail", "worst_mean", "any_mix", "no_cohort_below_base", "every_scorer")


@dataclass(frozen=True)
class Beside:
    """A palette's demands beside its targets.

    Args:
        no_worse_tail: values whose tail must be no worse than the base model's.
        worst_mean: floors of means of the worst replies, each as ``kindness:5%=p10``.
        any_mix: nats; every target must hold under each mix of prompts within this distance; None for the table's mix.
        no_cohort_below_base: the column of text whose entries must not fall below their base level on a targeted value.
        every_scorer: values whose targets must hold for further scorers too, each as
            ``kindness=kindness_b,kindness_c``.
    """

    no_worse_tail: tuple[str, ...] = ()
    worst_mean: tuple[str, ...] = ()
    any_mix: float | None = None
    no_cohort_below_base: str | None = None
    every_scorer: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Beside()

    def with_more(self, other: Beside) -> Beside:
        """Return the demands of both; the other's distance and column take precedence."""
        return Beside(
            tuple(dict.fromkeys((*self.no_worse_tail, *other.no_worse_tail))),
            tuple(dict.fromkeys((*self.worst_mean, *other.worst_mean))),
            self.any_mix if other.any_mix is None else other.any_mix,
            other.no_cohort_below_base or self.no_cohort_below_base,
            tuple(dict.fromkeys((*self.every_scorer, *other.every_scorer))),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without those that have their default."""
        content: dict[str, Any] = {}
        if self.no_worse_tail:
            content["no_worse_tail"] = list(self.no_worse_tail)
        if self.worst_mean:
            content["worst_mean"] = dict(split_worst_mean(text) for text in self.worst_mean)
        if self.any_mix is not None:
            content["any_mix"] = self.any_mix
        if self.no_cohort_below_base is not None:
            content["no_cohort_below_base"] = self.no_cohort_below_base
        if self.every_scorer:
            content["every_scorer"] = {value: list(names) for value, names in map(split_scorers, self.every_scorer)}
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Beside:
        """Read the fields of a saved palette or of a line of --targets-file; other fields are ignored.

        Raises:
            InputError: a field has a wrong type.
        """
        tails, worst = content.get("no_worse_tail", ()), content.get("worst_mean", {})
        if isinstance(tails, str) or not isinstance(tails, list | tuple) or not isinstance(worst, Mapping):
            raise InputError(
                f"no_worse_tail is {tails!r} and worst_mean is {worst!r}; expected a list of values and levels by "
                'name, as in ["kindness"] and {"kindness:5%": "p10"}.'
            )
        scorers = content.get("every_scorer", {})
        if not isinstance(scorers, Mapping) or not all(isinstance(names, list | tuple) for names in scorers.values()):
            raise InputError(
                f"every_scorer is {scorers!r}; expected the values of the table that score each value too, as in "
                '{"kindness": ["kindness_b"]}.'
            )
        mix, label = content.get("any_mix"), content.get("no_cohort_below_base")
        if mix is not None and (isinstance(mix, bool) or not isinstance(mix, int | float)):
            raise InputError(f"any_mix is {mix!r}; expected a distance in nats, such as 0.1.")
        return cls(
            tuple(dict.fromkeys(map(str, tails))),
            tuple(f"{name}={level}" for name, level in worst.items()),
            None if mix is None else float(mix),
            None if label is None else str(label),
            tuple(f"{name}={','.join(map(str, names))}" for name, names in scorers.items()),
        )

    def items(self) -> list[tuple[str, str]]:
        """Return the demands as (option, text), as in an address."""
        repeated = {
            "no_worse_tail": self.no_worse_tail,
            "worst_mean": self.worst_mean,
            "every_scorer": self.every_scorer,
        }
        items = [(option(name), text) for name, texts in repeated.items() for text in texts]
        if self.any_mix is not None:
            items.append((option("any_mix"), f"{self.any_mix:.6g}"))
        if self.no_cohort_below_base is not None:
            items.append((option("no_cohort_below_base"), self.no_cohort_below_base))
        return items

    @classmethod
    def from_items(cls, items: Sequence[tuple[str, str]]) -> Beside:
        """Read the demands from :meth:`items`.

        Raises:
            InputError: an unknown option, or a distance that is not a number.
        """
        texts: dict[str, list[str]] = {}
        for name, text in items:
            texts.setdefault(name.removeprefix("--").replace("-", "_"), []).append(text)
        unknown = sorted(set(texts) - set(FIELDS))
        if unknown:
            expected = ", ".join(map(option, FIELDS))
            raise InputError(f"The palette in the address has {option(unknown[0])!r}; expected one of {expected}.")
        mix = texts["any_mix"][-1] if "any_mix" in texts else None
        try:
            distance = None if mix is None else float(mix)
        except ValueError as error:
            raise InputError(f"any_mix is {mix!r}; expected a distance in nats, such as 0.1.") from error
        return cls(
            tuple(texts.get("no_worse_tail", ())),
            tuple(texts.get("worst_mean", ())),
            distance,
            texts["no_cohort_below_base"][-1] if "no_cohort_below_base" in texts else None,
            tuple(texts.get("every_scorer", ())),
        )


def option(field: str) -> str:
    """Return the command line option of a field."""
    return f"--{field.replace('_', '-')}"


def split_worst_mean(text: str) -> tuple[str, str]:
    """Return the name and the level of a floor under a worst mean.

    Raises:
        InputError: it does not have the form NAME:SHARE=LEVEL.

    Example:
        >>> split_worst_mean("kindness:5%=p10")
        ('kindness:5%', 'p10')
    """
    name, equals, level = text.rpartition("=")
    if not equals or ":" not in name or not level:
        raise InputError(f"--worst-mean is {text!r}; expected NAME:SHARE=LEVEL, such as kindness:5%=p10.")
    return name, level


def split_scorers(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a value and the further values that score it.

    Raises:
        InputError: it does not have the form NAME=SCORER,SCORER.

    Example:
        >>> split_scorers("kindness=kindness_b,kindness_c")
        ('kindness', ('kindness_b', 'kindness_c'))
    """
    value, _, listed = text.partition("=")
    scorers = tuple(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))
    if not value.strip() or not scorers:
        raise InputError(
            f"--every-scorer is {text!r}; expected NAME=SCORER,SCORER, such as kindness=kindness_b,kindness_c."
        )
    return value.strip(), scorers
