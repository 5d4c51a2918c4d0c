"""Many at once: logins that all want a hash must not cost the server its memory, nor stand before those who are in.

How much slower a chat gets meanwhile is a time, and `python -m bench flood` tells it; here it is counted.
"""

import contextlib
import itertools
import threading
from functools import partial
from pathlib import Path

import pytest

from tests.server.support import PASSWORD, Peer, in_parallel, write_roomy_limits
from tests.server.test_stopping import serving

LOGINS = 200
ROUNDS = 3
TURNS_A_HASH = 3
"""What is said and heard while one login is hashed: many when nothing else runs; at most 1 if talk waited for it."""


@pytest.fixture(autouse=True)
def cheap_hashes() -> None:
    """Hashes cost here what they cost: they are what floods."""


def _status(process: int, key: str) -> int:
    """A figure of the process in KiB, as the kernel gives it."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise LookupError(key)


def test_a_burst_of_logins_is_bounded_in_memory_and_does_not_hold_up_a_chat(home: Path) -> None:
    numbers = itertools.count()
    turns: list[int] = []
    hashed: list[int] = []

    def talk(alice: Peer, bob: Peer) -> None:
        alice.send({"type": "say", "id": f"n{next(numbers)}", "room": "lobby", "text": "x"})
        bob.expect("message")
        alice.expect("message")

    def flood(crowd: list[Peer], over: threading.Event) -> None:
        for one in crowd:
            assert one.receive()["type"] == "hello"
            one.send({"type": "login", "username": "carol", "password": "wrong " + PASSWORD})
        answers = [one.receive() for one in crowd]
        over.set()
        hashed.append(sum(answer["code"] == "bad-credentials" for answer in answers))
        assert hashed[-1] + sum(answer["code"] == "throttled" for answer in answers) == LOGINS

    def chat(over: threading.Event) -> None:
        for turn in itertools.count():
            if over.is_set():
                turns.append(turn)
                return
            talk(alice, bob)

    write_roomy_limits(home)
    with contextlib.ExitStack() as stack:
        process, port = stack.enter_context(serving(home))
        alice, bob = (stack.enter_context(Peer(port)) for _ in range(2))
        for one, name in ((alice, "alice"), (bob, "bob")):
            one.login(name)
            one.join("lobby")
        before = _status(process.pid, "VmRSS")
        for _ in range(ROUNDS):
            with contextlib.ExitStack() as guests:
                crowd = [guests.enter_context(Peer(port)) for _ in range(LOGINS)]
                over = threading.Event()
                in_parallel(partial(flood, crowd, over), partial(chat, over))
            # Whatever else runs here can only take turns away: one round that was left in peace is enough.
            if turns[-1] >= TURNS_A_HASH * hashed[-1]:
                break
        grown = _status(process.pid, "VmHWM") - before
    assert min(hashed) <= LOGINS // 2
    assert grown < 64 * 1024
    assert turns[-1] >= TURNS_A_HASH * hashed[-1], (turns, hashed)
