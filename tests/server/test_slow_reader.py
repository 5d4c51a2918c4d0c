"""A reader that stops: it misses nothing, delays nobody, and costs the server no more than its queue."""

import fcntl
import json
import queue
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from securechat.server.connection import Connection
from securechat.server.reactor import PAGES_A_TURN, Reactor
from securechat.server.server import Server
from securechat.server.subscriptions import Subscriptions
from tests.server.support import DEADLINE, Peer, peer, running_server

Result = TypeVar("Result")

TEXT = "x" * 1_000
LONG = "x" * 8_000
RECORDS = 400
"""So many long ones are far more than TCP and the queue hold."""


def _say_many(author: Peer, first: int, count: int) -> None:
    """Say so many long messages, 10 unacknowledged at a time, and see each heard by the author itself."""
    for start in range(first, first + count, 10):
        author.send(*({"type": "say", "id": f"n{n}", "room": "lobby", "text": LONG} for n in range(start, start + 10)))
        author.messages(10)


def test_a_reader_that_stops_gets_every_record_once_in_order_when_it_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most: dict[str, int] = {}
    queue = Connection.queue

    def measured(self: Connection, data: bytes) -> None:
        queue(self, data)
        most[self.address] = max(most.get(self.address, 0), self.queued)

    monkeypatch.setattr(Connection, "queue", measured)
    limit, page = 100_000, 20_000
    with (
        running_server(home, queue_bytes=limit, page_bytes=page) as server,
        peer(server, "alice", room="lobby") as alice,
        Peer(server.port, receive_buffer=4096) as stopped,
    ):
        stopped.login("bob")
        stopped.join("lobby")
        _say_many(alice, 0, RECORDS)  # alice hears all of it meanwhile: nobody waits for bob
        assert [message["id"] for message in stopped.messages(RECORDS)] == [f"n{n}" for n in range(RECORDS)]
        _say_many(alice, RECORDS, 50)
        assert [message["id"] for message in stopped.messages(50)] == [f"n{n}" for n in range(RECORDS, RECORDS + 50)]
        slowest = max(most.values())
    assert RECORDS * len(LONG) > 10 * limit, "the reader must really have been behind"
    assert slowest <= limit + page + 2 * len(LONG)


def test_a_reader_that_is_behind_in_two_rooms_catches_up_in_both(home: Path) -> None:
    with running_server(home, queue_bytes=20_000, page_bytes=5_000) as server:
        with peer(server, "alice", room="lobby") as alice:
            alice.send({"type": "create", "room": "ops"})
            alice.expect("created")
            for n in range(100):
                for room in ("lobby", "ops"):
                    alice.send({"type": "say", "id": f"{room}{n}", "room": room, "text": TEXT})
            alice.messages(200)
        with peer(server, "alice") as late:
            late.send({"type": "sync", "after": {"lobby": 1, "ops": 1}})
            heard = late.messages(200)
            for room in ("lobby", "ops"):
                assert [m["id"] for m in heard if m["room"] == room] == [f"{room}{n}" for n in range(100)]


