"""Snapshots in the object store of a real NATS server: whole or not to be seen, and without what was erased."""

import asyncio
import json
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from securechat.chat.model import Expire
from securechat.chat.names import LOBBY
from securechat.errors import SnapshotUnusable, StorageFailed, Unreachable
from securechat.journal.continuity import StoredChains, difference, gap
from securechat.journal.jetstream import snapshots
from securechat.journal.jetstream import visit as visits
from securechat.journal.jetstream.snapshots import Shelf, Snapshot, _Traced, look, put, take
from securechat.journal.jetstream.stream import Engine
from securechat.journal.reader import Reader
from securechat.journal.verify import Flaw
from securechat.limits import SNAPSHOT_ENTRIES, SNAPSHOT_SECONDS
from tests.cluster.servers import NatsServer, ask_nats, engine, nats_servers
from tests.journal.support import change, delete, running_journal, said
from tests.server.support import in_parallel

LARGE = bytes(range(256)) * 2048
"""Four chunks."""


@pytest.fixture
def way(nats_server: NatsServer) -> Engine:
    """A stream with three entries."""
    made = engine([nats_server])
    look(made)
    for _ in range(3):
        asyncio.run(ask_nats(nats_server, lambda nats: nats.publish(f"{made.stream}.log.x", b"{}")))
    return made


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    return path


def set_clock(monkeypatch: pytest.MonkeyPatch, now: int) -> None:
    monkeypatch.setattr("securechat.journal.jetstream.snapshots.time.time", lambda: now)


