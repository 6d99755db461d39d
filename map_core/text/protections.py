"""Describe what a palette asks for beyond averages: shares of replies, tails, use cases, other mixes of prompts.

Constraint: names as they read within a sentence go in, text comes out; levels in replies of 100.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from map_core.core import amounts
from map_core.data.derived_columns import USE_CASE, Cohort, ColumnKind, DerivedColumn
from map_core.feasibility.aim import Aim
from map_core.palettes.beside import Beside, split_scorers, split_worst_mean
from map_core.palettes.column_names import EVERY, ColumnName, parse_name
from map_core.palettes.palette import Palette
from map_core.text.sentences import listed

#: Phrases for the thresholds on offer, by their spelling: the weakest part of the base model's replies.
PARTS = {
    "p1": "weakest of 100",
    "p5": "weakest twentieth",
    "p10": "weakest tenth",
    "p20": "weakest fifth",
    "p25": "weakest quarter",
    "p33": "weakest third",
    "p50": "weaker half",
}
#: Phrases for the distances between mixes of prompts on offer, by nats.
MIXES = {0.02: "a slightly different mix of prompts", 0.1: "a different mix", 0.3: "a very different mix"}

#: From a value's name in the table to its name within a sentence.
Names = Callable[[str], str]


def threshold_text(written: str) -> str:
    """Describe a threshold by the part of the base model's replies below it, or by the score.

    Example:
        >>> threshold_text("p20"), threshold_text("p17"), threshold_text("0.25")
        ("the base model's weakest fifth", "the base model's weakest 17 of 100", 'a score of 0.25')
        >>> threshold_text("-0.5sd")
        "a score 0.5 standard deviations below the base model's average"
    """
    if written in PARTS:
        return f"the base model's {PARTS[written]}"
    if written[:1] == "p" and written[1:].replace(".", "", 1).isdigit():
        return f"the base model's weakest {written[1:]} of 100"
    if not written.endswith("sd"):
        return f"a score of {written}"
    distance = written.removesuffix("sd").lstrip("+-")
    unit = "standard deviation" if distance == "1" else "standard deviations"
    return f"a score {distance} {unit} {'below' if written.startswith('-') else 'above'} the base model's average"


def cohort_text(cohort: Cohort | None) -> str:
    """Describe which prompts count, as the end of a target's description; "" for all prompts.

    Example:
        >>> [cohort_text(Cohort(*parts)) for parts in (("use_case", "Stories"), ("use_case", "*"), ("language", "de"))]
        ['in Stories', 'in every use case', 'where language is de']
    """
    if cohort is None:
        return ""
    if cohort.label == USE_CASE:
        return "in every use case" if cohort.entry == EVERY else f"in {cohort.entry}"
    label = cohort.label.replace("_", " ")
    return f"for every {label}" if cohort.entry == EVERY else f"where {label} is {cohort.entry}"


def column_name(parts: ColumnName | DerivedColumn, name: str, threshold_written: str = "") -> str:
    """Return what a column is called within a sentence.

    Args:
        parts: the parsed name, or the column where no target has its name.
        name: of its value, within a sentence.
        threshold_written: replaces the threshold of ``parts``.

    Example:
        >>> column_name(parse_name("kindness>=p20@Stories", ["kindness"]), "kindness")
        "kindness above the base model's weakest fifth, in Stories"
    """
    where = cohort_text(parts.cohort)
    if isinstance(parts, DerivedColumn) and parts.scorer_of:
        return f"{name} (scorer of {parts.scorer_of.replace('_', ' ')})" + (f" {where}" if where else "")
    if parts.kind is ColumnKind.LEVEL:
        return f"{name} {where}" if where else f"{name} under another mix of prompts"
    if parts.kind is ColumnKind.CAPPED:
        return f"the worst replies on {name}" + (f" {where}" if where else "")
    level = threshold_written or str(parts.threshold)
    return f"{name} above {threshold_text(level)}" + (f", {where}" if where else "")


def target_sentence(parts: ColumnName, share: float, name: str) -> str:
    """Return a target of a share or of a use case as one sentence.

    Args:
        parts: of its name.
        share: replies of 100, or the level of a use case as better than so many of 100 replies.
        name: of its value, within a sentence.

    Example:
        >>> target_sentence(parse_name("kindness>=p20@*", ["kindness"]), 95.0, "kindness")
        "At least 95 of 100 replies no worse on kindness than the base model's weakest fifth, in every use case."
    """
    where, number = cohort_text(parts.cohort), amounts.significant(share, 3)
    if parts.kind is ColumnKind.SHARE:
        level = threshold_text(parts.threshold)
        # Replies must be above a part of the base model's replies, but they must reach a score.
        than = f"no worse on {name} than {level}" if "weak" in level else f"with {level} or more on {name}"
        return f"At least {number} of 100 replies {than}{', ' if where else ''}{where}."
    return f"{name[:1].upper()}{name[1:]} {where} better than at least {number} of 100 replies."


def cohorts(label: str, count: int = 2) -> str:
    """Return what the cohorts of a label are called within a sentence.

    Example:
        >>> cohorts("use_case"), cohorts("home_language", 1)
        ('use cases', 'entry of home language')
    """
    if label == USE_CASE:
        return "use case" if count == 1 else "use cases"
    return f"{'entry' if count == 1 else 'entries'} of {label.replace('_', ' ')}"


def beside_sentences(beside: Beside, named: Names, every: int | None = None) -> list[str]:
    """Return what a palette asks for beside targets, a sentence each.

    Args:
        beside: what is asked for.
        named: from a value's name in the table to its name within a sentence.
        every: the number of values, so that all of them can be called any value; None to name each.

    Example:
        >>> beside_sentences(Beside(no_worse_tail=("kindness",), any_mix=0.1), str)
        ['Never at the cost of the worst replies on kindness.', 'Kept under a different mix of prompts.']
    """
    texts = []
    if beside.no_worse_tail:
        alone = len(beside.no_worse_tail) != every
        named_values = listed([named(v) for v in beside.no_worse_tail]) if alone else "any value"
        texts.append(f"Never at the cost of the worst replies on {named_values}.")
    for text in beside.worst_mean:
        name, level = split_worst_mean(text)
        value, _, share = name.rpartition(":")
        texts.append(f"The worst {share} of replies on {named(value)} are on average no worse than {_mean(level)}.")
    for text in beside.every_scorer:
        value, scorers = split_scorers(text)
        texts.append(f"What is asked of {named(value)} holds for {listed([named(scorer) for scorer in scorers])} too.")
    label = beside.no_cohort_below_base
    if label:
        texts.append(f"No {cohorts(label, 1)} below its original level.")
    if beside.any_mix:
        mix = MIXES.get(beside.any_mix, f"each mix of prompts within {amounts.significant(beside.any_mix)} nats")
        texts.append(f"Kept under {mix}{'' if 'prompts' in mix else ' of prompts'}.")
    return texts


def _mean(level: str) -> str:
    """Describe the level that the mean of the worst replies must reach."""
    percentile = level.removeprefix("p")
    if level[:1] == "p" and percentile.replace(".", "", 1).isdigit():
        return f"a reply better than {percentile} of 100 of the base model's"
    return threshold_text(level)


def asked_sentences(aim: Aim, palette: Palette, named: Names) -> list[str]:
    """Return all that a palette asks for beyond averages, a sentence each.

    Args:
        aim: the table with the palette's columns.
        palette: the one that the aim was made for, or one with other levels of the same columns.
        named: from a value's name in the table to its name within a sentence.
    """
    targets = aim.standardised(palette)
    rewards = aim.oracle.rewards_at(targets)
    texts = []
    for target in aim.asked:
        j = max(target.members, key=lambda member: float(targets[member]))
        # Slightly below, as for every level: the percentile of equal replies is that of the first.
        percentile = aim.percentiles.percentile_of(j, float(rewards[j]) - 1e-9 * float(aim.oracle.scale[j]))
        texts.append(target_sentence(target.parts, percentile, named(target.parts.value)))
    texts += beside_sentences(palette.beside, named, aim.plain)
    if not aim.settled:
        texts.append("What you ask for beside levels could not be computed exactly, and may be missed.")
    return texts


def with_column_names(aim: Aim, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a table's values and of the columns after them, as they read within a sentence.

    Args:
        aim: the table with its columns.
        names: of the values alone.
    """
    values = aim.table.values[: aim.plain]
    written = {j: target.parts.threshold for target in aim.asked for j in target.members}
    extended = list(names)
    for j, column in zip(range(aim.plain, len(aim.table.values)), aim.table.derived, strict=True):
        parts = parse_name(column.name, values)
        level = written.get(j) or (parts.threshold if parts is not None else "")
        extended.append(column_name(column, names[values.index(column.value)], level))
    return tuple(extended)


