"""Classifiers and reward models with known settings: the paper's, and two with several heads.

None of them was run by this project. The settings are those of the models' pages and of published code. Constraint:
data only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: A pair, with a space before the second line break, as on the models' pages.
_HH = "\n\nHuman: {prompt} \n\nAssistant:{next}{reply}"
_ARMO = (
    "helpsteer-helpfulness",
    "helpsteer-correctness",
    "helpsteer-coherence",
    "helpsteer-complexity",
    "helpsteer-verbosity",
    "ultrafeedback-overall_score",
    "ultrafeedback-instruction_following",
    "ultrafeedback-truthfulness",
    "ultrafeedback-honesty",
    "ultrafeedback-helpfulness",
    "beavertails-is_safe",
    "prometheus-score",
    "argilla-overall_quality",
    "argilla-judge_lm",
    "code-complexity",
    "code-style",
    "code-explanation",
    "code-instruction-following",
    "code-readability",
)


@dataclass(frozen=True)
class KnownClassifier:
    """A model whose settings are known.

    Args:
        model: its name on the hub.
        measures: one sentence on what a higher reward means.
        misses: one sentence on what it does not measure.
        licence: of the weights, according to its page.
        gigabytes: memory of its weights, in float32 for those below 2 and in bfloat16 for others.
        settings: of :class:`map_core.scoring.classifier.Classifier`.
        outputs: the names of its outputs in order, where there are several to choose from.
        refused: the reason why it cannot be used; "" where it can.
    """

    model: str
    measures: str
    misses: str
    licence: str
    gigabytes: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    refused: str = ""


KNOWN_CLASSIFIERS: dict[str, KnownClassifier] = {
    "helpful": KnownClassifier(
        "Ray2333/gpt2-large-helpful-reward_model",
        "How helpful people find the reply, as learned from Anthropic's helpful-or-harmless comparisons.",
        "Whether it is true; long and willing replies score high.",
        "see its page",
        3.1,
        {"template": _HH},
    ),
    "harmless": KnownClassifier(
        "Ray2333/gpt2-large-harmless-reward_model",
        "How harmless people find the reply, as learned from Anthropic's helpful-or-harmless comparisons.",
        "Whether it is of use; refusing scores high.",
        "see its page",
        3.1,
        {"template": _HH},
    ),
    "humor": KnownClassifier(
        "mohameddhiab/humor-no-humor",
        "How much the reply reads like a joke.",
        "Whether it is funny to the person who asked; trained on short jokes.",
        "see its page",
        0.3,
        {"template": "reply", "output": 1},
    ),
    "positive": KnownClassifier(
        "lvwerra/distilbert-imdb",
        "How positive the reply is, as film reviews are.",
        "Everything but sentiment; trained on film reviews.",
        "see its page",
        0.3,
        {"template": "reply", "output": 1},
    ),
    "armo": KnownClassifier(
        "RLHFlow/ArmoRM-Llama3-8B-v0.1",
        "One of nineteen ratings: helpfulness, correctness, honesty, safety and others.",
        "What its raters missed; English. Only its ratings are read, not the gate that mixes them into one.",
        "Llama 3 community licence",
        15.0,
        {"template": "chat", "head": "regression_layer.weight"},
        _ARMO,
    ),
    "urm": KnownClassifier(
        "LxzGordon/URM-LLaMa-3.1-8B",
        "One of five ratings: helpfulness, correctness, coherence, complexity, verbosity.",
        "What its raters missed; English.",
        "see its page; built on Skywork's reward model, under its community licence",
        15.0,
        refused=(
            "its head gives a mean and a spread for each rating by code of its own, and code that comes with a model "
            "is never run here (trust_remote_code is off). Serve it with vLLM or its own script, or take armo"
        ),
    ),
}
