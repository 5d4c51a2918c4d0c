"""Invitations in the journal: durable, seen by all, decided in its order, forgotten together with their rows."""

import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from securechat.chat.model import Changed, Invitation, Issue, Redeem, Rejected, RevokeInvitation
from securechat.errors import Code, StorageFailed
from securechat.journal.reader import Reader
from securechat.limits import INVITATIONS
from tests.journal.conftest import Opener
from tests.journal.faults import break_store

CAROL = Issue("carol", b"one", 2_000, "admin", ("lobby", "ops"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def test_an_invitation_outlives_the_server_and_is_redeemed_once(opened: Opener, path: Path) -> None:
    with opened(path, clock=count(5).__next__) as running:
        assert running.outcome(CAROL) == Changed(CAROL)
        running.settle(Issue("dave", b"two", 2_000), Issue("erin", b"three", 2_000))
    issued = Invitation("carol", "admin", ("lobby", "ops"), 5, 2_005)
    with opened(path) as running:
        assert list(running.journal.view.invitations) == [b"one", b"two", b"three"]
        assert running.journal.view.invitations[b"one"] == issued
        before = running.journal.view
        first, second = (outcome for _, outcome in running.settle(*[Redeem("carol", b"one")] * 2).outcomes)
        assert first == Changed(Redeem("carol", b"one"))
        assert isinstance(second, Rejected)
        running.settle(RevokeInvitation("dave"))
        assert before.invitations[b"one"].state == "open"
    with opened(path) as running:
        states = {one.account: one.state for one in running.journal.view.invitations.values()}
        assert states == {"carol": "used", "dave": "revoked", "erin": "open"}
    with closing(Reader(path)) as reader:
        assert [one.state for one in reader.invitations()] == ["used", "revoked", "open"]


def test_what_is_forgotten_leaves_the_file(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        for first in range(0, INVITATIONS, 250):  # what is one batch in every order
            running.settle(*(Issue(f"a{n}", b"%d" % n, 2_000) for n in range(first, first + 250)))
        running.settle(RevokeInvitation("a9"), Issue("carol", b"new", 2_000))
        assert b"9" not in running.journal.view.invitations
    with opened(path) as running:
        assert len(running.journal.view.invitations) == INVITATIONS
        assert list(running.journal.view.invitations)[-1] == b"new"


def test_a_full_disk_issues_and_redeems_nothing(opened_alone: Opener, path: Path) -> None:
    with opened_alone(path) as running:
        running.settle(CAROL)
        sound = break_store(running.store, "COMMIT", sqlite3.SQLITE_FULL)
        batch = running.settle(Redeem("carol", b"one"), Issue("dave", b"two", 2_000))
        running.store.connection = sound
        assert all(isinstance(one, Rejected) and one.code is Code.STORAGE for _, one in batch.outcomes)
        assert {key: one.state for key, one in running.journal.view.invitations.items()} == {b"one": "open"}
        assert isinstance(running.outcome(Redeem("carol", b"one")), Changed)


def test_a_file_that_cannot_be_read_is_told(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        running.store.connection.execute("DROP TABLE invitations")
        with pytest.raises(StorageFailed, match=r"chat\.db cannot be used"):
            running.store.invitations()
        with closing(Reader(path)) as reader, pytest.raises(StorageFailed, match=r"chat\.db cannot be used"):
            reader.invitations()
