"""A reader that stops: it misses nothing, delays nobody, and costs the server no more than its queue."""

from pathlib import Path

import pytest

from securechat.server.connection import Connection
from securechat.server.server import Server
from tests.server.support import Peer, peer, running_server

RECORDS = 3_000
TEXT = "x" * 1_000


def _say_many(author: Peer, first: int, count: int) -> None:
    """Say so many messages, 50 unacknowledged at a time, and see each acknowledged and heard by the author itself."""
    for start in range(first, first + count, 50):
        author.send(*({"type": "say", "id": f"n{n}", "room": "lobby", "text": TEXT} for n in range(start, start + 50)))
        author.messages(50)


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
    assert RECORDS * len(TEXT) > 10 * limit, "the reader must really have been behind"
    assert slowest <= limit + page + 2 * len(TEXT)


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


def test_a_peer_that_asks_without_reading_is_not_read_until_it_does(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, Peer(server.port, receive_buffer=4096) as greedy:
        greedy.login("bob")
        greedy.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):  # TCP is full in both directions: the server has stopped reading
            while sent < 2_000_000:
                greedy.send({"type": "ping", "ref": "x" * 64})
                sent += 1
        assert alice.say("nobody is delayed", id="one")["type"] == "ack"
