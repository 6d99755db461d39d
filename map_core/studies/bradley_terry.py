"""Rankings from pairwise votes by the Bradley-Terry model, one for each set of contenders that the votes connect.

    P(a is preferred to b) = 1 / (1 + exp(s_b - s_a)),  a tie counts as half a vote for each

The maximum likelihood is finite and unique within a strongly connected component of the graph with an edge from each
contender to every one that it was preferred to, ties included (Ford); contenders of different components are not
compared. Votes on one prompt are dependent, so standard errors are from a sandwich covariance clustered by prompt.

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

#: Share of a vote that the first contender gets, by the vote's text.
SHARES = {"first": 1.0, "tie": 0.5, "second": 0.0}
BASE = "base"
#: Most steps of Newton's method.
_STEPS = 100


@dataclass(frozen=True)
class PairVote:
    """One vote on two replies.

    Args:
        first: the contender that wrote the first reply.
        second: the contender that wrote the second reply.
        share: 1 for the first, 0 for the second, 0.5 for a tie.
        prompt: the prompt that both replies answer; votes on one prompt are not independent.
    """

    first: str
    second: str
    share: float
    prompt: str


@dataclass(frozen=True, eq=False)
class Ranking:
    """Contenders of one connected set, the strongest first.

    Args:
        names: the contenders.
        strengths: (contender,) log-odds against the base model, or against the set's mean where the base model is not
            in the set.
        low: (contender,) lower end of the interval.
        high: (contender,) upper end of the interval.
        reference: the base model's name; "" where strengths are against the mean.
        votes: (contender, contender) votes for the row's contender against the column's, a tie counting half.
        ties: (contender, contender) number of ties, which are included in ``votes``.
    """

    names: tuple[str, ...]
    strengths: np.ndarray
    low: np.ndarray
    high: np.ndarray
    reference: str
    votes: np.ndarray
    ties: np.ndarray


def rank(votes: Sequence[PairVote], level: float = 0.95) -> tuple[Ranking, ...]:
    """Rank contenders by votes, with one ranking per connected set, the largest set first.

    The ranking of a set with a single contender has strength 0 and says nothing about it.

    Args:
        votes: at least one.
        level: probability of the intervals, between 0 and 1.

    Raises:
        InputError: no vote, a vote on one contender alone, or a level outside 0 and 1.
    """
    if not votes:
        raise InputError("There are no votes; expected one or more, each between two contenders.")
    if alone := [vote.first for vote in votes if vote.first == vote.second]:
        raise InputError(f"A vote is between {alone[0]!r} and itself; expected two contenders. Take it out.")
    if not 0.0 < level < 1.0:
        raise InputError(f"The level is {level}; expected a number between 0 and 1, such as 0.95.")
    names = tuple(dict.fromkeys(name for vote in votes for name in (vote.first, vote.second)))
    index = {name: i for i, name in enumerate(names)}
    won, tied = np.zeros((2, len(names), len(names)))
    for vote in votes:
        i, j = index[vote.first], index[vote.second]
        won[i, j] += vote.share
        won[j, i] += 1 - vote.share
        if vote.share == 0.5:
            tied[i, j] += 1
            tied[j, i] += 1
    components = connected_components(won > 0, connection="strong")[1]
    rankings = []
    for component in dict.fromkeys(components.tolist()):
        members = np.flatnonzero(components == component)
        inside = [
            vote
            for vote in votes
            if components[index[vote.first]] == component and components[index[vote.second]] == component
        ]
        member_names = [names[i] for i in members]
        s, covariance, clusters = _fit(member_names, inside, won[np.ix_(members, members)])
        reference = BASE if BASE in member_names and len(members) > 1 else ""
        contrasts = np.eye(len(members))
        if reference:
            contrasts[:, member_names.index(reference)] -= 1.0
        strengths = contrasts @ s
        error = np.sqrt(np.maximum(np.diag(contrasts @ covariance @ contrasts.T), 0.0))
        if clusters < 2:  # votes on one prompt, or on a contender of which they say nothing
            error = np.full(len(members), np.inf)
        order = np.argsort(-strengths, kind="stable")
        interval = t_interval(strengths, error, max(1, clusters - 1), level)
        ranked = members[order]
        rankings.append(
            Ranking(
                names=tuple(names[i] for i in ranked),
                strengths=strengths[order],
                low=interval.low[order],
                high=interval.high[order],
                reference=reference,
                votes=won[np.ix_(ranked, ranked)],
                ties=tied[np.ix_(ranked, ranked)],
            )
        )
    return tuple(sorted(rankings, key=lambda ranking: -len(ranking.names)))


def _fit(names: Sequence[str], votes: Sequence[PairVote], won: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Maximise the likelihood by Newton's method, with steps of at most 1 in each strength.

    Args:
        names: the contenders of one connected set.
        votes: the votes between them.
        won: (contender, contender) votes for the row's contender.

    Returns:
        (contender,) strengths with mean 0, their (contender, contender) covariance, and the number of prompts.
    """
    size, index = len(names), {name: i for i, name in enumerate(names)}
    s, compared, centre = np.zeros(size), won + won.T, np.full((size, size), 1.0 / size)
    for _ in range(_STEPS):
        probability = expit(s[:, None] - s[None])
        gradient = (won - compared * probability).sum(axis=1)
        information = compared * probability * (1 - probability)
        hessian = np.diag(information.sum(axis=1)) - information
        step = np.linalg.solve(hessian + centre, gradient)  # the mean has no effect and stays 0
        s = s + step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-12:
            break
    scores: dict[str, np.ndarray] = {}
    for vote in votes:
        i, j = index[vote.first], index[vote.second]
        residual = vote.share - expit(s[i] - s[j])
        scores.setdefault(vote.prompt, np.zeros(size))[[i, j]] += residual, -residual
    if len(scores) < 2:
        return s, np.zeros((size, size)), len(scores)
    inverse = np.linalg.inv(hessian + centre) - centre
    rows = np.array(list(scores.values()))
    covariance = inverse @ (rows.T @ rows) @ inverse * len(rows) / (len(rows) - 1)
    return s, covariance, len(rows)


def read_votes(path: Path) -> tuple[PairVote, ...]:
    """Read votes: JSON lines of pairs, those of :mod:`map_core.studies.comparisons`, or the app's CSV.

    A pair is ``{"first": "warm", "second": "calm", "preferred": "first", "prompt": "..."}``, where "preferred" is
    "first", "second" or "tie".

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
    """Return the votes of one row, in whichever of the three formats it is."""
    if "votes" in row:  # a comparison of a preset with the base model
        shares = {1: 1.0, 0: 0.5, -1: 0.0}
        return [PairVote(str(row["preset"]), BASE, shares[vote], str(row["prompt_id"])) for vote in row["votes"]]
    if "palette" in row:  # a row of the app's CSV
        share = {"aligned": 1.0, "tie": 0.5, "base": 0.0}[row["preferred"]]
        return [PairVote(str(row["palette"]), BASE, share, str(row["prompt"]))]
    return [PairVote(str(row["first"]), str(row["second"]), SHARES[row["preferred"]], str(row["prompt"]))]
