"""The store: what it keeps, how it is read in pages, and which files it refuses."""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from securechat.chat.model import Record, Room
from securechat.chat.names import LOBBY
from securechat.errors import StorageFailed
from securechat.journal import database
from securechat.journal.reader import RECORD_OVERHEAD, Reader
from securechat.journal.schema import FORMAT
from securechat.journal.store import Store
from tests.journal.faults import Statements
from tests.journal.support import Durability

NOBODY = 65_534
"""A user without any right, on every Unix."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@contextmanager
def opened(path: Path, durability: Durability = "full") -> Iterator[Store]:
    with closing(Store(path, durability)) as store:
        store.load()
        yield store


def fill(store: Store, *texts: str) -> list[Record]:
    """Commit one message in the lobby for each text."""
    records = [
        Record(LOBBY, number, "say", "alice", f"a{number}", 1_000 + number, text)
        for number, text in enumerate(texts, start=1)
    ]
    store.commit([Room(LOBBY, head=len(records), time=1_000)], records, {})
    return records


def refusal(path: Path, durability: Durability = "full") -> StorageFailed:
    with pytest.raises(StorageFailed) as refused:
        Store(path, durability).close()
    assert str(path.parent) in refused.value.message
    assert refused.value.hint
    return refused.value


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Do what follows as a user whom permissions stop; root is stopped by none."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """A folder that the user without privileges owns and can reach; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, -1)
        yield folder
        folder.chmod(0o700)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_only_the_owner_can_read_what_is_kept(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with opened(path) as store:
            fill(store, "hello")
            for name in ("chat.db", "chat.db-wal", "chat.db-shm"):
                assert mode(path.with_name(name)) == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_the_durability_that_is_asked_for_is_the_one_in_force(
    path: Path, durability: Durability, synchronous: int
) -> None:
    with opened(path, durability) as store:
        assert store.connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_disk_on_which_durability_cannot_be_had_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute("SELECT 1" if sql.startswith("PRAGMA synchronous =") else sql, *parameters)

    real: Callable[..., sqlite3.Connection] = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *names, **options: real(*names, factory=Deaf, **options))
    assert "cannot be made durable" in refusal(path, "normal").message


@pytest.mark.parametrize("name", ["a b", "50%25", "what?x=1", "a#b", "żółw", "line\nend", "'\"", os.fsdecode(b"\xff")])
def test_a_path_may_hold_any_characters(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / name
    path.parent.mkdir()
    with opened(path) as store:
        fill(store, "hello")
        with closing(store.reader()) as reader:
            assert len(reader.page(LOBBY, limit=1, max_bytes=1).records) == 1
    assert path.exists()
    assert list(tmp_path.iterdir()) == [path.parent]


def test_rooms_and_members_come_back_and_no_record_is_read_for_them(path: Path) -> None:
    attic = Room("attic", "alice", "old things", private=True, members=frozenset({"alice", "bob"}), head=3, time=9)
    with opened(path) as store:
        (lobby,) = store.load()
        store.commit([attic], [], {("attic", "alice"): True, ("attic", "bob"): True, (LOBBY, "bob"): True})
    with closing(Store(path, "full")) as store:
        statements = Statements(store)
        assert store.load() == [replace(lobby, members=frozenset({"bob"})), attic]
        assert not any("records" in statement for statement in statements)


def test_a_room_changes_and_members_come_and_go(path: Path) -> None:
    with opened(path) as store:
        store.commit([Room("attic", "alice", head=1, time=5)], [], {("attic", "alice"): True, ("attic", "bob"): True})
        store.commit([Room("attic", "alice", head=2, time=6)], [], {("attic", "bob"): False, ("attic", "alice"): True})
        assert store.load()[1] == Room("attic", "alice", members=frozenset({"alice"}), head=2, time=6)


def test_records_are_found_by_author_and_id(path: Path) -> None:
    with opened(path) as store:
        first, _ = fill(store, "one", "two")
        found = store.recorded({("alice", "a1"), ("alice", "a9"), ("bob", "a2")})
        assert found == {("alice", "a1"): first}
        assert store.recorded(set()) == {}


def test_an_id_is_recorded_once_for_its_author_whatever_the_journal_thinks(path: Path) -> None:
    with opened(path) as store:
        fill(store, "one")
        with pytest.raises(StorageFailed, match="UNIQUE"):
            store.commit([], [Record(LOBBY, 2, "say", "alice", "a1", 5, "two")], {})
        store.commit([], [Record(LOBBY, 2, "join", "alice", "", 5), Record(LOBBY, 3, "leave", "alice", "", 5)], {})


def test_a_page_is_read_forwards_backwards_or_from_the_newest(path: Path) -> None:
    with opened(path) as store, closing(store.reader()) as reader:
        records = fill(store, *"abcdefghij")

        def seqs(limit: int, after: int | None = None, before: int | None = None) -> tuple[list[int], bool]:
            page = reader.page(LOBBY, after=after, before=before, limit=limit, max_bytes=1 << 20)
            assert all(records[record.seq - 1] == record for record in page.records)
            return [record.seq for record in page.records], page.more

        assert seqs(3, after=0) == ([1, 2, 3], True)
        assert seqs(3, after=7) == ([8, 9, 10], False)
        assert seqs(3, after=10) == ([], False)
        assert seqs(3, before=6) == ([3, 4, 5], True)
        assert seqs(3, before=4) == ([1, 2, 3], False)
        assert seqs(3, before=1) == ([], False)
        assert seqs(3) == ([8, 9, 10], True)
        assert seqs(10) == ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], False)
        assert seqs(3, after=2, before=5) == ([3, 4], False)
        assert seqs(3, after=2, before=7) == ([3, 4, 5], True)


