"""A node begins from another one's snapshot: with an empty home, and when what it needs is gone from the stream."""

import asyncio
import errno
import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.accounts.changing import AccountChange
from securechat.config import Cluster, Config
from securechat.errors import ClusterError, StorageFailed
from securechat.journal.jetstream import link as links
from securechat.journal.jetstream import snapshots as shelves
from securechat.journal.jetstream.snapshots import Snapshot, look, take
from securechat.journal.jetstream.stream import ready_stream
from securechat.journal.store import Store
from securechat.journal.verify import verify_store
from securechat.server import snapshots
from securechat.server.operating import change_account
from securechat.server.ordering import engine_of
from securechat.server.server import Server
from securechat.server.snapshots import SnapshotMaker
from tests.cluster.servers import NatsServer, ask_nats, nats_servers, new_stream, node_settings
from tests.server.support import DEADLINE, Heard, Peer, make_home, peer, running_server


@pytest.fixture
def settings(nats_server: NatsServer) -> list[Cluster]:
    """Of three nodes on a stream of their own."""
    stream = new_stream()
    return [node_settings([nats_server], stream, name) for name in ("one", "two", "three")]


def made(home: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """The snapshot that the node there makes now."""
    monkeypatch.setattr(shelves, "SNAPSHOT_SECONDS", 0)
    snapshot = SnapshotMaker(home, engine_of(home, cluster), lambda: True).look()
    assert snapshot is not None
    return snapshot


def purge(server: NatsServer, cluster: Cluster) -> None:
    """All that is in the stream leaves it, as it does with time."""
    asyncio.run(ask_nats(server, lambda nats: nats.purge_stream(cluster.stream)))


def say(someone: Peer, *texts: str) -> None:
    for text in texts:
        assert "seq" in someone.say(text, id=text.replace(" ", "-"))


def history(node: Server) -> list[str]:
    with peer(node, "alice") as alice:
        alice.send({"type": "history", "room": "lobby", "limit": 100})
        return [one.get("text", "") for one in alice.expect("page")["records"] if one["type"] == "message"]


def stored(home: Path) -> bytes:
    """What is in the files of a home."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


def heads(*nodes: Server) -> list[dict[str, tuple[int, bytes]]]:
    return [{name: (room.head, room.hash) for name, room in node.services.view.rooms.items()} for node in nodes]


def test_a_node_with_an_empty_home_begins_from_a_snapshot_and_goes_on_from_there(
    tmp_path: Path, nats_server: NatsServer, settings: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    with running_server(homes[0], cluster=settings[0]) as first, peer(first, "alice", room="lobby") as alice:
        say(alice, "one", "two")
        assert made(homes[0], settings[0], monkeypatch).entry == first.services.journal._order.position.entry  # type: ignore[union-attr]
        purge(nats_server, settings[0])
        say(alice, "three")
        with running_server(homes[1], cluster=settings[1]) as second, peer(second, "bob", room="lobby") as bob:
            say(bob, "four")
            while alice.expect("message")["text"] != "four":
                pass
            assert history(second) == ["one", "two", "three", "four"]
            mine, theirs = heads(first, second)
    assert mine == theirs
    assert not list(homes[1].glob(".snapshot-*"))


def test_a_node_that_was_away_for_too_long_begins_from_a_snapshot_that_goes_on_from_its_store(
    tmp_path: Path, nats_server: NatsServer, settings: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    with running_server(homes[0], cluster=settings[0]) as first, peer(first, "alice", room="lobby") as alice:
        with running_server(homes[1], cluster=settings[1]) as second, peer(second, "bob", room="lobby") as bob:
            say(alice, "nobody must know")
            say(bob, "before")
        assert b"nobody must know" in stored(homes[1])
        (homes[1] / ".snapshot-left").mkdir()
        (homes[1] / ".snapshot-left" / "chat.db").write_bytes(b"half of it")
        say(alice, "while it is away")
        alice.send({"type": "delete", "room": "lobby", "seq": 3, "id": "d"})
        alice.expect("ack")
        purge(nats_server, settings[0])
        say(alice, "long after")
        with (
            pytest.raises(ClusterError, match="begins at"),
            running_server(homes[1], cluster=settings[1]),
        ):
            pass
        made(homes[0], settings[0], monkeypatch)
        for owner, step, head in ((snapshots, "keep_base", 4), (Path, "replace", 4), (snapshots, "sync_folder", 7)):
            # Cut off there, what is in place is a whole store: the old one, or the new one.
            with monkeypatch.context() as cut, pytest.raises(StorageFailed, match="cannot be replaced"):
                cut.setattr(owner, step, no_disk)
                with running_server(homes[1], cluster=settings[1]):
                    pass
            (room,) = verify_store(homes[1] / "chat.db").rooms
            assert room.head == head
        with running_server(homes[1], cluster=settings[1]) as second:
            assert history(second) == ["", "before", "while it is away", "long after"]
            assert b"nobody must know" not in stored(homes[1])
            mine, theirs = heads(first, second)
    assert mine == theirs
    assert not list(homes[1].glob(".snapshot-*"))


def test_a_node_that_falls_behind_while_nats_is_away_ends_and_begins_from_a_snapshot_at_its_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, gate = new_stream(), threading.Event()
    gate.set()

    async def when_open(client: Any, engine: Any) -> Any:
        while not gate.is_set() and engine.node == "two":
            await asyncio.to_thread(gate.wait, 0.05)
        return await ready_stream(client, engine)

    monkeypatch.setattr(links, "ready_stream", when_open)
    with nats_servers(tmp_path / "nats", 1) as (nats,):
        one, two = (node_settings([nats], stream, name) for name in ("one", "two"))
        homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
        with running_server(homes[0], cluster=one) as first, peer(first, "alice", room="lobby") as alice:
            away = Server(homes[1], Config(port=0, cluster=two))
            away.start()
            say(alice, "before")
            gate.clear()
            nats.kill()
            nats.start()
            nats.wait_ready()
            while (said := alice.say("meanwhile", id="m"))["type"] == "error":
                assert said["code"] == "unavailable"
            purge(nats, one)
            made(homes[0], one, monkeypatch)
            gate.set()
            assert away.wait(DEADLINE)
            with pytest.raises(ClusterError, match="begins at"):
                away.stop()
            with running_server(homes[1], cluster=two) as second:
                assert history(second) == ["before", "meanwhile"]


def test_a_snapshot_of_another_history_is_not_taken_and_nothing_is_lost(
    tmp_path: Path, nats_server: NatsServer, settings: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    for home, cluster in zip(homes, (settings[0], node_settings([nats_server], new_stream(), "other")), strict=True):
        with running_server(home, cluster=cluster) as node, peer(node, "alice", room="lobby") as alice:
            say(alice, f"in {home.name}")
    with running_server(homes[0], cluster=settings[0]) as first, peer(first, "alice") as alice:
        say(alice, "more", "still more")
        made(homes[0], settings[0], monkeypatch)
        purge(nats_server, settings[0])
        say(alice, "the last")
    with pytest.raises(ClusterError, match="begins at"), running_server(homes[1], cluster=settings[1]):
        pass
    with closing(Store(homes[1] / "chat.db", "full")) as store:
        assert [room.head for room in store.load()] == [2]


def test_an_old_copy_of_the_accounts_in_a_new_home_changes_no_account_of_the_cluster(
    tmp_path: Path, settings: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two", "alice bob carol:admin frank")
    with running_server(homes[0], cluster=settings[0]) as first, peer(first, "alice", room="lobby"):
        change_account(homes[0], Config(cluster=settings[0]), AccountChange("disable", "bob"))
        made(homes[0], settings[0], monkeypatch)
        with running_server(homes[1], cluster=settings[1]) as second, peer(second, "frank"):
            accounts = second.services.view.accounts
            assert (accounts["bob"].state, accounts["carol"].role) == ("disabled", "member")
            assert (accounts["erin"].state, accounts["frank"].role) == ("disabled", "member")


def test_a_damaged_snapshot_is_passed_over_for_the_one_before(
    tmp_path: Path,
    nats_server: NatsServer,
    settings: list[Cluster],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    with running_server(homes[0], cluster=settings[0]) as first, peer(first, "alice", room="lobby") as alice:
        say(alice, "one")
        made(homes[0], settings[0], monkeypatch)
        say(alice, "two")
        broken = tmp_path / "broken.db"
        take(engine_of(homes[0], settings[0]), look(engine_of(homes[0], settings[0])).snapshots[0], broken)
        with closing(Store(broken, "full")) as store:
            store.connection.execute("UPDATE records SET text = 'uno' WHERE text = 'one'")
            (was,) = store.connection.execute("SELECT entry FROM followed").fetchone()
            store.connection.execute("UPDATE followed SET entry = ?", (was + 1,))
        snapshots.publish(engine_of(homes[0], settings[0]), broken)
        with running_server(homes[1], cluster=settings[1]) as second:
            assert history(second) == ["one", "two"]
    assert "a snapshot of the cluster cannot be used: lobby, record 2: It was changed" in caplog.text


def test_a_text_that_was_deleted_is_not_in_the_snapshots_that_follow(
    tmp_path: Path, settings: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "one")
    engine = engine_of(home, settings[0])

    def has_it(name: str) -> bool:
        take(engine, made(home, settings[0], monkeypatch), tmp_path / name)
        return b"nobody must know" in (tmp_path / name).read_bytes()

    with running_server(home, cluster=settings[0]) as node, peer(node, "alice", room="lobby") as alice:
        say(alice, "nobody must know", "but this")
        assert has_it("before")
        alice.send({"type": "delete", "room": "lobby", "seq": 2, "id": "d"})
        alice.expect("ack")
        assert not has_it("after")


def test_a_node_makes_a_snapshot_by_itself_when_one_is_due_and_tells_of_what_fails_in_a_line(
    tmp_path: Path, settings: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "LOOK_SECONDS", 0.02)
    cluster, home = settings[0], make_home(tmp_path / "one")
    with listening() as heard, running_server(home, cluster=cluster) as node, peer(node, "alice", room="lobby"):
        heard.wait_for("made a snapshot up to entry ")
        assert len(look(engine_of(home, cluster)).snapshots) == 1
        monkeypatch.setattr(shelves, "SNAPSHOT_SECONDS", 0)
        with monkeypatch.context() as full:
            full.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000))
            heard.wait_for("there are 1000 free: half of that is the most. Free some space.")
        monkeypatch.setattr(snapshots, "publish", broken)
        heard.wait_for("no snapshot was made; another try follows: It does not work.")
        monkeypatch.setattr(snapshots, "publish", buggy)
        heard.lines.clear()
        heard.wait_for("no snapshot was made; another try follows")


def broken(*_: Any) -> None:
    raise StorageFailed("It does not work.")


def no_disk(*_: Any) -> None:
    raise OSError(errno.EIO, "Input/output error")


def buggy(*_: Any) -> None:
    raise RuntimeError("a bug")


@contextmanager
def listening() -> Iterator[Heard]:
    """What the thread that makes snapshots logs."""
    heard, level = Heard(), snapshots.log.level
    snapshots.log.addHandler(heard)
    snapshots.log.setLevel(logging.INFO)
    yield heard
    snapshots.log.setLevel(level)
    snapshots.log.removeHandler(heard)
