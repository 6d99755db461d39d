"""A trained head as plain data: its weights and the results of its cross-validation.

It can be stored in a values file, a database or a table's metadata, which is enough to score with it anywhere; it
contains no code. Constraint: standard library only; :class:`map_core.scoring.head.Head` is the scorer.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from map_core.errors import InputError

#: Largest dimension of an embedding whose head is read, as a table may come from anybody.
MAX_DIMENSION = 4096
#: Parts of a head's features, each as long as an embedding: the reply, prompt times reply, the reply's first sentence.
PARTS = 3


@dataclass(frozen=True)
class HeadComparison:
    """The share of judged pairs that a head orders as the judge did, held out, and that of another scorer.

    Args:
        head: share of pairs (an AUC); each pair is ordered by a head that was trained without its prompts.
        low: lower end of the 95% interval of ``head``, over prompts.
        high: its upper end.
        pairs: number of pairs.
        prompts: number of their prompts.
        before: the share of the scorer before, the definition in words or another scorer; None for none.
        difference_low: lower end of the 95% interval of ``head - before`` on the same pairs, over prompts.
        difference_high: its upper end.
    """

    head: float
    low: float
    high: float
    pairs: int
    prompts: int
    before: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None

    @property
    def better(self) -> bool | None:
        """Whether the head orders significantly more pairs; None without a comparison."""
        return None if self.difference_low is None else self.difference_low > 0.0


@dataclass(frozen=True)
class HeadEvidence:
    """The cross-validation of a head.

    Args:
        judged: "labels" of replies or "pairs" of replies to one prompt.
        judgements: number of labels or of decided pairs.
        overall: over all pairs of a reply labelled 1 and one labelled 0, or over all judged pairs.
        within: for labels, over such pairs of replies to one prompt; None where there are too few.
    """

    judged: str
    judgements: int
    overall: HeadComparison
    within: HeadComparison | None = None

    @property
    def decisive(self) -> HeadComparison:
        """The comparison within prompts where there is one, as generation chooses among these; else the overall one."""
        return self.within or self.overall

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> HeadEvidence:
        """Read the plain values of :meth:`as_dict`.

        Raises:
            InputError: they have another form.
        """
        try:
            fields = dict(data)
            fields["overall"], within = _comparison(fields["overall"]), fields.get("within")
            fields["within"] = None if within is None else _comparison(within)
            evidence = cls(**fields)
            if evidence.judged not in ("labels", "pairs") or not isinstance(evidence.judgements, int):
                raise ValueError(f"{evidence.judgements!r} {evidence.judged!r}")
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(
                f"The evidence of a head is not understood ({error!r}); expected what its training wrote. Leave it out "
                "or train the head again."
            ) from error
        return evidence


def _comparison(data: Any) -> HeadComparison:
    comparison = HeadComparison(**data)
    numbers = [number for number in asdict(comparison).values() if number is not None]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise ValueError("a number is missing")
    return comparison


@dataclass(frozen=True)
class HeadWeights:
    """The weights of a head: reward = weights . features + intercept + slope x (score of its prior).

    Args:
        weights: :data:`PARTS` times the dimension of the embedding model.
        intercept: 0 where pairs were judged, as it cancels.
        slope: log-odds per unit of the prior's score; 0 without a prior.
        embedder: name of the embedding model with which it was trained.
        evidence: its cross-validation; None without one.

    Raises:
        InputError: a number that is not finite, a number of weights that fits no embedding model, or no name.
    """

    weights: tuple[float, ...]
    intercept: float
    slope: float
    embedder: str
    evidence: HeadEvidence | None = None

    def __post_init__(self) -> None:
        for name, number in (("intercept", self.intercept), ("slope", self.slope)):
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise InputError(f"The {name} of a head is {number!r}; expected a finite number.")
        if not all(map(math.isfinite, self.weights)):
            raise InputError("The weights of a head hold a number that is not finite. Train it again.")
        if not 0 < len(self.weights) <= PARTS * MAX_DIMENSION or len(self.weights) % PARTS:
            raise InputError(
                f"A head has {len(self.weights):,} weights; expected {PARTS} times the dimension of its embedding "
                f"model, at most {PARTS * MAX_DIMENSION:,}."
            )
        if not isinstance(self.embedder, str) or not self.embedder.strip():
            raise InputError(f"The embedder of a head is {self.embedder!r}; expected the name of an embedding model.")

    @property
    def key(self) -> str:
        """A short hash of the fields that determine scores, which exclude the evidence."""
        digest = hashlib.sha256(_float32(self.weights))
        digest.update(json.dumps([float(self.intercept), float(self.slope), self.embedder]).encode())
        return digest.hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values, the weights as base64 of little-endian float32."""
        entry: dict[str, Any] = {
            "weights": base64.b64encode(_float32(self.weights)).decode("ascii"),
            "intercept": self.intercept,
            "slope": self.slope,
            "embedder": self.embedder,
        }
        return entry if self.evidence is None else entry | {"evidence": self.evidence.as_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HeadWeights:
        """Read weights from the plain values of :meth:`as_dict`; ``weights`` may also be a list of numbers.

        Raises:
            InputError: a field is missing, unknown, or cannot be used.
        """
        fields = {"weights", "intercept", "slope", "embedder"}
        if not isinstance(data, Mapping) or not fields <= data.keys() <= fields | {"evidence"}:
            named = ", ".join(map(repr, data)) if isinstance(data, Mapping) else repr(data)
            raise InputError(f"A head has {named or 'no fields'}; expected weights, intercept, slope and embedder.")
        evidence = data.get("evidence")
        return cls(
            _weights(data["weights"]),
            data["intercept"],
            data["slope"],
            data["embedder"],
            None if evidence is None else HeadEvidence.from_dict(evidence),
        )


def _float32(weights: Sequence[float]) -> bytes:
    packed = array("f", weights)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _weights(data: Any) -> tuple[float, ...]:
    """Read weights, rounded to float32 as in files, so that a copy gives the same scores."""
    try:
        if isinstance(data, str):
            packed = array("f")
            packed.frombytes(base64.b64decode(data, validate=True))
            if sys.byteorder == "big":
                packed.byteswap()
            return tuple(packed)
        if isinstance(data, Sequence) and all(
            isinstance(number, int | float) and not isinstance(number, bool) for number in data
        ):
            return tuple(array("f", data))
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InputError(
            f"The weights of a head are not understood ({error}); expected base64 of 32-bit numbers, or a list of "
            "numbers."
        ) from error
    raise InputError(
        f"The weights of a head are {type(data).__name__}; expected base64 of 32-bit numbers, or a list of numbers."
    )
