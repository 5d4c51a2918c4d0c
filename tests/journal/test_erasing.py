"""Deleting and expiring: what is erased is in no file any more, what stays is in its place, and the chain holds."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.chat import chain
from securechat.chat.model import Changed, Expire, Proposal, Record, Recorded, Rejected, Unchanged
from securechat.chat.names import LOBBY
from securechat.errors import Code
from securechat.journal.sql import ERASE
from securechat.limits import EXPIRED_AT_ONCE
from tests.journal.conftest import Opener
from tests.journal.faults import break_store
from tests.journal.support import PATIENCE, RunningJournal, assert_chained, change, delete, edit, said

SECRET = "xyzzy-plugh-"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def running(opened: Opener, path: Path) -> Iterator[RunningJournal]:
    """A journal with alice in the lobby."""
    with opened(path) as running:
        running.settle(change("join", "alice"))
        yield running


def lobby(running: RunningJournal) -> tuple[Record, ...]:
    """The lobby's records, after a look at its chain."""
    log = running.log()
    assert_chained(running.journal.view.rooms[LOBBY], log)
    return tuple(log)


def found(path: Path, text: str = SECRET) -> list[str]:
    """The files of the store that hold the text, or a part of it."""
    return [file.name for file in path.parent.iterdir() if text.encode() in file.read_bytes()]


def test_each_text_is_committed_to_with_a_salt_of_its_own(running: RunningJournal) -> None:
    running.settle(said("alice", "1", "tea"), said("alice", "2", "tea"), change("leave", "alice"))
    _, first, second, leave = lobby(running)
    assert len(first.salt) == len(second.salt) == chain.SALT_BYTES
    assert first.salt != second.salt
    assert leave.salt == b""


def test_a_salt_that_was_proposed_is_kept_so_that_all_nodes_compute_the_same(running: RunningJournal) -> None:
    proposal = replace(said("alice", "1"), salt=b"0123456789abcdef")
    assert running.record(proposal).salt == b"0123456789abcdef"


def test_a_deletion_erases_the_message_and_its_edits_and_the_chain_holds(running: RunningJournal) -> None:
    running.settle(said("alice", "1", "tea"), edit("alice", 2, "toast"), said("alice", "2", "jam"))
    before = lobby(running)
    deletion = running.record(delete("alice", 2))
    after = lobby(running)
    for seq in (2, 3):
        old, new = before[seq - 1], after[seq - 1]
        assert new == replace(old, text="", salt=b"", erased=chain.commitment(old.salt, old.text))
    assert after[0] == before[0]
    assert after[3:] == (before[3], deletion)
    assert (deletion.kind, deletion.about) == ("delete", 2)


def test_what_is_deleted_in_the_batch_that_said_it_is_never_told_or_stored(running: RunningJournal) -> None:
    batch = running.settle(
        said("alice", "1", SECRET),
        edit("alice", 2, SECRET),
        said("alice", "2", "jam"),
        delete("alice", 2),
        said("alice", "1", "something else"),
        edit("alice", 2, SECRET, id="late"),
        delete("alice", 2),
    )
    assert [record.text for record in batch.records[LOBBY]] == ["", "", "jam", ""]
    assert tuple(batch.records[LOBBY]) == lobby(running)[1:]
    *_, repeat, late, again = (outcome for _, outcome in batch.outcomes)
    assert isinstance(repeat, Recorded)
    assert (repeat.duplicate, repeat.record.seq) == (True, 2)
    assert isinstance(late, Rejected)
    assert late.code is Code.NO_SUCH_RECORD
    assert again == Unchanged(LOBBY)


