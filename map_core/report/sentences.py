"""The results of a report in sentences: verdict, conflict, cost, side effects, confidence and limits.

Constraint: every figure in these sentences was computed; plain text, no markup.
"""

from __future__ import annotations

import math

import numpy as np

from map_core.core import amounts
from map_core.core.types import Form, Verdict
from map_core.report.contents import Report
from map_core.text import sentences
from map_core.text.protections import asked_sentences, beside_sentences
from map_core.text.verdict import NOTICED

#: A verdict with a smaller probability than this is called not sure.
LIKELY = 0.8


def model_name(report: Report) -> str:
    """Return the base model's name as the table records it; empty where it records none."""
    recorded = report.source.metadata.get("model")
    return str((recorded.get("name") if isinstance(recorded, dict) else recorded) or "")


def verdict_sentence(report: Report) -> str:
    """Return the verdict as a sentence."""
    beyond = report.beyond
    return sentences.verdict(
        report.assessment, report.oracle, report.names, report.wording, beyond.asked, beyond.groups
    )


def nearest_sentence(report: Report) -> str:
    """Describe the nearest palette, which the report is about where the palette is out of reach; else empty."""
    if report.verdict is not Verdict.OUT_OF_REACH:
        return ""
    if report.solution is None:
        return "Nothing near it is possible while the locked targets stay, so there are no weights and no levels."
    return "What follows is about the nearest palette that is possible: " + "; ".join(given_up_phrases(report)) + "."


def given_up_phrases(report: Report) -> list[str]:
    """Return one phrase per targeted value with its target in the nearest palette."""
    nearest = report.assessment.nearest
    if nearest is None:
        return []
    phrases = []
    for j in report.asked:
        target = report.percentile(j, float(report.assessment.targets[j]))
        near = report.percentile(j, float(nearest.targets[j]))
        if nearest.given_up[j] > 1e-9:
            phrases.append(f"{report.names[j]} {report.wording.level(near)} in place of {report.wording.level(target)}")
        else:
            phrases.append(f"{report.names[j]} {report.wording.level(target)} as asked")
    return phrases


def conflict_sentences(report: Report) -> list[str]:
    """Describe which targets conflict, how high each can be, and whether lowering one of them suffices."""
    conflict, names = report.conflict, report.names
    if conflict is None:
        return []
    # Highest levels beside all other targets, as in the table of values. Where those conflict among themselves there
    # are none, and the highest levels beside the conflict's own members are given.
    beside_all = bool(np.isfinite(report.highest[list(conflict.members)]).all())
    limits = report.highest if beside_all else conflict.highest
    highest = [report.level_text(j, report.percentile(j, float(limits[j])), "down") for j in conflict.members]
    most = sentences.listed([f"{names[j]} {level}" for j, level in zip(conflict.members, highest, strict=True)])
    if len(conflict.members) == 1:
        texts = [f"One target alone is set above what any mix of replies gives; the most there is: {most}."]
    else:
        fewest = "The fewest targets" if conflict.smallest else "Targets"
        together = sentences.listed(sentences.grouped(conflict.members, names, report.beyond.groups))
        texts = [
            f"{fewest} that are not possible together: {together}.",
            f"The most of each while the others{'' if beside_all else ' of these'} keep theirs: {most}.",
        ]
    alone = [names[j] for j in conflict.members if conflict.resolves[j]]
    texts.append(
        f"The whole palette is possible once one of these alone is lowered: {sentences.listed(alone)}."
        if alone
        else "Lowering one target alone is not enough: there is more than one conflict."
    )
    return texts


def cost_sentence(report: Report) -> str:
    """Return the KL divergence from the base model as a sentence."""
    if report.solution is None:
        return "What is not possible has no price."
    return sentences.distance(report.solution.kl, report.oracle.log_candidates, report.wording)


def drafts_text(report: Report) -> str:
    """Return the N of best-of-N with the same KL divergence, as text."""
    return amounts.best_of_count(report.solution.kl if report.solution is not None else 0.0)


def bottleneck_text(report: Report) -> tuple[str, str]:
    """Return the target with the highest price, and a sentence on its share of the cost."""
    if report.local is None:
        return "–", "What is not possible has no price."
    return sentences.bottleneck(report.local, report.names)


def side_effects_sentence(report: Report) -> str:
    """List the values that fall below their base levels, and the targets that cost nothing."""
    if report.solution is None:
        return "Nothing possible was found."
    moves = [
        (report.percentile(j, 0.0), report.percentile(j, float(level)), report.names[j])
        for j, level in enumerate(report.solution.levels[: report.plain])
    ]
    fallen = [
        f"{name} from {report.wording.level(base)} to {report.wording.level(level)}"
        for base, level, name in sorted(moves, key=lambda move: move[1] - move[0])
        if base - level >= NOTICED
    ]
    phrases = (
        f"Below the base model's level: {sentences.listed(fallen)}."
        if fallen
        else "No value falls below its base level."
    )
    free = "" if report.stands_in else sentences.slack(report.assessment, report.names, report.beyond.single or None)
    return f"{phrases} {free}".strip()


def confidence_sentence(report: Report) -> str:
    """Return the probability of the verdict as a sentence."""
    confidence = report.confidence
    if confidence is None:
        single_prompt = report.oracle.counted_prompts < 2
        return (
            "The table has one prompt, from which nothing can be said of others."
            if single_prompt
            else "No error bars were computed."
        )
    probability = confidence.probability[confidence.verdict]
    chance = chance_text(probability)
    # As many as the table has, or fewer: some are held out for checking.
    total = len(report.table.prompts)
    judged = f"{confidence.prompts} of its {total} prompts" if confidence.prompts < total else f"its {total} prompts"
    if probability < LIKELY:
        return (
            f"Not sure: the verdict, {sentences.HEADLINES[confidence.verdict].lower()}, holds for all prompts of this "
            f"kind with a probability of {chance}, as far as the table shows by {judged}."
        )
    return (
        f"{sentences.capitalised(chance)} sure that the verdict, {sentences.HEADLINES[confidence.verdict].lower()}, "
        f"holds for all prompts of this kind, as far as the table shows by {judged}."
    )


