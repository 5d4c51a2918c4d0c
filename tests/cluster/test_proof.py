"""`securechat cluster verify`: all nodes and the newest snapshot have one history, or it says where they have not."""

import json
import time
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.chat.chain import link_record
from securechat.journal.jetstream import snapshots as shelves
from securechat.journal.reader import Reader
from securechat.journal.store import Store
from securechat.journal.verify import verify_store
from securechat.server import cluster_proof, snapshots
from securechat.server.ordering import engine_of
from tests.cli.calling import Done, call
from tests.cluster.servers import NatsServer, new_stream, node_settings, write_settings
from tests.server.support import DEADLINE, make_home, peer, running_server


def verify(home: Path, *words: str) -> Done:
    return call("cluster", "verify", *words, "--home", str(home))


def verify_both(home: Path, *words: str) -> Done:
    """The same, tried again until both nodes have answered in time."""
    deadline = time.monotonic() + DEADLINE
    while True:
        told = verify(home, *words)
        if all(f"{node}: " in told.out.replace('"', "") for node in ("one", "two")):
            return told
        assert time.monotonic() < deadline, told


def tell_otherwise(home: Path) -> None:
    """Have the last record of this store's lobby say something else, with a chain that proves it."""
    with closing(Reader(home / "chat.db")) as reader:
        record = reader.page("lobby", limit=1).records[0]
        before = reader.record("lobby", record.seq - 1)
    assert before is not None
    with closing(Store(home / "chat.db", "full")) as store:
        store.connection.execute("UPDATE records SET sender = 'eve' WHERE seq = ?", (record.seq,))
        forged = link_record(before.hash, replace(record, sender="eve"))
        store.connection.execute("UPDATE records SET hash = ? WHERE seq = ?", (forged, record.seq))
        store.connection.execute("UPDATE rooms SET hash = ? WHERE name = 'lobby'", (forged,))
    (home / "search.db").unlink()
    assert verify_store(home / "chat.db").flaw is None


def test_one_history_is_proved_and_another_is_named_where_it_begins(
    tmp_path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "SNAPSHOT_SECONDS", 0)
    monkeypatch.setattr(cluster_proof, "ANSWER_SECONDS", 0.15)
    stream = new_stream()
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    settings = [node_settings([nats_server], stream, name) for name in ("one", "two")]
    for home, cluster in zip(homes, settings, strict=True):
        write_settings(home, cluster)
    engine = engine_of(homes[0], settings[0])
    assert "This server stands alone" in verify(tmp_path).err
    with running_server(homes[0], cluster=settings[0]) as first, peer(first, "alice", room="lobby") as alice:
        with running_server(homes[1], cluster=settings[1]) as second, peer(second, "bob", room="lobby") as bob:
            for text in ("one", "two", "three"):
                alice.say(text, id=text)
            bob.say("four", id="four")
            told = verify(homes[0])
            assert (told.code, told.err.splitlines()[0]) == (0, "There is no snapshot yet."), told
            made = snapshots.SnapshotMaker(homes[1], engine, lambda: True).look()
            assert made is not None
            told = verify_both(homes[0])
            assert told.code == 0, told
            assert "node one: the same chains\nnode two: the same chains\n" in told.out
            assert f"snapshot {made.name}: whole, and the same chains" in told.out
            assert "records checked here: 6" in told.err
            found = json.loads(verify_both(homes[0], "--json").out)
            assert (found["ok"], found["nodes"]) == (True, {"one": "", "two": ""})
            with monkeypatch.context() as otherwise:
                otherwise.setattr("securechat.journal.jetstream.survey.Survey.differ", True)
                assert "have not the same state" in verify(homes[0]).err
        # What nobody can do with the rules can be done to a file.
        tell_otherwise(homes[1])
        with running_server(homes[1], cluster=settings[1]):
            told = verify_both(homes[0])
            assert told.code == 1
            assert "node two: lobby, record 6: It is not the same in both." in told.out
            assert "Node two: lobby, record 6: It is not the same in both. Stop the node" in told.err
        snapshots.publish(engine, homes[1] / "chat.db")
        told = verify(homes[0])
        assert (told.code, ": lobby, record 6: It is not the same in both." in told.out) == (1, True), told
        # Once it is further than the snapshot, too.
        alice.say("five", id="five")
        assert "lobby, record 6" in verify(homes[0]).err
        broken = tmp_path / "broken.db"
        with closing(Reader(homes[0] / "chat.db")) as reader:
            reader.copy_to(broken)
        with closing(Store(broken, "full")) as store:
            store.connection.execute("DELETE FROM records WHERE seq = 3")
        snapshots.publish(engine, broken)
        assert "lobby, record 3: It is missing." in verify(homes[0]).err
    (homes[0] / "chat.db").unlink()
    broken.rename(homes[0] / "chat.db")
    told = verify(homes[0])
    assert (told.code, "lobby, record 3: It is missing." in told.err) == (1, True)
    assert cluster_proof.prove(homes[0], settings[0]).nodes == {}
