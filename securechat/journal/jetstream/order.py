"""The order of all nodes as one of them sees it: its own proposals go out in packs, everybody's come back in one order.

asyncio runs on the journal's thread, within `take`; what other threads call leaves a note for it. An author's node
answers when it has read back, and stored, what the stream has; where that takes too long the answer is `unavailable`:
it may be stored or not, and the same id again finds out. This file knows no rule of chat.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final

import msgspec
from msgspec.structs import replace

from securechat.chat.model import Rejected
from securechat.errors import ClusterError, Code, SecurechatError
from securechat.journal.jetstream.link import Link, Loop, cancel_others
from securechat.journal.jetstream.packs import PACK_PROPOSALS, ROOM_BYTES, decode, encode, written
from securechat.journal.jetstream.stream import Engine, NodeReport
from securechat.journal.journal import Submission, Terms
from securechat.journal.store import Position

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 5.0
"""How long a proposal may be on its way before its author is told `unavailable`: an election mostly takes less."""

HOLD_SECONDS: Final = 1.0
"""How long others are refused still when the stream is there again: what an author sent behind a line that was refused
must not be stored before it."""

CLOSE_SECONDS: Final = 2.0
"""How long a node that stops waits for what is on its way; a server has four in all to stop."""

READ_AHEAD: Final = 8_192
"""Proposals that were read and not taken: eight commits. Past it, nothing more is read from the stream."""

UNAVAILABLE: Final = Rejected(
    Code.UNAVAILABLE, "The cluster stores nothing at the moment; what was sent may be stored.", retry_after=2.0
)


class _Ready(msgspec.Struct, frozen=True):
    """What can be taken: where that gets to in the stream, and whether it is this node's own."""

    submission: Submission
    position: Position | None
    is_own: bool


class _Flight(msgspec.Struct):
    """What was packed and was not read back yet; nobody waits for it any more where `submissions` is empty."""

    submissions: list[Submission]
    since: float


