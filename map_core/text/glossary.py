"""The product's glossary: each term in one plain sentence and, where there is one, a formula.

The interface takes its help texts from here, and *How it works* lists all of it. Constraint: no figure that depends on
a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from map_core.errors import InputError
from map_core.text.wording import NUMBERS, Wording

#: Other names that only readers with *Show numbers* meet.
TECHNICAL = ("lambda", "free", "bottleneck", "ESS", "KL divergence", "Pareto frontier")


@dataclass(frozen=True)
class Term:
    """One term.

    Args:
        name: as people read it.
        plain: its meaning, one sentence for people who read no mathematics.
        formula: the same as LaTeX, for readers with numbers; "" where there is none.
        also: other names of it.
        exact: the sentence for readers with numbers; "" where it is the plain one.
        numbers: only readers with numbers meet the term.
    """

    name: str
    plain: str
    formula: str = ""
    also: tuple[str, ...] = ()
    exact: str = ""
    numbers: bool = False

    def sentence(self, wording: Wording) -> str:
        """Return its meaning for a reader of this wording."""
        return self.exact if wording.numbers and self.exact else self.plain

    def names(self, wording: Wording) -> tuple[str, ...]:
        """Return its other names that a reader of this wording meets."""
        return self.also if wording.numbers else tuple(name for name in self.also if name not in TECHNICAL)


_ALL = (
    Term("value", "A quality of a reply that a team cares about and can score, such as kindness or humor."),
    Term("scorer", "The function that reads a reply and gives it a number for one value."),
    Term("reward", "The number that a scorer gives to a reply; a higher one means more of the value.", r"r_j(x, y)"),
    Term(
        "percentile",
        "Where a level lies among the base model's own replies: p70 is better than 70 of 100 of them.",
        numbers=True,
    ),
    Term(
        "standard deviation",
        "How much a value varies from reply to reply under the base model; the unit in which values are compared.",
        r"s_j",
        numbers=True,
    ),
    Term(
        "level",
        "How much of a value a model's replies have on average.",
        r"\mathbb{E}_x\,\mathbb{E}_{y \sim p}\, r_j(x, y)",
    ),
    Term("base level", "The level that the base model has as it is, before anything is asked of it."),
    Term("target", "The level that you ask for; it is met when the model's level is at least that.", r"c_j"),
    Term("realised level", "The level that the palette's weights give.", r"\mu_j(\lambda)", numbers=True),
    Term(
        "no preference",
        "A value of which nothing is asked; it may rise or fall with the others.",
        also=("free",),
    ),
    Term("keep", "A value that must not fall below its base level."),
    Term("at least", "A value that must reach a target above its base level."),
    Term("may drop", "A value that may fall below its base level, down to its target and no further."),
    Term("locked", "A target that must not be lowered when a palette is not possible."),
    Term("palette", "Your targets, one for each value, for one use case: what you ask of the model."),
    Term("use case", "The kind of prompts that the model is to answer; levels are averages over them."),
    Term(
        "weights",
        "How hard the model is pushed towards each value; they are found from your targets and never picked by hand.",
        r"\lambda_j \ge 0",
        ("lambda",),
    ),
    Term(
        "base model",
        "The language model as it is, with its sampling settings; everything is measured against it.",
        r"p_0(y \mid x)",
    ),
    Term(
        "aligned model",
        "The model that meets your targets at the least distance from the base model.",
        r"p_\lambda(y \mid x) \propto p_0(y \mid x)\, e^{\lambda \cdot r(x, y)}",
    ),
    Term("prompt", "What somebody writes to the model.", r"x"),
    Term("candidate", "One of the replies that the base model gives to a prompt, from which one is chosen.", r"y_{ik}"),
    Term("reward table", "Prompts, replies of the base model and their rewards: all that the forecast is made from."),
    Term(
        "table of your own",
        "Prompts and replies that you bring in a file with a score for each value, or that a build makes; all pages "
        "are then about them.",
        also=("import", "upload"),
    ),
    Term(
        "build",
        "Having a model write several replies to each of your prompts and scoring them; it ends in a table, and can be "
        "stopped and resumed.",
    ),
    Term("token", "A piece of a word, in which models write and count; a hundred of them are about 75 English words."),
    Term("seed", "The number that all random choices start from: the same number gives the same result."),
    Term(
        "distance",
        "How far the aligned model is from the base model; the price of a palette.",
        r"\mathrm{KL}(p \,\|\, p_0)",
        ("KL divergence", "cost", "effort"),
        "How far the aligned model is from the base model, in nats; the price of a palette.",
    ),
    Term(
        "nats",
        "The unit of distance: 0 is the base model, and 1.6 is about as much as always sending the best of 12 replies.",
        r"\log n - \tfrac{n - 1}{n} \text{ for the best of } n",
        numbers=True,
    ),
    Term(
        "budget",
        "The most effort that may be spent, which is the most distance from the base model.",
        exact="The most distance from the base model that may be spent, in nats.",
    ),
    Term(
        "best of N",
        "The price in drafts: the distance that comes from always sending the best of so many replies.",
        r"\mathrm{KL} = \log N - \tfrac{N - 1}{N}",
        numbers=True,
    ),
    Term(
        "form",
        "Whether a generator must do with the replies to the prompt at hand, or may also prefer prompts.",
        numbers=True,
    ),
    Term(
        "per prompt",
        "The form that generation obeys: each prompt is answered by choosing among its own replies.",
        r"A(\lambda) = \tfrac{1}{n} \sum_i \log \tfrac{1}{K_i} \sum_k e^{\lambda \cdot r_{ik}}",
        numbers=True,
    ),
    Term(
        "pooled",
        "The form for tables with one reply a prompt: it may prefer easy prompts, so that generation can fall short.",
        r"A(\lambda) = \log \tfrac{1}{\sum_i K_i} \sum_{ik} e^{\lambda \cdot r_{ik}}",
        numbers=True,
    ),
    Term("verdict", 'The answer to a palette: "reachable", "possible, but not reliable" or "not possible together".'),
    Term(
        "reachable",
        "Choosing among the model's own replies meets every target, with enough replies for a forecast to trust.",
    ),
    Term(
        "possible, but not reliable",
        "Every target is met, but by so few of the table's replies that the forecast cannot be trusted.",
    ),
    Term(
        "not possible together",
        "No way of choosing among the model's replies meets all targets together; this is proved.",
    ),
    Term(
        "margin",
        "By how many standard deviations all targets together could still be raised, or by how many they miss.",
        r"t^\star = \min_{w \ge 0,\; w \cdot s = 1} h(w) - w \cdot c",
        numbers=True,
    ),
    Term(
        "certificate",
        "The proof that a palette is not possible: a mix of values on which even the best replies fall short.",
        r"h(w) < w \cdot c",
        numbers=True,
    ),
    Term(
        "conflict", "The smallest set of targets that are not possible together; without any one of them, the rest are."
    ),
    Term(
        "nearest palette",
        "The targets closest to yours that are possible and reliable.",
        r"\min_{c'} \sum_j \big((c_j - c'_j) / s_j\big)^2",
    ),
    Term(
        "effective sample size",
        "How many replies carry the choice: all when they are equally likely, one when a single reply takes all.",
        r"1 \big/ \textstyle\sum_k P_{ik}^2",
        ("ESS",),
        numbers=True,
    ),
    Term(
        "frontier",
        "The most that is possible of two values together at one budget: on it, more of one is less of the other.",
        r"\max_p\; w \cdot \mu \;\text{ subject to }\; \mathrm{KL} \le b",
        ("Pareto frontier",),
    ),
    Term("trade-off", "How much of one value has to be given up for more of another."),
    Term(
        "shadow price",
        "What asking for one more unit of a value costs, in nats.",
        r"\partial\, \mathrm{KL}^\star / \partial c_j = \lambda_j",
        ("price",),
        numbers=True,
    ),
    Term(
        "hardest target",
        "The target that has the largest share of the cost of asking for a little more.",
        also=("bottleneck",),
    ),
    Term(
        "slack", "A target that costs nothing: the others, or the base model, meet it.", r"\lambda_j = 0", numbers=True
    ),
    Term(
        "sensitivity",
        "How weights, price and the other levels move when one target is moved.",
        r"\partial \lambda_F / \partial c_F = H_{FF}^{-1}",
    ),
    Term(
        "interval",
        "The range in which a figure lies 9 times out of 10 when other prompts of the same kind are drawn.",
        also=("error bar",),
    ),
    Term(
        "bootstrap",
        "A way to see how sure a figure is: compute it again on many random draws of the prompts.",
        numbers=True,
    ),
    Term("held-out", "A check on prompts that the weights were not solved on."),
    Term("forecast", "The level that a palette's weights are expected to give on prompts of the use case."),
    Term("promise", "A level shown to hold on prompts that the palette was not set on, wrong at most 5 times in 100."),
    Term("delivery", "The level that fresh replies really had, to be compared with the forecast."),
    Term(
        "round",
        "One pass in which the values are aligned one after another, each step starting from the last model.",
    ),
    Term("group", "People who share a palette of their own: a team, a sector, a community of users."),
    Term(
        "satisfaction",
        "How much of the way from the base model to its targets a group gets, on the value that gets least of it.",
    ),
    Term(
        "common palette",
        "One palette for several groups, by one of two rules: the most equal one, or the best overall compromise.",
    ),
    Term(
        "value of your own",
        "A value that you define in words: what has more of it and what has less; a small model then scores every "
        "reply by which side it is closer to.",
    ),
    Term(
        "judging pairs",
        "Saying of two replies, without seeing their scores, which has more of a value; enough of these show how far "
        "its scores are to be trusted.",
    ),
    Term(
        "reliable",
        "Said of a value whose scores put replies in the order in which people would; less good are rough, and then "
        "not to be used.",
        also=("rough", "not to be used"),
    ),
    Term(
        "trained version",
        "A version of a value of your own that has learnt from your judgements, tested on prompts that it was not "
        "trained on.",
    ),
    Term(
        "AUC",
        "The chance that the scores put two replies, between which readers see a difference, in the readers' order; 1 "
        "is always, 0.5 is guessing.",
        numbers=True,
    ),
    Term(
        "AUC within a prompt",
        "The AUC of two replies to the same prompt, which is the choice that a model has when it answers.",
        numbers=True,
    ),
    Term(
        "rank correlation",
        "How far two values rise and fall together from reply to reply: 1 always, 0 not at all, below 0 one against "
        "the other.",
        numbers=True,
    ),
)
#: Each term by its name, in the order in which *How it works* lists them.
TERMS = {term.name: term for term in _ALL}


def term(name: str) -> Term:
    """Return a term by its name.

    Raises:
        InputError: there is no such term.

    Example:
        >>> term("no preference").plain
        'A value of which nothing is asked; it may rise or fall with the others.'
    """
    try:
        return TERMS[name]
    except KeyError as error:
        raise InputError(f"The glossary has no {name!r}; add it to map_core/text/glossary.py.") from error


def search_terms(text: str, names: Iterable[str] = (), wording: Wording = NUMBERS) -> tuple[Term, ...]:
    """Return the terms whose name, other names or sentence contain a text, ignoring case; all of them for "".

    Args:
        text: the query.
        names: of the terms to search; none for all.
        wording: terms that its readers do not meet are left out.
    """
    query = text.casefold().strip()
    candidates = tuple(map(term, names)) or _ALL
    return tuple(
        entry
        for entry in candidates
        if (wording.numbers or not entry.numbers)
        and query in " ".join([entry.name, *entry.names(wording), entry.sentence(wording)]).casefold()
    )
