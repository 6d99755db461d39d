"""The order in which values are aligned: a list that a person sorts by mouse, finger or keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pages.view.session.scene import Scene
from pages.view.shell import component
from pages.view.shell.session_keys import Key

ORDER: Key[list[str]] = Key("sequence_order", [])
LIST: Key[dict[str, Any]] = Key("order", {})

_HOW = "Drag a row, or press its arrows. On its handle: Space lifts, arrow keys move, Space drops, Escape cancels."
_mount = component.register(
    "order",
    f'<div class="frame"><ol></ol><p class="hint" id="how">{_HOW}</p><div class="live" aria-live="polite"></div></div>',
)


def current_order(scene: Scene, wanted: Sequence[int]) -> tuple[int, ...]:
    """Return the current order of the values that have a target: as this viewer left it, new ones last.

    Args:
        scene: the table.
        wanted: positions of the values with a target, in the table's order.

    Returns:
        Their positions, in this viewer's order.
    """
    earlier = [scene.table.index(name) for name in ORDER.get() if name in scene.table.values]
    return (*(j for j in earlier if j in wanted), *(j for j in wanted if j not in earlier))


def set_order(scene: Scene, positions: Sequence[int]) -> None:
    """Set this viewer's order; values without a target follow in their earlier order."""
    now = [scene.table.values[j] for j in positions]
    before = ORDER.get()
    ORDER.set(now + [name for name in before if name not in now])


def draw_order_list(scene: Scene, positions: Sequence[int], notes: Sequence[str]) -> None:
    """Draw the list.

    Args:
        scene: the table.
        positions: of the values, in order.
        notes: a short text for each row.
    """
    rows = [
        {"value": j, "name": scene.title(j), "colour": scene.colour(j), "note": note}
        for j, note in zip(positions, notes, strict=True)
    ]

    def moved() -> None:
        chosen = LIST.get().get("order")
        # Untrusted: only a permutation of the values on the page is accepted.
        order = chosen if isinstance(chosen, list) and all(isinstance(j, (int, float)) for j in chosen) else []
        if sorted(order) == sorted(positions):
            set_order(scene, [int(j) for j in order])

    _mount(key=LIST.name, data={"rows": rows, "label": "Order of alignment"}, on_order_change=moved)
