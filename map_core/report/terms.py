"""The words that a report uses, each in a sentence, for a reader who meets them for the first time."""

from __future__ import annotations

TERMS = (
    ("Value", "What is scored, such as helpfulness or humor."),
    ("Scorer", "The function that gives each reply a number, the reward, for one value. Higher is better."),
    ("Level", "The average reward of a model's replies: of the base model, or realised by the palette."),
    ("Target", "The level that is asked of a value."),
    ("Palette", "The targets of all values together, and what they lead to."),
    ("Percentile", "p70 is the level that 70 of 100 of the base model's own replies do not pass."),
    ("Weight", "How strongly a value steers the choice of replies, per unit of its reward; lambda in the paper."),
    ("Base model", "The model as it is, with its sampling settings."),
    ("Aligned model", "The base model with its replies chosen by the weights."),
    ("Candidate", "One of the K replies drawn for a prompt, of which one is chosen."),
    (
        "Nats",
        "The distance from the base model (KL divergence). The best of N drafts spends log N - (N - 1)/N of them.",
    ),
    ("Budget", "The most nats that may be spent."),
    (
        "Verdict",
        "Reachable; reachable on paper, where too few replies carry the weight to be trusted; or out of reach, with a "
        "proof.",
    ),
    (
        "Certificate",
        "The proof that a palette is out of reach: a mix of values of which even the best replies give less.",
    ),
    ("Price", "What one more step of a target costs in nats."),
    ("Bottleneck", "The value whose target costs most."),
    ("Frontier", "The best that can be had of two values together at a budget."),
    (
        "Held-out check",
        "Weights are solved on some prompts and measured on the others, so that no prompt judges its own weights.",
    ),
)
