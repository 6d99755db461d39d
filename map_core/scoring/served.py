"""Score values with a reward model or classifier on a server: vLLM's pooling endpoints, OpenRLHF's reward server.

If the server offers a choice, raw outputs are requested, and the answers are checked to be raw. Constraint: the
client's library loads with the first score; the key comes only from the environment and is in no table, log or message.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.models.endpoint import KEYS_BY_HOST
from map_core.models.refused_fields import OptionalField
from map_core.scoring.base import Card, Cost, Scorer, ScorerError
from map_core.scoring.definition import title_from
from map_core.scoring.score_server import ScoreServer, model_address, open_server, send
from map_core.scoring.served_endpoints import (
    ENDPOINTS,
    GET_REWARD,
    SCORE,
    ServedText,
    UnexpectedAnswer,
    body_of,
    outputs_in,
)
from map_core.scoring.settings import Setting, check_settings
from map_core.scoring.shared_models import ScoringModels
from map_core.scoring.templates import filled

SERVED = "served"
_SETTINGS = {
    "model": Setting(str, "NAME@http://HOST:PORT, the model's name and the address of its server"),
    "endpoint": Setting(str, f"how the server is asked: {', '.join(ENDPOINTS)}"),
    "output": Setting(int, "which output is the reward, its number from 0"),
    "scale": Setting(str, "logit, probability, or served for what the server gives unasked"),
    "sign": Setting(int, "1, or -1 where a lower output is more of the value"),
    "template": Setting(str, "reply, pair, chat, or a text with {prompt} and {reply}; {next} parts a pair"),
    "token": Setting(str, "last, where the server gives outputs for each token"),
    "longest": Setting(int, "tokens that the server is to cut a text to; -1 for as many as its model reads"),
    "batch": Setting(int, "texts of one request"),
    "at_once": Setting(int, "requests side by side"),
    "seconds": Setting((int, float), "seconds to wait for an answer"),
    "title": Setting(str, "the name that people read"),
    "measures": Setting(str, "what a higher reward means, in a sentence"),
    "misses": Setting(str, "what it does not see, in a sentence"),
    "licence": Setting(str, "of the weights"),
}
_SCALES = ("logit", "probability", "served")
#: Texts with which it is checked whether the server returns raw outputs on request.
_PROBES = ("Yes, of course, gladly!", "No.", "The cat sat on the mat, and the dog sat beside it.")
_KEPT = 10_000
#: vLLM's field that selects raw outputs or probabilities; up to version 0.11 it had the second name.
_ACTIVATION = ("use_activation", "activation")


class Served(Scorer):
    """sign x the output of a model on a server, for a reply, or for prompt and reply.

    Args:
        name: the value's name.
        settings: ``model`` and ``endpoint``; see ``python -m map_core values --help`` for the others.
        models: shares the connection among all values of the same server.
        trusted: the operator of this program named this value, so that its server may be called.

    Raises:
        InputError: a missing, unknown or invalid setting.
    """

    family = SERVED

    def __init__(self, name: str, settings: Mapping[str, Any], models: ScoringModels, *, trusted: bool = False) -> None:
        checked = check_settings(f"the value {name!r}", settings, _SETTINGS)
        address = model_address(name, checked, _SETTINGS, ("model", "endpoint"))
        self._endpoint = checked["endpoint"]
        self._scale = checked.get("scale", "served" if self._endpoint == GET_REWARD else "logit")
        self._template = checked.get("template", {SCORE: "pair"}.get(self._endpoint, ""))
        _check(name, checked, self._endpoint, self._scale, self._template)
        self._given, self._models, self._address, self._trusted = checked, models, address, trusted
        self._known: OrderedDict[ServedText, np.ndarray] = OrderedDict()
        self._options: dict[str, Any] | None = None  # what the server is asked for, once it is known to take it
        self.card = Card(
            name=name,
            title=str(checked.get("title", title_from(name))),
            measures=str(checked.get("measures", f"What the model {address.name} on its server gives for it.")),
            misses=str(checked.get("misses", "What the model was not trained on; judge pairs to see.")),
            licence=str(checked.get("licence", "that of the model, see its page")),
            source=checked["model"],
            version="1",
            partial=False,
            costs=Cost.NETWORK,
            needs=(f"the server of {checked['model']}", f"its key in {KEYS_BY_HOST}, if it wants one"),
        )

    @property
    def version(self) -> str:
        """The scorer's version, the model and the settings that affect rewards."""
        keys = ("output", "sign", "token", "longest")
        how = "-".join(map(str, (self._endpoint, self._scale, self._template, *map(self._given.get, keys))))
        return f"{self.card.version}/{self._given['model']}/{how}"

    @property
    def reading(self) -> str:
        """A sentence on the requested kind of output."""
        turned = ", with its sign turned round" if self._given.get("sign", 1) < 0 else ""
        return {
            "logit": f"The model's raw output, as asked for (a logit){turned}.",
            "probability": f"The server's own softmax or sigmoid over the model's outputs, as asked for{turned}.",
            "served": f"What the server gives, whatever that is{turned}.",
        }[self._scale]

    def settings(self) -> dict[str, Any]:
        """Return the settings as they were given; never the key."""
        return dict(self._given)

    def check(self) -> None:
        """Ask the server for one reply's score.

        Raises:
            EngineError: the server does not answer, or refuses.
            ScorerError: the answer has an unexpected form.
        """
        self.score("Hello.", [Reply(_PROBES[0])])

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the model's output for each reply, float64.

        Raises:
            ScorerError: the answer does not have one score per reply.
            EngineError: the server does not answer, or refuses.
        """
        return self.score_many([prompt], [replies])[0]

    def score_many(self, prompts: Sequence[str], replies: Sequence[Sequence[Reply]]) -> list[np.ndarray]:
        """Score as :meth:`score` does, in batches over all prompts."""
        if not any(len(own) for own in replies):
            return [np.zeros(0) for _ in replies]
        texts = [self._text(prompt, reply.text) for prompt, own in zip(prompts, replies, strict=True) for reply in own]
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            size = 1 if missing[0].chat else self._given.get("batch", 32)
            batches = [missing[start : start + size] for start in range(0, len(missing), size)]
            server = self._server()
            if self._options is None:
                self._options = self._agreed(server)
            with ThreadPoolExecutor(min(self._given.get("at_once", 8), len(batches))) as pool:
                for batch, outputs in zip(batches, pool.map(lambda b: self._ask(server, b), batches), strict=True):
                    self._known.update(zip(batch, outputs, strict=True))
        rewards = np.array([self._reward(self._known[text]) for text in texts], dtype=np.float64)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return np.split(rewards, np.cumsum([len(own) for own in replies])[:-1])

    def _text(self, prompt: str, reply: str) -> ServedText:
        match self._template:
            case "reply":
                return ServedText(prompt, reply)
            case "pair" | "chat":
                return ServedText(prompt, prompt, reply, chat=self._template == "chat")
        first, pair, second = self._template.partition("{next}")
        return ServedText(prompt, filled(first, prompt, reply), filled(second, prompt, reply) if pair else None)

    def _reward(self, outputs: np.ndarray) -> float:
        output = self._given.get("output", 0 if len(outputs) == 1 else None)
        if output is None or not 0 <= output < len(outputs):
            stated = "" if output is None else f" output of {self.name!r} is {output}."
            raise InputError(
                f"{self._given['model']} has {len(outputs)} outputs; say which one is {self.name!r}: "
                f"output = 0 to {len(outputs) - 1}.{stated}"
            )
        reward = float(outputs[output])
        if self._scale == "probability" and not 0.0 <= reward <= 1.0:
            raise ScorerError(
                f"The server of {self.name!r} gives {reward} although a probability was asked for. Take scale = "
                '"served" if that is the reward.'
            )
        return self._given.get("sign", 1) * reward

    # Requests

    def _server(self) -> ScoreServer:
        return open_server(
            self._models,
            self._address,
            (SERVED, self._endpoint),
            lambda url: url.removesuffix(f"/{self._endpoint}").removesuffix("/v1"),
            [OptionalField(name) for name in _ACTIVATION],
            float(self._given.get("seconds", 60.0)),
            trusted=self._trusted,
        )

    def _agreed(self, server: ScoreServer) -> dict[str, Any]:
        """Return the options of requests, after checking that the server heeds them.

        Servers ignore unknown fields, so that an older vLLM always returns probabilities.
        """
        if self._endpoint == GET_REWARD:
            return {}
        options: dict[str, Any] = {}
        longest = self._given.get("longest")
        if longest is not None:
            side = "right" if self._template in ("reply", "pair") or "{next}" in self._template else "left"
            options |= {"truncate_prompt_tokens": longest, "truncation_side": side}
        if self._scale == "served":
            return options
        fields = options | dict.fromkeys(_ACTIVATION, self._scale == "probability")
        if self._scale == "probability":
            return fields
        probes = [self._text("Hello.", reply) for reply in _PROBES]
        raw, applied = (
            np.vstack([self._ask(server, [probe], fields | more) for probe in probes])
            for more in ({}, dict.fromkeys(_ACTIVATION, True))
        )
        if np.allclose(raw, applied, rtol=1e-6, atol=1e-9) and ((raw >= 0) & (raw <= 1)).all():
            raise ScorerError(
                f"The server of {self.name!r} gives the same numbers from 0 to 1 whether raw outputs or probabilities "
                'are asked for, so they may be either. Take scale = "probability" if they are probabilities, or '
                'scale = "served" to take them as they are; vLLM from 0.12 gives raw outputs.'
            )
        return fields

    def _ask(
        self, server: ScoreServer, texts: Sequence[ServedText], options: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Request the outputs of texts, (text, output); ``options`` are by default those of :meth:`_agreed`."""
        body = body_of(self._endpoint, self._address.name, texts, (self._options if options is None else options) or {})

        def call(form: dict[str, Any]) -> Any:
            return server.client.post(f"/{self._endpoint}", body=form, cast_to=object)

        who = f"The server of {self.name!r}"
        answer = send(server, body, call, self._address, who=who, fails="gives no scores", mend=_MEND)
        try:
            return outputs_in(self._endpoint, answer, len(texts), "token" in self._given)
        except UnexpectedAnswer as error:
            raise ScorerError(
                f"{who} gives no scores at /{self._endpoint}: {error}. See which endpoint serves this model."
            ) from error


