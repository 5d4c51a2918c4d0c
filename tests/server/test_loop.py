"""The loop of a thread: it wakes for notes, sockets and times, and for nothing else."""

import math
import selectors
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from securechat.server.loop import Loop


class One:
    """Somebody with a socket."""

    def __init__(self, own: socket.socket) -> None:
        self.scheduled = math.inf
        self.is_closed = False
        self._own = own

    def fileno(self) -> int:
        return self._own.fileno()


@pytest.fixture
def loop() -> Iterator[Loop[One]]:
    made: Loop[One] = Loop()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[One, socket.socket]]:
    own, far = socket.socketpair()
    with own, far:
        yield One(own), far


def test_a_note_of_another_thread_ends_the_wait_and_is_done_once(loop: Loop[One]) -> None:
    done: list[str] = []
    other = threading.Thread(target=loop.post, args=(lambda: done.append("noted"),))
    other.start()
    assert loop.ready(at_once=False) == []
    loop.take_notes()
    loop.take_notes()
    other.join()
    assert done == ["noted"]


def test_many_notes_wake_once_and_are_done_in_their_order(loop: Loop[One]) -> None:
    done: list[int] = []
    for number in range(1000):
        loop.post(lambda number=number: done.append(number))  # type: ignore[misc]  # bound now, not when it is called
    assert loop.ready(at_once=False) == []
    loop.take_notes()
    assert done == list(range(1000))
    loop.post(lambda: done.append(1000))
    assert loop.ready(at_once=False) == []
    loop.take_notes()
    assert done[-1] == 1000


def test_a_note_that_fails_is_told_and_the_next_is_done(loop: Loop[One], caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("planted")

    done: list[str] = []
    loop.post(fail)
    loop.post(lambda: done.append("next"))
    loop.take_notes()
    assert done == ["next"]
    assert "planted" in caplog.text


def test_a_socket_is_ready_for_what_it_is_watched_for(loop: Loop[One], pair: tuple[One, socket.socket]) -> None:
    one, far = pair
    loop.watch(one, 0, selectors.EVENT_READ)
    assert loop.ready(at_once=True) == []
    far.send(b"x")
    assert loop.ready(at_once=False) == [(one, selectors.EVENT_READ)]
    loop.watch(one, selectors.EVENT_READ, selectors.EVENT_WRITE)
    assert loop.ready(at_once=False) == [(one, selectors.EVENT_WRITE)]
    loop.watch(one, selectors.EVENT_WRITE, 0)
    assert loop.ready(at_once=True) == []


def test_who_is_expected_twice_is_due_once_at_the_earlier_time(
    loop: Loop[One], pair: tuple[One, socket.socket]
) -> None:
    one, _ = pair
    for deadline in (5.0, 7.0, 3.0):
        loop.expect(one, deadline)
    assert list(loop.due(2.9)) == []
    assert list(loop.due(3.0)) == [one]
    assert list(loop.due(9.0)) == []
    loop.expect(one, 9.0)
    assert list(loop.due(9.0)) == [one]


def test_who_is_closed_is_not_due(loop: Loop[One], pair: tuple[One, socket.socket]) -> None:
    one, _ = pair
    loop.expect(one, 1.0)
    one.is_closed = True
    assert list(loop.due(2.0)) == []


def test_a_time_ends_the_wait(loop: Loop[One], pair: tuple[One, socket.socket]) -> None:
    one, _ = pair
    loop.expect(one, time.monotonic() + 0.01)
    assert loop.ready(at_once=False) == []
    assert list(loop.due(time.monotonic())) == [one]


def test_a_note_to_a_loop_that_is_closed_is_no_error() -> None:
    made: Loop[One] = Loop()
    made.close()
    done: list[str] = []
    made.post(lambda: done.append("noted"))
    assert done == []