def test_a_page_has_a_limit_in_bytes_but_one_record_at_least(path: Path) -> None:
    with opened(path) as store, closing(store.reader()) as reader:
        fill(store, "x" * 1_000, "ż" * 500, "x" * 1_000)
        two = 2 * (1_000 + RECORD_OVERHEAD)
        assert len(reader.page(LOBBY, after=0, limit=10, max_bytes=two).records) == 2
        assert len(reader.page(LOBBY, after=0, limit=10, max_bytes=two - 1).records) == 1
        page = reader.page(LOBBY, limit=10, max_bytes=1)
        assert [record.seq for record in page.records] == [3]
        assert page.more


def test_one_record_is_read_by_its_number(path: Path) -> None:
    with opened(path) as store, closing(store.reader()) as reader:
        records = fill(store, *"abc")
        assert [reader.record(LOBBY, seq) for seq in (1, 3, 4, 0)] == [records[0], records[2], None, None]
        assert reader.record("attic", 1) is None


def test_many_records_are_found_by_room_and_number_at_once(path: Path) -> None:
    with opened(path) as store:
        records = fill(store, *"abc")
        store.commit([Room("attic", head=2)], [Record("attic", 2, "say", "bob", "b", 5, "old")], {})
        found = store.named({(LOBBY, 2), (LOBBY, 9), ("attic", 2), ("cellar", 1)})
        assert found == {
            (LOBBY, 2): records[1],
            (LOBBY, 9): None,
            ("attic", 2): Record("attic", 2, "say", "bob", "b", 5, "old"),
            ("cellar", 1): None,
        }
        assert store.named(()) == {}


def test_every_field_of_a_record_and_of_a_room_is_kept(path: Path) -> None:
    record = Record("attic", 1, "edit", "bob", "b", 5, "old", "cat", 7, b"s" * 16, b"e" * 32, b"h" * 32)
    attic = Room("attic", "bob", "things", True, frozenset({"bob"}), 1, 5, True, b"h" * 32, 3, b"b" * 32)
    assert all(value for struct in (record, attic) for value in asdict(struct).values())
    with opened(path) as store, closing(store.reader()) as reader:
        store.commit([attic], [record], {("attic", "bob"): True})
        assert store.load()[1] == attic
        assert reader.record("attic", 1) == record
        assert store.recorded({("bob", "b")}) == {("bob", "b"): record}


def test_an_unknown_room_has_no_records(path: Path) -> None:
    with opened(path) as store, closing(store.reader()) as reader:
        page = reader.page("attic", limit=10, max_bytes=1_000)
        assert (page.records, page.more) == ([], False)


