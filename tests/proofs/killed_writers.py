"""Processes that save palettes and are killed: counts of acknowledged, lost and duplicated saves."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from map_core.store import open_database, palettes
from tests.proofs.small_disks import Trouble, small_disk

#: Saves palettes endlessly; prints each number once its save is acknowledged, and "refused" otherwise.
WRITER = """
import itertools, random, sys, time
from datetime import datetime, timedelta
from map_core.errors import PaletteError
from map_core.palettes.palette import Palette, Target
from map_core.store import open_database, palettes

address, first, step = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
if step:
    class Stepping(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(seconds=random.uniform(-step, step))
    palettes.datetime = Stepping
try:
    opened = open_database(address)
except PaletteError as error:
    print("refused", error, flush=True)
    time.sleep(60)
for number in itertools.count(first):
    try:
        palettes.save(opened, Palette(targets={"humor": Target(number % 100)}), f"n{number}")
        print(number, flush=True)
    except PaletteError as error:
        print("refused", error, flush=True)
        time.sleep(0.02)
"""


@dataclass
class Row:
    """The result of one kind of kill."""

    what: str
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)

    def expect(self, true: bool, what: str) -> None:
        """Record a violated expectation."""
        if not true:
            self.faults.append(what)


def write_and_kill(
    row: Row, address: str, first: int, count: int, step: float = 0.0, until_refused: bool = False
) -> tuple[list[int], list[str]]:
    """Start a writer, and kill it shortly after it printed this many lines, or a refusal.

    Returns:
        The acknowledged numbers, and the refusals.
    """
    command = [sys.executable, "-c", WRITER, address, str(first), str(step)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    saved_lines: list[str] = []
    try:
        while len(saved_lines) < count and not (
            until_refused and saved_lines and saved_lines[-1].startswith("refused")
        ):
            saved_lines.append(process.stdout.readline())
            assert saved_lines[-1], "the writer ended by itself: " + "".join(saved_lines)
        time.sleep(random.uniform(0, 0.01))
    finally:
        process.kill()
        remaining, _ = process.communicate()
    row.kills += 1
    # An incomplete last line is no acknowledgement.
    saved_lines += [line for line in remaining.splitlines(keepends=True) if line.endswith("\n")]
    return [int(line) for line in saved_lines if line.strip().isdigit()], [
        line for line in saved_lines if not line.strip().isdigit()
    ]


def count_palettes(row: Row, address: str, acknowledged: list[int]) -> None:
    """Count lost and duplicated saves among the acknowledged ones."""
    opened = open_database(address)
    try:
        names = [saved.name for saved in palettes.list_palettes(opened)]
        versions = {saved.name: saved.version for saved in palettes.list_palettes(opened)}
    finally:
        opened.close()
    row.acknowledged += len(acknowledged)
    row.lost += len({f"n{number}" for number in acknowledged} - set(names))
    row.doubled += len(names) - len(set(names)) + sum(not re.fullmatch(r"n\d+", name) for name in names)
    row.expect(len(names) - len(acknowledged) <= row.kills, "more is there than was being saved at a kill")
    row.expect(set(versions.values()) <= {1}, "a palette has versions that nobody saved")


def writers(kills: int, address: str, what: str, step: float = 0.0) -> Row:
    """Kill a process while it saves palettes."""
    row, acknowledged = Row(what), list[int]()
    for _ in range(kills):
        saved_numbers, refused = write_and_kill(row, address, 10_000 * (row.kills + 1), random.randint(1, 60), step)
        acknowledged += saved_numbers
        row.expect(not refused, f"refused: {refused[:1]}")
    count_palettes(row, address, acknowledged)
    return row


def writers_on_a_disk(kills: int, trouble: Trouble, what: str) -> Row:
    """Kill a writer, and another one while the disk is full; afterwards the disk has room again."""
    row, acknowledged = Row(what), list[int]()
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder)) as disk:
        address = f"sqlite:///{disk / 'kept.sqlite'}"
        while row.kills < kills:
            saved_numbers, refused = write_and_kill(row, address, 10_000 * (row.kills + 1), random.randint(1, 20))
            acknowledged += saved_numbers
            row.expect(not refused, f"refused: {refused[:1]}")
            if row.kills < kills:
                with trouble(disk):
                    saved_numbers, refused = write_and_kill(
                        row, address, 10_000 * (row.kills + 1), 5000, until_refused=True
                    )
                acknowledged += saved_numbers
                row.expect(bool(refused), "nothing was refused")
                row.expect(not any("Traceback" in line for line in refused), "a traceback instead of a sentence")
        count_palettes(row, address, acknowledged)
    return row
