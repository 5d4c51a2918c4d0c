"""`/metrics`: what happened is counted, nobody is named, and without its extra it says what to install."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from securechat.config import Config
from securechat.limits import Limits
from securechat.server.metrics import MISSING
from securechat.server.server import Server
from tests.server.support import PASSWORD, Peer, peer
from tests.server.test_http import ask


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    server = Server(home, Config(port=0, http_port=0, reactors=2, limits=Limits(connections=2, login_waits=())))
    server.start()
    yield server
    server.stop()


def numbers(server: Server) -> dict[str, float]:
    """Every sample by its name and its labels."""
    status, text = ask(server.http_port, "GET", "/metrics")
    assert status == 200
    assert not any(word in text for word in ("alice", "bob", "lobby", "127.0.0.1"))
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_happens_is_counted(server: Server) -> None:
    at_first = numbers(server)
    assert at_first["securechat_messages_total"] == 0
    with peer(server, "alice", room="lobby") as alice, peer(server) as bob:
        bob.expect("hello")
        bob.send({"type": "login", "username": "bob", "password": "not this one at all"})
        assert bob.expect("error", "welcome")["code"] == "bad-credentials"
        bob.send({"type": "login", "username": "bob", "password": PASSWORD})
        bob.expect("welcome")
        bob.join()
        with pytest.raises((OSError, EOFError)), peer(server) as late:
            late.receive()
        for number in range(3):
            alice.say("hello", id=str(number))
        bob.messages(3)
        found = numbers(server)
        assert found["securechat_connections_accepted_total"] == 2
        assert found["securechat_connections_refused_total"] >= 1
        assert found["securechat_connections"] == 2
        assert found["securechat_logins_total password"] == 2
        assert found["securechat_logins_total failed"] == 1
        assert found["securechat_logins_total token"] == 0
        assert found["securechat_messages_total"] == 3
        assert found["securechat_records_total"] == 5, "with those who joined"
        assert found["securechat_deliveries_total"] >= 6
        assert (
            found["securechat_acknowledgement_seconds_count"] == found["securechat_acknowledgement_seconds_bucket +Inf"]
        )
        assert found["securechat_acknowledgement_seconds_count"] >= 5
        assert 0 < found["securechat_commit_seconds_sum"] < found["securechat_acknowledgement_seconds_sum"] * 2
        assert found["securechat_commit_records_count"] == found["securechat_commit_seconds_count"] >= 3
        assert found["securechat_certificate_expiry_seconds"] > 86_400
        assert found["securechat_disk_full"] == 0
        assert (found["securechat_queue_bytes"], found["securechat_readers_behind"]) == (0, 0)


def test_what_waits_for_a_reader_that_stops_is_told(home: Path) -> None:
    server = Server(home, Config(port=0, http_port=0, limits=Limits(queue_bytes=20_000)))
    server.start()
    try:
        with peer(server, "alice", room="lobby") as alice, Peer(server.port, receive_buffer=4_096) as bob:
            bob.login("bob")
            bob.join()
            number = 0
            while not numbers(server)["securechat_readers_behind"]:
                for _ in range(50):
                    number += 1
                    alice.say("x" * 10_000, id=str(number))
            assert numbers(server)["securechat_queue_bytes"] > 0
            bob.messages(number)
            assert numbers(server)["securechat_readers_behind"] == 0
    finally:
        server.stop()


def test_without_the_extra_it_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    server = Server(home, Config(port=0, http_port=0))
    server.start()
    try:
        assert ask(server.http_port, "GET", "/metrics") == (501, MISSING)
        assert ask(server.http_port, "GET", "/healthz") == (200, "ok\n")
    finally:
        server.stop()
