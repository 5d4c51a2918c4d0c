"""One process of the generator: many peers and one selector, which does what it is told through a pipe.

It knows what is said and heard, and no server: whatever talks the protocol comes with the order to enter.
"""

import selectors
import ssl
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Final, assert_never

from bench.load.hearing import Losses, Said, Tape
from bench.load.orders import (
    Answer,
    Enter,
    Entered,
    Failure,
    Finish,
    Leave,
    Left,
    Mark,
    Marked,
    Order,
    Report,
    Say,
    Spoken,
)
from bench.load.peer import Peer

HANDSHAKES: Final = 16
"""At once, in one process: no server's queue of those who come runs over."""

LOOK_SECONDS: Final = 0.005
"""How often a crowd looks whether it has done what it was told."""

PATIENCE: Final = 10.0
"""Seconds without a byte after which what was not heard is lost."""

ENTRY_PATIENCE: Final = 60.0
"""The same while they come in: a server that tells each of thousands of each of the others is silent for longer."""


def run(orders: Connection) -> None:
    """Be a crowd until the other end of the pipe is closed."""
    try:
        Crowd(orders).run()
    except EOFError:
        pass
    except Exception as error:  # noqa: BLE001 - told to whoever waits for an answer
        known = isinstance(error, RuntimeError | OSError)
        orders.send(Failure(str(error) if known else traceback.format_exc()))


class Crowd:
    """The peers of one process."""

    def __init__(self, orders: Connection) -> None:
        self._orders = orders
        self._selector = selectors.DefaultSelector()
        self._selector.register(orders, selectors.EVENT_READ)
        self._masks: dict[Peer, int] = {}
        self._peers: list[Peer] = []
        self._authors: list[Peer] = []
        self._shaking: list[Peer] = []
        self._tapes: dict[tuple[str, ...], Tape] = {}
        self._come: Callable[[], None] | None = None
        self._goal: Callable[[float], Answer | None] | None = None
        self._look_at = 0.0
        self._waited = 0.0
        self._heard_at = 0.0
        self._said_at = 0.0
        self._pace = Pace()

    def run(self) -> None:
        """Do what is ordered. Raises EOFError when the other end is closed."""
        while True:
            before = time.perf_counter()
            events = self._selector.select(self._patience(before))
            now = time.perf_counter()
            self._waited += now - before
            for key, mask in events:
                if key.data is None:
                    self._take(self._orders.recv())
                else:
                    self._heard_at = now
                    key.data.ready(mask)
            if self._come:
                self._come()
            while self._pace.due(time.perf_counter()):
                self._pace.next().say_one()
            if self._goal and now >= self._look_at:
                answer = self._goal(now)
                looked = time.perf_counter()
                self._look_at = looked + max(LOOK_SECONDS, 10 * (looked - now))
                if answer is not None:
                    self._goal = None
                    self._orders.send(answer)

    def _patience(self, now: float) -> float | None:
        pauses = [self._pace.at - now] if self._pace.authors else []
        if self._goal:
            pauses.append(LOOK_SECONDS)
        return max(0.0, min(pauses)) if pauses else None

    def _take(self, order: Order) -> None:
        match order:
            case Enter():
                self._enter(order)
            case Leave():
                self._goal = self._leave
            case Mark():
                for peer in self._authors:
                    if peer.member.account in order.authors:
                        peer.mark()
                self._goal = self._marked
            case Say():
                self._say(order)
            case Finish():
                self._heard_at = time.perf_counter()
                self._goal = lambda now: self._report(order.said, now)
            case _:
                assert_never(order)

    def _enter(self, order: Enter) -> None:
        context = ssl.create_default_context(cafile=str(order.serving.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        began = self._heard_at = time.perf_counter()
        self._waited = 0.0
        waiting = deque(order.members)

        def come() -> None:
            self._shaking = [peer for peer in self._shaking if not peer.encrypted]
            while waiting and len(self._shaking) < HANDSHAKES:
                peer = Peer(waiting.popleft(), order, context, self._watch, self._tapes)
                self._shaking.append(peer)
                self._peers.append(peer)
                if peer.member.says:
                    self._authors.append(peer)

        def entered(now: float) -> Answer | None:
            if not waiting and all(peer.entered for peer in self._peers):
                self._come = None
                return Entered(now - began, self._waited / (now - began))
            if now - self._heard_at > ENTRY_PATIENCE:
                there = sum(peer.entered for peer in self._peers)
                raise RuntimeError(f"Only {there:,} of {len(order.members):,} came in.")
            return None

        self._come, self._goal = come, entered

    def _leave(self, now: float) -> Answer:
        for peer in self._peers:
            self._selector.unregister(peer.socket)
            peer.socket.close()
        for kept in (self._peers, self._authors, self._shaking, self._masks, self._tapes):
            kept.clear()
        return Left()

    def _marked(self, now: float) -> Answer | None:
        if not all(peer.marked for peer in self._peers):
            return None
        for peer in self._peers:
            peer.settle()
        return Marked()

    def _say(self, say: Say) -> None:
        self._waited, self._said_at = 0.0, time.perf_counter()
        for peer in self._peers:
            peer.heard.clear()
            peer.acknowledged.clear()
        for peer in self._authors:
            peer.begin(say)
        self._pace = Pace(self._authors, say, self._said_at)
        self._goal = self._spoken

    def _spoken(self, now: float) -> Answer | None:
        if not all(peer.spoken for peer in self._authors):
            return None
        self._pace = Pace()
        said = {(peer.member.rooms[0], peer.member.account): peer.said for peer in self._authors}
        return Spoken(said, [seconds for peer in self._authors for seconds in peer.acknowledged])

    def _report(self, said: Said, now: float) -> Answer | None:
        by_room: dict[str, dict[tuple[str, str], int]] = {}
        for (room, author), count in said.items():
            by_room.setdefault(room, {})[room, author] = count
        expected = {peer: _in_rooms(by_room, peer.reads) for peer in self._peers}
        level = all(peer.level(expected[peer]) for peer in self._peers)
        if not level and now - self._heard_at < PATIENCE:
            return None
        losses = Losses()
        for peer in self._peers:
            losses.add(peer.account(), expected[peer])
        heard = [seconds for peer in self._peers for seconds in peer.heard]
        return Report(losses, heard, self._waited / (now - self._said_at))

    def _watch(self, peer: Peer, mask: int) -> None:
        before = self._masks.get(peer)
        if before is None:
            self._selector.register(peer.socket, mask, peer)
        elif before != mask:
            self._selector.modify(peer.socket, mask, peer)
        self._masks[peer] = mask


class Pace:
    """Authors who take turns, so many messages a second; without a rate there are none."""

    def __init__(self, authors: Sequence[Peer] = (), say: Say | None = None, now: float = 0.0) -> None:
        self.authors = deque(authors if say and say.rate else ())
        self.at = now
        self._pause = 1 / say.rate if say and say.rate else 0.0

    def due(self, now: float) -> bool:
        """Whether it is time for the next message."""
        return bool(self.authors) and now >= self.at

    def next(self) -> Peer:
        """Whose turn it is, once."""
        self.at += self._pause
        self.authors.rotate()
        return self.authors[0]


def _in_rooms(by_room: Mapping[str, Said], rooms: Sequence[str]) -> Said:
    """What was said in these rooms; for one room, as nearly all have, nothing is copied."""
    if len(rooms) == 1:
        return by_room.get(rooms[0], {})
    return {key: count for room in rooms for key, count in by_room.get(room, {}).items()}
