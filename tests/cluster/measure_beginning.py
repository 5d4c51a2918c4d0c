"""How long a node takes from an empty home to being level: `python -m tests.cluster.measure_beginning`.

200,000 messages of 100 characters are in the stream of one real NATS server with TLS on loopback: as many to an entry
as fit, as a busy cluster has them, and one to an entry, as those have who hardly ever talk at the same time. A first
node reads the stream from its beginning and makes a snapshot; a second begins from that. Both are whole servers, in
this process.
"""

import asyncio
import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from securechat.chat.model import Change, Proposal
from securechat.config import Cluster
from securechat.journal.jetstream.packs import ROOM_BYTES, encode
from securechat.journal.jetstream.snapshots import look
from securechat.journal.journal import Terms
from securechat.server.ordering import engine_of
from securechat.server.snapshots import SnapshotMaker
from tests.cluster.servers import NatsServer, ask_nats, nats_servers, node_settings
from tests.server.support import make_home, running_server

RECORDS: Final = 200_000
ON_THEIR_WAY: Final = 1_000
"""Entries that are published and not acknowledged yet."""


def messages() -> list[msgspec.Raw]:
    """What was said, as it travels."""
    said: list[Proposal | Change] = [Proposal("join", "alice", "lobby")]
    said += [
        Proposal("say", "alice", "lobby", f"id-{number}", "x" * 100, salt=os.urandom(16))
        for number in range(1, RECORDS)
    ]
    return [msgspec.Raw(msgspec.msgpack.encode(one)) for one in said]


async def fill(nats: Any, cluster: Cluster, at_once: int) -> int:
    """Publish it, so many to an entry; how many entries that makes."""
    waiting = messages()
    entries = [waiting[start : start + at_once] for start in range(0, len(waiting), at_once)]
    for start in range(0, len(entries), ON_THEIR_WAY):
        packs = [
            encode(b"filler", number, Terms(1_000 + number, 16_384), proposals)
            for number, proposals in enumerate(entries[start : start + ON_THEIR_WAY], start)
        ]
        published = [await nats.publish_async(f"{cluster.stream}.log.filler", pack) for pack in packs]
        await asyncio.gather(*published)
    return len(entries)


def begin(home: Path, cluster: Cluster) -> float:
    """Seconds in which a node with this home is level, with all of it."""
    began, moment = time.monotonic(), threading.Event()
    with running_server(home, cluster=cluster) as node:
        while not (node.services.journal.is_level and node.services.view.rooms["lobby"].head == RECORDS):
            moment.wait(0.01)
        return time.monotonic() - began


def measure(folder: Path, nats: NatsServer, at_once: int) -> None:
    """One line of the table."""
    one, two = make_home(folder / f"one-{at_once}"), make_home(folder / f"two-{at_once}")
    cluster = node_settings([nats])
    engine = engine_of(one, cluster)
    look(engine)  # makes the stream
    entries = asyncio.run(ask_nats(nats, lambda stream: fill(stream, cluster, at_once)))
    from_stream = begin(one, cluster)
    began = time.monotonic()
    made = SnapshotMaker(one, engine, lambda: True).look()
    making = time.monotonic() - began
    assert made is not None
    from_snapshot = begin(two, cluster)
    print(
        f"| {entries:,} | {from_stream:.1f} | {making:.1f} | {made.bytes / 1e6:.0f} | {from_snapshot:.1f} |", flush=True
    )


def main() -> None:
    """Print the table."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("| entries | from the stream, s | making a snapshot, s | MB | from the snapshot, s |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        (nats,) = running.enter_context(nats_servers(folder / "nats", 1))
        size = len(bytes(memoryview(messages()[-1]))) + 1
        for at_once in (ROOM_BYTES // size, 1):
            measure(folder, nats, at_once)


if __name__ == "__main__":
    main()
