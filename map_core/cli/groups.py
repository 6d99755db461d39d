"""``python -m map_core groups``: find a common palette for several groups, or compare a palette on two tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from map_core.cli.compare_tables import VERDICTS, compare_tables
from map_core.cli.inputs import PaletteTargets, open_table, read_palettes
from map_core.cli.options import budget_option, table_options, target_options
from map_core.cli.output import by_name, columns, print_json
from map_core.core import amounts
from map_core.errors import InputError
from map_core.feasibility import Assessment, AttainableLevels, assess
from map_core.feasibility.nearest import default_budget
from map_core.groups import (
    BindingLimit,
    CaseVerdict,
    Clash,
    CommonPalette,
    Concession,
    Group,
    Relation,
    clashes,
    concessions,
    max_min,
    nash,
    satisfaction_alone,
    use_case_verdicts,
)
from map_core.oracle import Oracle


@click.command()
@table_options
@target_options
@budget_option("Nats that a common palette may spend; half of the most by default.", metavar=None)
@click.option(
    "--nash", "with_nash", is_flag=True, help="The best overall compromise too: the largest product of satisfactions."
)
@click.option("--use-cases", is_flag=True, help="The verdict in each use case too.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="TABLE",
    help="Instead: what becomes of each palette on this other table.",
)
def groups(
    table: Path,
    form: str | None,
    use_case: str | None,
    as_json: bool,
    pairs: tuple[str, ...],
    targets_file: Path | None,
    budget: float | None,
    with_nash: bool,
    use_cases: bool,
    compare: Path | None,
) -> None:
    """Find a common palette for several groups, what each gives up, and which of them clash.

    A line of the targets file is a group: {"name": "clinicians", "targets": {"helpfulness": "p80"}, "importance": 2}.
    A group's satisfaction is 0 at the base model and 1 when all its targets are met; in between it is the share of the
    way that the target which is met least has been brought. The common palette gives the group that gets least as
    much as the budget allows.

    \b
    Examples:
      python -m map_core groups --targets-file groups.jsonl --budget 1.5 --nash
      python -m map_core groups my-table.parquet --targets-file groups.jsonl --use-cases --json
      python -m map_core groups last-year.parquet --compare this-year.parquet --target humor=p70
    """  # noqa: D301
    opened, palettes = read_palettes(open_table(table, use_case, form), pairs, targets_file)
    if compare is not None:
        if budget is not None or with_nash or use_cases:
            raise click.UsageError("--compare goes without --budget, --nash and --use-cases.")
        compare_tables(opened, compare, use_case, form, palettes, as_json)
        return
    oracle = opened.oracle
    try:
        group_list = [_group(number, palette) for number, palette in enumerate(palettes, start=1)]
        budget = default_budget(oracle) if budget is None else budget
        attainable = AttainableLevels(oracle)
        fairest = max_min(oracle, group_list, budget)
        bargain = nash(oracle, group_list, budget) if with_nash else None
    except InputError as error:
        raise click.UsageError(str(error)) from error
    alone = satisfaction_alone(oracle, group_list, budget)
    assessments = [assess(oracle, group.targets, attainable=attainable) for group in group_list]
    result: dict[str, Any] = {
        "form": oracle.form.value,
        "budget": min(budget, oracle.log_candidates),
        "base": by_name(oracle, oracle.base),
        "groups": [
            _alone(oracle, group, assessment) for group, assessment in zip(group_list, assessments, strict=True)
        ],
        "common": _described(oracle, group_list, fairest, alone, attainable),
        "nash": _described(oracle, group_list, bargain, alone, attainable) if bargain else None,
        "pairs": [_pair(oracle, group_list, pair) for pair in clashes(oracle, group_list, budget, attainable)],
    }
    if use_cases:
        shared = bargain or fairest
        result["use_cases"] = [
            _case(oracle, group_list, case) for case in use_case_verdicts(opened.table, oracle, group_list, shared)
        ]
    print_json(result) if as_json else click.echo("\n".join(_lines(oracle, result)))


def _group(number: int, palette: PaletteTargets) -> Group:
    """Return a group from a line of the targets file."""
    importance = palette.record.get("importance", 1.0)
    name = palette.record.get("name", f"group {number}")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"The name of group {number} is {name!r}; expected text.")
    if isinstance(importance, bool) or not isinstance(importance, int | float):
        raise InputError(f"The importance of {name!r} is {importance!r}; expected a number above 0.")
    return Group(name, palette.targets, float(importance))


def _alone(oracle: Oracle, group: Group, assessment: Assessment) -> dict[str, Any]:
    """Return a group's own palette as plain JSON values."""
    solution, margin = assessment.solution, assessment.margin
    return {
        "name": group.name,
        "importance": group.importance,
        "targets": by_name(oracle, oracle.rewards_at(group.targets)),
        "verdict": assessment.verdict.value,
        "margin": amounts.finite(margin.value),
        "weights": by_name(oracle, solution.weights / oracle.scale) if solution else None,
        "levels": by_name(oracle, oracle.rewards_at(solution.levels)) if solution else None,
        "kl": solution.kl if solution else None,
    }


