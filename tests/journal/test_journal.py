"""The journal: one order, decided one after the other, committed together, told to others only then."""

import logging
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from securechat.chat import chain, rules
from securechat.chat.model import Proposal, Record, Recorded, Rejected, Room, Unchanged
from securechat.chat.names import LOBBY
from securechat.chat.standing import Act, verdict
from securechat.errors import Code
from securechat.journal.draft import Draft, Membership
from securechat.journal.journal import Batch, Submission
from securechat.journal.local import LocalOrder
from securechat.journal.state import Committed
from securechat.journal.store import Store
from securechat.limits import Limits
from tests.journal.conftest import Opener
from tests.journal.faults import Statements
from tests.journal.support import PATIENCE, RunningJournal, change, running_journal, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def hold_back(running: RunningJournal) -> None:
    """Make the journal wait for its readers, so that whatever is proposed next waits too."""
    running.readers.written.clear()
    running.settle(change("join", "zoe"))
    assert running.readers.pacing.wait(PATIENCE)


def let_go(running: RunningJournal) -> None:
    running.readers.written.set()


def seqs(batch: Batch) -> list[int]:
    return [outcome.record.seq for _, outcome in batch.outcomes if isinstance(outcome, Recorded)]


def test_the_lobby_is_there_from_the_start_and_nobody_is_in_it(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        view = running.journal.view
        assert set(view.rooms) == {LOBBY}
        assert (view.rooms[LOBBY].head, view.rooms[LOBBY].owner, view.rooms[LOBBY].members) == (0, "", frozenset())
        assert not view.rooms_of


def test_what_is_said_is_recorded_answered_and_told(opened: Opener, path: Path) -> None:
    with opened(path, clock=lambda: 77) as running:
        before = running.record(change("join", "alice")).hash
        proposal = said("alice", "a1", "hello")
        batch = running.settle(proposal)
        (record,) = batch.records[LOBBY]
        assert record == Record(
            LOBBY, 2, "say", "alice", "a1", 77, "hello", salt=record.salt, hash=chain.link_record(before, record)
        )
        assert batch.outcomes == [(proposal, Recorded(record))]
        assert batch.outcomes[0][0] is proposal
        assert batch.view.rooms[LOBBY].head == 2
        assert running.log(LOBBY)[1] == record


def test_nothing_is_told_before_it_is_on_the_disk(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        found: list[bool] = []
        publish = running.readers.publish

        def look_first(batch: Batch) -> None:
            stored = running.log(LOBBY)
            found.append(all(record in stored for record in batch.records[LOBBY]))
            publish(batch)

        running.readers.publish = look_first  # type: ignore[method-assign]  # a witness in the same place
        running.settle(change("join", "alice"), said("alice", "1"), said("alice", "2"))
        assert found == [True]


def test_whatever_waits_is_one_commit(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        hold_back(running)
        statements = Statements(running.store)
        for number in range(64):
            running.propose(said("zoe", str(number)))
        let_go(running)
        assert seqs(running.readers.next()) == list(range(2, 66))
        assert statements.commits() == 1


def test_a_batch_has_its_limit(opened: Opener, path: Path) -> None:
    with opened(path, Limits(batch_records=10)) as running:
        hold_back(running)
        running.propose(*(said("zoe", str(number)) for number in range(25)))
        let_go(running)
        assert [len(running.readers.next().outcomes) for _ in range(3)] == [10, 10, 5]


def test_the_next_batch_waits_until_the_last_one_is_written_out(opened: Opener, path: Path) -> None:
    with opened(path, Limits(pace_seconds=0.25)) as running:
        hold_back(running)
        running.propose(said("zoe", "1"))
        running.propose(said("zoe", "2"))
        assert running.journal.waiting == 2
        assert running.readers.batches.empty()
        let_go(running)
        assert seqs(running.readers.next()) == [2, 3]
        assert set(running.readers.asked) == {0.25}


def test_batches_that_were_split_grow_together_again(opened: Opener, path: Path) -> None:
    with opened(path, Limits(gather_seconds=PATIENCE)) as running:
        hold_back(running)
        running.propose(*[said("zoe", f"first {number}") for number in range(4)])
        let_go(running)
        assert len(running.readers.next().outcomes) == 4
        running.propose(said("zoe", "second"))
        running.propose(*[said("zoe", f"third {number}") for number in range(3)])
        assert len(running.readers.next().outcomes) == 4


class WantedOrder(LocalOrder):
    """Notes for how many it was to wait, and does not wait for them."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.wanted: list[int] = []

    def take(self, limit: int, enough: int = 1, seconds: float = 0.0) -> list[Submission]:
        self.wanted.append(enough)
        return super().take(limit)


def test_who_speaks_alone_is_soon_not_waited_behind(path: Path) -> None:
    orders: list[WantedOrder] = []

    def make(limit: int) -> WantedOrder:
        orders.append(WantedOrder(limit))
        return orders[-1]

    with running_journal(path, order=make) as running:
        running.settle(change("join", "zoe"), *[said("zoe", f"crowd {number}") for number in range(7)])
        for number in range(5):
            running.settle(said("zoe", f"alone {number}"))
    assert orders[0].wanted[:6] == [1, 8, 4, 2, 1, 1]


def test_proposals_past_the_limit_are_not_taken(opened: Opener, path: Path) -> None:
    with opened(path, Limits(journal_proposals=2)) as running:
        hold_back(running)
        running.propose(said("zoe", "1"), said("zoe", "2"))
        assert not running.journal.submit([Submission(said("zoe", "3"), None)])
        assert running.journal.waiting == 2
        let_go(running)
        assert seqs(running.readers.next()) == [2, 3]


def test_each_proposal_sees_what_those_before_it_in_the_batch_did(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        batch = running.settle(
            said("alice", "1"),
            change("join", "alice"),
            said("alice", "2"),
            change("create", "alice", "attic"),
            change("create", "bob", "attic"),
            change("leave", "alice"),
            said("alice", "3"),
        )
        told = [
            outcome.code if isinstance(outcome, Rejected) else type(outcome).__name__ for _, outcome in batch.outcomes
        ]
        assert told == [
            Code.NOT_MEMBER,
            "Recorded",
            "Recorded",
            "Recorded",
            Code.ROOM_EXISTS,
            "Recorded",
            Code.NOT_MEMBER,
        ]
        assert [record.seq for record in batch.records[LOBBY]] == [1, 2, 3]


def test_a_repeat_is_recorded_once_within_a_batch_later_and_after_a_restart(opened: Opener, path: Path) -> None:
    proposal = said("alice", "a1")
    with opened(path) as running:
        running.settle(change("join", "alice"))
        first, second = (outcome for _, outcome in running.settle(proposal, proposal).outcomes)
        assert isinstance(first, Recorded)
        assert not first.duplicate
        assert second == Recorded(first.record, duplicate=True)
        assert running.outcome(proposal) == second
    with opened(path) as running:
        assert running.outcome(proposal) == second
        assert running.outcome(said("alice", "a1", "something else")) == Rejected(
            Code.ID_REUSED, "The id a1 is taken by something else that you sent."
        )
        running.settle(change("join", "bob"))
        assert running.record(said("bob", "a1")).seq == 4
        assert len(running.log(LOBBY)) == 4


def test_a_batch_of_repeats_and_refusals_writes_nothing(opened_alone: Opener, path: Path) -> None:
    with opened_alone(path) as running:
        running.settle(change("join", "alice"), said("alice", "1"))
        statements = Statements(running.store)
        batch = running.settle(said("alice", "1"), said("bob", "1"), change("join", "alice"))
        assert [type(outcome) for _, outcome in batch.outcomes] == [Recorded, Rejected, Unchanged]
        assert batch.records == {}
        assert [statement.split()[0] for statement in statements] == ["SELECT"]


def test_ids_that_break_the_rules_are_refused_one_by_one(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        running.settle(change("join", "alice"))
        batch = running.settle(said("alice", ""), said("alice", "\ud800"), said("alice", "a\x00"), said("alice", "1"))
        codes = [outcome.code for _, outcome in batch.outcomes if isinstance(outcome, Rejected)]
        assert codes == [Code.BAD_ID] * 3
        assert seqs(batch) == [2]


def test_memberships_that_begin_and_end_are_told_with_the_place_in_the_room(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        batch = running.settle(
            change("join", "alice"), said("alice", "1"), change("join", "bob"), change("create", "bob", "attic")
        )
        assert batch.gained == [
            Membership(LOBBY, "alice", after=0),
            Membership(LOBBY, "bob", after=2),
            Membership("attic", "bob", after=0),
        ]
        assert batch.lost == []
        assert batch.view.rooms_of == {"alice": {LOBBY}, "bob": {LOBBY, "attic"}}
        batch = running.settle(change("leave", "bob"))
        assert batch.gained == []
        assert batch.lost == [Membership(LOBBY, "bob", after=3)]
        assert batch.view.rooms_of == {"alice": {LOBBY}, "bob": {"attic"}}


def test_the_first_message_of_a_direct_room_brings_both_in(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        batch = running.settle(said("bob", "1", room="@alice:bob"))
        assert {(membership.account, membership.after) for membership in batch.gained} == {("alice", 0), ("bob", 0)}
        assert batch.view.rooms_of == {"alice": {"@alice:bob"}, "bob": {"@alice:bob"}}
        assert running.settle(said("alice", "1", room="@alice:bob")).gained == []


def test_who_leaves_and_joins_in_one_batch_is_in_both_lists_and_in_the_room(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        running.settle(change("join", "alice"))
        batch = running.settle(change("leave", "alice"), change("join", "alice"))
        assert batch.lost == [Membership(LOBBY, "alice", after=1)]
        assert batch.gained == [Membership(LOBBY, "alice", after=2)]
        assert batch.view.rooms[LOBBY].members == {"alice"}
        batch = running.settle(change("join", "bob"), change("leave", "bob"))
        assert batch.view.rooms_of["bob"] == frozenset()
        assert batch.view.rooms[LOBBY].members == {"alice"}
    with opened(path) as running:
        assert running.journal.view.rooms[LOBBY].members == {"alice"}
        assert running.journal.view.rooms_of == {"alice": {LOBBY}}


def test_rooms_members_and_owners_are_as_they_were_after_a_restart(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        running.settle(change("create", "alice", "attic"), change("join", "bob", "attic"), change("join", "bob"))
        running.settle(said("alice", "1", room="attic"), said("bob", "1", room="@alice:bob"))
        before = running.journal.view
    with opened(path) as running:
        after = running.journal.view
        assert after.rooms == before.rooms
        assert after.rooms_of == before.rooms_of
        assert running.record(said("bob", "2", room="attic")).seq == 4


def test_a_view_cannot_be_changed_and_never_grows_under_a_reader(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        view = running.journal.view
        with pytest.raises(TypeError):
            cast("dict[str, object]", view.rooms)["attic"] = None
        rooms, accounts = iter(view.rooms), iter(view.rooms_of)
        running.settle(change("create", "alice", "attic"))
        assert list(rooms) == [LOBBY]
        assert list(accounts) == []
        assert set(running.journal.view.rooms) == {LOBBY, "attic"}


def test_a_view_shows_a_known_room_as_it_is_now(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        view: Mapping[str, object] = running.journal.view.rooms
        batch = running.settle(change("join", "alice"))
        assert view[LOBBY] is batch.view.rooms[LOBBY]


def test_times_never_go_backwards_in_a_room_also_across_a_restart(opened: Opener, path: Path) -> None:
    wall = iter((5_000, 1_000, 6_000)).__next__
    with opened(path, clock=wall) as running:
        running.settle(change("join", "alice"))
        assert running.record(said("alice", "1")).time == 5_000
        assert running.record(said("alice", "2")).time == 6_000
    with opened(path, clock=lambda: 10) as running:
        assert running.record(said("alice", "3")).time == 6_000


def test_a_bug_in_deciding_one_proposal_leaves_the_others_alone(
    opened: Opener, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(room: Room | None, proposal: Proposal, act: Act) -> object:
        if proposal.id == "d":
            raise KeyError(proposal.text)
        return verdict(room, proposal, act)

    monkeypatch.setattr(rules, "verdict", judge)
    with opened(path) as running:
        running.settle(change("join", "alice"))
        broken = said("alice", "d", "a secret text")
        with caplog.at_level(logging.ERROR):
            batch = running.settle(said("alice", "1"), broken, said("alice", "2"))
        first, bug, second = (outcome for _, outcome in batch.outcomes)
        assert isinstance(first, Recorded)
        assert isinstance(second, Recorded)
        assert isinstance(bug, Rejected)
        assert bug.code is Code.INTERNAL
        assert "KeyError" in caplog.text
        assert "rules.py" in caplog.text
        assert "a secret text" not in caplog.text


def test_a_bug_in_publishing_stops_the_journal_and_is_reported(
    opened: Opener, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(path) as running:

        def broken(batch: Batch) -> None:
            raise RuntimeError("a bug")

        running.readers.publish = broken  # type: ignore[method-assign]  # a reader with a bug in the same place
        running.propose(change("join", "alice"))
        assert "RuntimeError" in str(running.failures.get(timeout=PATIENCE))
        assert running.journal.stop(PATIENCE)
        assert not running.journal.submit([])
        assert "a bug" in caplog.text


def test_stopping_finishes_all_that_waits(opened: Opener, path: Path) -> None:
    with opened(path, Limits(batch_records=10)) as running:
        hold_back(running)
        running.propose(*(said("zoe", str(number)) for number in range(35)))
        let_go(running)
        assert running.journal.stop(PATIENCE)
        assert [seq for _ in range(4) for seq in seqs(running.readers.next())] == list(range(2, 37))
        assert running.readers.batches.empty()
        assert not running.journal.submit([])


def test_stopping_gives_up_on_a_journal_that_does_not_end(opened: Opener, path: Path) -> None:
    with opened(path) as running:
        hold_back(running)
        assert not running.journal.stop(0)


def test_a_journal_that_was_never_started_can_be_stopped(path: Path) -> None:
    running = RunningJournal(path)
    assert running.journal.stop(PATIENCE)
    assert not running.journal.submit([])  # it takes nothing more
    running.close()
    assert running.readers.batches.empty()


def test_what_did_not_change_is_as_near_after_many_batches(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "chat.db", "normal")) as store:
        committed = Committed(store)
        # Each batch once wrapped what it did not change, until nothing could look through all the wrappers.
        for _ in range(sys.getrecursionlimit() * 2):
            committed.accept(Draft(committed.view, store, [], bytes))
        assert committed.view.sanctions.get(("alice", "mute", "")) is None
        assert committed.view.invitations.get(b"secret") is None
