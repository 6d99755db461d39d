"""Keys of content: the same table has the same key on every machine, whatever the name of its file."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from map_core.data.reward_table import RewardTable
from map_core.palettes.palette import Palette

#: In the metadata of a table to which custom values were added: the key of the original table.
BENEATH = "beneath"


@lru_cache(maxsize=8)
def table_key(table: RewardTable) -> str:
    """Return a key of a table's content, 16 hexadecimal digits: of its values, prompts and rewards.

    Args:
        table: the whole table, not one use case of it; keys are cached by the table's identity. Custom values that were
            added to it make no difference.
    """
    original = table.metadata.get(BENEATH)
    if isinstance(original, str):
        return original
    digest = hashlib.sha256(json.dumps([table.values, table.prompt_ids, table.prompts]).encode())
    digest.update(table.rewards.tobytes())
    return digest.hexdigest()[:16]


def palette_key(palette: Palette, table_key: str) -> str:
    """Return a key of a palette's targets on a table, 16 hexadecimal digits; locks make no difference."""
    targets = {
        name: "keep" if target.keep else [target.percentile, target.level]
        for name, target in palette.targets.items()
        if not target.free
    }
    content = json.dumps([table_key, palette.use_case, targets], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
