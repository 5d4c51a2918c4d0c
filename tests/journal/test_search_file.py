"""The file of the search index: whatever happens to it, it is made again from the log; and it forgets what it must."""

import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import StorageFailed
from securechat.journal.search import Index, tables
from securechat.journal.search import index as index_module
from securechat.journal.search.searcher import LONG_HITS, ROOMS, SHORT_HITS
from tests.journal.search_log import MemoryLog, followed, found, level


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


@pytest.fixture
def log() -> MemoryLog:
    """Ten messages with the word tea."""
    log = MemoryLog()
    for number in range(10):
        log.say(f"tea {number}")
    return log


ALL = list(range(10, 0, -1))


def execute(path: Path, statement: str) -> None:
    """Let another program change the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def overwrite(path: Path) -> None:
    path.write_bytes(b"no database " * 4_000)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    """Damage every page but the first."""
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 100)


def another_program(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE recipes (text)")


def another_version(path: Path) -> None:
    execute(path, f"PRAGMA user_version = {tables.FORMAT + 1}")


def other_unicode(path: Path) -> None:
    execute(path, "UPDATE state SET unicode = '1.1.5'")


def without_tables(path: Path) -> None:
    execute(path, "DROP TABLE documents")


def files(path: Path) -> bytes:
    """All that is on the disk of the index."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")) if "shm" not in file.name)


def test_only_its_owner_can_read_the_file(path: Path, log: MemoryLog) -> None:
    with followed(path, log):
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize(
    "harm", [overwrite, cut, scribble, another_program, another_version, other_unicode, Path.unlink]
)
def test_a_file_that_is_no_good_is_made_again_at_the_start(
    path: Path, log: MemoryLog, harm: Callable[[Path], None]
) -> None:
    with followed(path, log):
        pass
    harm(path)
    log.say("tea, the eleventh")
    with followed(path, log) as (_, searcher):
        assert found(searcher, "tea") == [11, *ALL]


@pytest.mark.parametrize("harm", [another_program, without_tables, Path.unlink])
def test_a_file_that_goes_bad_is_made_again_while_it_is_in_use(
    path: Path, log: MemoryLog, caplog: pytest.LogCaptureFixture, harm: Callable[[Path], None]
) -> None:
    with followed(path, log) as (index, searcher):
        assert found(searcher, "tea") == ALL
        harm(path)
        log.say("secret tea")
        with caplog.at_level(logging.WARNING):
            level(index, log)
        assert found(searcher, "tea") == [11, *ALL]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text
    assert "secret" not in caplog.text


def test_damage_that_a_search_finds_is_mended_by_the_writer(path: Path, log: MemoryLog) -> None:
    with followed(path, log) as (index, searcher):
        execute(path, "DROP TABLE documents")
        with pytest.raises(StorageFailed):
            found(searcher, "tea")
        assert level(index, log) == 1
        assert found(searcher, "tea") == ALL


@pytest.mark.parametrize("query", [ROOMS, LONG_HITS, SHORT_HITS])
def test_no_search_reads_all_documents(path: Path, log: MemoryLog, query: str) -> None:
    values = {
        "match": "tea",
        "words": "[]",
        "rooms": "[]",
        "sender": None,
        "after": 0,
        "before": 0,
        "limit": 1,
        "room": 1,
    }
    with followed(path, log), closing(sqlite3.connect(path)) as connection:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert any("SEARCH documents" in step for step in plan)
    assert not any("SCAN documents" in step for step in plan)


def test_a_search_while_the_file_is_missing_fails_and_the_next_one_succeeds(path: Path, log: MemoryLog) -> None:
    with followed(path, log) as (index, searcher):
        path.unlink()
        with pytest.raises(StorageFailed):
            found(searcher, "tea")
        level(index, log)
        assert found(searcher, "tea") == ALL


