"""How many proposals a second one stream takes, and one node that follows it: `python -m tests.cluster.measure`.

Real NATS servers on loopback, with `sync_interval: always`; a node is the journal with its store on disk, without
sockets. All of it shares the cores of one machine: what this prints is what is left for it there.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Protocol

from securechat.chat.model import Proposal
from securechat.journal.jetstream.order import JetStreamOrder
from securechat.journal.journal import Batch, Journal, Order, Submission, Terms
from securechat.journal.local import LocalOrder
from securechat.journal.store import Position, Store
from securechat.limits import Limits
from tests.cluster.servers import engine, nats_servers

SECONDS: Final = 5.0
"""For each line of the table."""

AT_ONCE: Final = (1, 64, 4_096)
"""Proposals on their way: of one who speaks alone, of a busy client, of a flood."""

LIMITS: Final = Limits()


class Course(Protocol):
    """What proposals run through, from being submitted to coming back."""

    def submit(self, submissions: list[Submission]) -> bool: ...

    def come_back(self) -> list[object]:
        """Wait for some, and give their origins."""
        ...


class OrderAlone:
    """The stream there and back: nothing is decided or stored by a node."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.submit = order.submit
        order.start(Position, lambda: Terms(1, LIMITS.text_bytes), str, bytes)

    def come_back(self) -> list[object]:
        return [one.origin for one in self._order.take(LIMITS.batch_records)]

    def close(self) -> None:
        self._order.close()
        while self._order.take(LIMITS.batch_records):
            continue
        self._order.end()


class WholeJournal:
    """Ordered, decided, committed with an fsync, published."""

    def __init__(self, order: Order, store: Store) -> None:
        self._batches: SimpleQueue[Batch] = SimpleQueue()
        self._journal = Journal(order, store, self, LIMITS, lambda: time.time_ns() // 1_000_000, print)
        self.submit = self._journal.submit
        self._journal.start()
        self.submit([Submission(Proposal("join", "mia", "lobby"), None)])

    def publish(self, batch: Batch) -> None:
        self._batches.put(batch)

    def wait_written(self, seconds: float) -> None:
        """Nobody reads."""

    def come_back(self) -> list[object]:
        return [origin for origin, _ in self._batches.get().outcomes]

    def close(self) -> None:
        self._journal.stop(SECONDS)


def measure(course: Course, at_once: int) -> list[float]:
    """How long each proposal took, in seconds, with so many on their way at any time, for SECONDS."""
    sent: dict[object, float] = {}
    number = 0

    def say(count: int) -> None:
        nonlocal number
        now = time.monotonic()
        numbers = range(number + 1, number + count + 1)
        number += count
        sent.update(dict.fromkeys(numbers, now))
        assert course.submit(
            [Submission(Proposal("say", "mia", "lobby", f"id-{one}", "x" * 100), one) for one in numbers]
        )

    def settle() -> list[float]:
        back = [one for one in course.come_back() if one in sent]
        now = time.monotonic()
        return [now - sent.pop(one) for one in back]

    say(1)
    while not settle():  # until it is level
        continue
    times: list[float] = []
    say(at_once)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done = settle()
        times += done
        if done:
            say(len(done))
    while sent:
        settle()
    return times


def tell(what: str, at_once: int, times: list[float]) -> None:
    """One line of the table."""
    times.sort()
    median, late = times[len(times) // 2], times[len(times) * 99 // 100]
    rate = len(times) / SECONDS
    print(f"| {what} | {at_once:,} | {rate:,.0f} | {median * 1000:.1f} | {late * 1000:.1f} |", flush=True)


def main() -> None:
    """Print the table."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("| | on their way | a second | median ms | 99th ms |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        for at_once in AT_ONCE:
            with journal(folder / f"alone-{at_once}", LocalOrder(LIMITS.journal_proposals)) as server:
                tell("a server alone", at_once, measure(server, at_once))
        for count in (1, 3):
            nats = running.enter_context(nats_servers(folder / f"nats-{count}", count))
            for at_once in AT_ONCE:
                alone, followed = (JetStreamOrder(LIMITS.journal_proposals, engine(nats)) for _ in range(2))
                with contextlib.closing(OrderAlone(alone)) as order:
                    tell(f"the stream, R{count}", at_once, measure(order, at_once))
                with journal(folder / f"node-{count}-{at_once}", followed) as node:
                    tell(f"a node on it, R{count}", at_once, measure(node, at_once))


@contextlib.contextmanager
def journal(path: Path, order: Order) -> Iterator[WholeJournal]:
    """A journal with this order, on a store of its own."""
    with contextlib.closing(Store(path, "full")) as store, contextlib.closing(WholeJournal(order, store)) as course:
        yield course


if __name__ == "__main__":
    main()
