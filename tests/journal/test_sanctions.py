"""Bans and mutes in the journal: durable, with the tokens of who is banned revoked in the same commit."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from securechat.chat.model import Changed, Grant, Impose, Lift, Recorded, Rejected, Sanction, Token
from securechat.errors import Code, StorageFailed
from securechat.journal.draft import Revoked
from securechat.journal.reader import Reader
from securechat.journal.store import Store
from securechat.journal.verify import verify_store
from tests.journal.conftest import Opener
from tests.journal.support import change, said

BAN = Impose("alice", "ban", 0, "@operator")


def test_a_ban_revokes_the_tokens_and_refuses_others_until_it_is_lifted(opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with opened(path) as running:
        running.settle(Grant("alice", b"a"), Grant("bob", b"b"))
        batch = running.settle(BAN, Grant("alice", b"c"))
        assert [outcome for _, outcome in batch.outcomes] == [
            Changed(BAN),
            Rejected(Code.BANNED, "This account is banned for good."),
        ]
        assert batch.revoked == [Revoked(b"a", "alice")]
    with opened(path) as running:
        view = running.journal.view
        assert list(view.sanctions) == [("alice", "ban", "")]
        assert view.tokens == {b"b": Token("bob", "", 1_000)}
        with closing(Reader(path)) as reader:
            assert [one.account for one in reader.sanctions()] == ["alice"]
            assert reader.tokens() == view.tokens
        running.settle(Lift("alice", "ban"))
        assert isinstance(running.outcome(Grant("alice", b"c")), Changed)
    with opened(path) as running:
        assert running.journal.view.sanctions == {}


def test_a_mute_ends_by_itself_by_the_journals_time(opened: Opener, tmp_path: Path) -> None:
    times = iter([1_000, 2_000, 2_999, 3_000])
    with opened(tmp_path / "chat.db", clock=times.__next__) as running:
        running.settle(change("join", "alice"))
        running.settle(Impose("alice", "mute", 1_000, "@operator"))
        muted = running.journal.view.sanctions["alice", "mute", ""]
        assert muted == Sanction("alice", "mute", 3_000, 2_000, "@operator")
        assert isinstance(running.outcome(said("alice", "1")), Rejected)
        assert isinstance(running.outcome(said("alice", "1")), Recorded)


def test_a_ban_from_a_room_ends_the_membership_in_the_same_commit_and_what_is_over_is_forgotten(
    opened: Opener, tmp_path: Path
) -> None:
    path = tmp_path / "chat.db"
    times = iter([1_000, 2_000, 2_500, 4_000, 4_500])
    with opened(path, clock=times.__next__) as running:
        running.settle(Grant("bob", b"b"), change("create", "alice", "ops"), change("join", "bob", "ops"))
        out = Impose("bob", "ban", 1_000, "alice", "ops")
        batch = running.settle(out, change("join", "bob", "ops"), Impose("carol", "ban", 5_000, "alice", "ops"))
        assert [type(outcome) for _, outcome in batch.outcomes] == [Changed, Rejected, Changed]
        (kick,) = batch.records["ops"]
        assert (kick.seq, kick.kind, kick.sender, kick.target, kick.time) == (3, "kick", "alice", "bob", 2_000)
        assert [(one.account, one.after) for one in batch.lost] == [("bob", 2)]
        assert running.journal.view.tokens.keys() == {b"b"}
        assert verify_store(path).flaw is None
        assert not running.settle(Impose("carol", "ban", 5_000, "alice", "ops")).records
        running.settle(Lift("carol", "ban", "alice", "ops"))
        assert running.journal.view.sanctions == {}, "bob's was over"
        assert isinstance(running.outcome(change("join", "bob", "ops")), Recorded)
    assert verify_store(path).flaw is None
    with closing(Reader(path)) as reader:
        assert reader.sanctions() == []


@pytest.mark.parametrize("table", ["sanctions", "tokens"])
def test_a_table_that_cannot_be_read_is_a_failure_of_the_store(tmp_path: Path, table: str) -> None:
    path = tmp_path / "chat.db"
    with closing(Store(path, "full")) as store:
        with closing(sqlite3.connect(path)) as other:
            other.execute(f"DROP TABLE {table}")
        with pytest.raises(StorageFailed):
            getattr(store, table)()
        with closing(Reader(path)) as reader, pytest.raises(StorageFailed):
            getattr(reader, table)()
