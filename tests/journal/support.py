"""A journal with a real order and a real store, and readers that wait for what it tells them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from securechat.chat import chain
from securechat.chat.model import Change, Kind, Outcome, Proposal, Record, Recorded, Room
from securechat.chat.names import LOBBY
from securechat.errors import SecurechatError
from securechat.journal.journal import Batch, Journal, Order, Submission
from securechat.journal.local import LocalOrder
from securechat.journal.store import Store
from securechat.limits import Limits

Durability = Literal["full", "normal"]

PATIENCE = 20.0
"""Seconds until a test gives up waiting for what must come."""


class Readers:
    """The publisher: keeps each batch for the test; while `written` is not set, the last batch is not written out."""

    def __init__(self) -> None:
        self.batches: SimpleQueue[Batch] = SimpleQueue()
        self.written = threading.Event()
        self.written.set()
        self.pacing = threading.Event()
        """The journal has asked at least once whether a batch is written out."""
        self.asked: list[float] = []
        """The seconds that it was ready to wait, each time."""

    def publish(self, batch: Batch) -> None:
        self.batches.put(batch)

    def wait_written(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.pacing.set()
        # A test that holds the readers up also lets them go on; the journal's own limit is not what is tested here.
        assert self.written.wait(PATIENCE)

    def next(self) -> Batch:
        return self.batches.get(timeout=PATIENCE)


class RunningJournal:
    """A journal at work, its readers, and the failures that it reported."""

    def __init__(
        self,
        path: Path,
        limits: Limits | None = None,
        clock: Callable[[], int] | None = None,
        durability: Durability = "full",
        order: Callable[[int], Order] = LocalOrder,
    ) -> None:
        limits = limits or Limits()
        self.store = Store(path, durability)
        self.readers = Readers()
        self.failures: SimpleQueue[SecurechatError] = SimpleQueue()
        clock = clock or count(1_000).__next__
        self.journal = Journal(
            order(limits.journal_proposals), self.store, self.readers, limits, clock, self.failures.put
        )

    def close(self) -> None:
        """Stop, with all that waits decided, and let go of the store."""
        self.readers.written.set()
        stopped = self.journal.stop(PATIENCE)
        self.store.close()
        assert stopped

    def propose(self, *proposals: Proposal | Change) -> None:
        """Propose all at once; each proposal is its own origin."""
        assert self.journal.submit([Submission(proposal, proposal) for proposal in proposals])

    def settle(self, *proposals: Proposal | Change) -> Batch:
        """Propose all at once, and give the batch that they came to."""
        self.propose(*proposals)
        return self.readers.next()

    def outcome(self, proposal: Proposal | Change) -> Outcome:
        """What came of one proposal that is alone in its batch; what a cluster had still to tell may come before."""
        self.propose(proposal)
        while True:
            outcomes = self.readers.next().outcomes
            mine = [outcome for origin, outcome in outcomes if origin is proposal]
            assert len(mine) + sum(origin is None for origin, _ in outcomes) == len(outcomes)
            if mine:
                return mine[0]

    def record(self, proposal: Proposal) -> Record:
        """The record of a proposal that must be recorded, now or before."""
        outcome = self.outcome(proposal)
        assert isinstance(outcome, Recorded), outcome
        return outcome.record

    def log(self, room: str = LOBBY) -> list[Record]:
        """All that the store has of a room."""
        reader = self.store.reader()
        page = reader.page(room, after=0, limit=1_000_000, max_bytes=1 << 40)
        reader.close()
        return page.records


@contextmanager
def running_journal(
    path: Path,
    limits: Limits | None = None,
    clock: Callable[[], int] | None = None,
    order: Callable[[int], Order] = LocalOrder,
) -> Iterator[RunningJournal]:
    """A journal on the store at `path`, stopped and closed at the end; its own clock ticks once a batch."""
    running = RunningJournal(path, limits, clock, order=order)
    running.journal.start()
    try:
        yield running
    finally:
        running.close()


def said(author: str, id: str, text: str = "hello", room: str = LOBBY) -> Proposal:
    return Proposal("say", author, room, id=id, text=text)


def change(kind: Kind, author: str, room: str = LOBBY) -> Proposal:
    return Proposal(kind, author, room)


def edit(author: str, about: int, text: str = "better", id: str = "e") -> Proposal:
    return Proposal("edit", author, LOBBY, id=id, text=text, about=about)


def delete(author: str, about: int) -> Proposal:
    return Proposal("delete", author, LOBBY, about=about)


def assert_chained(room: Room, log: list[Record]) -> None:
    """The records are all there are of the room, without a gap, and their chain leads from its base to its head."""
    previous = room.base_hash
    for number, record in enumerate(log, start=room.base + 1):
        assert record.seq == number
        assert record.hash == chain.link_record(previous, record)
        previous = record.hash
    assert (room.base + len(log), previous) == (room.head, room.hash)
