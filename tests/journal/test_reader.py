"""What a reader finds besides pages: what a say says now, and the rooms with their members."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from securechat.chat.model import Expire
from securechat.chat.names import LOBBY
from securechat.errors import StorageFailed
from securechat.journal.reader import NEWEST_EDIT, Reader
from securechat.journal.store import Position, Store
from tests.journal.support import change, delete, edit, running_journal, said


def test_what_a_say_says_now_is_its_newest_edit_else_itself_and_nothing_once_it_is_erased(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with running_journal(path) as running, closing(Reader(path)) as reader:
        running.record(change("join", "alice"))
        first = running.record(said("alice", "one", "first")).seq
        other = running.record(said("alice", "two", "other")).seq
        assert (found := reader.text_of(LOBBY, first)) and (found.seq, found.text) == (first, "first")
        running.record(edit("alice", first, "second", "e1"))
        last = running.record(edit("alice", first, "third", "e2")).seq
        assert (found := reader.text_of(LOBBY, first)) and (found.seq, found.text) == (last, "third")
        running.record(delete("alice", first))
        assert reader.text_of(LOBBY, first) is None
        assert (found := reader.text_of(LOBBY, other)) and found.text == "other"
        assert reader.text_of(LOBBY, 999) is None
        assert reader.text_of("nowhere", 1) is None


def test_the_newest_edit_is_not_looked_for_through_a_whole_room(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with running_journal(path), closing(sqlite3.connect(path)) as connection:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {NEWEST_EDIT}", (LOBBY, 1))]
    assert "SEARCH records USING INDEX edits (room=? AND about=?)" in plan


def test_rooms_are_read_with_their_members(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with running_journal(path) as running, closing(Reader(path)) as reader:
        running.record(change("create", "alice", "ops"))
        running.record(change("join", "bob", "ops"))
        rooms = {room.name: room for room in reader.rooms()}
        assert rooms == dict(running.journal.view.rooms)
        assert rooms["ops"].members == {"alice", "bob"}


def test_up_to_which_number_a_room_is_gone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with running_journal(path) as running, closing(Reader(path)) as reader:
        running.record(change("join", "alice"))
        running.record(said("alice", "one"))
        assert reader.base(LOBBY) == 0
        running.outcome(Expire(LOBBY, 1))
        assert reader.base(LOBBY) == 1
        assert reader.base("nowhere") == 0


def test_how_far_a_clusters_order_was_followed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with closing(Store(path, "full")) as store, closing(Reader(path)) as reader:
        assert reader.followed() == (0, 0)
        store.commit((), (), {}, position=Position(7, 3))
        assert reader.followed() == (7, 3)


def test_a_reader_of_a_file_without_its_tables_says_so(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    path.touch()
    with closing(Reader(path)) as reader:
        with pytest.raises(StorageFailed):
            reader.rooms()
        with pytest.raises(StorageFailed):
            reader.text_of(LOBBY, 1)
        with pytest.raises(StorageFailed):
            reader.base(LOBBY)
        with pytest.raises(StorageFailed):
            reader.followed()