_MEND = (
    "See that the server is up, that it serves this model at that endpoint, and that its address and key are right; "
    "the same command resumes where it stopped."
)


def _check(name: str, settings: Mapping[str, Any], endpoint: str, scale: str, template: str) -> None:
    """Refuse settings from which no request can be built."""
    if endpoint not in ENDPOINTS:
        raise InputError(f"endpoint of {name!r} is {endpoint!r}; expected one of {', '.join(ENDPOINTS)}.")
    if scale not in _SCALES or (endpoint == GET_REWARD and scale != "served"):
        expected = "served, as get_reward knows no other" if endpoint == GET_REWARD else ", ".join(_SCALES)
        raise InputError(f"scale of {name!r} is {scale!r}; expected {expected}.")
    one_text = template == "reply" or ("{reply}" in template and "{next}" not in template)
    two_texts = template == "pair" or ("{reply}" in template and "{next}" in template)
    fits = two_texts if endpoint == SCORE else one_text or (template == "chat" and endpoint != GET_REWARD)
    if not fits:
        expected = {
            SCORE: "pair, or a text with {prompt}, {next} and {reply}",
            GET_REWARD: "reply, or the whole text that the server scores, with {prompt} and {reply}",
        }.get(endpoint, "reply, chat, or a text with {prompt} and {reply}")
        raise InputError(f"template of {name!r} is {template!r}; for endpoint = {endpoint!r} expected {expected}.")
    if settings.get("sign", 1) not in (1, -1):
        raise InputError(f"sign of {name!r} is {settings['sign']!r}; expected 1 or -1.")
    if settings.get("token", "last") != "last":
        raise InputError(f"token of {name!r} is {settings['token']!r}; expected last.")
    longest = settings.get("longest", 1)
    if longest < -1 or longest == 0 or ("longest" in settings and endpoint == GET_REWARD):
        raise InputError(
            f"longest of {name!r} is {longest}; expected a number of tokens from 1, or -1, and none with "
            f"endpoint = {GET_REWARD!r}, whose server cuts texts by itself."
        )
    if min(settings.get("at_once", 1), settings.get("batch", 1)) < 1 or settings.get("seconds", 1) <= 0:
        raise InputError(f"at_once, batch and seconds of {name!r} must be above 0.")
