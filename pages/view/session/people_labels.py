"""Labels of the open table's replies: those in the file beside it, and those given on the page *Values*."""

from __future__ import annotations

import logging
import time

from map_core.custom_values import replies_key
from map_core.errors import PaletteError
from map_core.scoring.validation import Label
from map_core.store import labels as store
from map_core.store.labels import KeptLabel, Said
from pages.view.session import scene as scenes
from pages.view.session import scorer_cards
from pages.view.shell.account import database

log = logging.getLogger("value_palette")
#: Labels are needed whenever a fader rests, so what the database returned is cached for this many seconds: by database
#: and table, the time of reading and the labels. All visitors share the cache.
REMEMBERED_SECONDS = 1.0
_known: dict[str, tuple[float, tuple[KeptLabel, ...]]] = {}


def forget() -> None:
    """Clear the cache after a label was given or withdrawn."""
    _known.clear()


def kept() -> tuple[KeptLabel, ...]:
    """Return the labels given on the page, including "not sure"; none without a database."""
    table = scenes.file_table()
    if not table.replies:
        return ()
    try:
        opened, of_table = database(), replies_key(table)
        key = f"{opened.engine.url} {of_table}"
        if (known := _known.get(key)) is not None and time.monotonic() - known[0] < REMEMBERED_SECONDS:
            return known[1]
        listed = store.list_labels(opened, of_table)
    except PaletteError as error:
        log.warning("Labels given on the page are left out: %s", error)
        return ()
    prompts = {name: index for index, name in enumerate(table.prompt_ids)}
    kept_here = tuple(
        label
        for label in listed
        if (prompt := prompts.get(label.reply[0])) is not None and table.row_of(prompt, label.reply[1]) is not None
    )
    forget()  # one entry suffices, because most visitors have the same table open
    _known[key] = (time.monotonic(), kept_here)
    return kept_here


def as_label(label: KeptLabel) -> Label:
    """Return a stored yes or no in the form of the labels of a file."""
    prompt, candidate = label.reply
    return Label(prompt, candidate, {label.value: int(label.said is Said.YES)}, label.judge, label.chance)


def given() -> tuple[Label, ...]:
    """Return all labels of the open table, of every use case."""
    on_page = tuple(as_label(label) for label in kept() if label.said is not Said.UNSURE)
    return (*scorer_cards.labels_of_file()[0], *on_page)
