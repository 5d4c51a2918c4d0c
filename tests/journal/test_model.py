"""Rules, journal and store together against a small model, with restarts at any point."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from securechat.chat import chain
from securechat.chat.model import (
    Change,
    Changed,
    Expire,
    Grant,
    Kind,
    Mark,
    Outcome,
    Proposal,
    Record,
    Recorded,
    Rejected,
    Revoke,
    Unchanged,
)
from securechat.chat.names import LOBBY
from securechat.journal.journal import Batch
from tests.journal.support import RunningJournal, assert_chained

ACCOUNTS = ("ann", "ben", "cat")
ROOMS = (LOBBY, "attic", "@ann:ben", "@ben:ben", "Bad", "@ben:ann")
REAL = ROOMS[:4]

AUTHORS = st.sampled_from(ACCOUNTS)
# Mostly where something can come of it.
ROOM = st.sampled_from((LOBBY, LOBBY, "attic", "attic", "@ann:ben", *ROOMS))
IDS = st.sampled_from(["", *"123456789abcdefghijklmnopq"])
SEQS = st.integers(0, 20)
ABOUT = st.integers(-5, -1) | st.integers(-5, 5)
"""Below 0: so far back among what was said and edited, and by whoever said that."""


def asking(*kinds: Kind, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Proposal]:
    """Proposals of these kinds, with these fields besides author, room and id."""
    return st.builds(Proposal, st.sampled_from(kinds), AUTHORS, ROOM, IDS, admin=st.booleans(), **fields)


TEXTS = st.sampled_from(["tea", "toast"])
PROPOSALS = st.one_of(
    asking("say", text=TEXTS),
    asking("say", text=TEXTS, about=ABOUT),
    asking("edit", text=TEXTS, about=ABOUT),
    asking("delete", about=ABOUT),
    asking("join", "join", "join", "join", "leave", "leave", "archive"),
    asking("create", private=st.booleans()),
    asking("topic", text=TEXTS),
    asking("invite", "invite", "kick", target=AUTHORS),
)
# A hash is one account's for ever: it begins with the account's name here.
HELD = st.tuples(AUTHORS, st.sampled_from("12")).map(lambda held: (held[0], "".join(held).encode()))
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(Mark, AUTHORS, st.sampled_from(REAL), SEQS),
    HELD.map(lambda held: Grant(*held)),
    HELD.map(lambda held: Revoke(*held)),
    st.builds(Revoke, AUTHORS),
    HELD.map(lambda held: Revoke(held[0], kept=held[1])),
    st.builds(Expire, st.sampled_from(REAL), st.integers(0, 5)),
)


class Model:
    """What the journal should have: the records of each room, in order, and nothing that can be told from them.

    Records that expired stay in the model; `bases` says which.
    """

    def __init__(self) -> None:
        self.logs: dict[str, list[Record]] = {LOBBY: []}
        self.bases: dict[str, int] = dict.fromkeys(REAL, 0)
        self.marks: dict[tuple[str, str], int] = {}
        self.tokens: list[tuple[str, bytes]] = []

    def kept(self, room: str) -> list[Record]:
        return self.logs.get(room, [])[self.bases.get(room, 0) :]

    def message(self, room: str, about: int) -> Record | None:
        """The message that an edit or a deletion of this number is about."""
        found = next((record for record in self.kept(room) if record.seq == about), None)
        if found is not None and found.kind == "edit":
            return self.message(room, found.about)
        return found if found is not None and found.kind == "say" else None

    def aimed(self, proposal: Proposal) -> Proposal:
        """The proposal with a number in place of one that counts back."""
        said = [record for record in self.kept(proposal.room) if record.kind in ("say", "edit")]
        if proposal.about >= 0 or not said:
            return proposal
        record = said[max(proposal.about, -len(said))]
        return replace(proposal, about=record.seq, author=record.sender)

    def members(self, room: str) -> set[str]:
        inside: set[str] = set()
        for record in self.logs.get(room, []):
            if room[0] == "@":
                inside = set(room[1:].split(":"))
            elif record.kind in ("create", "join"):
                inside.add(record.sender)
            elif record.kind == "leave":
                inside.remove(record.sender)
            elif record.kind == "invite":
                inside.add(record.target)
            elif record.kind == "kick":
                inside.remove(record.target)
        return inside

    def has(self, room: str, kind: Kind) -> bool:
        return any(record.kind == kind for record in self.logs.get(room, []))

    def topic(self, room: str) -> str:
        return next((record.text for record in reversed(self.logs[room]) if record.kind == "topic"), "")

    def private(self, room: str) -> bool:
        log = self.logs.get(room, [])
        return room[0] == "@" or bool(log and log[0].kind == "create" and log[0].target == "private")

    def repeated(self, proposal: Proposal) -> Record | None:
        every = (record for room in self.logs for record in self.kept(room))
        return next((record for record in every if (record.sender, record.id) == (proposal.author, proposal.id)), None)

    def same(self, first: Record, proposal: Proposal) -> bool:
        if (first.room, first.kind, first.target) != (proposal.room, proposal.kind, self.target(proposal)):
            return False
        named = next((one for one in self.kept(proposal.room) if one.seq == proposal.about), None)
        is_edit = named is not None and named.kind == "edit" and proposal.kind in ("edit", "delete")
        about = named.about if named is not None and is_edit else proposal.about
        return first.about == about and (bool(first.erased) or first.text == proposal.text)

    def target(self, proposal: Proposal) -> str:
        return "private" if proposal.private else proposal.target

    def may(self, proposal: Proposal) -> bool:
        """Whether the author may ask for this at all; whether it then changes something is `is_so`."""
        room, kind, author = proposal.room, proposal.kind, proposal.author
        if room not in REAL:
            return False
        if room[0] == "@":
            return author in room[1:].split(":") and kind in ("say", "edit", "delete")
        if kind == "create":
            return room not in self.logs
        if room not in self.logs or (self.has(room, "archive") and kind not in ("join", "leave", "archive")):
            return False
        inside, private = author in self.members(room), self.private(room)
        if kind == "join":
            return inside or proposal.admin or not private
        if kind in ("leave", "say", "edit"):
            return inside
        if kind == "delete":
            return inside or proposal.admin
        creator = self.logs[room] and self.logs[room][0].kind == "create" and self.logs[room][0].sender == author
        power = proposal.admin or bool(inside and creator)
        return power or (inside and not private and kind in ("topic", "invite"))

    def makes_sense(self, proposal: Proposal) -> bool:
        """Whether the message that the proposal is about is there, and its author may do that to it."""
        if proposal.kind == "say":
            return not proposal.about or any(
                one.seq == proposal.about and one.kind == "say" for one in self.kept(proposal.room)
            )
        if proposal.kind not in ("edit", "delete"):
            return True
        said = self.message(proposal.room, proposal.about)
        if said is None or (proposal.kind == "edit" and said.erased):
            return False
        log = self.logs[proposal.room]
        owner = log[0].sender if log[0].kind == "create" else ""
        over = proposal.room[0] != "@" and (proposal.admin or owner == proposal.author)
        return said.sender == proposal.author or (proposal.kind == "delete" and over)

    def is_so(self, proposal: Proposal) -> bool:
        """Whether what is asked for is so already."""
        room, kind = proposal.room, proposal.kind
        if kind == "delete":
            said = self.message(room, proposal.about)
            return said is not None and bool(said.erased)
        return (
            (kind == "join" and proposal.author in self.members(room))
            or (kind == "archive" and self.has(room, "archive"))
            or (kind == "topic" and self.topic(room) == proposal.text)
            or (kind == "invite" and proposal.target in self.members(room))
            or (kind == "kick" and proposal.target not in self.members(room))
        )

    def expect(self, proposal: Proposal, outcome: Outcome, now: int) -> None:
        """Say whether this is the right outcome, and remember what it recorded."""
        first = self.repeated(proposal) if proposal.id else None
        if first is not None:
            if self.same(first, proposal):
                assert isinstance(outcome, Recorded)
                assert (outcome.duplicate, outcome.record.seq, outcome.record.room) == (True, first.seq, first.room)
            else:
                assert isinstance(outcome, Rejected)
        elif (
            (not proposal.id and proposal.kind in ("say", "edit"))
            or not self.may(proposal)
            or not self.makes_sense(proposal)
        ):
            assert isinstance(outcome, Rejected)
        elif self.is_so(proposal):
            assert outcome == Unchanged(proposal.room)
        else:
            self.record(proposal, outcome, now)

    def record(self, proposal: Proposal, outcome: Outcome, now: int) -> None:
        assert isinstance(outcome, Recorded), outcome
        room = proposal.room
        log = self.logs.setdefault(room, [])
        said = self.message(room, proposal.about) if proposal.kind in ("edit", "delete") else None
        expected = Record(
            room,
            len(log) + 1,
            proposal.kind,
            proposal.author,
            proposal.id,
            max([now, *(record.time for record in log)]),
            proposal.text,
            self.target(proposal),
            said.seq if said is not None else proposal.about,
            salt=outcome.record.salt,
        )
        assert len(expected.salt) == (16 if expected.text else 0)
        previous = log[-1].hash if log else chain.start(room)
        log.append(replace(expected, hash=chain.link_record(previous, expected)))
        assert outcome == Recorded(log[-1])
        if proposal.kind == "delete":
            self.logs[room] = [self.erased(record, log[-1].about) for record in log]

    @staticmethod
    def erased(record: Record, about: int) -> Record:
        if (record.kind, record.seq) != ("say", about) and (record.kind, record.about) != ("edit", about):
            return record
        return replace(record, text="", salt=b"", erased=chain.commitment(record.salt, record.text))

    def expect_change(self, change: Change, outcome: Outcome) -> None:
        """Say whether this is the right outcome, and remember what it changed."""
        if isinstance(change, Mark):
            seq = min(change.seq, len(self.logs.get(change.room, [])))
            if change.account not in self.members(change.room):
                assert isinstance(outcome, Rejected)
            elif seq > self.marks.get((change.account, change.room), 0):
                assert outcome == Changed(replace(change, seq=seq))
                self.marks[change.account, change.room] = seq
            else:
                assert outcome == Unchanged(change.room)
        elif isinstance(change, Expire):
            upto = min(change.upto, len(self.logs.get(change.room, [])))
            if change.room not in self.logs:
                assert isinstance(outcome, Rejected)
            elif upto > self.bases[change.room]:
                assert outcome == Changed(replace(change, upto=upto))
                self.bases[change.room] = upto
            else:
                assert outcome == Unchanged(change.room)
        elif isinstance(change, Grant):
            new = (change.account, change.token_hash) not in self.tokens
            assert outcome == (Changed(change) if new else Unchanged(""))
            if new:
                self.tokens.append((change.account, change.token_hash))
        else:
            assert isinstance(change, Revoke)
            mine = [held for held in self.tokens if held[0] == change.account]
            gone = [held for held in mine if change.token_hash in (None, held[1]) and held[1] != change.kept]
            assert outcome == (Changed(change) if gone else Unchanged(""))
            self.tokens = [held for held in self.tokens if held not in gone]


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

    @initialize(private=st.booleans())
    def some_are_in(self, private: bool) -> None:
        begin = [Proposal("join", account, LOBBY) for account in ACCOUNTS[:2]]
        said = [Proposal("say", "ann", room, id=f"0{len(room)}", text="tea") for room in (LOBBY, "attic", "@ann:ben")]
        self.propose([*begin, Proposal("create", "ann", "attic", private=private), *said], 1_000)

    @rule(proposals=st.lists(PROPOSALS | PROPOSALS | CHANGES, min_size=4, max_size=16), now=st.integers(0, 3_000))
    def propose(self, proposals: list[Proposal | Change], now: int) -> None:
        self.now = now
        proposals = [self.model.aimed(one) if isinstance(one, Proposal) else one for one in proposals]
        heads = {room: len(log) for room, log in self.model.logs.items()}
        batch = self.running.settle(*proposals)
        assert [origin for origin, _ in batch.outcomes] == proposals
        for proposal, (_, outcome) in zip(proposals, batch.outcomes, strict=True):
            if isinstance(proposal, Proposal):
                self.model.expect(proposal, outcome, now)
            else:
                self.model.expect_change(proposal, outcome)
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
        view, model = self.running.journal.view, self.model
        assert {name: room.head for name, room in view.rooms.items()} == {
            room: len(log) for room, log in model.logs.items()
        }
        for name, room in view.rooms.items():
            assert room.members == model.members(name)
            assert room.topic == model.topic(name)
            assert (room.private, room.archived) == (model.private(name), model.has(name, "archive"))
        for account in ACCOUNTS:
            mine = {name for name, room in view.rooms.items() if account in room.members}
            assert view.rooms_of.get(account, frozenset()) == mine
            assert view.tokens_of.get(account, ()) == tuple(one for who, one in model.tokens if who == account)
        assert model.marks == {
            (account, room): seq for account, marks in view.marks_of.items() for room, seq in marks.items()
        }

    def teardown(self) -> None:
        try:
            for room in self.model.logs:
                log = self.running.log(room)
                assert log == self.model.kept(room)
                assert_chained(self.running.journal.view.rooms[room], log)
            assert self.running.failures.empty()
        finally:
            self.running.close()
            self.folder.cleanup()


TestJournalAgainstModel = JournalAgainstModel.TestCase
TestJournalAgainstModel.settings = settings(max_examples=20, stateful_step_count=10, deadline=None)