class JetStreamOrder:
    """Order by the stream of a cluster; at most `limit` proposals of this node wait."""

    def __init__(self, limit: int, engine: Engine) -> None:
        self._limit = limit
        self._node = engine.node
        self._link = Link(engine, self)
        self._lock = Lock()
        self._waiting: deque[Submission] = deque()
        self._since = 0.0
        """When what waits began to wait."""
        self._flights: dict[int, _Flight] = {}
        self._parcel: tuple[str, bytes] | None = None
        """The pack that is not acknowledged."""
        self._ready: deque[_Ready] = deque()
        self._own = 0
        self._run = os.urandom(8)
        self._number = 0
        self._read = self._taken = Position()
        self._last = 0
        """Up to where the stream went when the round began."""
        self._refuses = False
        self._refuses_until = 0.0
        self._closed_at: float | None = None
        self._failure: SecurechatError | None = None
        self._loop: Loop | None = None

    # --- for every thread ---------------------------------------------------------------------------

    def submit(self, submissions: list[Submission]) -> bool:
        """Take all of them, in this order and next to each other, or none: False when full or closed."""
        with self._lock:
            if self._closed_at is not None or self._own + len(submissions) > self._limit:
                return False
            self._own += len(submissions)
            now = time.monotonic()
            if self._refuses or now < self._refuses_until:
                self._answer(submissions, UNAVAILABLE)
            else:
                if not self._waiting:
                    self._since = now
                self._waiting.extend(submissions)
            self._wake()
            return True

    @property
    def position(self) -> Position:
        """Up to where the stream was taken."""
        return self._taken

    @property
    def is_level(self) -> bool:
        """Whether the stream is read, and what was in it when that began has been taken."""
        return self._link.is_reading and self._taken.entry >= self._last

    @property
    def waiting(self) -> int:
        """How many of this node's proposals wait to be taken."""
        return self._own

    def close(self) -> None:
        """Take nothing more; what waits is still ordered, or answered after CLOSE_SECONDS."""
        with self._lock:
            self._closed_at = self._closed_at or time.monotonic()
            self._wake()

    # --- for the journal's thread -------------------------------------------------------------------

    def start(
        self,
        after: Callable[[], Position],
        terms: Callable[[], Terms],
        digest: Callable[[], str],
        answer: Callable[[bytes], bytes],
    ) -> None:
        """Begin to follow the stream behind this position."""
        self._read = self._taken = after()
        self._terms = terms
        self._digest = digest
        self.answer = answer
        loop = Loop()
        self._news, self._asked, self._taken_out = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._serving = loop.create_task(self._serve())
        with self._lock:
            self._loop = loop

    def take(self, limit: int, enough: int = 1, seconds: float = 0.0) -> list[Submission]:
        """Give what comes next in the stream, up to `limit`: wait for some, and then up to `seconds` for `enough`.

        Empty means closed, and nothing of this node's is left. Raises ClusterError when this node cannot go on.
        """
        assert self._loop is not None, "it was not started"
        self._loop.run_until_complete(self._gather(enough, seconds))
        taken: list[Submission] = []
        with self._lock:
            while self._ready and len(taken) < limit:
                one = self._ready.popleft()
                taken.append(one.submission)
                self._taken = one.position or self._taken
                self._own -= one.is_own
        if self._failure is not None and not taken:
            raise self._failure
        self._taken_out.set()
        return taken

    def end(self) -> None:
        """Let go of the connection."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.run_until_complete(cancel_others())
            loop.abandon()

    # --- for the link ---------------------------------------------------------------------------------

    @property
    def read(self) -> int:
        """The last entry that was read whole."""
        return self._read.entry

    def begin(self, last: int) -> None:
        """The stream answers: whoever was refused may try again, unless a pack is still not acknowledged."""
        self._last = last
        if self._parcel is None:
            self._recover()

    def report(self) -> NodeReport:
        """How far this node is; what was taken is stored while the loop runs."""
        taken = self._taken
        return NodeReport(self._node, taken.entry, self.is_level, self._digest(), taken.proposals)

    async def outgoing(self) -> tuple[str, bytes]:
        """Give the pack that is not acknowledged, or make the next out of what waits."""
        while self._parcel is None:
            self._asked.clear()
            if not self._pack():
                await self._asked.wait()
        return self._parcel

    def stored(self) -> None:
        """The pack is in the stream: the next may follow."""
        self._parcel = None
        self._recover()

    async def room(self) -> None:
        """Wait until enough of what was read has been taken."""
        while len(self._ready) >= READ_AHEAD:
            self._taken_out.clear()
            await self._taken_out.wait()

    def incoming(self, data: bytes, sequence: int) -> None:
        """Make an entry ready to be taken; what of it was taken before a restart is left out."""
        pack = decode(data, sequence)
        flight = self._flights.pop(pack.number, None) if pack.run == self._run else None
        mine = deque(flight.submissions if flight else ())
        is_own = bool(mine)
        for number, proposal in enumerate(pack.proposals[self._read.proposals :], start=self._read.proposals + 1):
            self._pass_answered(mine)
            is_last = number == len(pack.proposals)
            position = Position(sequence) if is_last else Position(sequence - 1, number)
            origin = mine.popleft().origin if mine else None
            self._ready.append(_Ready(Submission(proposal, origin, pack.terms), position, is_own))
        self._pass_answered(mine)
        self._read = Position(sequence)
        self._news.set()

    # --- within ---------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            await self._link.serve()
        except SecurechatError as error:
            self._failure = error
        except Exception as error:
            log.exception("following the cluster's stream failed")
            self._failure = ClusterError(f"The node stopped on a bug: {type(error).__name__}.", hint="See the log.")
        self._news.set()

    async def _gather(self, enough: int, seconds: float) -> None:
        await self._wait(1, None)
        if len(self._ready) < enough:
            await self._wait(enough, time.monotonic() + seconds)

    async def _wait(self, count: int, until: float | None) -> None:
        """Wait for so many, or for the end of it all, or until then; authors who wait too long meanwhile are told."""
        while True:
            self._news.clear()
            now = time.monotonic()
            due = self._due()
            if due is not None and now >= due:
                self._lose_patience()
                continue
            if len(self._ready) >= count or self._failure is not None or self._is_done:
                return
            if until is not None and now >= until:
                return
            times = [moment for moment in (due, until) if moment is not None]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(times) - now if times else None):
                    await self._news.wait()

    @property
    def _is_done(self) -> bool:
        return self._closed_at is not None and not self._waiting and not self._flights

    def _wake(self) -> None:
        """Have the loop look at what is new; with the lock held."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._news.set()
        self._asked.set()

    def _pack(self) -> bool:
        """Make the next pack; False when nothing waits."""
        proposals: list[msgspec.Raw] = []
        mine: list[Submission] = []
        room = ROOM_BYTES
        # Without the lock: others only add to what waits.
        while self._waiting and len(mine) < PACK_PROPOSALS:
            data = written(self._waiting[0])
            if isinstance(data, Rejected):
                mine.append(replace(self._waiting.popleft(), answer=data))
                continue
            room -= len(memoryview(data))
            if room < 0:
                break
            proposals.append(data)
            mine.append(self._waiting.popleft())
        with self._lock:
            since, self._since = self._since, time.monotonic()
        if proposals:
            self._number += 1
            self._flights[self._number] = _Flight(mine, since)
            self._parcel = (
                f"{self._run.hex()}.{self._number}",
                encode(self._run, self._number, self._terms(), proposals),
            )
        elif mine:
            self._ready.extend(_Ready(one, None, is_own=True) for one in mine)
            self._news.set()
        return bool(mine)

    def _pass_answered(self, mine: deque[Submission]) -> None:
        """Make ready what stood next to others and is in no pack: it has its answer."""
        while mine and mine[0].answer:
            self._ready.append(_Ready(mine.popleft(), None, is_own=True))

    def _answer(self, submissions: list[Submission], answer: Rejected) -> None:
        self._ready.extend(_Ready(replace(one, answer=answer), None, is_own=True) for one in submissions)

    def _due(self) -> float | None:
        """When those who have waited longest, or all of them at the end, are to be told."""
        if self._closed_at is not None:
            return None if self._is_done else self._closed_at + CLOSE_SECONDS
        since = [flight.since for flight in self._flights.values() if flight.submissions]
        if self._waiting:
            since.append(self._since)
        return min(since) + PATIENCE_SECONDS if since else None

    def _lose_patience(self) -> None:
        """Tell all who wait; what is in flight stays there, and may be stored later."""
        with self._lock:
            # A node that reads on and has nothing unacknowledged is only behind: the stream itself stores.
            self._refuses = self._parcel is not None or not self._link.is_reading
            self._refuses_until = time.monotonic() + HOLD_SECONDS
            refused = [one for flight in self._flights.values() for one in flight.submissions] + list(self._waiting)
            self._waiting.clear()
            for flight in self._flights.values():
                flight.submissions = []
            if self._closed_at is not None:
                self._flights.clear()
            self._answer(refused, UNAVAILABLE)
        log.warning("the cluster stores nothing at the moment: %d proposals were answered so", len(refused))

    def _recover(self) -> None:
        if self._refuses:
            log.info("the cluster stores again")
            with self._lock:
                self._refuses, self._refuses_until = False, time.monotonic() + HOLD_SECONDS
