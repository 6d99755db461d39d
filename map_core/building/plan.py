"""What is asked of a build: prompts, how many replies each, and how they are drawn.

Constraint: plain data; nothing is opened or computed here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from map_core.building.checkpoints import ScoreKey
from map_core.core.file_lock import check_output_path
from map_core.core.types import SamplingSettings
from map_core.data import table_format
from map_core.data.prompts import Prompt
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError

#: How replies are drawn unless something else is asked for.
DEFAULT_SETTINGS = SamplingSettings(temperature=0.8, top_k=0, top_p=0.95, max_new_tokens=64)

#: Why a reply that a server's content filter ended is left out.
FILTERED = "the server's content filter ended it"

#: Of the parts; one more whenever they hold something else.
CHECKPOINT_FORMAT = 2


@dataclass(frozen=True)
class BuildPolicy:
    """What to do with files that are there, and with what fails.

    Args:
        force: replace a table that is there already.
        fresh: throw away what another build left unfinished in ``OUT.parts``.
        keep_parts: leave ``OUT.parts`` in place, so that values can be added later without sampling again.
        skip_unusable: go on without prompts that the model cannot take, and say which; else they are refused.
    """

    force: bool = False
    fresh: bool = False
    keep_parts: bool = False
    skip_unusable: bool = False


@dataclass(frozen=True)
class SamplingSpec:
    """How replies are drawn.

    Args:
        settings: temperature and so on.
        seed: a whole number; each prompt has its own seed by this one and its text.
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
        value: whose scorer failed.
        reason: in words.
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
        prompts, replies: how many it holds.
        sampled, scored: replies drawn, and rewards computed, in this run.
        marked: replies that are left out because a scorer failed on them.
        skipped: ids of prompts that are left out, as all their replies are or as the model cannot take them.
        reading: sentences on how the file that was added to or scored again was read, where that took decisions.
        remarks: what else a person should know of its replies, a sentence each.
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
        """Read the table itself."""
        return table_format.load(self.out)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should read about it, a sentence each."""
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
    """Return the seed of one prompt's replies, which depends on the build's seed and on the prompt's text alone.

    So a prompt gets the same replies whichever prompts stand beside it in the file.
    """
    text = hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()
    return int.from_bytes(text[:4], "big")


def prompts_fingerprint(prompts: Sequence[Prompt]) -> str:
    """Return one hash of all prompts, their ids and use cases, in order, and of weights where there are any."""
    lines = "\n".join(
        f"{p.id}\t{p.use_case}\t{p.text}"
        + ("" if (p.weight, p.held_out) == (1.0, False) else f"\t{p.weight}\t{p.held_out}")
        for p in prompts
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def sampling_plan(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan of a table that is made from nothing: all of its metadata that decides its replies."""
    decisive = {key: metadata.get(key) for key in ("engine", "sampling", "seed", "system")}
    if metadata.get("request_extra"):
        decisive["request_extra"] = metadata["request_extra"]
    return {"format": CHECKPOINT_FORMAT} | decisive


def build_digest(plan: dict[str, Any], prompts: Sequence[Prompt], candidates: int, values: Sequence[ScoreKey]) -> str:
    """Return one hash of all that decides a table: the same again gives the same table."""
    whole = [plan, prompts_fingerprint(prompts), candidates, [list(value) for value in values]]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def refuse_overwrite(out: Path, force: bool) -> None:
    """Refuse a place where no new table can be written; one that this program built may be the very one that is asked.

    Raises:
        InputError: ``out`` is there and ``force`` is off, it is a folder, or its folder is missing.
    """
    check_output_path(out)
    if out.exists() and not force:
        raise InputError(
            f"{out} is there already and is left as it is. Choose another --out, add to it: --extend, or replace it: "
            "--force."
        )


def build_digest_of(out: Path) -> str | None:
    """Return the digest of the build that wrote ``out``; None where there is no table or it records none."""
    try:
        recorded = table_format.load_metadata(out).get("build") if out.is_file() else None
    except InputError:
        return None
    return recorded if isinstance(recorded, str) else None
