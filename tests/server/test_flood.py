"""Many at once: logins that all want a hash must not cost the server its memory, nor those who are in their time."""

import contextlib
import itertools
import statistics
import threading
import time
from functools import partial
from pathlib import Path

from tests.server.support import PASSWORD, Peer, in_parallel
from tests.server.test_stopping import serving

LOGINS = 200
ROUNDS = 12


def _status(process: int, key: str) -> int:
    """A figure of the process in KiB, as the kernel gives it."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise LookupError(key)


def test_a_burst_of_logins_is_bounded_in_memory_and_does_not_hold_up_a_chat(home: Path) -> None:
    numbers = itertools.count()
    quiet: list[float] = []
    busy: list[float] = []
    throttled: list[int] = []

    def talk(alice: Peer, bob: Peer) -> float:
        began = time.perf_counter()
        alice.send({"type": "say", "id": f"n{next(numbers)}", "room": "lobby", "text": "x"})
        bob.expect("message")
        alice.expect("message")
        return time.perf_counter() - began

    def flood(crowd: list[Peer], over: threading.Event) -> None:
        for one in crowd:
            assert one.receive()["type"] == "hello"
            one.send({"type": "login", "username": "carol", "password": "wrong " + PASSWORD})
        answers = [one.receive() for one in crowd]
        throttled.append(sum(answer["code"] == "throttled" for answer in answers))
        over.set()

    def chat(over: threading.Event) -> None:
        times = [talk(alice, bob)]
        while not over.is_set():
            times.append(talk(alice, bob))
        busy.append(statistics.median(times))

    with contextlib.ExitStack() as stack:
        process, port = stack.enter_context(serving(home))
        alice, bob = (stack.enter_context(Peer(port)) for _ in range(2))
        for one, name in ((alice, "alice"), (bob, "bob")):
            one.login(name)
            one.join("lobby")
        before = _status(process.pid, "VmRSS")
        for _ in range(ROUNDS):
            quiet.append(statistics.median(talk(alice, bob) for _ in range(50)))
            with contextlib.ExitStack() as guests:
                crowd = [guests.enter_context(Peer(port)) for _ in range(LOGINS)]
                over = threading.Event()
                in_parallel(partial(flood, crowd, over), partial(chat, over))
            # Whatever else runs on this machine only adds to a time: the best rounds tell what the server does.
            if min(busy) < 2 * min(quiet):
                break
        grown = _status(process.pid, "VmHWM") - before
    assert max(throttled) >= LOGINS // 2
    assert grown < 64 * 1024
    assert min(busy) < 2 * min(quiet)
