"""The small pools for slow work: password hashing, history pages. Results return by a note to the reactor that asked.

A worker touches no connection and no chat state; it has a tool of its own (the authenticator, a reader of the store).
"""

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Tool = TypeVar("Tool")
Result = TypeVar("Result")

NICENESS = 10
"""How far workers stand back behind the other threads, from 0 to 19."""

log = logging.getLogger(__name__)


def stand_back() -> None:
    """Put this thread behind the chat threads: neither a flood of logins nor an index must make those wait who talk."""
    # On Linux a thread has a niceness of its own; elsewhere the process would, and chat with it.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Workers(Generic[Tool]):
    """A fixed number of threads and a bounded queue of work for them."""

    def __init__(self, name: str, threads: int, waiting: int, make_tool: Callable[[], Tool]) -> None:
        """`waiting` is how much work may wait; each thread makes its own tool, and closes it if it can be closed."""
        self._work: queue.Queue[Callable[[Tool], None] | None] = queue.Queue(waiting)
        self._make_tool = make_tool
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{number}") for number in range(threads)]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[Tool], Result], deliver: Callable[[Result | Exception], None]) -> bool:
        """Have `work` done and its result, or what it raised, handed to `deliver` on the worker's thread.

        False: too much is waiting already, and nothing was taken.
        """

        def job(tool: Tool) -> None:
            try:
                result: Result | Exception = work(tool)
            except Exception as error:  # noqa: BLE001 - whoever asked is told, and a bug must not end the thread
                result = error
            deliver(result)

        try:
            self._work.put_nowait(job)
        except queue.Full:
            return False
        return True

    @property
    def waiting(self) -> int:
        """How much work waits for a thread."""
        return self._work.qsize()

    def stop(self) -> None:
        """Drop what waits, let what runs end, and join the threads."""
        while True:
            try:
                self._work.get_nowait()
            except queue.Empty:
                break
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self) -> None:
        stand_back()
        tool = self._make_tool()
        try:
            while (job := self._work.get()) is not None:
                job(tool)
        finally:
            close = getattr(tool, "close", None)
            if close:
                close()