def test_what_was_put_there_is_seen_and_taken_and_the_last_two_are_kept(
    way: Engine, large: Path, tmp_path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(way) == Shelf(1, 3, [])
    asyncio.run(ask_nats(nats_server, lambda nats: nats.create_object_store(way.stream)))
    assert look(way) == Shelf(1, 3, []), "though there is something for them"
    for now, entry in ((1_000, 1), (2_000, 2), (3_000, 2)):
        set_clock(monkeypatch, now)
        made = put(way, large, entry)
    assert (made.entry, made.time, made.bytes) == (2, 3_000, len(LARGE))
    assert [(one.entry, one.time) for one in look(way).snapshots] == [(2, 3_000), (2, 2_000)]
    take(way, made, tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == LARGE


def test_two_that_put_one_there_at_the_same_time_leave_whole_ones(
    way: Engine, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, 1_000)
    in_parallel(lambda: put(way, large, 1), lambda: put(way, large, 1), lambda: put(way, large, 2))
    shelf = look(way)
    assert [one.name for one in shelf.snapshots] == ["2-1000", "1-1000"]
    for one in shelf.snapshots:
        take(way, one, tmp_path / one.name)
        assert (tmp_path / one.name).read_bytes() == LARGE


def test_what_does_not_go_with_the_stream_is_not_offered(way: Engine, large: Path, nats_server: NatsServer) -> None:
    put(way, large, 1)
    put(way, large, 4)
    assert [one.entry for one in look(way).snapshots] == [1], "the stream ends at 3"
    asyncio.run(ask_nats(nats_server, lambda nats: nats.purge_stream(way.stream, seq=3)))
    assert look(way) == Shelf(3, 3, []), "the second is in neither"

    async def others(nats: Any) -> None:
        bucket = await nats.object_store(way.stream)
        for name in ("notes.txt", "3-x", "2-1000"):
            await bucket.put(name, b"")
        bad = {"name": "3-1000", "bucket": way.stream, "nuid": "x", "digest": "SHA-256=x"}
        await nats.publish(f"$O.{way.stream}.M.bad", json.dumps(bad).encode())

    asyncio.run(ask_nats(nats_server, others))
    assert [(one.name, len(one.sum)) for one in look(way).snapshots] == [("3-1000", 0), ("2-1000", 64)]


def test_a_snapshot_is_due_when_there_is_none_and_when_the_newest_is_old_or_far_behind() -> None:
    def due(now: float, *entries: int, last: int = 1_000) -> bool:
        return Shelf(1, last, [Snapshot(entry, 1_000, 0, "") for entry in entries]).is_due(now)

    assert due(0)
    assert not due(0, last=0)
    assert not due(1_000 + SNAPSHOT_SECONDS - 1, 1_000, 900)
    assert due(1_000 + SNAPSHOT_SECONDS, 1_000, 900)
    assert due(1_000 - SNAPSHOT_SECONDS, 1_000), "its clock was ahead"
    assert not due(1_000, 1, last=SNAPSHOT_ENTRIES)
    assert due(1_000, 1, last=SNAPSHOT_ENTRIES + 1)


def test_what_comes_and_is_not_what_was_put_there_is_no_snapshot(
    way: Engine, large: Path, tmp_path: Path, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(snapshot: Snapshot, name: str) -> str:
        with pytest.raises(SnapshotUnusable) as refused:
            take(way, snapshot, tmp_path / name)
        return str(refused.value)

    assert "came with 0 bytes" in refusal(Snapshot(1, 1, 1, ""), "no bucket")
    made = put(way, large, 1)
    assert "ObjectNotFoundError" in refusal(Snapshot(1, 1, 1, ""), "none of this name")
    assert f"came with {len(LARGE)} bytes" in refusal(replace(made, sum="0" * 64), "another sum")
    chunks = f"$O.{way.stream}.C.>"
    asyncio.run(ask_nats(nats_server, lambda nats: nats.purge_stream(f"OBJ_{way.stream}", subject=chunks, keep=2)))
    assert "DigestMismatchError" in refusal(made, "half")
    monkeypatch.setattr(snapshots, "STUCK_SECONDS", 0.05)
    asyncio.run(ask_nats(nats_server, lambda nats: nats.purge_stream(f"OBJ_{way.stream}", subject=chunks)))
    assert "TimeoutError" in refusal(made, "nothing")


def test_an_upload_that_fails_or_is_broken_off_leaves_nothing_to_be_seen(
    way: Engine, large: Path, tmp_path: Path, nats_server: NatsServer
) -> None:
    put(way, large, 1)
    asked = iter((False, False, True))
    with pytest.raises(Unreachable, match="broken off"):
        put(way, large, 2, lambda: next(asked))
    assert [one.entry for one in look(way).snapshots] == [1]
    with pytest.raises(Unreachable, match="broken off"):
        take(way, look(way).snapshots[0], tmp_path / "half", lambda: True)
    # Nor do its chunks stay: those of the first are four, and what it is.
    info = asyncio.run(ask_nats(nats_server, lambda nats: nats.stream_info(f"OBJ_{way.stream}")))
    assert info.state.messages == 5


def test_an_upload_that_stands_still_is_given_up(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nats_servers(tmp_path / "nats", 1) as (server,):
        way = engine([server])
        put(way, large, 1)
        monkeypatch.setattr(snapshots, "STUCK_SECONDS", 0.05)

        def pause() -> bool:
            server.pause()
            return False

        with pytest.raises(Unreachable, match="what is sent does not arrive"):
            put(way, large, 2, pause)
        server.go_on()
        assert look(way).last == 0


def test_a_disk_that_fails_is_told_as_such(way: Engine, large: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="File exists"):
        take(way, Snapshot(1, 1, 1, ""), large)
    with pytest.raises(StorageFailed, match="No such file"):
        put(way, tmp_path / "none", 1)
    with pytest.raises(StorageFailed, match="No space left"), _Traced(Path("/dev/full"), "wb") as full:
        while True:
            full.write(LARGE)
    with pytest.raises(StorageFailed, match="error"), _Traced(Path("/proc/self/mem"), "rb") as unreadable:
        unreadable.readinto(bytearray(10))


def test_what_was_deleted_or_has_expired_is_in_no_byte_of_a_later_copy(tmp_path: Path) -> None:
    texts = [b"the first secret", b"the second secret", b"a third one that stays"]

    def found(name: str) -> list[bool]:
        with closing(Reader(tmp_path / "chat.db")) as reader:
            reader.copy_to(tmp_path / name)
        copy = (tmp_path / name).read_bytes()
        return [text in copy for text in texts]

    with running_journal(tmp_path / "chat.db") as running:
        running.record(change("join", "alice"))
        for number, text in enumerate(texts):
            running.record(said("alice", str(number), text.decode()))
            running.settle(*(said("alice", f"{number}-{filler}", "x" * 500) for filler in range(30)))
        assert found("before") == [True, True, True]
        running.record(delete("alice", 2 + 31))
        running.settle(Expire(LOBBY, 2))
        assert found("after") == [False, False, True]


def test_two_histories_are_the_same_up_to_where_the_first_record_is_another(tmp_path: Path) -> None:
    with ExitStack() as open_:
        one, other, third = (open_.enter_context(running_journal(tmp_path / name)) for name in ("1", "2", "3"))
        common = [change("join", "alice"), change("create", "alice", "attic")]
        common += [replace(said("alice", f"c{number}"), salt=bytes(16)) for number in range(20)]
        for running in (one, other, third):
            running.settle(*common)
        readers = [open_.enter_context(closing(running.store.reader())) for running in (one, other, third)]

        def chains() -> list[StoredChains]:
            return [StoredChains(reader) for reader in readers]

        first, second, last = chains()
        assert difference(first, second) is gap(first, second) is None
        one.settle(*(replace(said("alice", f"n{number}"), salt=bytes(16)) for number in range(9)))
        other.settle(*(replace(said("alice", f"n{number}", "hullo"), salt=bytes(16)) for number in range(20)))
        third.settle(change("create", "alice", "den"))
        first, second, last = chains()
        assert difference(first, second) == difference(second, first) == Flaw(LOBBY, 22, "It is not the same in both.")
        assert difference(first, last) is None
        assert gap(last, first) == Flaw("den", 1, "It is missing.")
        assert gap(first, last) == Flaw(LOBBY, 22, "It is missing.")
        # What is gone from one of them cannot be compared, and is no difference.
        other.settle(Expire(LOBBY, 25))
        first, second, last = chains()
        assert difference(first, second) == Flaw(LOBBY, 25, "It is not the same in both.")
        assert second.hash_at(LOBBY, 24) is None
        other.settle(Expire(LOBBY, 35))
        assert difference(first, chains()[1]) is None
        assert last.hash_at("nowhere", 1) is None


def test_a_server_that_lets_nobody_in_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("random.sample", lambda servers, _: list(servers))
    with nats_servers(tmp_path / "one", 1) as (stuck,), nats_servers(tmp_path / "two", 1) as (sound,):
        way = replace(engine([stuck]), servers=("nats://127.0.0.1:1", stuck.url, sound.url))
        stuck.pause()
        assert look(way).last == 0
        stuck.go_on()