@pytest.mark.parametrize("size", [20, 400, 3_000, 16_000])
def test_no_file_holds_a_text_that_was_deleted_even_while_the_journal_runs(
    running: RunningJournal, path: Path, size: int
) -> None:
    text = (SECRET * size)[:size]
    for number in range(0, 30, 3):
        running.settle(*(said("alice", str(number + step), "jam" * (size // 3)) for step in range(3)))
        running.settle(said("alice", f"s{number}", text))
    assert found(path)
    secrets = [record for record in lobby(running) if record.text == text]
    running.settle(*(delete("alice", record.seq) for record in secrets))
    assert found(path) == []
    assert len(lobby(running)) == 1 + 40 + 10


def test_a_reader_in_the_middle_of_a_page_only_puts_the_erasing_off(running: RunningJournal, path: Path) -> None:
    running.settle(said("alice", "1", SECRET))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM records").fetchall()
        running.settle(delete("alice", 2))
        assert found(path)
        other.execute("ROLLBACK")
    running.settle(said("alice", "2"))
    assert found(path) == []


def test_a_full_disk_while_the_log_is_emptied_fails_nothing(running: RunningJournal, path: Path) -> None:
    running.settle(said("alice", "1", SECRET))
    sound = break_store(running.store, "PRAGMA wal_checkpoint(TRUNCATE)", sqlite3.SQLITE_FULL)
    assert isinstance(running.outcome(delete("alice", 2)), Recorded)
    running.store.connection = sound
    running.settle(said("alice", "2"))
    assert found(path) == []


@pytest.mark.parametrize("at", ["UPDATE records", "DELETE FROM records"])
def test_a_disk_that_is_full_erases_nothing(opened_alone: Opener, path: Path, at: str) -> None:
    with opened_alone(path) as running:
        running.settle(change("join", "alice"), said("alice", "1", "tea"))
        before, room = lobby(running), running.journal.view.rooms[LOBBY]
        sound = break_store(running.store, at, sqlite3.SQLITE_FULL)
        batch = running.settle(delete("alice", 2), Expire(LOBBY, 1))
        running.store.connection = sound
        codes = [outcome.code for _, outcome in batch.outcomes if isinstance(outcome, Rejected)]
        assert codes == [Code.STORAGE] * 2
        assert (lobby(running), running.journal.view.rooms[LOBBY]) == (before, room)


def test_a_disk_that_fails_while_the_log_is_emptied_has_failed(running: RunningJournal) -> None:
    running.settle(said("alice", "1", SECRET))
    break_store(running.store, "PRAGMA wal_checkpoint(TRUNCATE)", sqlite3.SQLITE_IOERR)
    running.propose(delete("alice", 2))
    assert running.failures.get(timeout=PATIENCE)


def test_a_deleted_message_is_answered_by_its_first_number_for_ever(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        running.settle(change("join", "alice"), said("alice", "1", "tea"), edit("alice", 2, "toast"))
        running.settle(delete("alice", 2))
    with opened(path) as running:
        for proposal, seq in ((said("alice", "1", "other"), 2), (edit("alice", 2, "other"), 3)):
            outcome = running.outcome(proposal)
            assert isinstance(outcome, Recorded)
            assert (outcome.duplicate, outcome.record.seq) == (True, seq)
        assert running.outcome(delete("alice", 2)) == Unchanged(LOBBY)
        lobby(running)


def test_a_deletion_does_not_read_the_whole_room(running: RunningJournal) -> None:
    plan = [step for *_, step in running.store.connection.execute(f"EXPLAIN QUERY PLAN {ERASE}", (1, 1))]
    assert "SEARCH records USING PRIMARY KEY (room=? AND seq=?)" in plan
    assert "SEARCH records USING INDEX edits (room=? AND about=?)" in plan
    assert not any("(room=?)" in step for step in plan)


def test_an_edit_of_an_edit_that_is_stored_is_one_of_the_message(running: RunningJournal) -> None:
    running.settle(said("alice", "1"), edit("alice", 2))
    assert running.record(edit("alice", 3, id="e2")).about == 2


def test_replies_to_what_is_not_there_are_refused_one_by_one(running: RunningJournal) -> None:
    batch = running.settle(
        replace(said("alice", "1"), about=99),
        said("alice", "2"),
        replace(said("alice", "3"), about=2),
        replace(said("alice", "4", room="@alice:bob"), about=1),
    )
    codes = [outcome.code if isinstance(outcome, Rejected) else None for _, outcome in batch.outcomes]
    assert codes == [Code.NO_SUCH_RECORD, None, None, Code.NO_SUCH_RECORD]
    assert running.record(replace(said("alice", "5"), about=3)).about == 3


def expire(running: RunningJournal, upto: int) -> int:
    """Expire the lobby in as many steps as it takes; give their number."""
    for steps in count():
        outcome = running.outcome(Expire(LOBBY, upto))
        if isinstance(outcome, Unchanged):
            return steps
        assert isinstance(outcome, Changed)
    raise AssertionError


def test_what_expires_is_gone_and_the_chain_goes_on_from_there(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        running.settle(change("join", "alice"), said("alice", "1", SECRET), said("alice", "2", "jam"))
        whole = lobby(running)
        assert running.outcome(Expire(LOBBY, 2)) == Changed(Expire(LOBBY, 2))
        room = running.journal.view.rooms[LOBBY]
        assert (room.base, room.base_hash, room.head) == (2, whole[1].hash, 3)
        assert room.members == {"alice"}
        assert lobby(running) == whole[2:]
        assert found(path) == []
    with opened(path) as running:
        assert running.journal.view.rooms[LOBBY] == room
        assert running.record(said("alice", "3")).seq == 4
        lobby(running)


def test_a_room_of_which_all_expired_goes_on_where_it_was(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        running.settle(change("join", "alice"), said("alice", "1"))
        assert expire(running, 99) == 1
        assert lobby(running) == ()
    with opened(path) as running:
        assert running.record(said("alice", "2")).seq == 3
        assert len(lobby(running)) == 1


def test_a_long_room_expires_in_small_steps(running: RunningJournal) -> None:
    many = 2 * EXPIRED_AT_ONCE + 10
    for start in range(0, many, 300):  # what is one batch in every order
        running.settle(*(said("alice", str(number)) for number in range(start, min(start + 300, many))))
    assert expire(running, many) == 3
    assert [record.seq for record in lobby(running)] == [many + 1]


def test_ids_are_forgotten_with_their_records(running: RunningJournal) -> None:
    running.settle(said("alice", "1"))
    expire(running, 2)
    outcome = running.outcome(said("alice", "1", "something else"))
    assert isinstance(outcome, Recorded)
    assert (outcome.duplicate, outcome.record.seq) == (False, 3)


def test_an_expiry_in_the_middle_of_a_batch_counts_from_there_on(running: RunningJournal) -> None:
    batch = running.settle(
        said("alice", "1"),
        said("alice", "2"),
        Expire(LOBBY, 2),
        Expire(LOBBY, 3),
        said("alice", "1"),
        replace(said("alice", "3"), about=3),
        delete("alice", 3),
        replace(said("alice", "4"), about=4),
    )
    told = [
        outcome.code if isinstance(outcome, Rejected) else getattr(getattr(outcome, "record", None), "seq", 0)
        for _, outcome in batch.outcomes
    ]
    assert told == [2, 3, 0, 0, 4, Code.NO_SUCH_RECORD, Code.NO_SUCH_RECORD, 5]
    assert [record.seq for record in lobby(running)] == [4, 5]
    assert running.journal.view.rooms[LOBBY].base == 3


def test_what_was_said_about_an_expired_message_stays_but_nothing_new_is(running: RunningJournal) -> None:
    running.settle(said("alice", "1"), edit("alice", 2), replace(said("alice", "2"), about=2))
    expire(running, 2)
    assert [record.about for record in lobby(running)] == [2, 2]
    for proposal in (edit("alice", 2, id="x"), edit("alice", 3, id="y"), delete("alice", 2), delete("alice", 3)):
        outcome = running.outcome(proposal)
        assert isinstance(outcome, Rejected)
        assert outcome.code is Code.NO_SUCH_RECORD


def test_no_record_is_old_before_its_time(opened: Opener, path: Path) -> None:
    with opened(path, clock=count(1_000, 1_000).__next__) as running:
        for proposal in (change("join", "alice"), said("alice", "1"), said("alice", "2")):
            running.settle(proposal)
        with closing(running.store.reader()) as reader:
            assert [reader.older(LOBBY, time, 10) for time in (1_000, 1_001, 3_000, 9_999)] == [0, 1, 2, 3]
            assert reader.older(LOBBY, 9_999, 2) == 2
            assert reader.older("attic", 9_999, 10) == 0
            running.outcome(Expire(LOBBY, 1))
            assert reader.older(LOBBY, 9_999, 1) == 2


def test_an_expiry_of_a_room_that_is_not_there_is_refused(running: RunningJournal) -> None:
    assert isinstance(running.outcome(Expire("attic", 1)), Rejected)


def test_a_private_room_is_as_it_was_made_after_a_restart(opened: Opener, path: Path) -> None:
    made = Proposal("create", "alice", "vault", private=True)
    with opened(path) as running:
        running.settle(
            made,
            Proposal("invite", "alice", "vault", target="bob"),
            Proposal("topic", "alice", "vault", text="keys"),
            Proposal("kick", "alice", "vault", target="bob"),
            Proposal("invite", "alice", "vault", target="cat"),
            Proposal("archive", "alice", "vault"),
        )
        before = running.journal.view.rooms["vault"]
    with opened(path) as running:
        room = running.journal.view.rooms["vault"]
        assert room == before
        assert (room.private, room.archived, room.topic) == (True, True, "keys")
        assert room.members == {"alice", "cat"}
        assert running.journal.view.rooms_of == {"alice": {"vault"}, "cat": {"vault"}}
        assert_chained(room, running.log("vault"))
