"""Score values by the expected rating of a language model on an OpenAI-compatible server.

The judge is asked for one digit, and the server for the log-probabilities of the alternatives; the reward is the mean
of the digits under their probabilities, so that it is continuous and deterministic. Constraint: openai loads with the
first score; the key comes only from the environment and is in no table, log or message.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from map_core.core.types import Reply
from map_core.errors import InputError
from map_core.models.endpoint import KEYS_BY_HOST
from map_core.models.refused_fields import OptionalField, left_out, lowered, renamed
from map_core.models.request_extra import check_request_extra
from map_core.scoring.base import Card, Cost, Scorer, ScorerError
from map_core.scoring.definition import title_from
from map_core.scoring.score_server import ScoreServer, model_address, open_server, send
from map_core.scoring.settings import Setting, check_settings
from map_core.scoring.shared_models import ScoringModels

JUDGE = "judge"
_SETTINGS = {
    "model": Setting(str, "NAME@http://HOST:PORT/v1"),
    "question": Setting(str, "what is rated, as in 'How polite is the reply?'"),
    "lowest": Setting(int, "the lowest rating, 0 to 8"),
    "highest": Setting(int, "the highest rating, up to 9"),
    "low_means": Setting(str, "what the lowest rating means"),
    "high_means": Setting(str, "what the highest rating means"),
    "at_once": Setting(int, "requests side by side"),
    "seconds": Setting((int, float), "seconds to wait for an answer"),
    "extra": Setting(dict, 'further fields of every request, as {reasoning_effort = "low"}'),
    "title": Setting(str, "the name that people read"),
    "licence": Setting(str, "of the judge"),
}
#: Least probability of all digits together as the judge's next token; below it the judge is not rating.
MIN_DIGIT_MASS = 0.05
_TOP, _KEPT = 20, 10_000
#: Fields that servers refuse, with their replacements: fewer alternatives to the judge's token, and at last none.
_OPTIONAL = (
    OptionalField("max_tokens", (renamed("max_completion_tokens"),)),
    OptionalField("top_logprobs", (*(lowered("top_logprobs", most) for most in (10, 5, 3)), left_out)),
)
_INSTRUCTIONS = (
    "You rate replies. {question}\n\nThe prompt was:\n<<<\n{prompt}\n>>>\n\nThe reply is:\n<<<\n{reply}\n>>>\n\n"
    "{question} Answer with one digit from {lowest} ({low_means}) to {highest} ({high_means}) and nothing else."
)


class Judge(Scorer):
    """The expected rating: sum over digits d of d p(d) / sum over digits of p(d).

    Args:
        name: the value's name.
        settings: ``model`` and ``question``; see ``python -m map_core values --help`` for the others.
        models: shares the connection among all values of the same server.
        trusted: the operator of this program named this value, so that its server may be called.

    Raises:
        InputError: a missing, unknown or invalid setting.
    """

    family = JUDGE

    def __init__(self, name: str, settings: Mapping[str, Any], models: ScoringModels, *, trusted: bool = False) -> None:
        checked = check_settings(f"the value {name!r}", settings, _SETTINGS)
        address = model_address(name, checked, _SETTINGS, ("model", "question"))
        self._lowest, self._highest = checked.get("lowest", 1), checked.get("highest", 9)
        if not 0 <= self._lowest < self._highest <= 9:
            raise InputError(
                f"The ratings of {name!r} go from {self._lowest} to {self._highest}; expected two digits, the lowest "
                "below the highest."
            )
        if checked.get("at_once", 1) < 1 or checked.get("seconds", 1) <= 0:
            raise InputError(f"at_once and seconds of {name!r} must be above 0.")
        self._extra = check_request_extra(checked.get("extra", {}))
        self._given, self._models, self._address, self._trusted = checked, models, address, trusted
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.card = Card(
            name=name,
            title=str(checked.get("title", title_from(name))),
            measures=f"What the judge answers to: {checked['question']}",
            misses="What the judge cannot tell; judges favour long replies and their own style.",
            licence=str(checked.get("licence", "that of the judge, see its page")),
            source="Expected rating from token probabilities, after Liu et al., G-Eval, EMNLP 2023",
            version="1",
            partial=False,
            costs=Cost.NETWORK,
            needs=(f"the server of {checked['model']}", f"its key in {KEYS_BY_HOST}, if it wants one"),
        )

    @property
    def version(self) -> str:
        """The scorer's version, the judge and its instructions."""
        extra = f"/{json.dumps(self._extra, sort_keys=True)}" if self._extra else ""
        return f"{self.card.version}/{self._given['model']}/{self._instructions('', '')!r}{extra}"

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        """Return the expected rating of each reply, from the lowest to the highest.

        Raises:
            ScorerError: the judge does not rate a reply: it answers without digits or without probabilities.
            EngineError: the server does not answer, or refuses.
        """
        texts = list(dict.fromkeys(reply.text for reply in replies if (prompt, reply.text) not in self._known))
        if texts:
            server = self._server()
            with ThreadPoolExecutor(min(self._given.get("at_once", 8), len(texts))) as pool:
                ratings_of_texts = pool.map(lambda text: self._rate(server, prompt, text), texts)
                for text, rating in zip(texts, ratings_of_texts, strict=True):
                    self._known[prompt, text] = rating
        ratings = np.array([self._known[prompt, reply.text] for reply in replies], dtype=np.float64)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return ratings

    def settings(self) -> dict[str, Any]:
        """Return the settings as they were given; never the key."""
        return dict(self._given)

    def _instructions(self, prompt: str, reply: str) -> str:
        """Return the message to the judge; braces in the prompt and the reply are not read as placeholders."""
        named = {
            "{question}": self._given["question"],
            "{lowest}": str(self._lowest),
            "{highest}": str(self._highest),
            "{low_means}": self._given.get("low_means", "not at all"),
            "{high_means}": self._given.get("high_means", "very much"),
        }
        instructions = _INSTRUCTIONS
        for placeholder, text in named.items():
            instructions = instructions.replace(placeholder, text)
        before, _, rest = instructions.partition("{prompt}")
        middle, _, after = rest.partition("{reply}")
        return before + prompt + middle + reply + after

    def _server(self) -> ScoreServer:
        seconds = float(self._given.get("seconds", 60.0))
        return open_server(self._models, self._address, ("judge",), str, _OPTIONAL, seconds, trusted=self._trusted)

    def _rate(self, server: ScoreServer, prompt: str, reply: str) -> float:
        def call(form: dict[str, Any]) -> Any:
            fields = {name: value for name, value in form.items() if name not in ("model", "messages")}
            messages = form["messages"]
            return server.client.chat.completions.create(model=form["model"], messages=messages, extra_body=fields)

        body = {
            "model": self._address.name,
            "messages": [{"role": "user", "content": self._instructions(prompt, reply)}],
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": _TOP,
            **self._extra,
        }
        who = f"The judge of {self.name!r}"
        answer = send(server, body, call, self._address, who=who, fails="does not rate", mend=_MEND)
        return self._expected(_first_token(answer, self.name))

    def _expected(self, log_probs: Mapping[str, float]) -> float:
        """Return the expected rating from the log-probabilities of the judge's next token."""
        mass = dict.fromkeys(range(self._lowest, self._highest + 1), 0.0)
        for token, log_prob in log_probs.items():
            text = token.strip()
            if text.isascii() and text.isdigit() and int(text) in mass and len(text) == 1:
                mass[int(text)] += math.exp(min(log_prob, 0.0))
        total = sum(mass.values())
        if not total >= MIN_DIGIT_MASS:
            likely = max(log_probs, key=lambda token: log_probs[token], default="")
            raise ScorerError(
                f"The judge of {self.name!r} gives no rating from {self._lowest} to {self._highest} but {likely!r}. "
                "Take a model that follows instructions, or ask another question."
            )
        return sum(digit * share for digit, share in mass.items()) / total


_MEND = "See that the server is up and its address and key are right; the same command resumes where it stopped."


def _first_token(answer: Any, name: str) -> dict[str, float]:
    """Return the log-probabilities of the judge's first token by its text; those of equal texts are added up."""
    try:
        content = answer.choices[0].logprobs.content
        first = next(iter(content))
        alternatives = [
            (alternative.token, float(alternative.logprob)) for alternative in (first.top_logprobs or [first])
        ]
    except (AttributeError, IndexError, TypeError, StopIteration, ValueError) as error:
        raise ScorerError(
            f"The server of {name!r} tells no log-probabilities, so there is no expected rating. Use one that does "
            "(vLLM, llama.cpp, SGLang)."
        ) from error
    log_probs: dict[str, float] = {}
    for token, log_prob in alternatives:
        if not math.isnan(log_prob):
            log_probs[token] = float(np.logaddexp(log_probs[token], log_prob)) if token in log_probs else log_prob
    return log_probs
