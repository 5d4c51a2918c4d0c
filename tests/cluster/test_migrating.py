"""A server's home becomes a node, and a node's a server of its own: nothing stored is another then."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from securechat.accounts.changing import AccountChange
from securechat.accounts.credentials import CredentialFile
from securechat.accounts.hooks import HookFile
from securechat.chat.accounts import Hook
from securechat.config import Config
from securechat.errors import ClusterError, StorageFailed
from securechat.journal.jetstream.snapshots import look
from securechat.journal.store import Position, Store
from securechat.journal.verify import Verified, verify_store
from securechat.server import migrating, operating
from securechat.server.ordering import engine_of
from tests.cli.calling import call
from tests.cluster.servers import NatsServer, new_stream, node_settings, write_settings
from tests.server.support import Peer, make_home, peer, running_server


def rooms(home: Path) -> list[Verified]:
    """All that is stored, proved: how many records each room has, its number and its chain."""
    report = verify_store(home / "chat.db")
    assert report.flaw is None
    return report.rooms


def lived_in(home: Path) -> tuple[Path, str]:
    """The home of a server with a history, and alice's token."""
    make_home(home)
    with running_server(home) as server, Peer(server.port) as alice:
        token = alice.login("alice")["token"]
        alice.join()
        for text in ("one", "two"):
            alice.say(text, id=text)
    return home, token


def goes_on(node: Any, token: str, id: str) -> list[str]:
    """What alice hears who comes back with her token and a cursor, and what she then says under this id."""
    with Peer(node.port) as alice:
        alice.receive()
        alice.send({"type": "resume", "token": token})
        assert alice.expect("welcome", "error")["type"] == "welcome"
        alice.send({"type": "sync", "after": {"lobby": 2}})
        alice.expect("synced")
        assert alice.say("two", id="two")["duplicate"] is True
        seq = alice.say(id, id=id)["seq"]
        alice.send({"type": "history", "room": "lobby", "after": 1, "limit": 100})
        records = alice.expect("page")["records"]
        assert [one["seq"] for one in records] == list(range(2, seq + 1))
        return [one["text"] for one in records if one["type"] == "message"]


def test_a_chat_goes_to_a_cluster_and_back_with_its_numbers_ids_and_chains(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    home, token = lived_in(tmp_path / "one")
    stream = new_stream()
    settings, other = (node_settings([nats_server], stream, name) for name in ("one", "two"))
    write_settings(home, settings)
    HookFile(home / "hooks").add(Hook("build", "lobby", bytes(32)))
    before = rooms(home)
    told = call("migrate", "--to-cluster", "--home", str(home))
    assert (told.code, "This is a node now, at entry 1 of the stream" in told.err) == (0, True), told
    assert rooms(home) == before
    with (
        running_server(home, cluster=settings) as first,
        running_server(make_home(tmp_path / "two"), cluster=other) as second,
    ):
        assert goes_on(first, token, "three") == ["one", "two", "three"]
        assert goes_on(second, token, "four") == ["one", "two", "three", "four"]
        assert second.services.view.accounts == CredentialFile(home / "credentials").load()
        assert list(second.services.view.hooks) == ["build"]
        operating.change_account(tmp_path / "two", Config(cluster=other), AccountChange("admin", "bob"))
        operating.change_account(tmp_path / "two", Config(cluster=other), AccountChange("remove", "carol"))
        while "carol" in first.services.view.accounts:
            pass
    # While it does not run, somebody changes its file.
    operating.change_account(home, Config(cluster=settings), AccountChange("enable", "erin"))
    before = rooms(home)
    assert before[:1] == rooms(tmp_path / "two")[:1]
    chains = call("migrate", "--to-single", "--home", str(home))
    assert (chains.code, "must not go on as the same chat" in chains.err) == (0, True), chains
    assert rooms(home) == before
    with closing(Store(home / "chat.db", "full")) as store:
        assert (store.position(), store.accounts(), store.hooks()) == (Position(), {}, {})
    accounts = CredentialFile(home / "credentials").load()
    assert (accounts["bob"].role, accounts["alice"].state, accounts["erin"].state) == ("admin", "active", "active")
    assert "carol" not in accounts
    assert list(HookFile(home / "hooks").load()) == ["build"]
    assert not list(home.glob("*.shared"))
    with running_server(home) as server:
        assert goes_on(server, token, "five") == ["one", "two", "three", "four", "five"]


@pytest.mark.parametrize("cut", ["begun", "committed"])
def test_what_was_cut_off_is_the_server_as_it_was_or_a_node_and_the_same_again_finishes_it(
    cut: str, tmp_path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, token = lived_in(tmp_path / "one")
    settings = node_settings([nats_server], new_stream())
    config, before = Config(cluster=settings), rooms(home)

    def fail(*_: Any, **__: Any) -> None:
        raise StorageFailed("It was cut off.")

    with monkeypatch.context() as broken:
        if cut == "begun":
            broken.setattr(Store, "commit", fail)
        else:
            broken.setattr(migrating, "publish", fail)
        with pytest.raises(StorageFailed, match="cut off"):
            migrating.to_cluster(home, config)
    assert rooms(home) == before
    if cut == "begun":
        with pytest.raises(ClusterError, match="has a history of its own"), running_server(home, cluster=settings):
            pass
        # Nobody else can begin there meanwhile: what a node without the history would do is told at once.
        with running_server(make_home(tmp_path / "two"), cluster=settings) as stranger:
            assert stranger.wait(20)
            with pytest.raises(ClusterError, match="goes on from a history"):
                stranger.stop()
        with running_server(home):
            pass
    else:
        with running_server(home, cluster=settings) as node:
            assert goes_on(node, token, "three") == ["one", "two", "three"]
    migrating.to_cluster(home, config)
    assert len(look(engine_of(home, settings)).snapshots) == 1
    with running_server(make_home(tmp_path / "three"), cluster=settings) as node:
        assert goes_on(node, token, "four")[:2] == ["one", "two"]
    with pytest.raises(ClusterError, match="belongs to a node"):
        migrating.to_cluster(home, config)


def test_a_stream_that_has_begun_otherwise_is_left_alone(tmp_path: Path, nats_server: NatsServer) -> None:
    stream = new_stream()
    settings, other = (node_settings([nats_server], stream, name) for name in ("one", "two"))
    with running_server(make_home(tmp_path / "new"), cluster=settings) as node, peer(node, "alice", room="lobby"):
        pass
    home, _ = lived_in(tmp_path / "old")
    with pytest.raises(ClusterError, match="has begun with another history"):
        migrating.to_cluster(home, Config(cluster=other))
    with running_server(home):
        pass


def test_what_cannot_be_is_said(tmp_path: Path, nats_server: NatsServer) -> None:
    home = make_home(tmp_path / "one")

    def refused(*words: str) -> str:
        told = call("migrate", *words, "--home", str(home))
        assert told.code != 0
        return told.err

    assert "one of two ways" in refused()
    assert "one of two ways" in refused("--to-cluster", "--to-single")
    assert "The settings name no cluster" in refused("--to-cluster")
    assert "There is no chat.db" in refused("--to-single")
    with running_server(home):
        assert "Another server" in refused("--to-single")
    assert "belongs to no node" in refused("--to-single")
