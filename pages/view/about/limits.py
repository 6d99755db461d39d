"""What the product cannot do, in words and with the figures of the open table.

Constraint: each limit says what follows from it for decisions; figures are computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from map_core.core import amounts
from map_core.core.types import Form
from map_core.feasibility.trust import TRUSTED_POOLED, trust_threshold
from map_core.text import sentences
from pages.view.session.scene import Scene
from pages.view.shell import wording


@dataclass(frozen=True)
class ProductLimit:
    """One limit: its title, why it is there, and what to do about it."""

    title: str
    why: str
    advice: str


def product_limits(scene: Scene) -> list[ProductLimit]:
    """Return the limits for the open table.

    Args:
        scene: of all use cases.
    """
    return [_scorers(), _average(scene), _replies(scene), _candidates(scene), _form(scene), _sure(scene), *_people()]


def _scorers() -> ProductLimit:
    return ProductLimit(
        "Scorers hear words and tone, not truth",
        "A high level says that replies score high. A wrong answer in a kind tone is kind to a scorer, and whoever "
        "pushes a value hard finds what its scorer overlooks.",
        "Read the card of a value before it becomes policy, read replies on Listen, and have people vote on them.",
    )


def _average(scene: Scene) -> ProductLimit:
    table = scene.table
    cases = table.use_case_names
    where = f" in {len(cases)} use cases ({sentences.listed(cases)})" if len(cases) > 1 else ""
    return ProductLimit(
        "A level is an average over prompts",
        f"This table has {len(table.prompts):,} prompts{where}. A palette that is met on average is not met by every "
        "reply, and prompts of another kind, or in another language, may give other levels.",
        "Never read a level as a guarantee about one reply. Bring a table of your own prompts.",
    )


def _replies(scene: Scene) -> ProductLimit:
    table, settings = scene.table, scene.sampling
    model = table.metadata.get("model") or {}
    name = model.get("name") if isinstance(model, dict) else None
    by = f" of {name}" if name else ""
    drawn = (
        f" (temperature {amounts.significant(settings.temperature)}, top-p {amounts.significant(settings.top_p)}, up "
        f"to {settings.max_new_tokens} tokens)"
        if table.metadata.get("sampling")
        else ""
    )
    return ProductLimit(
        "It is about one model and its settings",
        f"All replies are{by}{drawn}. The table does not know what another model, a newer version or other settings "
        "would give, and no weights can bring out what the model never says.",
        "Build a table again when the model changes"
        + wording.current().pick(": python -m map_core build --help.", ", on the page Tables."),
    )


def _candidates(scene: Scene) -> ProductLimit:
    oracle = scene.oracle
    if oracle.form is Form.POOLED:
        return ProductLimit(
            "Few candidates reach less far",
            wording.current().pick("Choosing among K candidates spends log K nats at the most, and this", "This")
            + " table, with one reply a prompt, says nothing about what several of them would give.",
            "Build a table with several replies per prompt before you rely on a level.",
        )
    replies = math.exp(oracle.log_candidates)
    return ProductLimit(
        "Few candidates reach less far",
        f"The forecast on Set is for {amounts.fixed(replies)} candidates a prompt"
        + wording.current().pick(
            f", which can spend log {amounts.fixed(replies)} = {amounts.nats(oracle.log_candidates)} at the most", ""
        )
        + ". A generator that draws fewer reaches less.",
        "Listen solves for the number that it draws"
        + wording.current().pick(", and solve --candidates does so for yours.", "."),
    )


def _form(scene: Scene) -> ProductLimit:
    if scene.oracle.form is Form.PER_PROMPT:
        return ProductLimit(
            wording.current().pick("The form is per prompt", "Forecasts are made prompt by prompt"),
            "Each prompt is answered from its own replies, as a generator must. The pooled form of the published work "
            "also prefers easy prompts and promises more than is delivered; it is here for tables with one reply a "
            "prompt.",
            "Check promises made in the pooled form against new replies, as the page Evidence does.",
        )
    return ProductLimit(
        wording.current().pick("The form is pooled", "Forecasts are made over all prompts together"),
        "This table has one reply for most prompts, so weights also prefer prompts. A generator that answers the "
        "prompt at hand may fall short of these levels, and the certificate has no error bar.",
        "Build a table with several replies per prompt.",
    )


def _sure(scene: Scene) -> ProductLimit:
    oracle, threshold = scene.oracle, amounts.significant(trust_threshold(scene.oracle))
    least = (
        f"{threshold} replies a prompt, and {TRUSTED_POOLED:g} in all,"
        if oracle.form is Form.PER_PROMPT
        else f"{threshold} replies"
    )
    return ProductLimit(
        "Error bars hold for prompts like these",
        f"They come from how much {oracle.counted_prompts:,} prompts differ, and say nothing about scorers that are "
        f"wrong or prompts of another kind. That {least} must carry the forecast before it is trusted is a convention. "
        "Near the edge of what is possible the probability of a verdict errs towards “not possible”.",
        "Look at Evidence"
        + wording.current().pick(
            ", and repeat it for your table: python -m map_core verify --help.",
            "; an engineer can repeat it for your table.",
        ),
    )


def _people() -> tuple[ProductLimit, ...]:
    return (
        ProductLimit(
            "It carries the biases of what it is made of",
            "The base model, the scorers' example sentences and the labels reflect the people who made them. They are "
            "mostly in English, and some kinds have few labels. What reads as kind or plain differs between people "
            "and places.",
            "Let the people whom the model talks to label replies and vote, and compare the groups.",
        ),
        ProductLimit(
            "It does not say what is right",
            "It says what is possible together and at what price. Which levels are right, who has a say, and what must "
            "never be traded is for people to decide. A common palette is a proposal by a stated rule, not consent.",
            "Decide with the people whom it concerns, write down why, and review it when things change.",
        ),
        ProductLimit(
            "It is not a safety system",
            "Values steer tendencies. A re-weighted model can still say what it must not, with a lower probability.",
            "Keep filters, tests and people in the loop where harm is possible.",
        ),
    )
