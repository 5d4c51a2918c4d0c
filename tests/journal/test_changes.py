"""Read markers, tokens, and memberships that others begin and end."""

import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from securechat.chat.model import Barrier, Changed, Forget, Grant, Mark, Proposal, Rejected, Revoke, Token, Unchanged
from securechat.chat.names import LOBBY
from securechat.errors import Code
from securechat.journal.draft import Membership, Revoked
from securechat.limits import CURSORS_PER_ACCOUNT, TOKENS_PER_ACCOUNT
from tests.journal.conftest import Opener
from tests.journal.faults import break_store
from tests.journal.support import RunningJournal, change, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def running(opened: Opener, path: Path) -> Iterator[RunningJournal]:
    """A journal with alice in the lobby, where she said something."""
    with opened(path) as running:
        running.settle(change("join", "alice"), said("alice", "1"), said("alice", "2"))
        yield running


def test_a_read_marker_is_told_seen_and_kept(opened: Opener, path: Path, running: RunningJournal) -> None:
    batch = running.settle(Mark("alice", LOBBY, 2))
    assert batch.outcomes == [(Mark("alice", LOBBY, 2), Changed(Mark("alice", LOBBY, 2)))]
    assert batch.marks == [Mark("alice", LOBBY, 2)]
    assert batch.records == {}
    assert batch.view.marks_of == {"alice": {LOBBY: 2}}
    running.close()
    with opened(path) as again:
        assert again.journal.view.marks_of == {"alice": {LOBBY: 2}}
        assert again.outcome(Mark("alice", LOBBY, 1)) == Unchanged(LOBBY)
        assert again.settle(Mark("alice", LOBBY, 99)).marks == [Mark("alice", LOBBY, 3)]
        assert again.journal.view.marks_of == {"alice": {LOBBY: 3}}


def test_the_greatest_of_many_markers_counts_and_is_told_once(running: RunningJournal) -> None:
    batch = running.settle(Mark("alice", LOBBY, 1), Mark("alice", LOBBY, 3), Mark("alice", LOBBY, 2))
    assert batch.marks == [Mark("alice", LOBBY, 3)]
    assert [type(outcome) for _, outcome in batch.outcomes] == [Changed, Changed, Unchanged]


def test_a_consumers_cursor_is_kept_beside_the_accounts_own_marker(
    opened: Opener, path: Path, running: RunningJournal
) -> None:
    batch = running.settle(Mark("alice", LOBBY, 3), Mark("alice", LOBBY, 1, "bot"), Mark("alice", LOBBY, 2, "bot"))
    assert batch.marks == [Mark("alice", LOBBY, 3), Mark("alice", LOBBY, 2, "bot")]
    assert running.settle(Mark("alice", LOBBY, 1, "bot"), Mark("alice", LOBBY, 1, "other")).marks == [
        Mark("alice", LOBBY, 1, "other")
    ]
    running.close()
    with opened(path) as again:
        assert again.journal.view.marks_of == {"alice": {LOBBY: 3, f"{LOBBY}/bot": 2, f"{LOBBY}/other": 1}}
        assert again.outcome(Mark("alice", LOBBY, 2, "bot")) == Unchanged(LOBBY)


def test_consumers_have_a_limit_that_a_batch_counts_too(running: RunningJournal) -> None:
    many = [Mark("alice", LOBBY, 1, f"c{number}") for number in range(CURSORS_PER_ACCOUNT)]
    running.settle(*many[:-1])
    batch = running.settle(many[-1], Mark("alice", LOBBY, 1, "more"), Mark("alice", LOBBY, 2, "c0"))
    assert [type(outcome) for _, outcome in batch.outcomes] == [Changed, Rejected, Changed]


