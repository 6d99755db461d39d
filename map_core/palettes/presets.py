"""Starting palettes: handmade for each use case of the embedded table, generated for any other table.

Constraint: handmade ones are reachable on the embedded table, which a test checks; generated ones may not be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from map_core.core.assets import DEFAULTS
from map_core.palettes.palette import ALL, Palette, Target

FILE = DEFAULTS / "presets.json"
#: For generated palettes: most values that are raised one by one, their percentile, and that of all values together.
MOST_GENERATED, RAISED, EVENLY = 4, 70.0, 55.0


@dataclass(frozen=True)
class Preset:
    """A starting palette.

    Args:
        name: one or two words.
        what: a sentence on its use and its targets.
        palette: a target for each value of the table.
        prompt: the id of the prompt with which the app opens on this palette; "" if it does not.
    """

    name: str
    what: str
    palette: Palette
    prompt: str = ""


def presets(values: Sequence[str], titles: Sequence[str], use_case: str = ALL, file: Path = FILE) -> tuple[Preset, ...]:
    """Return the starting palettes of one use case.

    Args:
        values: of the table.
        titles: of the values, as people read them within a sentence.
        use_case: whose prompts count; one without handmade palettes gets those of all use cases together.
        file: the handmade ones, by use case.

    Returns:
        The handmade ones whose values the table has; if there are none, generated ones.
    """
    by_use_case = _handmade(file)
    offered = by_use_case.get(use_case, by_use_case[ALL])
    handmade = [
        replace(preset, palette=_for_values(values, use_case, preset.palette))
        for preset in offered
        if _fits(preset, values)
    ]
    return tuple(handmade or _generated(values, titles, use_case))


def opening(values: Sequence[str], use_case: str = ALL, file: Path = FILE) -> Preset | None:
    """Return the palette with which the app opens: the first starting palette that names a prompt; None for none."""
    return next((preset for preset in presets(values, values, use_case, file) if preset.prompt), None)


@lru_cache(maxsize=2)
def _handmade(file: Path) -> dict[str, tuple[Preset, ...]]:
    content = json.loads(file.read_text(encoding="utf-8"))
    return {
        use_case: tuple(
            Preset(
                preset["name"],
                preset["what"],
                Palette(
                    use_case,
                    {
                        name: Target(50.0, keep=True) if level == "keep" else Target(float(level))
                        for name, level in preset["targets"].items()
                    },
                ),
                preset.get("prompt", ""),
            )
            for preset in offered
        )
        for use_case, offered in content.items()
    }


def _fits(preset: Preset, values: Sequence[str]) -> bool:
    return set(preset.palette.targets) <= set(values)


def _for_values(values: Sequence[str], use_case: str, palette: Palette) -> Palette:
    """Return the palette with a target for each value of the table, free where it has none."""
    return Palette(use_case, {name: palette.targets.get(name, Target(50.0, free=True)) for name in values})


def _generated(values: Sequence[str], titles: Sequence[str], use_case: str) -> list[Preset]:
    """Generate palettes: each of the first values raised alone, one raised and the others kept, all raised a little."""
    presets = []
    for name, title in list(zip(values, titles, strict=True))[:MOST_GENERATED]:
        description = f"Only {title} is raised; the other values have no target."
        presets.append(
            Preset(
                f"More {title}", description, _for_values(values, use_case, Palette(use_case, {name: Target(RAISED)}))
            )
        )
    if len(values) > 1:
        kept = {name: Target(50.0, keep=True) for name in values[1:]} | {values[0]: Target(RAISED - 10)}
        description = f"Somewhat more {titles[0]}, and no other value drops."
        presets.append(Preset("Nothing lost", description, _for_values(values, use_case, Palette(use_case, kept))))
        evenly = Palette(use_case, dict.fromkeys(values, Target(EVENLY)))
        presets.append(Preset("A little of everything", "Every value is raised a little.", evenly))
    return presets
