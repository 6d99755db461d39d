"""Settings and results of a build, and the hashes that identify it.

Constraint: plain data; no engine or scorer is used here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from map_core.building.checkpoints import ScoreKey
from map_core.core import remedies
from map_core.core.file_lock import check_output_path
from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.data.prompts import Prompt
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError

#: Sampling settings of a build where none are given.
DEFAULT_SETTINGS = SamplingSettings(temperature=0.8, top_k=0, top_p=0.95, max_new_tokens=64)

#: The reason for leaving out a reply that a server's content filter ended.
FILTERED = "the server's content filter ended it"

#: Version of the format of the parts.
CHECKPOINT_FORMAT = 2


@dataclass(frozen=True)
class BuildPolicy:
    """What to do with existing files and with unusable prompts.

    Args:
        force: replace an existing table.
        fresh: discard what another build left unfinished in ``OUT.parts``.
        keep_parts: keep ``OUT.parts``, so that values can be added later without sampling again.
        skip_unusable: leave out prompts that the model does not accept, and report them; else they are an error.
    """

    force: bool = False
    fresh: bool = False
    keep_parts: bool = False
    skip_unusable: bool = False


@dataclass(frozen=True)
class SamplingSpec:
    """How replies are drawn.

    Args:
        settings: temperature, truncation and length limit.
        seed: a whole number; a prompt's own seed is derived from it and the prompt's text.
        system: a system message before every prompt, or None for the model's own default.
        request_extra: further fields of every request to a server, see :mod:`map_core.models.request_extra`.
    """

    settings: SamplingSettings = DEFAULT_SETTINGS
    seed: int = 0
    system: str | None = None
    request_extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FailedScore:
    """A reply on which a scorer failed; it is left out of the table.

    Args:
        prompt: the id of its prompt.
        candidate: its number among the prompt's replies.
        value: the value whose scorer failed.
        reason: the message of the failure.
    """

    prompt: str
    candidate: int
    value: str
    reason: str


@dataclass(frozen=True)
class BuildResult:
    """A finished build.

    Args:
        out: the table's file.
        values: its values.
        prompts, replies: their numbers in the table.
        sampled, scored: numbers of replies drawn and rewards computed in this run.
        marked: replies that are left out because a scorer failed on them.
        skipped: ids of prompts that are left out because all their replies are, or because the model does not accept
            them.
        reading: sentences about decisions that reading the extended or rescored file took.
        remarks: further sentences for the user about the replies.
    """

    out: Path
    values: tuple[str, ...]
    prompts: int
    replies: int
    sampled: int = 0
    scored: int = 0
    marked: tuple[FailedScore, ...] = ()
    skipped: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def load(self) -> RewardTable:
        """Read the table."""
        return table_format.load(self.out)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about the build."""
        notes = [*self.reading]
        filtered = {(mark.prompt, mark.candidate) for mark in self.marked if mark.reason == FILTERED}
        if filtered:
            are = "reply is" if len(filtered) == 1 else "replies are"
            notes.append(f"{len(filtered)} {are} left out because the server's content filter ended them.")
        failed = [mark for mark in self.marked if mark.reason != FILTERED]
        if failed:
            first, more = failed[0], len(failed) - 1
            others = f", and {more} more in the table's metadata" if more else ""
            replies = len({(mark.prompt, mark.candidate) for mark in failed})
            are = "reply is" if replies == 1 else "replies are"
            notes.append(
                f"{replies} {are} left out because a scorer failed: candidate {first.candidate} of the prompt "
                f"{first.prompt!r} on {first.value!r} ({first.reason}){others}."
            )
        if self.skipped:
            are = "prompt is" if len(self.skipped) == 1 else "prompts are"
            shown = ", ".join(map(repr, self.skipped[:5])) + (" and more" if len(self.skipped) > 5 else "")
            notes.append(f"{len(self.skipped)} {are} left out: {shown}.")
        return (*notes, *self.remarks)


def prompt_seed(seed: int, prompt: str) -> int:
    """Return the seed of one prompt's replies, which depends only on the build's seed and the prompt's text.

    A prompt therefore gets the same replies whichever other prompts are in the file.
    """
    text = hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()
    return int.from_bytes(text[:4], "big")


def prompts_fingerprint(prompts: Sequence[Prompt]) -> str:
    """Return a hash of all prompts in order: texts, ids, use cases, and weights and held-out marks if they are set."""
    lines = "\n".join(
        f"{p.id}\t{p.use_case}\t{p.text}"
        + ("" if (p.weight, p.held_out) == (1.0, False) else f"\t{p.weight}\t{p.held_out}")
        for p in prompts
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def sampling_plan(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan of a new table: all entries of its metadata that determine its replies."""
    determining = {key: metadata.get(key) for key in ("engine", "sampling", "seed", "system")}
    if metadata.get("request_extra"):
        determining["request_extra"] = metadata["request_extra"]
    return {"format": CHECKPOINT_FORMAT} | determining


def build_digest(plan: dict[str, Any], prompts: Sequence[Prompt], candidates: int, values: Sequence[ScoreKey]) -> str:
    """Return a hash of everything that determines a table: builds with equal hashes give equal tables."""
    content = [plan, prompts_fingerprint(prompts), candidates, [list(value) for value in values]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def refuse_overwrite(out: Path, force: bool) -> None:
    """Refuse an output path where no new table can be written.

    Raises:
        InputError: ``out`` exists and ``force`` is off, it is a folder, or its folder does not exist.
    """
    check_output_path(out)
    if out.exists() and not force:
        raise InputError(f"{out} is there already and is left as it is. {remedies.IN_THE_WAY}")


def build_digest_of(out: Path) -> str | None:
    """Return the digest of the build that wrote ``out``; None where there is no table or no recorded digest."""
    try:
        recorded = table_format.load_metadata(out).get("build") if out.is_file() else None
    except InputError:
        return None
    return recorded if isinstance(recorded, str) else None
