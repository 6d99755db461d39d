"""The mathematics of *How it works*: for each topic a sentence, its formula, and its figures for the current palette.

Constraint: every figure is computed from the current palette; the formulas hold for any table.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import streamlit as st

from map_core.analysis.sensitivity import local_sensitivity
from map_core.core import amounts
from map_core.core.types import Form, Verdict
from map_core.feasibility.trust import TRUSTED_POOLED, trust_threshold
from map_core.text import sentences
from pages.view.session.live_answer import LiveAnswer
from pages.view.shell import markup


@dataclass(frozen=True)
class FormulaSection:
    """One topic of the mathematics.

    Args:
        title: what it is about.
        plain: what the formula says.
        formulas: LaTeX, a line each.
        here: its figures for the current palette; "" when there are none.
    """

    title: str
    plain: str
    formulas: tuple[str, ...]
    here: str = ""

    @property
    def parts(self) -> list[str]:
        """The formulas in parts that fit a narrow screen and are set side by side where there is room."""
        return [part.strip().removesuffix(",") for formula in self.formulas for part in re.split(r"\\q?quad", formula)]


def formula_sections(live: LiveAnswer) -> list[FormulaSection]:
    """Return all sections, in the order in which one follows from another."""
    oracle, assessment, names = live.scene.oracle, live.assessment, live.scene.names
    solution, ess = assessment.solution, assessment.ess
    per_prompt = oracle.form is Form.PER_PROMPT
    normaliser = (
        r"A(\lambda) = \frac{1}{n} \sum_{i=1}^{n} \log \frac{1}{K_i} \sum_{k=1}^{K_i} e^{\lambda \cdot r_{ik}}"
        if per_prompt
        else r"A(\lambda) = \log \frac{1}{\sum_i K_i} \sum_{i,k} e^{\lambda \cdot r_{ik}}"
    )
    best = r"\frac{1}{n} \sum_i \max_k\, w \cdot r_{ik}" if per_prompt else r"\max_{i,k}\, w \cdot r_{ik}"
    return [
        FormulaSection(
            "The problem",
            "Of all ways to answer, take the one closest to the base model that meets every target.",
            (
                r"\min_{p}\;\; \mathbb{E}_x\, \mathrm{KL}\big(p(\cdot \mid x) \,\|\, p_0(\cdot \mid x)\big)",
                r"\text{subject to}\;\; \mathbb{E}_x\, \mathbb{E}_{y \sim p(\cdot \mid x)}\, r_j(x, y) \ge c_j",
                r"\text{for each value } j \text{ with a target}",
            ),
            f"Now {_count(live)} of {len(names)} values have a target.",
        ),
        FormulaSection(
            "Its solution",
            "The solution has one form: a reply becomes likelier by the exponential of its weighted rewards. So one "
            "number per value, its weight, says everything, and no other way of weighing values reaches further.",
            (r"p_\lambda(y \mid x) \propto p_0(y \mid x)\, e^{\lambda \cdot r(x, y)}, \qquad \lambda \ge 0",),
        ),
        FormulaSection(
            "The dual",
            "The weights are the maximum of a smooth concave function with one variable per value, so there is one "
            f"maximum, and Newton's method finds it. Form in force: {'per prompt' if per_prompt else 'pooled'}.",
            (
                r"\max_{\lambda \ge 0}\;\; g(\lambda) = \lambda \cdot c - A(\lambda), \qquad " + normaliser,
                r"\nabla A(\lambda) = \mu(\lambda) \;\text{(realised levels)}, \qquad "
                r"\nabla^2 A(\lambda) = \mathrm{Cov}_\lambda(r)",
            ),
            _dual(live),
        ),
        FormulaSection(
            "What holds at the solution",
            "Every target is met. A value that gets more than its target has no weight; a value with a weight gets "
            "exactly its target.",
            (r"\lambda_j \ge 0, \qquad \mu_j(\lambda) \ge c_j, \qquad \lambda_j\, \big(\mu_j(\lambda) - c_j\big) = 0",),
            ""
            if solution is None
            else f"The largest violation here is {amounts.scientific(solution.residual)} standard deviations.",
        ),
        FormulaSection(
            "Whether it is possible",
            "For any mix w of the values there is a best that replies can give. If some mix of your targets lies "
            "above that best, nothing reaches them, and w is the proof. The smallest distance over all mixes is the "
            "margin, found by a linear program.",
            (
                rf"h(w) = {best}, \qquad t^\star = \min_{{w \ge 0,\; w \cdot s = 1}} h(w) - w \cdot c",
                r"t^\star \ge 0 \iff \text{the targets are possible}",
            ),
            _margin(live),
        ),
        FormulaSection(
            "The three verdicts",
            "Reachable: the margin is above 0 and enough replies carry the weights. Possible, but not "
            "reliable: it can be met in the table, but leans on so few replies that the forecast is not to be trusted. "
            "Not possible together: the margin is below 0.",
            (r"\mathrm{ESS}_i = 1 \Big/ \sum_k P_{ik}^2, \qquad P_{ik} \propto e^{\lambda \cdot r_{ik}}",),
            ""
            if ess is None
            else f"{_carried(live)} Trusted from {amounts.significant(trust_threshold(oracle))} "
            f"{'replies a prompt' if per_prompt else 'replies'} on{_pooled(per_prompt)}.",
        ),
        FormulaSection(
            "The nearest palette",
            "Where the targets are not possible, the closest ones that are, in standard deviations; the same solver "
            "with a price on each step away. Locked values have no such price and do not move.",
            (
                r"\min_{c'} \sum_j \Big(\frac{c_j - c'_j}{s_j}\Big)^2 \quad \text{subject to } c' \text{ within reach "
                r"and budget}",
                r"\max_{\lambda \ge 0}\; \lambda \cdot c - A(\lambda) - \frac{1}{2\rho} \sum_j (s_j \lambda_j)^2, "
                r"\qquad "
                r"c'_j = c_j - \frac{s_j^2 \lambda_j}{\rho}",
            ),
            _nearest(live),
        ),
        FormulaSection(
            "The frontier",
            "The most of two values together for a budget of nats. Every point of it is the aligned model of some "
            "weights, so linear weights suffice.",
            (r"\max_p\; w \cdot \mu \quad \text{subject to} \quad \mathrm{KL} \le b",),
        ),
        FormulaSection(
            "What asking for a little more costs",
            "The weight of a value is its price: nats for one more unit of it. The same derivatives say how the other "
            "levels move.",
            (
                r"\frac{\partial\, \mathrm{KL}^\star}{\partial c_j} = \lambda_j, \qquad "
                r"\frac{\partial \lambda_F}{\partial c_F} = H_{FF}^{-1}, \qquad "
                r"\frac{\partial \mu_j}{\partial c_F} = H_{jF} H_{FF}^{-1}, \qquad H = \nabla^2 A",
            ),
            _price(live),
        ),
        FormulaSection(
            "How sure it is",
            "The table is a sample of prompts, so every figure has an error. It is estimated from how much the prompts "
            "differ, by a formula or by drawing the prompts again, and checked on prompts that were not solved on.",
            (
                r"\mathrm{Var}(\hat\lambda) \approx \frac{1}{n} H^{-1} S H^{-1}, \qquad S = \mathrm{Cov}_i\big(c - "
                r"\mu_i(\lambda)\big)",
            ),
            live.answer.sure,
        ),
        FormulaSection(
            "Generating",
            "The base model writes K candidates and one is drawn. That can spend log K nats at the most, and gives "
            "what a table with K replies per prompt forecasts, up to the sampling of prompts.",
            (r"\Pr(k) = \frac{e^{\lambda \cdot r_k}}{\sum_l e^{\lambda \cdot r_l}}, \qquad \mathrm{KL} \le \log K",),
            f"Here log K is {amounts.nats(oracle.log_candidates)} for "
            f"{amounts.fixed(math.exp(oracle.log_candidates))} replies."
            if per_prompt
            else "",
        ),
        FormulaSection(
            "One value after another",
            "Aligning values in turn, each step from the last model, moves one weight at a time. One round depends on "
            "the order and undoes part of what came before; repeated rounds maximise the same function and end at the "
            "same weights.",
            (
                r"\lambda_j \leftarrow \arg\max_{\lambda_j \ge 0}\; g(\lambda_1, \ldots, \lambda_m) \quad \text{for } "
                r"j \text{ in order}",
            ),
        ),
        FormulaSection(
            "Several groups",
            "A common palette raises the share of the way that the group with the least gets, or the product of all "
            "shares, for a budget of nats.",
            (
                r"\max_p \min_g \sigma_g \quad \text{or} \quad \max_p \sum_g \log \sigma_g \quad \text{subject to } "
                r"\mathrm{KL} \le b",
            ),
        ),
        FormulaSection(
            "Training a model",
            "Because one weighted reward is enough, a trainer that maximises it less the divergence from the base "
            "model, with coefficient 1, aims at the same model. RLOO does, with nothing rescaled; GRPO ends elsewhere.",
            (r"\max_p\; \mathbb{E}\big[\lambda \cdot r(x, y)\big] - \mathrm{KL}(p \,\|\, p_0)",),
        ),
    ]


def _count(live: LiveAnswer) -> int:
    return int(np.sum(~np.isnan(live.assessment.targets)))


def _dual(live: LiveAnswer) -> str:
    solution = live.assessment.solution
    if solution is None:
        return "This palette is not possible, so the function has no maximum."
    targets = np.nan_to_num(live.assessment.targets)
    normaliser = live.scene.oracle.moments(solution.weights).log_normaliser
    maximum = float(solution.weights @ targets) - normaliser
    return (
        f"Here the maximum is {amounts.nats(maximum, 4)} after {solution.steps} steps, and the distance of the model "
        f"that it belongs to is {amounts.fixed(solution.kl, 4)}: the two agree, as they must."
    )


def _margin(live: LiveAnswer) -> str:
    margin, names = live.assessment.margin, live.scene.names
    if math.isinf(margin.value):
        return "Nothing is asked for, so there is nothing to miss."
    if margin.attainable:
        return (
            f"Here the margin is {amounts.fixed(margin.value, 3)}: that many standard deviations could be added on top "
            "of every target."
        )
    mix = [f"{amounts.percent(w)} {names[j]}" for j, w in enumerate(margin.certificate) if w > 0.005]
    return f"Here the margin is {amounts.fixed(margin.value, 3)}, and the proof is the mix {sentences.listed(mix)}."


def _carried(live: LiveAnswer) -> str:
    assert live.assessment.ess is not None
    figure, meaning = sentences.ess_text(live.assessment.ess, live.scene.oracle.form)
    return f"Here {figure} {meaning}"


def _pooled(per_prompt: bool) -> str:
    return f", and {TRUSTED_POOLED:g} in all" if per_prompt else ""


def _nearest(live: LiveAnswer) -> str:
    nearest = live.assessment.nearest
    if live.assessment.verdict is Verdict.REACHABLE:
        return "This palette is possible, so it is its own nearest one."
    if nearest is None:
        return "No palette near this one is possible with what is locked."
    given_up = amounts.fixed(float(np.linalg.norm(np.nan_to_num(nearest.given_up))), 3)
    return f"Here it gives up {given_up} standard deviations in all."


def _price(live: LiveAnswer) -> str:
    solution = live.assessment.solution
    if solution is None or local_sensitivity(solution).bottleneck is None:
        return ""
    name, share = sentences.bottleneck(local_sensitivity(solution), live.scene.names)
    return f"The bottleneck here is {name[:1].lower() + name[1:]}: {share[:1].lower() + share[1:]}"


def draw_sections(live: LiveAnswer) -> None:
    """Draw every topic: a sentence, its formula, and its figures for the current palette."""
    st.html(
        markup.note(
            "Each topic has a sentence, its formula, and its figures for your palette. Symbols: x a prompt, y a reply, "
            "r its rewards, c the targets, λ the weights, s standard deviations under the base model."
        )
    )
    for section in formula_sections(live):
        with st.expander(section.title):
            st.html(markup.note(section.plain))
            with st.container(horizontal=True, vertical_alignment="center", gap="large"):
                for part in section.parts:
                    st.latex(part, width="content")
            if section.here:
                st.text(section.here)