def test_a_consumer_is_forgotten_in_all_rooms_and_makes_place(
    opened: Opener, path: Path, running: RunningJournal
) -> None:
    running.settle(Mark("alice", LOBBY, 3), Mark("alice", LOBBY, 1, "bot"), Mark("alice", LOBBY, 2, "other"))
    running.settle(Proposal("create", "alice", "attic"), Mark("alice", "attic", 1, "bot"))
    batch = running.settle(Forget("alice", "bot"), Forget("alice", "bot"), Mark("alice", "attic", 1, "new"))
    assert [type(outcome) for _, outcome in batch.outcomes] == [Changed, Unchanged, Changed]
    left = {LOBBY: 3, f"{LOBBY}/other": 2, "attic/new": 1}
    assert running.journal.view.marks_of == {"alice": left}
    many = [Mark("alice", LOBBY, 1, f"c{number}") for number in range(CURSORS_PER_ACCOUNT - 2)]
    batch = running.settle(
        *many, Forget("alice", "other"), Mark("alice", LOBBY, 1, "last"), Mark("alice", LOBBY, 1, "more")
    )
    assert [type(outcome) for _, outcome in batch.outcomes[-3:]] == [Changed, Changed, Rejected]
    running.settle(*(Forget("alice", mark.consumer) for mark in many), Forget("alice", "last"))
    running.close()
    with opened(path) as again:
        assert again.journal.view.marks_of == {"alice": {LOBBY: 3, "attic/new": 1}}


def test_markers_of_several_rooms_do_not_disturb_each_other(running: RunningJournal) -> None:
    running.settle(Mark("alice", LOBBY, 2))
    view = running.journal.view
    mine = view.marks_of["alice"]
    running.settle(Proposal("create", "alice", "attic"), Mark("alice", "attic", 1), Mark("alice", LOBBY, 3))
    assert running.journal.view.marks_of["alice"] == {LOBBY: 3, "attic": 1}
    assert mine == {LOBBY: 2}


def test_a_marker_may_be_in_the_batch_that_let_its_account_in(running: RunningJournal) -> None:
    batch = running.settle(Mark("bob", LOBBY, 1), change("join", "bob"), Mark("bob", LOBBY, 4))
    first, _, third = (outcome for _, outcome in batch.outcomes)
    assert isinstance(first, Rejected)
    assert first.code is Code.NOT_MEMBER
    assert third == Changed(Mark("bob", LOBBY, 4))


def test_a_barrier_is_decided_and_changes_nothing(running: RunningJournal) -> None:
    before = running.journal.view
    assert running.outcome(Barrier()) == Changed(Barrier())
    assert running.journal.view == before


def test_a_token_is_in_force_until_it_is_revoked(opened: Opener, path: Path) -> None:
    with opened(path, clock=count(5).__next__) as running:
        assert isinstance(running.outcome(Grant("alice", b"a", "laptop")), Changed)
        assert running.outcome(Grant("alice", b"a", "laptop")) == Unchanged("")
        running.settle(Grant("alice", b"b", "phone"), Grant("bob", b"c"))
    with opened(path) as running:
        view = running.journal.view
        assert view.tokens == {
            b"a": Token("alice", "laptop", 5),
            b"b": Token("alice", "phone", 7),
            b"c": Token("bob", "", 7),
        }
        assert view.tokens_of == {"alice": (b"a", b"b"), "bob": (b"c",)}
        assert running.outcome(Revoke("bob", b"a")) == Unchanged("")
        assert running.settle(Revoke("alice", b"a")).revoked == [Revoked(b"a", "alice")]
        assert b"a" in view.tokens
        assert set(running.journal.view.tokens) == {b"b", b"c"}
        assert running.outcome(Revoke("alice", b"a")) == Unchanged("")
    with opened(path) as running:
        assert set(running.journal.view.tokens) == {b"b", b"c"}


def test_all_tokens_of_an_account_are_revoked_at_once_and_no_others(running: RunningJournal) -> None:
    running.settle(Grant("alice", b"a"), Grant("bob", b"c"), Grant("alice", b"b"))
    batch = running.settle(Revoke("alice"))
    assert batch.revoked == [Revoked(b"a", "alice"), Revoked(b"b", "alice")]
    assert set(batch.view.tokens) == {b"c"}
    assert batch.view.tokens_of["alice"] == ()
    assert running.outcome(Revoke("alice")) == Unchanged("")


def test_one_token_is_kept_where_all_others_of_an_account_are_revoked(running: RunningJournal) -> None:
    running.settle(Grant("alice", b"a"), Grant("alice", b"b"))
    batch = running.settle(Revoke("alice", kept=b"b"))
    assert batch.revoked == [Revoked(b"a", "alice")]
    assert batch.view.tokens_of["alice"] == (b"b",)


