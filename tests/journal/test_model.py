"""Rules, journal and store together against a model of twenty lines, with restarts at any point."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from securechat.chat.model import Outcome, Proposal, Record, Recorded, Rejected, Unchanged
from securechat.chat.names import LOBBY
from securechat.journal.journal import Batch
from tests.journal.support import RunningJournal

ACCOUNTS = ("ann", "ben", "cat")
ROOMS = (LOBBY, "attic", "@ann:ben", "@ben:ben", "Bad", "@ben:ann")

AUTHORS = st.sampled_from(ACCOUNTS)
ROOM = st.sampled_from(ROOMS)
IDS = st.sampled_from(["", *"1234567"])
SAYING = st.builds(Proposal, st.just("say"), AUTHORS, ROOM, IDS, st.sampled_from(["tea", "toast"]), st.booleans())
CHANGING = st.builds(
    Proposal, st.sampled_from(["create", "join", "leave"]), AUTHORS, ROOM, IDS, st.just(""), st.booleans()
)


class Model:
    """What the journal should have: the records of each room, in order, and nothing that cannot be told from them."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Record]] = {LOBBY: []}

    def members(self, room: str) -> set[str]:
        inside: set[str] = set()
        for record in self.logs[room]:
            if room[0] == "@":
                inside = set(room[1:].split(":"))
            elif record.kind == "leave":
                inside.remove(record.sender)
            elif record.kind != "say":
                inside.add(record.sender)
        return inside

    def repeated(self, proposal: Proposal) -> Record | None:
        every = (record for log in self.logs.values() for record in log)
        return next((record for record in every if (record.sender, record.id) == (proposal.author, proposal.id)), None)

    def allowed(self, proposal: Proposal) -> bool:
        room, kind, author = proposal.room, proposal.kind, proposal.author
        if room in ("Bad", "@ben:ann"):
            return False
        if room[0] == "@":
            return kind == "say" and author in room[1:].split(":")
        if kind == "create":
            return room not in self.logs
        return room in self.logs and (kind == "join") == (author not in self.members(room))

    def expect(self, proposal: Proposal, outcome: Outcome, now: int) -> None:
        """Say whether this is the right outcome, and remember what it recorded."""
        first = self.repeated(proposal) if proposal.id else None
        if first is not None:
            same = (first.room, first.kind, first.text) == (proposal.room, proposal.kind, proposal.text)
            assert (outcome == Recorded(first, duplicate=True)) is same
        elif self.allowed(proposal) and (proposal.id or proposal.kind != "say"):
            log = self.logs.setdefault(proposal.room, [])
            time = max([now, *(record.time for record in log)])
            record = Record(
                proposal.room, len(log) + 1, proposal.kind, proposal.author, proposal.id, time, proposal.text
            )
            assert isinstance(outcome, Recorded)
            record = replace(record, salt=outcome.record.salt, hash=outcome.record.hash)
            assert outcome == Recorded(record)
            log.append(record)
        else:
            public = proposal.room in self.logs and proposal.room[0] != "@"
            joined = proposal.kind == "join" and public and proposal.author in self.members(proposal.room)
            assert outcome == Unchanged(proposal.room) if joined else isinstance(outcome, Rejected)


class JournalAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.model = Model()
        self.now = 1_000
        self.running = self.open()

    def open(self) -> RunningJournal:
        # Not "full": what a power cut leaves is tested elsewhere, and each fsync takes its time.
        running = RunningJournal(Path(self.folder.name) / "chat.db", clock=lambda: self.now, durability="normal")
        running.journal.start()
        return running

    @rule(proposals=st.lists(SAYING | CHANGING, min_size=1, max_size=12), now=st.integers(0, 3_000))
    def propose(self, proposals: list[Proposal], now: int) -> None:
        self.now = now
        heads = {room: len(log) for room, log in self.model.logs.items()}
        batch = self.running.settle(*proposals)
        assert [origin for origin, _ in batch.outcomes] == proposals
        for proposal, (_, outcome) in zip(proposals, batch.outcomes, strict=True):
            self.model.expect(proposal, outcome, now)
        new = {room: log[heads.get(room, 0) :] for room, log in self.model.logs.items()}
        assert batch.records == {room: records for room, records in new.items() if records}
        self.check_memberships(batch)

    def check_memberships(self, batch: Batch) -> None:
        changes: list[Any] = [(one.after, True, one) for one in batch.gained] + [
            (one.after, False, one) for one in batch.lost
        ]
        last = {(one.room, one.account): inside for _, inside, one in sorted(changes, key=lambda change: change[0])}
        for (room, account), inside in last.items():
            assert (account in self.model.members(room)) is inside

    @rule()
    def restart(self) -> None:
        self.running.close()
        self.running = self.open()

    @invariant()
    def everybody_sees_what_the_model_has(self) -> None:
        view = self.running.journal.view
        assert {name: room.head for name, room in view.rooms.items()} == {
            room: len(log) for room, log in self.model.logs.items()
        }
        for name, room in view.rooms.items():
            assert room.members == self.model.members(name)
        for account in ACCOUNTS:
            mine = {name for name, room in view.rooms.items() if account in room.members}
            assert view.rooms_of.get(account, frozenset()) == mine

    def teardown(self) -> None:
        try:
            for room, log in self.model.logs.items():
                assert self.running.log(room) == log
            assert self.running.failures.empty()
        finally:
            self.running.close()
            self.folder.cleanup()


TestJournalAgainstModel = JournalAgainstModel.TestCase
TestJournalAgainstModel.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