def test_a_page_for_which_many_wait_is_given_to_a_few_in_a_turn(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    turn, take, post_for = Reactor._turn, Subscriptions._take, Reactor.post_for
    many = 5 * PAGES_A_TURN
    may_read, may_turn, was_read = threading.Event(), threading.Event(), threading.Semaphore(0)

    def counted_turn(reactor: Reactor) -> None:
        given.append(0)
        turn(reactor)

    def counted_take(subscriptions: Subscriptions, *found: Any) -> None:
        given[-1] += 1
        take(subscriptions, *found)

    def counted_post(*words: Any) -> None:
        post_for(*words)
        was_read.release()

    with running_server(home) as server, ExitStack() as crowd:
        with peer(server, "alice", room="lobby") as alice:
            alice.say("all want to read this", id="one")
        readers = [crowd.enter_context(peer(server, "alice")) for _ in range(many)]
        server.services.reading.submit(lambda _: may_read.wait(DEADLINE), lambda _: None)
        for reader in readers:
            reader.send({"type": "subscribe", "room": "lobby", "after": 0}, {"type": "ping"})
            reader.expect("pong")
        monkeypatch.setattr(Reactor, "post_for", counted_post)
        monkeypatch.setattr(Reactor, "_turn", counted_turn)
        monkeypatch.setattr(Subscriptions, "_take", counted_take)

        def wait_for_turn() -> None:
            assert may_turn.wait(DEADLINE)

        server.services.reactors[0].post(wait_for_turn)
        may_read.set()
        for _ in readers:
            assert was_read.acquire(timeout=DEADLINE)
        may_turn.set()
        for reader in readers:
            assert reader.messages(1)[0]["id"] == "one"
    assert sum(given) == many
    assert max(given) <= PAGES_A_TURN


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_reader_that_is_kicked_while_behind_reads_up_to_that_and_further_only_when_invited_again(
    home: Path, comes_back: bool
) -> None:
    count = 300
    with (
        running_server(home, queue_bytes=50_000, page_bytes=50_000) as server,
        peer(server, "alice") as alice,
        Peer(server.port, receive_buffer=4096) as stopped,
    ):
        alice.send({"type": "create", "room": "ops"})
        alice.expect("created")
        stopped.login("bob")
        stopped.join("ops")
        stopped.send({"type": "sync"})
        for number in range(count):
            assert alice.say("x" * 15_000, id=f"n{number}", room="ops")["type"] == "ack"
        alice.send({"type": "kick", "id": "out", "room": "ops", "username": "bob"})
        kicked = alice.expect("ack")["seq"]
        last = alice.say("behind his back", id="behind", room="ops")["seq"]
        if comes_back:
            alice.send({"type": "invite", "id": "in", "room": "ops", "username": "bob"})
            alice.expect("ack")
            last = alice.say("welcome back", id="back", room="ops")["seq"]
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["seq"] < (last if comes_back else kicked):
            heard.append(stopped.expect("message", "kick", "invite"))
        first = heard[0]["seq"]
        assert [frame["seq"] for frame in heard] == list(range(first, last + 1 if comes_back else kicked + 1))
        assert {"type": "kick", "target": "bob"}.items() <= heard[count].items()
        alice.say("the end", id="end", room="ops")
        stopped.send({"type": "ping"})
        assert stopped.expect("message", "pong")["type"] == ("message" if comes_back else "pong")


def test_a_peer_that_asks_without_reading_is_not_read_until_it_does(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, Peer(server.port, receive_buffer=4096) as greedy:
        greedy.login("bob")
        greedy.socket.settimeout(0.5)
        pings = (json.dumps({"type": "ping", "ref": "x" * 64}).encode() + b"\n") * 100
        sent = 0
        with pytest.raises(TimeoutError):  # TCP is full in both directions: the server has stopped reading
            while sent < 2_000_000:
                greedy.send_bytes(pings)
                sent += 100
        assert alice.say("nobody is delayed", id="one")["type"] == "ack"


def _on_its_thread(server: Server, account: str, act: Callable[[Connection], Result]) -> Result:
    """What `act` says of the connection of this account, on the reactor's thread."""
    (reactor,) = server.services.reactors
    (session,) = reactor.audience._sessions[account]
    answer: queue.SimpleQueue[Result] = queue.SimpleQueue()
    reactor.post(lambda: answer.put(act(session.connection)))
    return answer.get(timeout=DEADLINE)


def _at(server: Server, account: str, moment: float) -> bool:
    """Have its deadlines looked at as if it were that moment; whether it is still in."""

    def look(connection: Connection) -> bool:
        connection.check(moment)
        return connection.is_open

    return _on_its_thread(server, account, look)


def _on_its_way(connection: Connection) -> int:
    """Bytes that the peer's system has not acknowledged."""
    (count,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
    return int(count)


def test_who_takes_a_little_each_minute_is_slow_and_who_takes_nothing_is_gone(home: Path) -> None:
    with (
        running_server(home) as server,  # one reactor: who has heard alice knows that all others were told
        peer(server, "alice", room="lobby") as alice,
        Peer(server.port, receive_buffer=4096) as slow,
        Peer(server.port, receive_buffer=4096) as stopped,
        peer(server, "dave") as silent,
    ):
        for one, name in ((slow, "bob"), (stopped, "carol")):
            one.login(name)
            one.join("lobby")
        _say_many(alice, 0, 20)
        while _on_its_thread(server, "dave", _on_its_way):
            pass  # else the welcome might be what is taken beside the ping
        now = time.monotonic() + 90
        assert all(_at(server, name, now) for name in ("bob", "carol", "dave"))  # all three are pinged

        # The ping of who is slow waits in the system, behind the messages.
        for minutes in range(1, 4):
            slow.messages(5)
            assert _at(server, "bob", now + 60 * minutes)
        slow.messages(5)
        assert slow.receive() == {"type": "ping"}
        slow.send({"type": "pong"}, {"type": "ping", "ref": "here"})
        assert slow.expect("pong")["ref"] == "here"

        # That its system takes the ping is no sign of life of a program.
        assert silent.receive() == {"type": "ping"}
        assert not _at(server, "dave", time.monotonic() + 150)
        assert [frame["code"] for frame in silent.ends()] == ["idle"]

        # What is still on its way to who has stopped may be taken by its system; then nothing is.
        looks = next(looks for looks in range(1, 10) if not _at(server, "carol", now + 60 * looks))
        assert looks <= 3
        assert [frame["code"] for frame in stopped.ends() if "code" in frame] == ["idle"]