def test_a_token_that_is_granted_and_revoked_in_one_batch_is_told_as_revoked(running: RunningJournal) -> None:
    batch = running.settle(Grant("alice", b"a"), Revoke("alice", b"a"), Grant("alice", b"b"))
    assert batch.revoked == [Revoked(b"a", "alice")]
    assert batch.view.tokens_of["alice"] == (b"b",)
    assert set(running.store.tokens()) == {b"b"}


def test_tokens_go_along_with_the_password_hash_of_today(opened: Opener, path: Path) -> None:
    def fingerprints(running: RunningJournal) -> dict[bytes, bytes]:
        assert running.store.tokens() == running.journal.view.tokens
        return {key: token.fingerprint for key, token in running.journal.view.tokens.items()}

    with opened(path) as running:
        running.settle(Grant("alice", b"a", "laptop", b"one"), Grant("bob", b"c", "", b"bobs"))
        running.settle(Grant("alice", b"b", "phone", b"two"))  # the same password, hashed anew
        assert fingerprints(running) == {b"a": b"two", b"b": b"two", b"c": b"bobs"}
        running.settle(Grant("alice", b"d", "", b"two"), Revoke("alice", kept=b"b", fingerprint=b"three"))
        assert fingerprints(running) == {b"b": b"three", b"c": b"bobs"}
        running.settle(Grant("alice", b"e"))
    with opened(path) as running:
        assert fingerprints(running) == {b"b": b"three", b"c": b"bobs", b"e": b""}
        assert running.journal.view.tokens_of["alice"] == (b"b", b"e")


def test_past_the_limit_the_oldest_token_goes(opened: Opener, path: Path) -> None:
    hashes = [bytes([number]) * 32 for number in range(TOKENS_PER_ACCOUNT + 2)]
    with opened(path) as running:
        running.settle(*(Grant("alice", one) for one in hashes[:TOKENS_PER_ACCOUNT]))
        assert running.settle(Grant("alice", hashes[-2])).revoked == [Revoked(hashes[0], "alice")]
    with opened(path) as running:
        assert running.settle(Grant("alice", hashes[-1])).revoked == [Revoked(hashes[1], "alice")]
        assert running.journal.view.tokens_of["alice"] == tuple(hashes[2:])
        assert set(running.store.tokens()) == set(hashes[2:])


def test_a_full_disk_changes_no_marker_and_no_token(opened_alone: Opener, path: Path) -> None:
    with opened_alone(path) as running:
        running.settle(change("join", "alice"), said("alice", "1"))
        running.settle(Mark("alice", LOBBY, 1), Grant("alice", b"a"))
        before = running.journal.view
        sound = break_store(running.store, "COMMIT", sqlite3.SQLITE_FULL)
        batch = running.settle(Mark("alice", LOBBY, 2), Grant("alice", b"b"), Revoke("alice", b"a"))
        running.store.connection = sound
        assert all(isinstance(outcome, Rejected) and outcome.code is Code.STORAGE for _, outcome in batch.outcomes)
        assert (batch.marks, batch.revoked) == ([], [])
        assert running.journal.view.marks_of == before.marks_of
        assert running.journal.view.tokens == before.tokens


def test_no_log_line_holds_the_hash_of_a_token(running: RunningJournal, caplog: pytest.LogCaptureFixture) -> None:
    broken = Grant(["alice"], b"deadbeef")  # type: ignore[arg-type]  # a bug elsewhere
    outcome = running.outcome(broken)
    assert isinstance(outcome, Rejected)
    assert outcome.code is Code.INTERNAL
    assert "Grant" in caplog.text
    assert "deadbeef" not in caplog.text


def test_invitations_and_kicks_are_told_as_memberships_that_begin_and_end(running: RunningJournal) -> None:
    batch = running.settle(
        Proposal("create", "alice", "vault", private=True),
        Proposal("invite", "alice", "vault", target="bob"),
        Proposal("kick", "alice", "vault", target="bob"),
    )
    assert batch.gained == [Membership("vault", "alice", 0), Membership("vault", "bob", 1)]
    assert batch.lost == [Membership("vault", "bob", 2)]
    assert batch.view.rooms_of["bob"] == frozenset()
    assert batch.view.rooms["vault"].members == {"alice"}