@given(st.lists(st.integers(0, 600), min_size=1, max_size=30), st.integers(1, 10), st.integers(1, 3_000))
def test_pages_after_one_another_give_each_record_once(sizes: list[int], limit: int, max_bytes: int) -> None:
    with pages_of(sizes) as (records, reader):
        forwards: list[Record] = []
        page = reader.page(LOBBY, after=0, limit=limit, max_bytes=max_bytes)
        forwards += page.records
        while page.more:
            page = reader.page(LOBBY, after=forwards[-1].seq, limit=limit, max_bytes=max_bytes)
            forwards += page.records
        page = reader.page(LOBBY, limit=limit, max_bytes=max_bytes)
        backwards = page.records
        while page.more:
            page = reader.page(LOBBY, before=backwards[0].seq, limit=limit, max_bytes=max_bytes)
            backwards = page.records + backwards
        assert forwards == backwards == records


@contextmanager
def pages_of(sizes: list[int]) -> Iterator[tuple[list[Record], Reader]]:
    """A reader of a new store with texts of these sizes; the example's own, because tmp_path is one for all of them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder) / "chat.db", "normal") as store,
        closing(store.reader()) as reader,
    ):
        yield fill(store, *("x" * size for size in sizes)), reader


def test_reading_goes_on_while_the_writer_is_in_the_middle_of_a_commit(path: Path) -> None:
    with opened(path) as store, closing(store.reader()) as reader:
        fill(store, "hello")
        store.connection.execute("BEGIN IMMEDIATE")
        store.connection.execute("DELETE FROM records")
        assert len(reader.page(LOBBY, limit=10, max_bytes=1_000).records) == 1
        store.connection.execute("ROLLBACK")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone" / "chat.db").message == f"There is no folder {tmp_path / 'gone'}."


def test_a_folder_in_which_nothing_may_be_made_is_named(nobodys_folder: Path) -> None:
    nobodys_folder.chmod(0o500)
    with without_privileges():
        assert "Permission denied" in refusal(nobodys_folder / "chat.db").message


@pytest.mark.parametrize(("mode", "what"), [(0o444, "cannot be written"), (0o000, "cannot be opened")])
def test_a_file_that_may_not_be_written_is_refused_at_the_start(nobodys_folder: Path, mode: int, what: str) -> None:
    path = nobodys_folder / "chat.db"
    with without_privileges():
        with opened(path):
            pass
        path.chmod(mode)
        assert what in refusal(path).message


def test_a_folder_in_the_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir()
    assert refusal(path).message == f"{path} cannot be opened."


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1_000)
    assert refusal(path).message == f"{path} is no chat database."
    assert path.read_bytes() == b"Dear diary, " * 1_000


def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (title)")
    before = path.read_bytes()
    assert refusal(path).message == f"{path} is no chat database."
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_refused_in_plain_words(path: Path) -> None:
    with opened(path) as store:
        store.connection.execute(f"PRAGMA user_version = {FORMAT + 6}")
    refused = refusal(path)
    assert f"newer securechat (format {FORMAT + 6}; this one writes {FORMAT})" in refused.message
    assert refused.hint == "Run the newer one."


def test_a_file_that_another_program_holds_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
    with opened(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert refusal(path).message == f"{path} is held by another program."
        other.execute("ROLLBACK")


def test_a_damaged_file_is_told_from_a_sound_one_when_it_is_read(path: Path) -> None:
    with opened(path) as store:
        fill(store, *("x" * 1_000 for _ in range(50)))
    sound = path.read_bytes()
    path.write_bytes(sound[:4_096] + b"\xaa" * (len(sound) - 4_096))
    with closing(Store(path, "full")) as store:
        with pytest.raises(StorageFailed, match="is damaged"):
            store.load()
        with pytest.raises(StorageFailed, match="is damaged"):
            store.recorded({("alice", "a1")})
        with closing(store.reader()) as reader, pytest.raises(StorageFailed, match="is damaged"):
            reader.page(LOBBY, limit=10, max_bytes=1_000)
        with closing(store.reader()) as reader, pytest.raises(StorageFailed, match="is damaged"):
            reader.older(LOBBY, 1, 10)
        with closing(store.reader()) as reader, pytest.raises(StorageFailed, match="is damaged"):
            reader.rooms()


def test_a_commit_that_fails_leaves_the_store_as_it_was(path: Path) -> None:
    with opened(path) as store:
        records = fill(store, "one")
        with pytest.raises(StorageFailed):
            store.commit([Room("attic", head=1)], [records[0]], {("attic", "alice"): True})
        assert [room.name for room in store.load()] == [LOBBY]
        assert not store.connection.in_transaction


def test_a_reader_of_a_store_that_is_gone_says_so(path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot be opened"):
        Reader(path)