def held_out_sentence(report: Report) -> str:
    """Describe whether targets are met on prompts that the weights were not solved on; empty without targets."""
    confidence = report.confidence
    targeted = [int(j) for j in np.flatnonzero(~np.isnan(report.assessment.targets))]
    if confidence is None or not targeted:
        return ""
    held_out = confidence.held_out
    if held_out.levels is None:
        return (
            f"Held-out check: only {held_out.solved} of {held_out.folds} parts of the prompts can meet these targets "
            "by themselves, so there is nothing to hold against the others."
        )
    opening = "Held-out check, solved on one half of the prompts and measured on the other:"
    missed = [j for j in targeted if held_out.missed[j]]
    if not missed:
        return f"{opening} every target is met there too."
    beyond_error = [report.names[j] for j in missed if held_out.surely[j]]
    within_error = [report.names[j] for j in missed if not held_out.surely[j]]
    parts = [f"{sentences.listed(beyond_error)} by more than the error allows"] if beyond_error else []
    parts += [f"{sentences.listed(within_error)} by no more than the error allows"] if within_error else []
    return f"{opening} targets missed there are {' and '.join(parts)}."


def prompts_needed_sentence(report: Report) -> str:
    """Return how many prompts a verdict with 95% probability needs, as a sentence; empty without error bars."""
    confidence = report.confidence
    if confidence is None:
        return ""
    if not math.isfinite(confidence.prompts_needed):
        return "The palette lies on the boundary between two verdicts, where no number of prompts settles it."
    if confidence.prompts_needed <= confidence.prompts:
        return f"These {confidence.prompts} prompts are enough to be 95% sure of the verdict."
    needed = amounts.fixed(confidence.prompts_needed, grouped=True)
    return f"About {needed} prompts in place of {confidence.prompts} would make it 95% sure."


def beyond_rows(report: Report) -> list[dict[str, str]]:
    """Return the targets beyond averages, one row each: "asked", and for shares and use cases "base" and "given".

    The row of a target in every use case has the levels of the use case with the lowest, which it names.
    """
    aim = report.columns
    if aim is None:
        return []

    def named(value: str) -> str:
        return report.names[report.table.index(value)]

    levels = None if report.solution is None else report.solution.levels
    rows = []
    for asked, text in zip(aim.asked, asked_sentences(aim, report.palette, named), strict=False):
        lowest = min(asked.members, key=lambda j: report.percentile(j, 0.0 if levels is None else float(levels[j])))
        weakest = min(report.percentile(j, 0.0) for j in asked.members)
        given = "–" if levels is None else report.level_text(lowest, report.percentile(lowest, float(levels[lowest])))
        cohort = report.table.derived[lowest - report.plain].cohort
        where = f" (the lowest: {cohort.entry})" if len(asked.members) > 1 and cohort is not None else ""
        rows.append({"asked": text, "base": report.level_text(lowest, weakest), "given": f"{given}{where}"})
    return rows + [{"asked": text, "base": "", "given": ""} for text in beside_sentences(report.palette.beside, named)]


def samples_sentence(report: Report) -> str:
    """Describe the sample replies, or give the reason why there are none."""
    if report.solution is None:
        return "There are no weights, so there is no aligned reply to show."
    if not report.samples:
        if int(report.table.candidates.max()) == 1:
            return "The table has one reply per prompt, so there is nothing to choose between."
        return "The table holds no texts of replies."
    changed = sum(sample.example.base != sample.example.aligned for sample in report.samples)
    count = len(report.samples)
    prompts = "1 prompt" if count == 1 else f"{count} prompts"
    return (
        f"{prompts} drawn by chance, not picked. For {changed} of {count} the aligned model's likeliest reply "
        "differs from a typical reply of the base model."
    )


def limit_sentences(report: Report) -> list[str]:
    """List the limits of the report: what its figures do not show."""
    oracle = report.oracle
    texts = [
        "A value is what its scorer measures, no more: a high level is not the thing itself. What each scorer misses "
        "stands with the value above, as far as the table says so.",
        f"Everything here is about {model_name(report) or 'the model that wrote the replies'}, with its sampling "
        "settings, on prompts like those of the table. Another model, other settings or other prompts are another "
        "table.",
        "Levels are averages over prompts. A single reply may lie far from them.",
    ]
    if oracle.form is Form.PER_PROMPT:
        most = int(report.table.candidates.max())
        texts.append(
            f"The forecast is for choosing among {most} candidates per prompt. A generator that draws fewer delivers "
            "less; a tuned model is trained towards the same target and is not what was measured here."
        )
    else:
        texts.append(
            "Weights are found over all replies together. A generator that chooses prompt by prompt may fall "
            "short of these levels."
        )
    if report.confidence is not None:
        texts.append(
            f"Error bars ({amounts.percent(report.confidence.level)}) are about which prompts were drawn, from "
            f"{report.confidence.draws} draws of them; they do not cover an error of the scorers."
        )
    if report.study is None:
        texts.append("No new replies were drawn to check these forecasts: there is no study of delivery of this table.")
    return texts


def chance_text(probability: float) -> str:
    """Format a probability in percent, within 0.1% and 99.9%: bootstrap draws never prove 0 or 1."""
    return sentences.chance(min(max(probability, 1e-3), 1 - 1e-3))