def _described(
    oracle: Oracle,
    group_list: Sequence[Group],
    common: CommonPalette,
    alone: np.ndarray,
    attainable: AttainableLevels,
) -> dict[str, Any]:
    """Return a common palette as plain JSON values."""
    assessment = assess(oracle, common.targets, solution=common.solution, attainable=attainable)
    solution = common.solution
    ess = oracle.effective_sample_size(solution.weights)

    def describe_concession(group: Group, concession: Concession) -> dict[str, Any]:
        return {
            "name": group.name,
            "satisfaction": concession.common,
            "alone": concession.alone,
            "gives_up": concession.lost,
            "short_sd": by_name(oracle, concession.short),
            "short": by_name(oracle, concession.short * oracle.scale),
        }

    return {
        "targets": by_name(oracle, oracle.rewards_at(common.targets)),
        "weights": by_name(oracle, solution.weights / oracle.scale),
        "levels": by_name(oracle, oracle.rewards_at(solution.levels)),
        "kl": solution.kl,
        "ess": ess.per_prompt,
        "verdict": assessment.verdict.value,
        "limit": common.limit.value,
        "gap": amounts.finite(common.gap),
        "groups": [
            describe_concession(group, concession)
            for group, concession in zip(group_list, concessions(group_list, common, alone), strict=True)
        ],
    }


def _pair(oracle: Oracle, group_list: Sequence[Group], pair: Clash) -> dict[str, Any]:
    margin = pair.margin
    return {
        "groups": [group_list[pair.first].name, group_list[pair.second].name],
        "relation": pair.relation.value,
        "kl": amounts.finite(pair.kl),
        "margin": None if margin is None else amounts.finite(margin.value),
        "values": [
            {"value": oracle.values[j], "asked_by": group_list[g].name, "share": float(margin.certificate[j])}
            for j, g in zip(pair.values, pair.asked_by, strict=True)
            if margin is not None
        ],
    }


def _case(oracle: Oracle, group_list: Sequence[Group], case: CaseVerdict) -> dict[str, Any]:
    return {
        "use_case": case.use_case,
        "prompts": case.prompts,
        "groups": {
            group.name: assessment.verdict.value if assessment else None
            for group, assessment in zip(group_list, case.groups, strict=True)
        },
        "common": case.common.verdict.value if case.common else None,
        "levels": by_name(oracle, case.levels),
        "why_not": case.why_not or None,
    }


_LIMITS = {
    BindingLimit.NONE: "every group has all that it wants",
    BindingLimit.BUDGET: "the budget allows no more",
    BindingLimit.REACH: "these replies give the group that gets least no more at any price",
}


def _lines(oracle: Oracle, result: dict[str, Any]) -> Iterator[str]:
    """Yield the result as lines of text for people."""
    for key, title in (("common", "Most equal"), ("nash", "Best overall compromise (Nash)")):
        common = result[key]
        if common is None:
            continue
        limit, verdict = _LIMITS[BindingLimit(common["limit"])], VERDICTS[common["verdict"]]
        yield f"{title}: {verdict}, {amounts.fixed(common['kl'], 3)} of {amounts.nats(result['budget'], 3)}; {limit}."
        yield from columns(
            [group["name"] for group in common["groups"]],
            {
                title: {group["name"]: group[name] for group in common["groups"]}
                for name, title in (("satisfaction", "satisfied"), ("alone", "if alone"), ("gives_up", "gives up"))
            },
        )
        yield "Levels, and how far below its target each group stays (reward units; blank where the target is met):"
        table = {"base": result["base"], "realised": common["levels"], "weight": common["weights"]}
        for group in common["groups"]:
            table[group["name"][:13]] = {name: -short for name, short in group["short"].items() if short > 0}
        yield from columns(oracle.values, table, missing="")
        yield ""
    for pair in result["pairs"]:
        yield _pair_line(pair)
    for case in result.get("use_cases", ()):
        where = case["use_case"] or "All prompts"
        verdicts = "; ".join(f"{name} {VERDICTS[verdict]}" for name, verdict in case["groups"].items())
        yield f"{where} ({case['prompts']} prompts): common {VERDICTS[case['common']]}; {verdicts}."
        if case["why_not"]:
            yield f"  {case['why_not']}"


def _pair_line(pair: dict[str, Any]) -> str:
    names = " and ".join(pair["groups"])
    match Relation(pair["relation"]):
        case Relation.TOGETHER:
            return f"{names} can both have all of theirs, for {amounts.nats(pair['kl'], 3)}."
        case Relation.TOO_DEAR:
            return f"{names} cannot both have all of theirs within the budget: it costs {amounts.nats(pair['kl'], 3)}."
        case Relation.ALONE:
            return f"{names}: one of them is not possible by itself."
    targets = ", ".join(f"{value['value']} ({value['asked_by']})" for value in pair["values"])
    return f"{names} clash, {amounts.fixed(-pair['margin'], 3)} standard deviations short: {targets}."
