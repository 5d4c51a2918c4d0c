"""The client and the real server through a proxy that cuts anywhere: stored once, in order, and heard once."""

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.hearing import Back, Lost
from securechat.client.timeouts import Timeouts
from securechat.protocols.frames import Join, Joined, Message, Sync, Synced
from securechat.server.server import Server
from tests.faults.proxy import Act, Fault, Proxy
from tests.server.support import DEADLINE, PASSWORD, make_home, running_server

LINES = 200
CUTS = 10


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with running_server(home) as running:
        yield running


def connect(port: int, home: Path, username: str) -> Client:
    waits = Timeouts(retry=0.01, retry_most=0.05)
    return Client.connect(
        "localhost", port, client_context(home / "certs" / "ca.pem"), username, PASSWORD, timeouts=waits
    )


def cuts(seed: int) -> Callable[[], Fault | None]:
    """A first connection that gets in, CUTS that are cut at random bytes of the handshake or later, and then none."""
    dice = random.Random(seed)
    acts: list[Act] = ["close", "reset", "half-close"]
    made = [Fault("reset", upward=False, after=8_000)]
    for _ in range(CUTS - 1):
        upward = dice.random() < 0.5
        after = dice.randint(100, 2_500) if upward else dice.randint(500, 6_000)
        made.append(Fault(dice.choice(acts), upward, after, dice.choice([7, 500, 65_536])))
    faults = iter(made)
    return lambda: next(faults, None)


@pytest.mark.parametrize("seed", [1, 2])
def test_lines_said_through_cuts_are_stored_once_in_order_and_heard_once(server: Server, home: Path, seed: int) -> None:
    heard: list[Message] = []
    every: list[Message] = []
    with (
        Proxy(server.port, cuts(seed)) as alices,
        Proxy(server.port, cuts(seed + 100)) as bobs,
        Proxy(server.port, cuts(seed + 200)) as carols,
        connect(server.port, home, "carol") as straight,
    ):
        straight.request(Join(room="lobby"), Joined)
        with connect(alices.port, home, "alice") as alice, connect(bobs.port, home, "bob") as bob:
            alice.request(Join(room="lobby"), Joined)
            events = bob.events()
            bob.request(Join(room="lobby"), Joined)
            bob.request(Sync(), Synced)

            def follow() -> None:
                for message in carol.messages("lobby", after=0):
                    heard.append(message)
                    if len(heard) == LINES:
                        return

            def listen() -> None:
                for event in events:
                    if isinstance(event, Message):
                        every.append(event)
                        if len(every) == LINES:
                            return

            with connect(carols.port, home, "carol") as carol:
                threads = [threading.Thread(target=act) for act in (follow, listen)]
                for thread in threads:
                    thread.start()
                said = [alice.send("lobby", f"line {number}") for number in range(LINES)]
                receipts = [pending.wait(DEADLINE) for pending in said]
                for thread in threads:
                    thread.join(DEADLINE)
        past = straight.history("lobby", after=0, limit=500).records
    stored = [(one.seq, one.id) for one in past if isinstance(one, Message)]
    assert stored == [(receipt.seq, receipt.id) for receipt in receipts]
    assert len({id for _, id in stored}) == LINES
    assert [(one.seq, one.id) for one in heard] == stored
    assert [(one.seq, one.id) for one in every] == stored
    assert alices.done.total() == CUTS
    assert bobs.done.total() >= 1
    assert carols.done.total() >= 1


def test_a_server_that_restarts_is_come_back_to(home: Path) -> None:
    with running_server(home) as before:
        proxy = Proxy(before.port)
        with proxy, connect(proxy.port, home, "alice") as alice:
            events = alice.events()
            alice.request(Join(room="lobby"), Joined)
            assert alice.say("lobby", "before", id="one").seq == 2
            before.stop()
            pending = alice.send("lobby", "meanwhile")
            with running_server(home) as after:
                proxy.target = after.port
                assert pending.wait(DEADLINE).seq == 3
                assert alice.say("lobby", "before", id="one").duplicate
                heard = []
                for event in events:
                    heard.append(event)
                    if isinstance(event, Message) and event.seq == 3:
                        break
    assert [event.seq for event in heard if isinstance(event, Message)] == [2, 3]
    assert {Lost, Back} <= {type(event) for event in heard}
