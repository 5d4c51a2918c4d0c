"""What the journal does when the disk is full, and when it fails."""

import sqlite3
from pathlib import Path

import pytest

from securechat.chat.model import Recorded, Rejected
from securechat.chat.names import LOBBY
from securechat.errors import Code, StorageFailed
from tests.journal.conftest import Opener
from tests.journal.faults import break_store
from tests.journal.support import PATIENCE, RunningJournal, change, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def set_size_limit(running: RunningJournal, pages: int) -> None:
    running.store.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


def codes(running: RunningJournal, *texts: str) -> list[Code]:
    batch = running.settle(*(said("alice", text[:9], text) for text in texts))
    assert batch.records == {}
    return [outcome.code for _, outcome in batch.outcomes if isinstance(outcome, Rejected)]


def test_a_full_disk_refuses_the_whole_batch_and_recovers_by_itself(opened_alone: Opener, path: Path) -> None:
    with opened_alone(path) as running:
        running.settle(change("join", "alice"), said("alice", "kept"))
        (pages,) = running.store.connection.execute("PRAGMA page_count").fetchone()
        set_size_limit(running, pages)
        reader = running.store.reader()

        full = running.settle(
            change("create", "bob", "attic"),
            said("alice", "kept"),
            said("alice", "big", "x" * 16_000),
            change("leave", "alice"),
        )
        for _, outcome in full.outcomes:
            assert isinstance(outcome, Rejected)
            assert outcome.code is Code.STORAGE
        assert (full.records, full.gained, full.lost) == ({}, [], [])

        assert set(running.journal.view.rooms) == {LOBBY}
        assert running.journal.view.rooms[LOBBY].members == {"alice"}
        page = reader.page(LOBBY, limit=10, max_bytes=10_000)
        assert [record.id for record in page.records] == ["", "kept"]
        reader.close()

        set_size_limit(running, 1_000_000)
        assert running.record(said("alice", "big", "x" * 16_000)).seq == 3
        assert running.record(change("create", "bob", "attic")).seq == 1
        assert running.failures.empty()
    with opened_alone(path) as running:
        assert running.journal.view.rooms["attic"].members == {"bob"}
        assert [record.seq for record in running.log(LOBBY)] == [1, 2, 3]


def test_a_full_disk_is_logged_when_it_begins_and_when_it_ends(
    opened_alone: Opener, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened_alone(path) as running:
        running.settle(change("join", "alice"))
        sound = break_store(running.store, "COMMIT", sqlite3.SQLITE_FULL)
        for number in range(3):
            running.settle(said("alice", str(number)))
        assert running.journal.is_full
        running.store.connection = sound
        for number in range(3):
            running.settle(said("alice", str(number)))
        assert [record.getMessage().split(":")[0] for record in caplog.records] == [
            "nothing more is stored",
            "the disk has room again",
        ]
        assert not running.journal.is_full


@pytest.mark.parametrize("at", ["BEGIN", "INSERT INTO rooms", "INSERT INTO records", "COMMIT"])
def test_a_disk_that_is_full_at_any_step_keeps_nothing_of_the_batch(opened_alone: Opener, path: Path, at: str) -> None:
    with opened_alone(path) as running:
        running.settle(change("join", "alice"))
        sound = break_store(running.store, at, sqlite3.SQLITE_FULL)
        assert codes(running, "one", "two") == [Code.STORAGE] * 2
        assert len(running.log(LOBBY)) == 1
        running.store.connection = sound
        assert isinstance(running.outcome(said("alice", "one")), Recorded)


@pytest.mark.parametrize("at", ["SELECT rooms.name,", "BEGIN", "INSERT INTO records", "COMMIT"])
def test_a_disk_that_fails_stops_the_journal_without_an_answer(opened: Opener, path: Path, at: str) -> None:
    with opened(path) as running:
        running.settle(change("join", "alice"))
        break_store(running.store, at, sqlite3.SQLITE_IOERR_WRITE)
        running.propose(said("alice", "1"))
        failure = running.failures.get(timeout=PATIENCE)
        assert isinstance(failure, StorageFailed)
        assert str(path) in str(failure)
        assert not running.journal.submit([])
        assert running.journal.stop(PATIENCE)
        assert running.readers.batches.empty()
        assert running.failures.empty()
    with opened(path) as running:
        assert running.record(said("alice", "1")).seq == 2


def test_a_full_disk_that_cannot_even_give_up_the_batch_has_failed(opened_alone: Opener, path: Path) -> None:
    with opened_alone(path) as running:
        running.settle(change("join", "alice"))
        break_store(running.store, "INSERT INTO records", sqlite3.SQLITE_FULL)
        break_store(running.store, "ROLLBACK", sqlite3.SQLITE_IOERR)
        running.propose(said("alice", "1"))
        assert isinstance(running.failures.get(timeout=PATIENCE), StorageFailed)


def test_a_state_that_cannot_be_read_back_stops_the_journal(opened_alone: Opener, path: Path) -> None:
    with opened_alone(path) as running:
        running.settle(change("join", "alice"))
        break_store(running.store, "COMMIT", sqlite3.SQLITE_FULL)
        break_store(running.store, "SELECT room,", sqlite3.SQLITE_CORRUPT)
        running.propose(said("alice", "1"))
        assert "is damaged" in str(running.failures.get(timeout=PATIENCE))