def test_a_search_that_finds_the_disk_to_blame_leaves_the_file_alone(
    path: Path, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BUSY_SECONDS", 0)
    with followed(path, log) as (index, searcher), closing(sqlite3.connect(path, isolation_level=None)) as other:
        index.close()
        for statement in ("PRAGMA journal_mode = DELETE", "BEGIN EXCLUSIVE"):
            other.execute(statement).fetchall()
        with pytest.raises(StorageFailed):
            found(searcher, "tea")
        other.execute("ROLLBACK")
        assert found(searcher, "tea") == ALL


def test_an_index_that_is_ahead_of_its_log_is_made_again(path: Path, log: MemoryLog) -> None:
    other = MemoryLog()
    other.say("coffee")
    log.say("tea", "elsewhere")
    with followed(path, log) as (index, searcher):
        level(index, other)
        assert (found(searcher, "tea"), found(searcher, "coffee")) == ([], [1])
        assert found(searcher, "tea", "elsewhere") == []


def test_damage_that_comes_back_is_not_mended_for_ever(path: Path, log: MemoryLog) -> None:
    with closing(Index(path)) as index:
        log.on_page = lambda: execute(path, "DROP TABLE documents")
        assert index.follow(log, log.rooms)
        with pytest.raises(StorageFailed):
            index.follow(log, log.rooms)
        log.on_page = lambda: None
        level(index, log)
        with closing(index.searcher()) as searcher:
            assert found(searcher, "tea") == ALL


def test_a_file_that_another_program_holds_is_not_made_again(
    path: Path, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BUSY_SECONDS", 0)
    with followed(path, log) as (index, searcher):
        log.say("tea")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageFailed) as failed:
                index.follow(log, log.rooms)
        assert str(path) in failed.value.message
        assert failed.value.hint
        level(index, log)
        assert found(searcher, "tea") == [11, *ALL]


def test_a_file_that_cannot_be_made_is_told(path: Path, tmp_path: Path) -> None:
    path.mkdir()
    for place in (path, tmp_path / "nowhere" / "search.db"):
        with pytest.raises(StorageFailed) as failed:
            Index(place)
        assert str(place) in failed.value.message


def test_a_file_that_cannot_be_removed_is_told(path: Path) -> None:
    overwrite(path)
    Path(f"{path}-shm").mkdir()
    with pytest.raises(StorageFailed):
        Index(path)


def test_an_sqlite_that_lacks_what_it_needs_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_SCHEMA", ("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'unheard of')",))
    with pytest.raises(StorageFailed, match="tokenizer"):
        Index(path)


@pytest.fixture
def secret(path: Path, log: MemoryLog) -> Iterator[Index]:
    """An index over Chinese and one message, the last, in another script."""
    for number in range(2_000):
        log.say("".join(chr(0x4E00 + (number * 7 + place * 31) % 5_000) for place in range(20)))
    log.say("zebra ⴱ")
    with closing(Index(path)) as index:
        level(index, log)
        yield index


LEFT_OVERS = (b"zebra", b"zeb", b"bra", "ⴱ".encode())
"""The beginning of the text, two of its trigrams, and a character that is in no other text."""


def test_the_file_forgets_what_was_deleted_in_small_steps(
    path: Path, log: MemoryLog, secret: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "MERGE_PAGES", 1)
    assert all(left_over in files(path) for left_over in LEFT_OVERS)
    log.delete(len(log.records["lobby"]))
    assert level(secret, log) > 5
    assert [left_over for left_over in LEFT_OVERS if left_over in files(path)] == []
    assert level(secret, log) == 0


def test_the_file_forgets_what_expired(path: Path, log: MemoryLog, secret: Index) -> None:
    log.say("好")
    log.expire(len(log.records["lobby"]) - 1)
    level(secret, log)
    assert [left_over for left_over in LEFT_OVERS if left_over in files(path)] == []


def test_an_edit_does_not_make_the_file_be_rewritten(log: MemoryLog, secret: Index) -> None:
    log.edit(len(log.records["lobby"]), "zebras")
    assert level(secret, log) == 1


def test_other_threads_search_while_the_index_follows(path: Path, log: MemoryLog) -> None:
    seen: list[list[int]] = []

    def watch(index: Index) -> None:
        with closing(index.searcher()) as searcher:
            while not seen or len(seen[-1]) < 500:
                seen.append(found(searcher, "tea"))

    with closing(Index(path)) as index:
        level(index, log)
        thread = threading.Thread(target=watch, args=(index,))
        thread.start()
        while thread.is_alive():
            if len(log.records["lobby"]) < 600:
                log.say("tea")
            index.follow(log, log.rooms)
        thread.join()
    assert all(hits == list(range(len(hits), 0, -1)) for hits in seen)