def group_names(aim: Aim, names: Sequence[str]) -> dict[int, str]:
    """Return the target's name for each position of a target that has several columns."""
    values = aim.table.values[: aim.plain]
    return {
        j: column_name(target.parts, names[values.index(target.parts.value)])
        for target in aim.asked
        for j in target.members
        if len(target.members) > 1
    }


@dataclass(frozen=True)
class BeyondAverages:
    """What sentences need to know about the columns after a table's values.

    Args:
        shares: positions whose levels are replies of 100 and not percentiles.
        single: positions of the values and of the columns that are a whole target.
        groups: the target's name, by the positions of a target with several columns.
        asked: number of targets that people set; a target in every use case counts once.
    """

    shares: frozenset[int] = frozenset()
    single: frozenset[int] = frozenset()
    groups: Mapping[int, str] = field(default_factory=dict)
    asked: int | None = None


#: For a palette that only asks for levels of values.
NOTHING_BEYOND = BeyondAverages()


def beyond_averages(aim: Aim, palette: Palette, names: Sequence[str]) -> BeyondAverages:
    """Return what sentences need to know about the columns after a table's values.

    Args:
        aim: the table with its columns.
        palette: the one with these columns.
        names: of values and columns.
    """
    share_columns = {column.name for column in aim.table.derived if column.kind is ColumnKind.SHARE}
    shares = frozenset(j for j, name in enumerate(aim.table.values) if name in share_columns)
    alone = (target.members[0] for target in aim.asked if len(target.members) == 1)
    groups = group_names(aim, names)
    return BeyondAverages(shares, frozenset((*range(aim.plain), *alone)), groups, aim.count(palette))
