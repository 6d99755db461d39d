"""Score values with a sequence classifier or reward model of transformers, by name or folder.

Constraint: no model library at import time; the model loads with the first score.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.models.conversion import read_config
from map_core.models.files import locate
from map_core.scoring.base import Card, Cost, Scorer
from map_core.scoring.definition import title_from
from map_core.scoring.known_classifiers import KNOWN_CLASSIFIERS
from map_core.scoring.sequence_model import (
    SequenceModel,
    Text,
    activation_of,
    labels_of,
    open_sequence_model,
    refuse_own_code,
)
from map_core.scoring.settings import Setting, check_settings
from map_core.scoring.shared_models import ScoringModels
from map_core.scoring.templates import filled

CLASSIFIER = "classifier"
_LOG = logging.getLogger(__name__)
_APPLIED = {
    "softmax": "The softmax over the model's outputs",
    "sigmoid": "The sigmoid of the model's output",
    "none": "Nothing: the model's outputs are no probabilities",
}
_SETTINGS = {
    "model": Setting(str, "the model's name on a hub, or its folder"),
    "ready": Setting(str, f"instead of model, one of {', '.join(KNOWN_CLASSIFIERS)}"),
    "output": Setting((int, str), "which output is the reward: its number from 0, or its label"),
    "scale": Setting(str, "logit or probability"),
    "activation": Setting(
        str, "softmax or sigmoid, where a probability is not what transformers' pipeline makes of it"
    ),
    "sign": Setting(int, "1, or -1 where a lower output is more of the value"),
    "template": Setting(str, "reply, pair, chat, or a text with {prompt} and {reply}; {next} parts a pair"),
    "longest": Setting(int, "tokens that are read at most"),
    "head": Setting(str, "the name of a linear head's weights, for classes that transformers lacks"),
    "device": Setting(str, "cpu or cuda"),
    "title": Setting(str, "the name that people read"),
    "measures": Setting(str, "what a higher reward means, in a sentence"),
    "misses": Setting(str, "what it does not see, in a sentence"),
    "licence": Setting(str, "of the weights"),
}

#: Replies after which a long-lived scorer resets its counts.
MOST_COUNTED = 1_000_000


class Classifier(Scorer):
    """The output of a model for a reply, or for prompt and reply.

    sign x logit, or sign x probability: softmax over the outputs, or the sigmoid of each where the model has one output
    or several labels at once, as transformers' text-classification pipeline decides; ``activation`` overrules it.

    Args:
        name: the value's name.
        settings: see ``python -m map_core values --help``; at least ``model`` or ``ready``.
        models: shares the model among all values that use it.

    Raises:
        InputError: an unknown or invalid setting, or a model that cannot be used.
    """

    family = CLASSIFIER

    def __init__(self, name: str, settings: Mapping[str, Any], models: ScoringModels) -> None:
        given = check_settings(f"the value {name!r}", settings, _SETTINGS)
        self._given, self._models = given, models
        self._name_of_model, full = _model_of(name, given)
        self._full = full
        self._output = full.get("output")
        self._scale, self._sign = full.get("scale", "logit"), full.get("sign", 1)
        self._template = full.get("template", "pair")
        if self._scale not in ("logit", "probability"):
            raise InputError(f"scale of {name!r} is {self._scale!r}; expected logit or probability.")
        self._activation = full.get("activation")
        if self._activation is not None and (
            self._activation not in ("softmax", "sigmoid") or self._scale != "probability"
        ):
            raise InputError(
                f"activation of {name!r} is {self._activation!r}; expected softmax or sigmoid, with scale = "
                '"probability".'
            )
        if self._sign not in (1, -1):
            raise InputError(f"sign of {name!r} is {self._sign!r}; expected 1 or -1.")
        if self._template not in ("reply", "pair", "chat") and "{reply}" not in self._template:
            raise InputError(
                f"template of {name!r} is {self._template!r}; expected reply, pair, chat, or a text with "
                "{prompt} and {reply} in it."
            )
        if full.get("longest", 1) < 1:
            raise InputError(f"longest of {name!r} is {full['longest']}; expected a number of tokens from 1.")
        self.card = Card(
            name=name,
            title=str(full.get("title", title_from(name))),
            measures=str(full.get("measures", f"What the model {self._name_of_model} gives for it.")),
            misses=str(full.get("misses", "What the model was not trained on; judge pairs to see.")),
            licence=str(full.get("licence", "that of the model, see its page")),
            source=self._name_of_model,
            version="2",
            partial=False,
            costs=Cost.MODEL,
            needs=(f"the model {self._name_of_model} on this machine",),
        )
        self._config: Mapping[str, Any] | None = None  # the model's, once it was read
        #: The most times that each reply to a prompt, by hash, was read in one call; and the replies that were cut.
        self._read: dict[int, int] = {}
        self._cut: set[int] = set()

    @property
    def reading(self) -> str:
        """A sentence on how the output becomes the reward, with the model's configuration once it was read."""
        turned = ", with its sign turned round" if self._sign < 0 else ""
        if self._scale == "logit":
            return f"The model's output as it is (a logit){turned}."
        if self._activation is not None:
            return f"{_APPLIED[self._activation]}{turned}, as the values file says."
        if self._config is None:
            return f"A probability, as the model's own configuration says{turned}."
        named = KNOWN_CLASSIFIERS[self._full["ready"]].outputs if "ready" in self._full else ()
        outputs, kind = len(named or labels_of(self._config)), self._config.get("problem_type")
        reason = f'its configuration says "{kind}"' if kind else f"it has {outputs} output{'s' if outputs > 1 else ''}"
        return (
            f"{_APPLIED[activation_of(kind, outputs)]}{turned}: a guess, because {reason}, as transformers' pipeline "
            'has it. If its page says otherwise, name activation, or scale = "logit".'
        )

    @property
    def version(self) -> str:
        """The scorer's version, the model and the settings that affect rewards."""
        read: tuple[Any, ...] = (
            self._output,
            self._scale,
            self._sign,
            self._template,
            self._full.get("longest"),
            self._full.get("head"),
        )
        if self._activation is not None:
            read = (*read, self._activation)
        return f"{self.card.version}/{self._name_of_model}/{'-'.join(map(str, read))}"

    @property
    def read(self) -> int:
        """Number of replies that were read; a repeated one counts once."""
        return sum(self._read.values())

    @property
    def cut(self) -> int:
        """Number of replies whose text was cut at the model's limit."""
        return sum(self._read[text] for text in self._cut)

    def forget_notes(self) -> None:
        """Reset the counts."""
        self._read.clear()
        self._cut.clear()

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on how many replies were cut; empty where none was."""
        return (self.cut_note(self.cut, self.read),) if self.cut else ()

    def was_cut(self, prompt: str, reply: Reply) -> bool:
        """Return whether the text of a reply that was just scored was cut at the model's limit."""
        return hash((prompt, reply.text)) in self._cut

    def cut_note(self, cut: int, read: int) -> str:
        """Return the note on replies that were cut, with the model's name."""
        return (
            f"{cut} of {read} replies were longer than {self._name_of_model} reads; {self.name} was scored "
            "without the rest."
        )

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the model's output for each reply, float64."""
        return self.score_many([prompt], [replies])[0]

    def score_many(self, prompts: Sequence[str], replies: Sequence[Sequence[Reply]]) -> list[np.ndarray]:
        """Score as :meth:`score` does, in batches over all prompts."""
        if not any(len(own) for own in replies):
            return [np.zeros(0) for _ in replies]
        model = self._opened()
        pairs = [(prompt, reply.text) for prompt, own in zip(prompts, replies, strict=True) for reply in own]
        texts = [self._text(model, *pair) for pair in pairs]
        outputs, cut = model.outputs(texts, cut_start=self._cut_start)
        self._count([hash(pair) for pair in pairs], cut)
        ends = np.cumsum([len(own) for own in replies])[:-1]
        return np.split(self._reward(model, outputs), ends)

    @property
    def _cut_start(self) -> bool:
        """Whether long texts are cut at their start: chats and templates of one text, which end with the reply."""
        return self._template not in ("reply", "pair") and "{next}" not in self._template

    def _count(self, texts: Sequence[int], cut: np.ndarray) -> None:
        """Count replies read and cut, and log a warning whenever the number of cut ones has doubled."""
        if len(self._read) > MOST_COUNTED:
            self.forget_notes()
        before = self.cut
        for text, times in Counter(texts).items():
            self._read[text] = max(times, self._read.get(text, 0))
        self._cut.update(text for text, was_cut in zip(texts, cut, strict=True) if was_cut)
        if self.cut.bit_length() > before.bit_length():
            _LOG.warning("%s", self.notes[0])

    def settings(self) -> dict[str, Any]:
        """Return the settings as they were given."""
        return dict(self._given)

    def _opened(self) -> SequenceModel:
        head, device, longest = (self._full.get(key) for key in ("head", "device", "longest"))
        key = (self._name_of_model, head, device, longest)
        model = self._models.shared(key, lambda: open_sequence_model(self._name_of_model, head, device, longest))
        if self._config is None:
            self._config = read_config(model.files.folder)
        return model

    def _text(self, model: SequenceModel, prompt: str, reply: str) -> Text:
        match self._template:
            case "reply":
                return Text(reply)
            case "pair":
                return Text(prompt, reply)
            case "chat":
                return model.chat(prompt, reply)
        first, pair, second = self._template.partition("{next}")
        text = model.text(filled(first, prompt, reply))
        return replace(text, second=filled(second, prompt, reply)) if pair else text

    def check(self) -> None:
        """Check that the model is on this machine, needs no code of its own, and has the named output."""
        head = self._full.get("head")
        files = locate(self._name_of_model)
        refuse_own_code(files, head)
        self._config = read_config(files.folder)
        if head is None:
            labels = labels_of(self._config)
            self._column(labels, len(labels))

    def _column(self, labels: Mapping[int, str], outputs: int) -> int:
        """Return the index of the output that is the reward.

        Args:
            labels: of the model's outputs, by index.
            outputs: their number.

        Raises:
            InputError: the named output does not exist, or none is named and there are several.
        """
        names = _named(labels, self._given, outputs)
        if self._output is None:
            if outputs == 1:
                return 0
            raise InputError(
                f"{self._name_of_model} has {outputs} outputs; say which one is {self.name!r}: output = "
                f"{' or '.join(map(repr, names))}."
            )
        if isinstance(self._output, str) and self._output in names:
            return names.index(self._output)
        if isinstance(self._output, int) and 0 <= self._output < outputs:
            return self._output
        raise InputError(
            f"output of {self.name!r} is {self._output!r}; {self._name_of_model} has {', '.join(map(repr, names))}."
        )

    def _reward(self, model: SequenceModel, outputs: np.ndarray) -> np.ndarray:
        column = self._column(model.labels, outputs.shape[1])
        if self._scale == "probability":
            outputs = model.probabilities(outputs, self._activation)
        return np.asarray(self._sign * outputs[:, column])


def _model_of(name: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the model's name and all settings, including those of a ready entry."""
    if ("model" in given) == ("ready" in given):
        raise InputError(f"The value {name!r} needs either model or ready ({', '.join(KNOWN_CLASSIFIERS)}).")
    if "model" in given:
        return given["model"], dict(given)
    if given["ready"] not in KNOWN_CLASSIFIERS:
        raise InputError(f"ready of {name!r} is {given['ready']!r}; there are {', '.join(KNOWN_CLASSIFIERS)}.")
    entry = KNOWN_CLASSIFIERS[given["ready"]]
    if entry.refused:
        raise InputError(f"{entry.model} cannot be used: {entry.refused}.")
    known = {"measures": entry.measures, "misses": entry.misses, "licence": entry.licence}
    return entry.model, known | dict(entry.settings) | dict(given)


def _named(labels: Mapping[int, str], given: Mapping[str, Any], outputs: int) -> list[str]:
    ready = KNOWN_CLASSIFIERS[given["ready"]].outputs if "ready" in given else ()
    if len(ready) == outputs:
        return list(ready)
    return [labels.get(index, str(index)) for index in range(outputs)]
