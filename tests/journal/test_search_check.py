"""Checking the search index against the log: every planted difference is found, and being behind is none."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import StorageFailed
from securechat.journal.search import check, tables
from securechat.journal.search.matching import grams
from tests.journal.search_log import MemoryLog, followed

SECOND = tables.document_id(2, 2)
"""The document of the lobby's second message; the other room lacked less, and was numbered first."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


@pytest.fixture
def log(path: Path) -> MemoryLog:
    """A past with edits, deletions, other kinds and an expired beginning, and an index that is level with it."""
    log = MemoryLog()
    log.say("gone")
    for text in ("Hello World", "你好", "deleted", "edited", "x"):
        log.say(text)
    log.edit(5, "edited once")
    log.edit(5, "edited twice")
    log.delete(4)
    log.add("leave", "lobby")
    log.say("elsewhere", "other")
    log.expire(1)
    with followed(path, log):
        pass
    return log


def sql(*statements: str) -> Callable[[Path], None]:
    """Change the file."""

    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return change


def test_an_index_that_is_level_with_the_log_agrees_with_it(path: Path, log: MemoryLog) -> None:
    before = path.read_bytes()
    assert check(path, log, log.rooms) is None
    assert path.read_bytes() == before


def test_a_missing_index_is_no_difference(path: Path, log: MemoryLog) -> None:
    path.unlink()
    assert check(path, log, log.rooms) is None
    assert not path.exists()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (f"UPDATE documents SET text = 'hello there' WHERE id = {SECOND}", "lobby 2"),
        (f"UPDATE documents SET sender = 'mallory' WHERE id = {SECOND}", "lobby 2"),
        (f"UPDATE documents SET time = time + 1 WHERE id = {SECOND}", "lobby 2"),
        (f"DELETE FROM documents WHERE id = {SECOND}", "lobby 2"),
        (f"DELETE FROM documents WHERE id = {SECOND + 4}", "lobby 6"),
        (f"INSERT INTO documents VALUES ({SECOND - 1}, 'alice', 1001, 'gone')", "lobby 1"),
        (f"INSERT INTO documents VALUES ({SECOND + 2}, 'alice', 1004, 'deleted')", "lobby 4"),
        (f"INSERT INTO documents VALUES ({SECOND + 50}, 'alice', 2000, 'invented')", "lobby 52"),
        (f"UPDATE documents SET text = 'edited once' WHERE id = {SECOND + 3}", "lobby 5"),
    ],
)
def test_a_message_that_differs_is_named(path: Path, log: MemoryLog, change: str, place: str) -> None:
    sql(change)(path)
    difference = check(path, log, log.rooms)
    assert difference
    assert f"{place} " in difference


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO words (words, rowid, text) VALUES ('delete', {SECOND}, 'hello world')",
        f"INSERT INTO words (rowid, text) VALUES ({SECOND}, 'another')",
        f"INSERT INTO short (short, rowid, grams) VALUES ('delete', {SECOND}, '{grams('hello world')}')",
        f"INSERT INTO short (rowid, grams) VALUES ({SECOND}, '{grams('another')}')",
        "DROP TABLE words",
    ],
)
def test_an_index_that_does_not_lead_to_its_texts_is_damaged(path: Path, log: MemoryLog, statement: str) -> None:
    sql(statement)(path)
    assert "damaged" in (check(path, log, log.rooms) or "")


def test_a_file_that_is_no_database_is_damaged(path: Path, log: MemoryLog) -> None:
    path.write_bytes(b"no database " * 1_000)
    assert "damaged" in (check(path, log, log.rooms) or "")


@pytest.mark.parametrize(
    "statement", [f"PRAGMA user_version = {tables.FORMAT + 1}", "UPDATE state SET unicode = '1.1.5'"]
)
def test_an_index_that_will_be_made_again_is_no_difference(path: Path, log: MemoryLog, statement: str) -> None:
    sql(statement, "UPDATE documents SET text = 'anything'")(path)
    assert check(path, log, log.rooms) is None


def test_an_index_that_is_behind_is_no_difference(path: Path, log: MemoryLog) -> None:
    log.say("not yet indexed")
    assert check(path, log, log.rooms) is None
    log.expire(2)
    assert check(path, log, log.rooms) is None


def test_a_log_that_goes_on_while_it_is_checked_is_no_difference(path: Path, log: MemoryLog) -> None:
    rooms = log.rooms
    log.delete(2)
    assert check(path, log, rooms) is None


def test_an_index_that_cannot_be_read_now_is_told(path: Path, log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BUSY_SECONDS", 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailed):
            check(path, log, log.rooms)
