"""Threads on which the server is asked, one thing after the other, so that no key waits for an answer. It knows nothing
of what is asked.
"""

import queue
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from securechat.client import text
from securechat.client.screen.model import Model
from securechat.client.screen.rooms import Room
from securechat.errors import SecurechatError

T = TypeVar("T")


class Lane:
    """A thread that does one thing after the other."""

    def __init__(self, name: str, fail: Callable[[BaseException], None]) -> None:
        """`fail` is told what nobody expected; nothing more is done then."""
        self._fail = fail
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"securechat-{name}", daemon=True)
        self._thread.start()

    def ask(self, act: Callable[[], None]) -> None:
        """Do this behind what was asked for before."""
        self._asked.put(act)

    def close(self) -> None:
        """End it behind what was asked for; the client is closed, so nothing of it waits."""
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (act := self._asked.get()) is not None:
                act()
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            self._fail(error)


class Asker:
    """Asks on a lane and brings the answers to the thread that owns the model; `post` has something done there."""

    def __init__(
        self, model: Model, post: Callable[[Callable[[], None]], None], fail: Callable[[BaseException], None]
    ) -> None:
        self._model = model
        self._post = post
        self._lane: Final = Lane("asker", fail)

    def close(self) -> None:
        """End its thread; the client is closed already."""
        self._lane.close()

    def ask(
        self,
        ask: Callable[[], T],
        then: Callable[[T], None] = lambda _: None,
        *,
        quiet: bool = False,
        room: Room | None = None,
    ) -> None:
        """Ask on the thread for it and take the answer on this one; a failure is told, unless it is `quiet`."""

        def act() -> None:
            try:
                answer = ask()
            except SecurechatError as error:
                told = text.line(str(error))
                self._post(lambda: self._tell_failure(told, quiet=quiet, room=room))
            else:
                self._post(lambda: then(answer))

        self._lane.ask(act)

    def _tell_failure(self, told: str, *, quiet: bool, room: Room | None) -> None:
        if room is not None:
            room.is_loading, room.is_stuck = False, True
        if not quiet:
            self._model.tell(told)
