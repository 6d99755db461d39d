"""How many candidates a level takes: K of them, a race, and candidates stopped early; and how far each is off the tilt.

Two models that need no sampling. The toy of the tests, whose replies can be written out, gives the total variation to
the exact tilt. The shipped table, each prompt's 64 replies drawn from with replacement, gives levels: the share of the
way from the base model to the exact tilt of these replies, in lambda . r. Beginnings are scored by the real scorers.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from map_core import scoring
from map_core.analysis.headroom import headroom_for
from map_core.core.types import Reply
from map_core.data import table_format
from map_core.data.reward_table import RewardTable
from map_core.feasibility import assess
from map_core.generation.choice import choose
from map_core.generation.pruning import SCHEDULE, SHRINKAGE_TOKENS, continuation_probabilities, systematic
from map_core.models.files import locate, recorded_model
from map_core.models.language_model import LanguageModel
from map_core.oracle import MemoryOracle
from map_core.palettes.targets import resolve
from tests import ROOT
from tests.toy_engine import Tally, every_reply, text_of

#: What is shipped, and not the table that other benchmarks keep.
TABLE = ROOT / "assets" / "default.parquet"
SIZES = (4, 8, 16, 26, 32, 64)
PALETTES = (
    {"kindness": "p60"},
    {"kindness": "p65", "humor": "p60"},
    {"kindness": "p75", "humor": "p65"},
    {"kindness": "p80", "humor": "p70"},
)
#: Prompts and draws a prompt; of 64 candidates each.
PROMPTS, DRAWS, POPULATION = 30, 30, 64
CUTS = tuple(tokens for tokens, _ in SCHEDULE)


def toy(length: int, weight: float, draws: int = 20_000) -> list[dict[str, Any]]:
    """Return the total variation to the exact tilt and the candidates that were drawn, by way of drawing."""
    replies = every_reply(length)
    p = np.array(list(replies.values()))
    gains = weight * np.array([Tally("tally").reward(text_of(tokens)) for tokens, _ in replies])
    tilt = p * np.exp(gains)
    tilt /= tilt.sum()
    stream = np.random.default_rng(1)
    noise = 0.5 * np.abs(np.bincount(stream.choice(len(p), draws, p=tilt), minlength=len(p)) / draws - tilt).sum()
    rows = []

    def note(way: str, picked: list[int], counts: list[int]) -> None:
        shares = np.bincount(picked, minlength=len(p)) / draws
        rows.append({"way": way, "off": 0.5 * float(np.abs(shares - tilt).sum()), "candidates": float(np.mean(counts))})
        print(f"  {way:22} {rows[-1]['candidates']:6.1f} candidates, off by {rows[-1]['off']:.3f}")

    nats = float(tilt @ np.log(tilt / p))
    print(f"toy of {len(p)} replies, {nats:.2f} nats; {draws} draws of the tilt itself: {noise:.3f}")
    for size in SIZES:
        drawn = stream.choice(len(p), (draws, size), p=p)
        picked = [int(row[choose(gains[row][:, None], [1.0], seed).picked]) for seed, row in enumerate(drawn)]
        note(f"K = {size}", picked, [size] * draws)
    drawn = stream.choice(len(p), (draws, 256), p=p)
    rules = {
        "effective size 4 of 4s": lambda choice: choice.ess >= 4,
        "effective size 8 of 8s": lambda choice: choice.ess >= 8,
        "race of 4s": lambda choice: bool(choice.decided),
    }
    sample = stream.choice(gains, (4096, 1), p=p)
    table = RewardTable(("gain",), sample, np.array([0, len(sample)]), ("1",), ("Hi",), ("",))
    headroom = headroom_for(table, {"gain": 1.0}, 0.02).nats
    for way, enough in rules.items():
        batch = 8 if "8s" in way else 4
        picked, counts = [], []
        for seed, row in enumerate(drawn):
            for count in range(batch, len(row) + 1, batch):
                choice = choose(
                    gains[row[:count]][:, None], [1.0], seed, headroom=headroom if way.startswith("race") else None
                )
                if enough(choice):
                    break
            picked.append(int(row[choice.picked]))
            counts.append(count)
        note(way, picked, counts)
    return rows


def beginnings(table: RewardTable, prompts: np.ndarray, names: tuple[str, ...]) -> dict[int, np.ndarray]:
    """Return the rewards of each reply's first tokens by their number, (prompt, reply, value)."""
    tokenizer = LanguageModel(locate(recorded_model(table.metadata)), dtype="float32").tokenizer
    scorers = {scorer.name: scorer for scorer in scoring.scorers(names)}
    rewards: dict[int, list[np.ndarray]] = {cut: [] for cut in CUTS}
    for number, i in enumerate(prompts):
        rows = range(table.offsets[i], table.offsets[i + 1])
        for cut in CUTS:
            replies = [
                Reply(table.replies[k], table.tokens[k], finished=True)
                if len(table.tokens[k]) <= cut
                else Reply(tokenizer.decode(list(table.tokens[k][:cut])), table.tokens[k][:cut], finished=False)
                for k in rows
            ]
            rewards[cut].append(np.column_stack([scorers[name].score(table.prompts[i], replies) for name in names]))
        print(f"\r{number + 1} of {len(prompts)} prompts scored", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {cut: np.stack(parts) for cut, parts in rewards.items()}


def pruned(
    gains: np.ndarray, foretold: dict[int, np.ndarray], lengths: np.ndarray, stream: np.random.Generator
) -> tuple[float, int]:
    """Return the expected lambda . r of a choice among candidates stopped early, and the tokens that it took."""
    count, longest = len(gains), int(lengths.max())
    written, tokens, before = np.zeros(count), 0, 0
    for cut, share in [*SCHEDULE, (longest, 1.0)]:
        alive = np.isfinite(written)
        tokens += int((np.minimum(lengths, cut) - np.minimum(lengths, before))[alive].sum())
        before = cut
        unfinished = np.flatnonzero(alive & (lengths > cut))
        unfinished = unfinished[unfinished != 0]  # the base candidate
        most = max(1, round(share * count))
        if cut == longest or len(unfinished) <= most:
            continue
        phi = (foretold[cut] - foretold[cut].mean()) * cut / (cut + SHRINKAGE_TOKENS)
        chances = continuation_probabilities(phi[unfinished] - written[unfinished], most)
        stays = systematic(chances, stream)
        written[unfinished] += np.log(chances)
        written[unfinished[~stays]] = math.inf
    choice = choose(gains[:, None], [1.0], 0, log_offsets=written)
    return float(np.dot(choice.probabilities, gains)), tokens


def levels(table: RewardTable) -> list[dict[str, Any]]:
    """Return the share of the way and the tokens a reply takes, by palette and way of drawing."""
    names = tuple(dict.fromkeys(name for palette in PALETTES for name in palette))
    columns = [table.index(name) for name in names]
    counted = np.flatnonzero(table.counted)
    prompts = counted[np.linspace(0, len(counted) - 1, PROMPTS).astype(int)]
    places = np.array([range(table.offsets[i], table.offsets[i + 1]) for i in prompts])
    lengths = np.array([[len(table.tokens[k]) for k in row] for row in places])
    rewards, partial = table.rewards[places][:, :, columns], beginnings(table, prompts, names)
    stream = np.random.default_rng(2)
    oracle, rows = MemoryOracle.of(table), []
    for j, name in enumerate(names):
        slopes = []
        for cut in CUTS:
            first = partial[cut][:, :, j] - partial[cut][:, :, j].mean(axis=1, keepdims=True)
            whole = rewards[:, :, j] - rewards[:, :, j].mean(axis=1, keepdims=True)
            slopes.append(f"{cut}: {(first * whole).sum() / (first**2).sum():.2f}")
        print(f"slope of a whole reply's {name} on that of its first tokens: {', '.join(slopes)}")
    for palette in PALETTES:
        solution = assess(oracle, oracle.standardise(resolve(palette, table, oracle))).solution
        assert solution is not None
        lam = (solution.weights / oracle.scale)[columns]
        headroom = headroom_for(table, dict(zip(names, lam.tolist(), strict=True)), 0.02)
        gains = rewards @ lam
        tilt = np.exp(gains - gains.max(axis=1, keepdims=True))
        base, full = gains.mean(), (tilt * gains).sum(axis=1) @ (1 / tilt.sum(axis=1)) / len(gains)
        print(f"{palette}, {solution.kl:.2f} nats")
        outcomes: dict[str, list[tuple[float, float]]] = {}
        for row, (g, size) in enumerate(zip(gains, lengths, strict=True)):
            for draw in range(DRAWS):
                drawn = stream.integers(0, len(g), POPULATION)
                scores, seed = g[drawn][:, None], 1000 * row + draw
                for k in SIZES:
                    p = choose(scores[:k], [1.0], seed).probabilities
                    outcomes.setdefault(f"K = {k}", []).append((float(np.dot(p, g[drawn[:k]])), size[drawn[:k]].sum()))
                for k in range(4, POPULATION + 1, 4):
                    choice = choose(scores[:k], [1.0], seed, headroom=headroom.nats)
                    if choice.decided:
                        break
                outcomes.setdefault("race of 4s, 0.02", []).append(
                    (float(g[drawn[choice.picked]]), size[drawn[:k]].sum())
                )
                foretold = {cut: (partial[cut][row] @ lam)[drawn] for cut in CUTS}
                outcomes.setdefault("64 stopped early", []).append(pruned(g[drawn], foretold, size[drawn], stream))
        whole = np.mean([tokens for _, tokens in outcomes[f"K = {POPULATION}"]])
        for way, ends in outcomes.items():
            reached, tokens = np.array(ends).T
            of_prompt = reached.reshape(len(gains), -1).mean(axis=1)
            share, of_whole = (reached.mean() - base) / (full - base), tokens.mean() / whole
            error = (of_prompt - (gains.mean(axis=1))).std(ddof=1) / math.sqrt(len(gains)) / (full - base)
            rows.append({"palette": palette, "nats": solution.kl, "way": way, "share": share, "tokens": of_whole})
            print(f"  {way:18} {share:6.3f} of the way (± {error:.2f} over prompts), {of_whole:.2f} of the tokens")
    return rows


def run() -> dict[str, Any]:
    """Run both, and return their figures."""
    off = {f"{length}, {weight}": toy(length, weight) for length, weight in ((3, 1.3), (5, 1.5))}
    return {"toy": off, "levels": levels(table_format.load(TABLE))}
