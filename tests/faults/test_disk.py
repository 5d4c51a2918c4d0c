"""A disk that is full or fails, under a real server with real peers."""

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from securechat.errors import StorageFailed
from securechat.server.server import Server
from tests.faults.audit import audit
from tests.faults.authors import ROOM
from tests.faults.connection import stores_on
from tests.faults.disk import Disk
from tests.faults.processes import log_of, port_of, started
from tests.server.support import DEADLINE, Peer, make_home, peer, running_server

TEXT = "x" * 16_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@contextmanager
def serving_from(home: Path) -> Iterator[tuple[Server, Disk]]:
    """A server in this process whose home is on a simulated disk."""
    disk = Disk(home, random.Random(0))
    try:
        with stores_on(disk), running_server(home) as server:
            yield server, disk
    finally:
        disk.unplug()


def read_all(reader: Peer) -> list[str]:
    """The ids of all messages, as history has them."""
    ids: list[str] = []
    after, more = 0, True
    while more:
        reader.send({"type": "history", "room": ROOM, "after": after, "limit": 500})
        page = reader.expect("page")
        ids += [record["id"] for record in page["records"] if record["type"] == "message"]
        after, more = page["records"][-1]["seq"], page["more"]
    return ids


def test_a_full_disk_refuses_authors_lets_readers_read_and_is_forgotten_when_there_is_room(home: Path) -> None:
    with (
        serving_from(home) as (server, disk),
        peer(server, "alice", room=ROOM) as alice,
        peer(server, "bob", room=ROOM) as bob,
        peer(server, "carol", room=ROOM) as carol,
    ):
        stored = [f"before-{number}" for number in range(3) if alice.say(TEXT, id=f"before-{number}")["seq"]]
        # Room for a part of the next commit: it is found out in the middle of writing it.
        disk.capacity = disk.used + 10_000
        for number in range(3):
            for author, name in ((alice, "alice"), (bob, "bob")):
                answer = author.say(TEXT, id=f"full-{name}-{number}")
                assert (answer["type"], answer.get("code")) == ("error", "storage")
        assert read_all(bob) == stored
        assert disk.used <= disk.capacity
        disk.capacity = None
        again = [alice.say(TEXT, id=f"full-alice-{number}") for number in range(3)]
        assert ["duplicate" in ack for ack in again] == [False] * 3
        stored += [ack["id"] for ack in again]
        # Carol, who only listens, heard what was stored and nothing else.
        assert [message["id"] for message in carol.messages(len(stored))] == stored
    assert [record.id for record in log_of(home) if record.kind == "say"] == stored


def test_a_disk_that_fills_up_while_sqlite_tidies_up_costs_no_acknowledged_message(home: Path) -> None:
    """The checkpoint fails behind a commit that has succeeded: it is made up for later."""
    said: dict[str, str] = {}
    acknowledged: dict[str, int] = {}
    with serving_from(home) as (server, disk), peer(server, "alice", room=ROOM) as alice:
        # The WAL gets room for the 4 MB after which SQLite takes it over into the database file, which gets too little.
        disk.capacity = disk.used + 6_000_000
        for number in range(600):
            id = f"alice-{number}"
            answer = alice.say(TEXT, id=id)
            said[id] = TEXT
            if answer["type"] == "error":
                assert (answer["code"], disk.refused) == ("storage", {"main", "journal"})
                disk.capacity = None
                answer = alice.say(TEXT, id=id)
            acknowledged[id] = answer["seq"]
            if disk.capacity is None:
                break
        assert disk.capacity is None, "the disk was never full"
    assert audit(log_of(home), said, acknowledged).flawless


@pytest.mark.parametrize("failing", ["write", "sync"])
def test_a_disk_that_fails_in_a_commit_ends_the_server_and_what_it_acknowledged_is_there(
    home: Path, failing: Literal["write", "sync"]
) -> None:
    with serving_from(home) as (server, disk), peer(server, "alice", room=ROOM) as alice:
        acknowledged = {id: alice.say("kept", id=id)["seq"] for id in ("alice-0", "alice-1")}
        disk.failing = failing
        alice.send({"type": "say", "id": "alice-2", "room": ROOM, "text": "kept"})
        server.wait()
        disk.failing = None
        with pytest.raises(StorageFailed, match="injected"):
            server.stop()
        told = [frame for frame in alice.ends() if frame["type"] != "message"]
        assert [(frame["type"], frame["code"]) for frame in told] == [("bye", "storage")]
    said = dict.fromkeys(("alice-0", "alice-1", "alice-2"), "kept")
    assert audit(log_of(home), said, acknowledged).flawless


def test_a_process_whose_disk_fails_says_why_exits_with_an_error_and_starts_again_with_all_it_acknowledged(
    home: Path,
) -> None:
    said: dict[str, str] = {}
    acknowledged: dict[str, int] = {}
    shell = shutil.which("sh")
    assert shell is not None
    # No file may grow beyond 600 blocks of 512 or 1,024 bytes: the WAL meets a write that the system refuses.
    with started(home, (shell, "-c", 'ulimit -f 600; exec "$@"', "sh")) as process:
        with Peer(port_of(process, home)) as alice:
            alice.login("alice")
            alice.join()
            for number in range(1_000):
                id = f"alice-{number}"
                said[id] = TEXT
                alice.send({"type": "say", "id": id, "room": ROOM, "text": TEXT})
                answer = alice.expect("ack", "bye")
                if answer["type"] == "bye":
                    break
                acknowledged[id] = answer["seq"]
            assert answer["code"] == "storage"
        assert process.wait(DEADLINE) == 1
    reason = (home / "stderr").read_text()
    assert "disk I/O error" in reason
    assert "Traceback" not in reason
    assert acknowledged
    with started(home) as process:
        with Peer(port_of(process, home)) as alice:
            alice.login("alice")
            last, refused = list(said)[-2:]
            assert alice.say(TEXT, id=last)["seq"] == acknowledged[last]
            acknowledged[refused] = alice.say(TEXT, id=refused)["seq"]
        process.terminate()
        assert process.wait(DEADLINE) == 0
    assert audit(log_of(home), said, acknowledged).flawless
