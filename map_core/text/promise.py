"""Describe promises: what new prompts show about a palette, and whether a palette in use keeps its promise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from map_core.confidence.certificate import Certificate, Outcome
from map_core.core import amounts
from map_core.text import sentences
from map_core.text.units import Units
from map_core.text.wording import NUMBERS, Wording

#: An explanation of the verdicts on palettes in use.
STANDING_MEANS = (
    "Judged by the replies that a server gave to its own requests: kept and broken are each said wrongly in at most "
    "5 of 100 cases, however often one looks. In doubt means that the requests so far do not settle it. Requests that "
    "ask for another number of drafts than the server usually makes, or for another kind of choice, are not counted."
)


def certificate_headline(certificate: Certificate) -> str:
    """Summarise a certificate in a few words."""
    return {
        Outcome.CERTIFIED: f"Kept on new prompts, {_sure(certificate)} sure",
        Outcome.LOWERED: "Kept on new prompts only in part",
        Outcome.NOTHING: "Not shown on new prompts",
    }[certificate.outcome]


def certificate_sentences(certificate: Certificate, wording: Wording = NUMBERS, names: Sequence[str] = ()) -> list[str]:
    """Return the explanation of the headline: how it was shown and at what strength, then its scope.

    Args:
        certificate: what was shown.
        wording: with numbers, or in everyday words.
        names: (value,) as they read within a sentence, to name the target that is the hardest to show; none to leave
            that out.
    """
    shown = f"{certificate.prompts} new prompts show, {_sure(certificate)} sure,"
    if certificate.outcome is Outcome.CERTIFIED:
        answer = [f"{shown} that every target holds.", _strength(certificate, wording)]
    elif certificate.outcome is Outcome.LOWERED:
        lower = f"targets that are up to {amounts.fixed(certificate.lowered, 2)} standard deviations lower"
        answer = [
            f"{shown} {wording.pick(lower, 'targets a little lower')}.",
            _strength(certificate, wording),
            _hardest(certificate, names),
            _needed(certificate),
        ]
    else:
        lower = wording.pick("targets that are a standard deviation lower", "far lower targets")
        nothing = f"{certificate.prompts} new prompts do not show even {lower}."
        answer = [nothing, _hardest(certificate, names), _needed(certificate)]
    about = [_scope(certificate, wording)]
    if certificate.nearest_instead:
        about.append("The palette itself is not possible; this is the nearest one.")
    if certificate.clipped:
        single = certificate.clipped == 1
        about.append(
            f"{'One level' if single else f'{certificate.clipped} levels'} on the new prompts lay below the lowest on "
            f"the others and {'counts' if single else 'count'} as that one."
        )
    return [" ".join(filter(None, answer)), " ".join(about)]


def certificate_rows(certificate: Certificate, units: Units) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and (position, cells) of each value with a target."""
    rows = []
    for j in np.flatnonzero(~np.isnan(certificate.targets)).tolist():
        levels = (certificate.targets[j], certificate.promised[j], certificate.measured[j])
        shown = ["none" if math.isnan(level) else units.level_text(j, float(level)) for level in levels]
        rows.append((j, [sentences.capitalised(units.names[j]), *shown]))
    scale = units.wording.pick("Percentile", "Out of 100")
    return [scale, "Target", "Promised", "On the new prompts"], rows


def standing_rows(kept: Mapping[str, Any]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the rows of a table of a server's palettes and whether they keep their promises.

    Args:
        kept: the state of each palette by name, as ``serve --promises`` writes it.
    """
    rows = []
    for name, palette in kept.items():
        kinds = [(palette.get(kind) or {}).get("described") or {} for kind in ("over_base", "levels")]
        requests = max(int(kind.get("requests") or 0) for kind in kinds)
        numbers = [str(requests), str(int(palette.get("not_counted") or 0))]
        since = str(palette.get("since") or "")[:10]
        verdicts = (str(kind.get("verdict") or "not watched") for kind in kinds)
        rows.append((-1, [str(name), *verdicts, *numbers, since]))
    return ["Palette", "What it adds", "The level itself", "Requests", "Not counted", "Since"], rows


def _sure(certificate: Certificate) -> str:
    return f"{amounts.significant(100 * certificate.level)}%"


def _strength(certificate: Certificate, wording: Wording) -> str:
    if certificate.factor == 0.0:
        return "The base model does that by itself."
    if certificate.factor == 1.0:
        return wording.pick("The weights are those that were solved for.", "The palette as it is set is enough.")
    times = amounts.significant(certificate.factor)
    return wording.pick(
        f"The weights are {times} times those that were solved for.",
        f"For that the model is steered {times} times as strongly as the palette asks.",
    )


def _scope(certificate: Certificate, wording: Wording) -> str:
    subject = (
        "what the palette adds to the base model on the same prompts"
        if certificate.over_base
        else "levels, and so also about how good the base model is on other prompts"
    )
    drafts = wording.pick("candidates", "drafts")
    prompts = "on prompts like these"
    if certificate.any_mix:
        nats = f"within {amounts.significant(certificate.any_mix)} nats of theirs"
        prompts += f" and under other mixes of them ({wording.pick(nats, 'as far as the palette asks')})"
    return f"This is about {subject}, with replies chosen among {certificate.candidates} {drafts}, {prompts}."


def _hardest(certificate: Certificate, names: Sequence[str]) -> str:
    several = int(np.sum(~np.isnan(certificate.targets))) > 1
    return f"The hardest to show is {names[certificate.hardest]}." if several and len(names) else ""


def _needed(certificate: Certificate) -> str:
    if not math.isfinite(certificate.prompts_needed):
        return "More prompts would not help: on the new ones the levels themselves miss a target."
    if certificate.prompts_needed <= certificate.prompts:
        return "About as many prompts again may be enough for all of it."
    needed = amounts.fixed(certificate.prompts_needed, grouped=True)
    return f"About {needed} prompts would be enough for all of it, if they are like these."
