"""Making a reward table: sample replies to prompts, score them, and lose nothing on the way.

Everything that is made goes at once into small files beside the table, ``OUT.parts/``, each written under another
name and then renamed; so a build that is killed at any moment goes on where it stopped and ends in the table that it
would have given undisturbed. The table itself appears by one rename at the end. Constraint: no model library is
imported here; engine and scorers are handed in.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from map_core import rewards
from map_core.build.progress import Progress, Reporter
from map_core.errors import InputError
from map_core.glossary import Reply, SamplingSettings
from map_core.parts import Parts
from map_core.prompts import Prompt
from map_core.values.scorer import Scorer, log_prob, score_checked

if TYPE_CHECKING:
    from map_core.generate.engine import Engine


#: How replies are drawn unless something else is asked for.
DEFAULT_SETTINGS = SamplingSettings(temperature=0.8, top_k=0, top_p=0.95, max_new_tokens=64)


@dataclass(frozen=True)
class Keeping:
    """What to do with files that are there.

    Args:
        force: replace a table that is there already.
        fresh: throw away what another build left unfinished in ``OUT.parts``.
        keep_parts: leave ``OUT.parts`` in place, so that values can be added later without sampling again.
    """

    force: bool = False
    fresh: bool = False
    keep_parts: bool = False


def prompt_seed(seed: int, prompt: str) -> int:
    """The seed of one prompt's replies: it depends on the build's seed and on the prompt's text alone.

    So a prompt gets the same replies whichever prompts stand beside it in the file.
    """
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def build(
    prompts: Sequence[Prompt],
    out: Path,
    engine: Engine,
    scorers: Sequence[Scorer],
    *,
    candidates: int,
    settings: SamplingSettings,
    seed: int,
    system: str | None = None,
    keeping: Keeping | None = None,
    report: Reporter | None = None,
) -> rewards.RewardTable:
    """Sample and score a table and save it.

    Args:
        prompts: what to reply to.
        out: the Parquet file to write; ``OUT.parts`` beside it holds what is made on the way.
        engine: the base model.
        scorers: the values, in the order of the table's columns.
        candidates: K, replies per prompt.
        settings: how replies are drawn.
        seed: a whole number; the same build with the same seed on the same machine gives the same table.
        system: a system message before every prompt, or None for the model's own default.
        keeping: what to do with files that are there; by default nothing is replaced or thrown away.
        report: called after each prompt.

    Returns:
        The table, as saved.

    Raises:
        InputError: ``out`` exists and may not be replaced, or ``OUT.parts`` holds another build's replies.
        ScorerError: a scorer failed; what is built so far is kept.
    """
    keeping = keeping or Keeping()
    refuse_overwrite(out, keeping.force)
    _check_request(prompts, engine, scorers, candidates, settings, system)
    plan = {
        "format": 1,
        "engine": engine.info.as_dict(),
        "sampling": settings.as_dict(),
        "seed": seed,
        "candidates": candidates,
        "system": system,
        "prompts": _fingerprint(prompts),
    }
    parts = Parts(out, plan, keeping.fresh)
    with parts.locked():
        for number in _steps("sampling", [parts.sampled(n) for n in range(len(prompts))], report):
            text = prompts[number].text
            replies = engine.complete(text, candidates, settings, prompt_seed(seed, text), system=system)
            parts.write_replies(number, replies)
        metadata = {
            "model": {"name": engine.info.model, "sha256": engine.info.model_hash},
            "engine": engine.info.as_dict(),
            "sampling": settings.as_dict(),
            "seed": seed,
            "candidates": candidates,
            "system": system,
            "prompts_sha256": plan["prompts"],
        }
        return _finish(prompts, parts, out, scorers, metadata, keeping, report)


def rescore(
    table: rewards.RewardTable,
    out: Path,
    scorers: Sequence[Scorer],
    *,
    keeping: Keeping | None = None,
    report: Reporter | None = None,
) -> rewards.RewardTable:
    """Score the replies of a table again, on other values or with newer scorers, without sampling.

    A table holds the log-probability of each reply as a sum; it is spread evenly over the reply's tokens, which
    changes no scorer that reads only the sum. Arguments and errors as in :func:`build`.
    """
    keeping = keeping or Keeping()
    refuse_overwrite(out, keeping.force)
    _check_values(scorers)
    if not table.replies:
        raise InputError("This table has no replies to score; give one that was made by build.")
    prompts = [
        Prompt(i, use_case, text)
        for i, use_case, text in zip(table.prompt_ids, table.use_cases, table.prompts, strict=True)
    ]
    texts = hashlib.sha256("\0".join(table.replies).encode()).hexdigest()
    parts = Parts(out, {"format": 1, "rescored": texts, "prompts": _fingerprint(prompts)}, keeping.fresh)
    with parts.locked():
        for number in range(len(prompts)):
            if not parts.sampled(number):
                parts.write_replies(number, _replies(table, number))
        return _finish(prompts, parts, out, scorers, dict(table.metadata), keeping, report)


def _finish(
    prompts: Sequence[Prompt],
    parts: Parts,
    out: Path,
    scorers: Sequence[Scorer],
    metadata: dict[str, Any],
    keeping: Keeping,
    report: Reporter | None,
) -> rewards.RewardTable:
    """Score what is not scored yet, and put the table together."""
    keys = {scorer.name: (scorer.name, scorer.version) for scorer in scorers}
    ready = [parts.rewards(n).keys() >= set(keys.values()) for n in range(len(prompts))]
    for number in _steps("scoring", ready, report):
        replies, known = parts.replies(number), parts.rewards(number)
        for scorer in scorers:
            key = keys[scorer.name]
            if key not in known:
                known[key] = score_checked(scorer, prompts[number].text, replies)
                parts.write_rewards(number, known)
    replies_of = [parts.replies(n) for n in range(len(prompts))]
    rewards_of = [parts.rewards(n) for n in range(len(prompts))]
    every = [reply for replies in replies_of for reply in replies]
    table = rewards.RewardTable(
        values=tuple(keys),
        rewards=np.vstack([np.column_stack([known[key] for key in keys.values()]) for known in rewards_of]),
        offsets=np.concatenate([[0], np.cumsum([len(replies) for replies in replies_of])]),
        prompt_ids=tuple(prompt.id for prompt in prompts),
        prompts=tuple(prompt.text for prompt in prompts),
        use_cases=tuple(prompt.use_case for prompt in prompts),
        replies=tuple(reply.text for reply in every),
        tokens=tuple(reply.tokens for reply in every),
        log_probs=np.array([log_prob(reply) for reply in every]),
        metadata={
            **metadata,
            "values": list(keys),
            "scorers": [scorer.entry() for scorer in scorers],
            "created": datetime.now(UTC).date().isoformat(),
        },
    )
    rewards.save(table, out)
    if not keeping.keep_parts:
        parts.remove()
    return table


def _steps(stage: str, ready: Sequence[bool], report: Reporter | None) -> Iterator[int]:
    """The numbers of the prompts that are not ready, with a report before the first and after each."""
    began, done = time.perf_counter(), sum(ready)
    resumed = done

    def tell() -> None:
        if report is not None:
            report(Progress(stage, done, len(ready), resumed, time.perf_counter() - began))

    tell()
    for number, is_ready in enumerate(ready):
        if not is_ready:
            yield number
            done += 1
            tell()


def _replies(table: rewards.RewardTable, prompt: int) -> list[Reply]:
    """The replies of a saved table; whether one finished shows in its length."""
    longest = table.metadata.get("sampling", {}).get("max_new_tokens", math.inf)
    replies = []
    for row in range(*table.rows(prompt).indices(len(table.replies))):
        tokens = table.tokens[row] if table.tokens else ()
        total = table.log_probs[row] if table.log_probs.size else math.nan
        spread = (total / len(tokens),) * len(tokens) if tokens and math.isfinite(total) else ()
        replies.append(Reply(table.replies[row], tokens, spread, finished=len(tokens) < longest))
    return replies


def refuse_overwrite(out: Path, force: bool) -> None:
    """Refuse a place where no new table can be written.

    Raises:
        InputError: ``out`` is there and ``force`` is off, it is a folder, or its folder is missing.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder; give the name of a file, for example {out / 'table.parquet'}.")
    if out.exists() and not force:
        raise InputError(f"{out} is there already and is left as it is. Choose another --out, or replace it: --force.")
    if not out.parent.is_dir():
        raise InputError(f"There is no folder {out.parent} to write the table to. Make it first or choose another.")


def _check_values(scorers: Sequence[Scorer]) -> None:
    names = [scorer.name for scorer in scorers]
    if not names or len(set(names)) < len(names):
        raise InputError(f"The values are {', '.join(names) or 'none'}; expected at least one, and each once.")


def _check_request(
    prompts: Sequence[Prompt],
    engine: Engine,
    scorers: Sequence[Scorer],
    candidates: int,
    settings: SamplingSettings,
    system: str | None,
) -> None:
    """Refuse before the first token what would fail in the middle."""
    _check_values(scorers)
    if candidates < 1:
        raise InputError(f"candidates is {candidates}; expected a whole number from 1.")
    for prompt in prompts:
        try:
            engine.check(prompt.text, settings, system=system)
        except InputError as error:
            raise InputError(f"The prompt {prompt.id!r} cannot be used. {error}") from error


def _fingerprint(prompts: Sequence[Prompt]) -> str:
    """One hash of all prompts, their ids and use cases, in order."""
    lines = "\n".join(f"{p.id}\t{p.use_case}\t{p.text}" for p in prompts)
    return hashlib.sha256(lines.encode()).hexdigest()
