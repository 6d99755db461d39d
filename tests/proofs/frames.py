"""Malformed frames to the live channel of a running app: it keeps answering and logs no error.

    python -m tests.proofs.frames --frames 100000

Text that is no JSON, JSON that is no message, messages with fields of the wrong kind, changes that no hand makes,
feeds that nobody has, binary frames and frames that break the protocol. The page that they name is a real one. After
every few hundred a proper message is sent, which must be answered. Constraint: everything passes the app's own layers,
as from a browser; a frame that closes its socket, as the protocol wants, is followed by a new one.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from pages.view.shell import live_channel
from tests.app_client import AppClient
from tests.app_server import Server, running

#: Frames between two valid messages, and the timeout of their answers in seconds.
BETWEEN, PATIENCE = 500, 30.0
NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 50, 100, 101, -0.0, 5e-324, 1e308, -1e308, float("nan"), float("inf"), -float("inf"), 2**63, 10**400),
)
ODD: tuple[Any, ...] = (*NUMBERS, None, True, False, "", "50", "p50", "\ud800", "\x00", [], [[]], {}, {"a": {}})


@dataclass
class Tally:
    """Counts of frames and their outcomes."""

    sent: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    closed: int = 0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)


class Sender:
    """Send frames to one desk.

    Args:
        address: of the app.
        values: of the desk.
        seed: of the frames.
    """

    def __init__(self, address: str, seed: int) -> None:
        self.chance, self.tally = random.Random(seed), Tally()
        self._address, self._number = address, 0
        self._visit = AppClient(address)
        received = b"".join(message.SerializeToString() for message in self._visit.run())
        # The desk's data: its name with its first fader.
        self.page = re.search(rb'"session": ?"([0-9a-f]{32})"', received)[1].decode()  # type: ignore[index]
        self.values = [name.decode() for name in re.findall(rb'"name": ?"([a-z_]+)"', received)]
        self._socket = self._connect()
        self._kinds: dict[str, Callable[[], None]] = {
            "no JSON": self._no_json,
            "no message": self._no_message,
            "fields of the wrong kind": self._wrong_fields,
            "changes that no hand makes": self._wrong_changes,
            "feeds": self._feeds,
            "cut short": self._cut_short,
            "long or deep": self._long,
            "binary": self._binary,
            "against the protocol": self._protocol,
        }

    def send(self, frames: int) -> Tally:
        """Send this many frames, one of each kind first, with valid messages in between."""
        names, weights = list(self._kinds), (20, 20, 20, 20, 15, 5, 0.4, 0.3, 0.3)
        for number in range(frames):
            kind = names[number] if number < len(names) else self.chance.choices(names, weights)[0]
            self.tally.sent[kind] += 1
            try:
                self._kinds[kind]()
            except ConnectionClosed:
                self._again()
            if (number + 1) % BETWEEN == 0 or number + 1 == frames:
                self._ask()
        self._socket.close()
        self._visit.socket.close()
        return self.tally

    def _connect(self) -> ClientConnection:
        address = self._address.replace("http", "ws", 1) + live_channel.PATH
        return connect(address, origin=self._address, max_size=None, legacy=True)  # type: ignore[arg-type]

    def _again(self) -> None:
        self.tally.closed += 1
        self._socket.close()
        self._socket = self._connect()

    def _ask(self) -> None:
        """Send a valid message, which must be answered."""
        self._number += 1
        number, began = 10**9 + self._number, time.monotonic()
        value, place = self.chance.choice(self.values), self.chance.uniform(0, 100)
        text = json.dumps({"session": self.page, "seq": number, "changes": {value: {"percentile": place}}})
        for _ in range(2):  # an earlier frame may close the socket only now
            try:
                self._socket.send(text)
                while True:
                    reply = json.loads(self._socket.recv(timeout=PATIENCE))
                    answer = reply.get("answer", {})
                    if answer.get("verdict") == "failed":
                        self.tally.failures.append(f"an answer failed: {answer['sentence']}")
                    if answer.get("ack") == number:
                        self.tally.answered += 1
                        self.tally.slowest = max(self.tally.slowest, time.monotonic() - began)
                        return
            except ConnectionClosed:
                self._again()
            except TimeoutError:
                break
        self.tally.failures.append(f"message {number} was not answered")

    def _text(self, content: object) -> None:
        self._socket.send(json.dumps(content))

    def _odd(self) -> Any:
        return self.chance.choice(ODD)

    def _no_json(self) -> None:
        letters = "{}[]\":,0123456789.eE+-truefalsn \\u\n\x00\x1f\x7f\u2028\ufffe\U0001f600'<>"
        self._socket.send("".join(self.chance.choices(letters, k=self.chance.randint(0, 60))))

    def _no_message(self) -> None:
        keys = ("session", "seq", "changes", "watch", "got", "stop", "", "x")
        content = {key: self._odd() for key in self.chance.sample(keys, self.chance.randint(0, 4))}
        self._text(self.chance.choice((content, [content], self._odd())))

    def _wrong_fields(self) -> None:
        content: dict[str, Any] = {"session": self.page, "seq": self.chance.randint(0, 9), "changes": {}}
        for key in self.chance.sample(list(content), self.chance.randint(1, 2)):
            content[key] = self._odd()
        self._text(content)

    def _wrong_changes(self) -> None:
        keys = ("percentile", "free", "keep", "locked", "mode", "")
        names = (*self.values, "", "\ud800", "__class__", "nobody")
        changes: dict[str, Any] = {
            name: self.chance.choice((self._odd(), {key: self._odd() for key in self.chance.sample(keys, 3)}))
            for name in self.chance.sample(names, self.chance.randint(1, 4))
        }
        self._text({"session": self.page, "seq": self.chance.choice((1, -1, 2**70, True)), "changes": changes})

    def _feeds(self) -> None:
        known = (f"{self.chance.getrandbits(128):032x}", "x" * 500, self.page)
        keys = self.chance.sample(("watch", "got", "stop"), self.chance.randint(1, 2))
        self._text({key: self.chance.choice((self._odd(), *known)) for key in keys})

    def _cut_short(self) -> None:
        message = json.dumps({"session": self.page, "seq": 1, "changes": {self.values[0]: {"percentile": 50}}})
        self._socket.send(message[: self.chance.randrange(len(message))])

    def _long(self) -> None:
        length = self.chance.choice((live_channel.MAX_MESSAGE_LENGTH - 9, live_channel.MAX_MESSAGE_LENGTH, 10**6))
        self._socket.send(
            self.chance.choice(("[" * length, '{"a":' * (length // 5), f'"{"x" * length}"', "9" * length))
        )

    def _binary(self) -> None:
        self._socket.send(self.chance.randbytes(self.chance.randint(0, 40)))

    def _protocol(self) -> None:
        """Return text that is no UTF-8, and bytes that are no frame."""
        protocol = self._socket.protocol
        if self.chance.random() < 0.5:
            with self._socket.protocol_mutex:
                protocol.send_text(b"\xff\xfe" + self.chance.randbytes(8))
                for data in protocol.data_to_send():
                    self._socket.socket.sendall(data)
        else:
            self._socket.socket.sendall(b"\x8f" + self.chance.randbytes(20))


def trouble(log: Path, after: int = 0) -> list[str]:
    """Return the errors in an app's log after this many bytes."""
    text = log.read_bytes()[after:].decode(errors="replace")
    return re.findall(r"^.*(?:Traceback|Error|Exception|failed, reference|ERROR).*$", text, re.MULTILINE)


def attack(server: Server, frames: int, seed: int) -> Tally:
    """Send frames to a running app; errors in its log count as failures."""
    before = server.log.stat().st_size
    sender = Sender(server.address, seed)
    tally = sender.send(frames)
    with AppClient(server.address) as client:
        client.run()  # raises TimeoutError if other pages are no longer served
    tally.failures += trouble(server.log, before)
    return tally


def main() -> None:
    """Send frames and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("websockets").setLevel(
        logging.CRITICAL
    )  # it logs each socket that is closed because of a broken frame
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        process, began = psutil.Process(server.pid), time.monotonic()
        tally = attack(server, options.frames, options.seed)
        memory = process.memory_info().rss / 1e6
    print(
        f"{tally.sent.total():,} frames in {(time.monotonic() - began) / 60:.1f} minutes; {tally.closed} sockets closed"
    )
    print(", ".join(f"{name} {count:,}" for name, count in tally.sent.most_common()))
    print(
        f"{tally.answered} proper messages answered, the slowest in {tally.slowest:.2f} s; {memory:.0f} MB at the end"
    )
    print(f"failures: {len(tally.failures)}")
    for text in list(dict.fromkeys(tally.failures))[:20]:
        print(f"  {text}")
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
