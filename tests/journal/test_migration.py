"""Formats: a file of an older one is copied, then brought forward; a newer one is refused by an older program."""

import hashlib
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from securechat.chat.model import Record
from securechat.errors import StorageFailed
from securechat.journal import migration, store
from securechat.journal.migration import is_behind, kept_copies
from securechat.journal.schema import FIRST, FORMAT
from securechat.journal.store import Store
from securechat.journal.verify import verify_store
from tests.journal.support import change, running_journal, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@contextmanager
def the_first_program() -> Iterator[None]:
    """The program as it was when there was one format only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migration, "STEPS", (FIRST,))
        for module in (migration, store):
            patch.setattr(module, "FORMAT", 1)
        patch.setattr(Store, "marks", lambda _: [])  # of the tables that came later
        for later in ("tokens", "invitations", "sanctions", "accounts", "hooks"):
            patch.setattr(Store, later, lambda _: {})
        yield


def filled_by_the_first(path: Path) -> Record:
    with the_first_program(), running_journal(path) as running:
        running.record(change("join", "alice"))
        return running.record(said("alice", "a1"))


def tables(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_step_that_was_released_is_never_changed() -> None:
    text = "\n".join(FIRST).encode()
    assert hashlib.sha256(text).hexdigest() == "aa070b8de6b7168833f1684c80c1d5d96c2ac5f1f7712dfedcbefc8fd7ab7459"


def test_an_older_file_is_copied_and_brought_forward(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = filled_by_the_first(path)
    assert is_behind(path)
    assert verify_store(path).records == 2
    assert not is_behind(path.with_name("none.db"))
    with running_journal(path) as running:
        assert running.record(said("alice", "a2")).seq == first.seq + 1
    kept = path.with_name("chat.db.format-1")
    assert kept_copies(path) == [kept]
    assert "it is kept as chat.db.format-1: delete that when" in caplog.text
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert (version(kept), version(path)) == (1, FORMAT)
    assert not is_behind(path)
    assert verify_store(kept).rooms[0].hash == first.hash
    assert verify_store(path).records == 3
    anew = path.with_name("anew.db")
    Store(anew, "full").close()
    assert tables(path) == tables(anew)
    assert not list(path.parent.glob("*.new*"))


def test_an_older_program_refuses_a_newer_file(path: Path) -> None:
    Store(path, "full").close()
    with the_first_program(), pytest.raises(StorageFailed, match=f"newer securechat .format {FORMAT}; this one") as it:
        Store(path, "full")
    assert it.value.hint == "Run the newer one."


def test_what_cannot_be_brought_forward_stays_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled_by_the_first(path)
    before = tables(path)
    with monkeypatch.context() as patch:
        patch.setattr(migration, "STEPS", (FIRST, ("CREATE TABLE half (way)", "no SQL")))
        with pytest.raises(StorageFailed):
            Store(path, "full")
    assert (tables(path), version(path)) == (before, 1)
    path.with_name("chat.db.format-1").unlink()
    path.with_name("chat.db.format-1").mkdir()  # where the copy should be
    with pytest.raises(StorageFailed, match="cannot be copied before it is changed") as it:
        Store(path, "full")
    assert it.value.hint
    assert (tables(path), version(path)) == (before, 1)
    assert not list(path.parent.glob("*.new*"))
