"""Palettes to begin from: made by hand for each use case of the embedded table, and from its own values for any other.

Constraint: the ones made by hand can be had on the embedded table, which a test holds; of another table's nothing is
known beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from map_core.core.assets import ASSETS
from map_core.palettes.palette import ALL, Palette, Target

FILE = ASSETS / "presets.json"
#: What a table of other values is offered: so many of its values, each raised to this percentile.
MOST_OWN, RAISED, EVENLY = 4, 70.0, 55.0


@dataclass(frozen=True)
class Preset:
    """A palette to begin from.

    Args:
        name: in a word or two.
        what: whom it is for and what it asks for, a sentence.
        palette: a target for each value of the table.
    """

    name: str
    what: str
    palette: Palette


def presets(values: Sequence[str], titles: Sequence[str], use_case: str = ALL) -> tuple[Preset, ...]:
    """The palettes to begin from in one use case.

    Args:
        values: of the table.
        titles: of the values, as people read them within a sentence.
        use_case: whose prompts count; one that has none made by hand is offered those of all use cases together.

    Returns:
        Those made by hand, where the table has the values that they speak of; else ones made from its values.
    """
    known = _made_by_hand()
    offered = known.get(use_case, known[ALL])
    found = [replace(one, palette=_on(values, use_case, one.palette)) for one in offered if _fits(one, values)]
    return tuple(found or _own(values, titles, use_case))


@lru_cache(maxsize=1)
def _made_by_hand() -> dict[str, tuple[Preset, ...]]:
    told = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        use_case: tuple(
            Preset(
                one["name"],
                one["what"],
                Palette(
                    use_case,
                    {
                        name: Target(50.0, keep=True) if level == "keep" else Target(float(level))
                        for name, level in one["targets"].items()
                    },
                ),
            )
            for one in offered
        )
        for use_case, offered in told.items()
    }


def _fits(preset: Preset, values: Sequence[str]) -> bool:
    return set(preset.palette.targets) <= set(values)


def _on(values: Sequence[str], use_case: str, palette: Palette) -> Palette:
    """The palette with a target for each value of the table, free where nothing is said."""
    return Palette(use_case, {name: palette.targets.get(name, Target(50.0, free=True)) for name in values})


def _own(values: Sequence[str], titles: Sequence[str], use_case: str) -> list[Preset]:
    """Each of the first values raised while the others are free, one raised while they are kept, and all a little."""
    made = []
    for name, title in list(zip(values, titles, strict=True))[:MOST_OWN]:
        what = f"Only {title} is raised; the other values are left free."
        made.append(Preset(f"More {title}", what, _on(values, use_case, Palette(use_case, {name: Target(RAISED)}))))
    if len(values) > 1:
        kept = {name: Target(50.0, keep=True) for name in values[1:]} | {values[0]: Target(RAISED - 10)}
        what = f"Somewhat more {titles[0]}, and no other value drops."
        made.append(Preset("Nothing lost", what, _on(values, use_case, Palette(use_case, kept))))
        evenly = Palette(use_case, dict.fromkeys(values, Target(EVENLY)))
        made.append(Preset("A little of everything", "Every value is raised a little.", evenly))
    return made
