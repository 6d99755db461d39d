"""A ranking of what people compared head to head: strengths of Bradley and Terry, only where votes connect.

    P(a is preferred to b) = 1 / (1 + exp(s_b - s_a)),  a tie counts as half a vote for each

The maximum is finite and unique within a set in which everyone can be reached from everyone along pairs in which the
one was preferred at least in part (Ford); between such sets nothing is said. Votes on one prompt depend on each other,
so the errors are those of a sandwich with one score per prompt.

Source: Bradley and Terry, "Rank analysis of incomplete block designs", Biometrika 1952; Ford, "Solution of a ranking
problem from binary comparisons", 1957; clustered errors: Liang and Zeger, Biometrika 1986.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from map_core.confidence.interval import t_interval
from map_core.data.text_files.records import json_records, read_text
from map_core.errors import InputError

#: What a vote may say, and the share of it that the first gets.
SHARES = {"first": 1.0, "tie": 0.5, "second": 0.0}
BASE = "base"
_STEPS = 100


@dataclass(frozen=True)
class PairVote:
    """One vote on two replies.

    Args:
        first, second: who wrote them.
        share: 1 for the first, 0 for the second, 0.5 for a tie.
        prompt: that both answer; votes on one prompt are not independent.
    """

    first: str
    second: str
    share: float
    prompt: str


@dataclass(frozen=True, eq=False)
class Ranking:
    """Contenders of one connected set, the strongest first.

    Args:
        names: of the contenders.
        strengths: (contender,) log-odds against the base model, or against the set's mean where that is not in it.
        low, high: (contender,) the interval.
        reference: the base model's name, "" for the mean.
        votes: (contender, contender) share of votes for the row, ties half.
        ties: (contender, contender) ties among these.
    """

    names: tuple[str, ...]
    strengths: np.ndarray
    low: np.ndarray
    high: np.ndarray
    reference: str
    votes: np.ndarray
    ties: np.ndarray


def rank(votes: Sequence[PairVote], level: float = 0.95) -> tuple[Ranking, ...]:
    """Rank contenders by votes, a ranking for every connected set; one of a single contender says nothing of it.

    Raises:
        InputError: no vote, a vote on one contender alone, or a level outside 0 and 1.
    """
    if not votes or any(vote.first == vote.second for vote in votes) or not 0.0 < level < 1.0:
        raise InputError(
            f"There are {len(votes)} votes, and the level is {level}; expected one vote or more, each between two "
            "contenders, and a level between 0 and 1."
        )
    names = tuple(dict.fromkeys(name for vote in votes for name in (vote.first, vote.second)))
    number = {name: i for i, name in enumerate(names)}
    won = np.zeros((2, len(names), len(names)))
    for vote in votes:
        i, j = number[vote.first], number[vote.second]
        won[0, i, j] += vote.share
        won[0, j, i] += 1 - vote.share
        if vote.share == 0.5:
            won[1, i, j] += 1
            won[1, j, i] += 1
    label = connected_components(won[0] > 0, connection="strong")[1]
    rankings = []
    for part in dict.fromkeys(label.tolist()):
        members = np.flatnonzero(label == part)
        inside = [v for v in votes if label[number[v.first]] == part == label[number[v.second]]]
        known = [names[i] for i in members]
        s, covariance, clusters = _fit(known, inside, won[0][np.ix_(members, members)])
        reference = BASE if BASE in known and len(members) > 1 else ""
        against = np.eye(len(members))
        if reference:
            against[:, known.index(reference)] -= 1.0
        strengths, error = against @ s, np.sqrt(np.maximum(np.diag(against @ covariance @ against.T), 0.0))
        if clusters < 2 and len(members) > 1:
            error = np.full(len(members), np.inf)
        order = np.argsort(-strengths, kind="stable")
        interval = t_interval(strengths, error, max(1, clusters - 1), level)
        chosen = members[order]
        rankings.append(
            Ranking(
                tuple(names[i] for i in chosen),
                strengths[order],
                interval.low[order],
                interval.high[order],
                reference,
                *(counts[np.ix_(chosen, chosen)] for counts in won),
            )
        )
    return tuple(sorted(rankings, key=lambda ranking: -len(ranking.names)))


def _fit(names: Sequence[str], votes: Sequence[PairVote], won: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return strengths with mean 0, their covariance and the number of prompts."""
    size, number = len(names), {name: i for i, name in enumerate(names)}
    s, together, centre = np.zeros(size), won + won.T, np.full((size, size), 1.0 / size)
    for _ in range(_STEPS):
        chance = expit(s[:, None] - s[None])
        gradient = (won - together * chance).sum(axis=1)
        pull = together * chance * (1 - chance)
        hessian = np.diag(pull.sum(axis=1)) - pull
        step = np.linalg.solve(hessian + centre, gradient)  # the mean has no effect and stays 0
        s = s + step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-12:
            break
    scores: dict[str, np.ndarray] = {}
    for vote in votes:
        i, j = number[vote.first], number[vote.second]
        off = vote.share - expit(s[i] - s[j])
        scores.setdefault(vote.prompt, np.zeros(size))[[i, j]] += off, -off
    if len(scores) < 2:
        return s, np.zeros((size, size)), len(scores)
    inverse = np.linalg.inv(hessian + centre) - centre
    rows = np.array(list(scores.values()))
    covariance = inverse @ (rows.T @ rows) @ inverse * len(rows) / (len(rows) - 1)
    return s, covariance, len(rows)


def read_votes(path: Path) -> tuple[PairVote, ...]:
    """Read votes: JSON lines of pairs, those of :mod:`map_core.studies.comparisons`, or the app's CSV.

    A pair is ``{"first": "warm", "second": "calm", "preferred": "first", "prompt": "..."}`` with first, second or tie.

    Raises:
        InputError: no such file, or a line that is no vote.
    """
    if path.suffix.lower() == ".csv":
        rows: list[tuple[str, Mapping[str, Any]]] = [
            (f"Row {n} of {path}", row) for n, row in enumerate(csv.DictReader(io.StringIO(read_text(path))), start=2)
        ]
    else:
        rows = list(json_records(read_text(path), path, "one per vote"))
    votes: list[PairVote] = []
    for where, row in rows:
        try:
            votes += _votes_of(row)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f'{where} is no vote ({error!r}); expected first, second, prompt and preferred, "first", "second" or '
                '"tie".'
            ) from error
    return tuple(votes)


def _votes_of(row: Mapping[str, Any]) -> list[PairVote]:
    if "votes" in row:  # a comparison of a preset with the base model
        shares = {1: 1.0, 0: 0.5, -1: 0.0}
        return [PairVote(str(row["preset"]), BASE, shares[vote], str(row["prompt_id"])) for vote in row["votes"]]
    if "palette" in row:  # of the app
        share = {"aligned": 1.0, "tie": 0.5, "base": 0.0}[row["preferred"]]
        return [PairVote(str(row["palette"]), BASE, share, str(row["prompt"]))]
    return [PairVote(str(row["first"]), str(row["second"]), SHARES[row["preferred"]], str(row["prompt"]))]
