"""What a thread with a selector waits for: its sockets, notes from other threads, and times.

It must not know what a socket is for, what a note does, or what is due.
"""

import collections
import contextlib
import heapq
import itertools
import logging
import math
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

log = logging.getLogger(__name__)


class Timed(Protocol):
    """Who has a socket, and a time at which it is to be looked at."""

    scheduled: float
    """That time, of the monotonic clock: set here, infinity where there is none."""

    @property
    def is_closed(self) -> bool: ...
    def fileno(self) -> int: ...


T = TypeVar("T", bound=Timed)


class Loop(Generic[T]):
    """One thread's; `post` alone is for the others."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._selector.register(self._near, selectors.EVENT_READ, None)
        self._notes: collections.deque[Callable[[], None]] = collections.deque()
        self._woken = False
        self._timers: list[tuple[float, int, T]] = []
        self._tie = itertools.count()

    def post(self, note: Callable[[], None]) -> None:
        """Have the thread call this soon; safe from every thread."""
        self._notes.append(note)
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):  # full: a wake-up is on its way; closed: nobody is left to wake
                self._far.send(b"\0")

    def watch(self, one: T, before: int, mask: int) -> None:
        """Wait for other things than before on its socket; 0 is nothing."""
        if not mask:
            self._selector.unregister(one)
        elif before:
            self._selector.modify(one, mask, one)
        else:
            self._selector.register(one, mask, one)

    def expect(self, one: T, deadline: float) -> None:
        """Have it among those that are `due` at this time of the monotonic clock, or before."""
        # One timer each counts: a later one is set when it has fired, or each line would leave one behind.
        if deadline < one.scheduled:
            one.scheduled = deadline
            heapq.heappush(self._timers, (deadline, next(self._tie), one))

    def ready(self, *, at_once: bool) -> list[tuple[T, int]]:
        """Wait for a socket, a note or a time, or look only; who can do what it is watched for."""
        found: list[tuple[T, int]] = []
        for key, mask in self._selector.select(0 if at_once or self._notes else self._until_timer()):
            if key.data is None:
                self._take_wake_up()
            else:
                found.append((key.data, mask))
        return found

    def take_notes(self) -> None:
        """Do what was noted until now."""
        for _ in range(len(self._notes)):
            note = self._notes.popleft()
            try:
                note()
            except Exception:
                log.exception("a note failed")

    def due(self, now: float) -> Iterator[T]:
        """Those whose time has come; each has none then, until it is expected again."""
        while self._timers and self._timers[0][0] <= now:
            when, _, one = heapq.heappop(self._timers)
            if when == one.scheduled and not one.is_closed:
                one.scheduled = math.inf
                yield one

    def close(self) -> None:
        """Wait for nothing any more."""
        self._selector.close()
        self._near.close()
        self._far.close()

    def _until_timer(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _take_wake_up(self) -> None:
        # In this order: a note that comes between the two lines is taken in this very turn.
        with contextlib.suppress(BlockingIOError):
            self._near.recv(4096)
        self._woken = False
