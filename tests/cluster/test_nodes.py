"""Two nodes on one stream are one chat: the same numbers, the same chains, whoever speaks where."""

import asyncio
import json
from pathlib import Path

import pytest

from securechat.journal.backup import backup, restore
from securechat.journal.jetstream import order
from securechat.server import keeper
from securechat.server.server import Server
from tests.cli.calling import call
from tests.cluster.servers import NatsServer, ask_nats, nats_servers, new_stream, node_settings, write_settings
from tests.server.support import PASSWORD, Peer, make_home, peer, running_server


def heads(*nodes: Server) -> list[dict[str, tuple[int, bytes]]]:
    return [{name: (room.head, room.hash) for name, room in node.services.view.rooms.items()} for node in nodes]


def test_what_is_said_on_one_node_is_heard_on_the_other_with_the_same_numbers(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    stream = new_stream()
    one, two = (node_settings([nats_server], stream, name) for name in ("one", "two"))
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    with running_server(homes[0], cluster=one) as first:
        with running_server(homes[1], cluster=two) as second:
            with peer(first, "alice", room="lobby") as alice, peer(second, "bob", room="lobby") as bob:
                assert bob.say("hello", id="b1")["seq"] == 3
                assert alice.expect("message")["text"] == "hello"
                ack = alice.say("good day", id="a1")
                heard = [bob.messages(2)[1], alice.expect("message")]
                assert heard[0] == heard[1]
                assert heard[0]["seq"] == ack["seq"] == 4
            # The same id at another node is the same line.
            with peer(second, "alice") as again:
                assert (again.say("good day", id="a1")["seq"], again.say("another", id="a1")["code"]) == (
                    4,
                    "id-reused",
                )
            assert heads(first)[0]["lobby"][0] == 4
        with peer(first, "alice") as alice:
            alice.say("while the other is away", id="a2")
        with running_server(homes[1], cluster=two) as second, peer(second, "bob", room="lobby") as bob:
            bob.say("back", id="b2")
            bob.send({"type": "history", "room": "lobby", "after": 4, "limit": 10})
            assert [one["text"] for one in bob.expect("page")["records"]] == ["while the other is away", "back"]
            with peer(first, "alice") as alice:
                alice.send({"type": "sync"})
                alice.expect("synced")
                bob.say("level", id="b3")
                assert alice.messages(1)[0]["text"] == "level"
                mine, theirs = heads(first, second)
    assert mine == theirs


def test_who_moves_to_another_node_finds_there_what_the_first_had_told_them(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    stream = new_stream()
    one, two = (node_settings([nats_server], stream, name) for name in ("one", "two"))
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    with running_server(homes[0], cluster=one) as first, running_server(homes[1], cluster=two) as second:
        for number in range(10):
            with Peer(first.port) as here, Peer(second.port) as there:
                there.receive()
                token = here.login("alice")["token"]
                if not number:
                    here.join()
                seq = here.say("hello", id=f"a{number}")["seq"]
                # At once, while the other node may be behind: neither the token nor the line is unknown there.
                there.send({"type": "resume", "token": token})
                welcome = there.receive()
                assert welcome["type"] == "welcome"
                assert welcome["rooms"][0]["head"] >= seq
        with Peer(second.port) as nobody:
            nobody.receive()
            nobody.send({"type": "resume", "token": "nobody's"})
            assert nobody.receive()["code"] == "bad-credentials"


def test_a_node_that_cannot_reach_the_stream_lets_nobody_in_and_who_is_in_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "PATIENCE_SECONDS", 0.2)
    with nats_servers(tmp_path / "nats", 1) as (nats,):
        home = make_home(tmp_path / "home")
        with (
            running_server(home, cluster=node_settings([nats])) as node,
            peer(node, room="lobby", username="alice") as in_,
        ):
            in_.say("hello", id="a1")
            nats.kill()
            for way in ({"type": "login", "username": "bob", "password": PASSWORD}, {"type": "resume", "token": "any"}):
                with Peer(node.port) as late:
                    late.receive()
                    late.send(way)
                    refused = late.receive()
                    assert (refused["code"], refused["retry_after"]) == ("unavailable", 2.0)
            in_.send({"type": "history", "room": "lobby", "limit": 10})
            assert [one["text"] for one in in_.expect("page")["records"] if one["type"] == "message"] == ["hello"]
            nats.start()
            nats.wait_ready()
            while (said := in_.say("again", id="a2"))["type"] == "error":
                assert said["code"] == "unavailable"
            with peer(node, "bob"):
                pass


def test_a_node_that_begins_from_a_backup_of_another_goes_on_from_there(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    stream = new_stream()
    one, two = (node_settings([nats_server], stream, name) for name in ("one", "two"))
    with running_server(make_home(tmp_path / "one"), cluster=one) as first, peer(first, "alice", room="lobby") as alice:
        for number in range(3):
            alice.say("before", id=f"before-{number}")
        backup(tmp_path / "one", tmp_path / "backup.tar")
        # What the backup has leaves the stream, as it does with time.
        asyncio.run(ask_nats(nats_server, lambda nats: nats.purge_stream(stream)))
        alice.say("after", id="after")
        restore(tmp_path / "backup.tar", tmp_path / "two")
        with running_server(tmp_path / "two", cluster=two) as second, peer(second, "bob", room="lobby") as bob:
            bob.say("level", id="level")
            assert alice.expect("join")["sender"] == "bob"
            assert alice.messages(1)[0]["text"] == "level"
            mine, theirs = heads(first, second)
    assert mine == theirs


def test_how_the_nodes_are_can_be_asked_on_each(tmp_path: Path, nats_server: NatsServer) -> None:
    home = make_home(tmp_path / "one")
    told = call("cluster", "status", "--home", str(home))
    assert (told.code, "This server stands alone" in told.err) == (2, True)
    settings = node_settings([nats_server], new_stream())
    write_settings(home, settings)
    with running_server(home, cluster=settings) as first, peer(first, "alice", room="lobby"):
        told = call("cluster", "status", "--home", str(home))
        assert told.code == 0, told
        assert f"stream {settings.stream}: entries 1 to 4" in told.out
        assert "node one: entry 4, level, chains " in told.out
        told = call("cluster", "status", "--json", "--home", str(home))
        assert json.loads(told.out)["nodes"][0]["entry"] == 4


def test_who_is_at_another_node_is_online_and_goes_when_that_node_stops(
    tmp_path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "SECONDS", 0.05)
    stream = new_stream()
    one, two = (node_settings([nats_server], stream, name) for name in ("one", "two"))
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    with running_server(homes[0], cluster=one) as first, peer(first, "alice", room="lobby") as alice:
        alice.send({"type": "sync"})  # before bob comes: who does not read all rooms is not told
        alice.expect("synced")
        with running_server(homes[1], cluster=two) as second:
            with peer(second, "bob", room="lobby") as bob:
                assert alice.expect("presence") == {"type": "presence", "username": "bob", "online": True}
                alice.send({"type": "members", "room": "lobby"})
                assert alice.expect("members")["online"] == ["alice", "bob"]
                bob.send({"type": "sessions"})
                assert [one["online"] for one in bob.expect("sessions")["sessions"]] == [True]
            assert alice.expect("presence") == {"type": "presence", "username": "bob", "online": False}
            with Peer(second.port) as bob:
                bob.login("bob")
                assert alice.expect("presence")["online"] is True
        assert alice.expect("presence") == {"type": "presence", "username": "bob", "online": False}
