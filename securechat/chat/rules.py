"""The rules of chat: what comes of a proposal (`decide`), and what a room is after a record (`apply`).

Pure functions. What is so already is asked of `State`; the time is handed in; nothing is changed here. Who may do what
is the table `MAY` in `chat.standing`. This file must not know how records are ordered, kept or delivered.
"""

from typing import Final, Protocol

from msgspec.structs import replace

from securechat.chat import chain
from securechat.chat.model import Outcome, Proposal, Record, Recorded, Rejected, Room, Unchanged
from securechat.chat.names import (
    ID_RULE,
    NAME_RULE,
    ROOM_RULE,
    direct_members,
    flaw_in_text,
    flaw_in_topic,
    is_direct,
    is_id,
    is_room_key,
    is_username,
    shown_room,
)
from securechat.chat.sanctions import SPOKEN, Sanctions
from securechat.chat.sanctions import refusal as sanction
from securechat.chat.standing import Verdict, refusal_by_table, verdict
from securechat.errors import Code

PRIVATE: Final = "private"
"""The `target` of the record that creates a private room: so the log alone, and its chain, say what the room is."""


class State(Sanctions, Protocol):
    """What has been decided so far, as the rules ask for it."""

    @property
    def text_bytes(self) -> int:
        """The longest text, in bytes of UTF-8."""
        ...

    def recorded(self, author: str, id: str) -> Record | None:
        """What this author had recorded under this `id` (never empty), as long as the record exists."""
        ...

    def record(self, room: str, seq: int) -> Record | None:
        """The record with this number as it is now, or None where there is none (any more)."""
        ...


def decide(state: State, proposal: Proposal, now: int) -> Outcome:
    """Say what comes of a proposal; `now` is milliseconds since 1970 UTC, and may go backwards.

    A repeat of an `id` is answered before membership is looked at: whoever left since gets the first answer again.
    A new record lacks its hash, and its salt where the proposal has none: whoever adds it to the log gives it both.
    """
    if proposal.kind != "say":
        proposal = _plain(state, proposal)
    if proposal.id or proposal.kind in ("say", "edit"):
        if not is_id(proposal.id):
            return Rejected(Code.BAD_ID, f"An id has {ID_RULE}.")
        first = state.recorded(proposal.author, proposal.id)
        if first is not None:
            return _repeat(first, proposal)
    if state.sanctions and proposal.kind in SPOKEN:
        muted = sanction(state.sanctions, proposal.author, "mute", now)
        if muted is not None:
            return muted
    room = state.room(proposal.room)
    if room is None and not is_room_key(proposal.room):
        return Rejected(Code.BAD_NAME, f"A room's name has {ROOM_RULE}.")
    judged = verdict(room, proposal, proposal.kind)
    if isinstance(judged, Code):
        return refusal_by_table(judged, room, proposal, proposal.kind)
    if judged is Verdict.UNCHANGED:
        return Unchanged(proposal.room)
    objection = _objection(state, room, proposal, own=judged is Verdict.OWN) or _banned(state, proposal, now)
    if objection is not None:
        return objection
    head, time = (room.head, room.time) if room is not None else (0, 0)
    return Recorded(
        Record(
            room=proposal.room,
            seq=head + 1,
            kind=proposal.kind,
            sender=proposal.author,
            id=proposal.id,
            time=max(now, time),
            text=proposal.text,
            target=proposal.target,
            about=proposal.about,
            salt=proposal.salt if proposal.text else b"",
        )
    )


def apply(room: Room | None, record: Record) -> Room:
    """The room after its next record; `room` is what there was before, None when this record makes it."""
    if room is None:
        owner = record.sender if record.kind == "create" else ""
        private = is_direct(record.room) or (record.kind == "create" and record.target == PRIVATE)
        room = Room(record.room, owner=owner, private=private, base_hash=chain.start(record.room))
    members = room.members
    if joining := gained(record):
        members = members.union(joining)
    elif leaving := lost(record):
        members = members.difference(leaving)
    return replace(
        room,
        members=members,
        head=record.seq,
        time=record.time,
        hash=record.hash,
        topic=record.text if record.kind == "topic" else room.topic,
        archived=room.archived or record.kind == "archive",
    )


def gained(record: Record) -> frozenset[str]:
    """Who is a member from this record on; the first record of a direct room brings in both."""
    match record.kind:
        case "say":
            return frozenset(direct_members(record.room)) if record.seq == 1 else frozenset()
        case "create" | "join":
            return frozenset((record.sender,))
        case "invite":
            return frozenset((record.target,))
    return frozenset()


def lost(record: Record) -> frozenset[str]:
    """Who is no member from this record on."""
    match record.kind:
        case "leave":
            return frozenset((record.sender,))
        case "kick":
            return frozenset((record.target,))
    return frozenset()


def erase(record: Record) -> Record:
    """The record without its text: the commitment stays in its place, so that the chain can still be verified."""
    return replace(record, text="", salt=b"", erased=chain.commitment(record.salt, record.text))


def _plain(state: State, proposal: Proposal) -> Proposal:
    """The proposal as it would be recorded: editing or deleting an edit is editing or deleting the message itself."""
    if proposal.kind == "create" and proposal.private:
        return replace(proposal, target=PRIVATE)
    if proposal.kind in ("edit", "delete"):
        named = state.record(proposal.room, proposal.about)
        if named is not None and named.kind == "edit":
            return replace(proposal, about=named.about)
    return proposal


def _repeat(first: Record, proposal: Proposal) -> Outcome:
    """The answer to an `id` that is taken. A text that was erased cannot be compared: any passes for the same."""
    same = (first.room, first.kind, first.target, first.about) == (
        proposal.room,
        proposal.kind,
        proposal.target,
        proposal.about,
    )
    if same and (first.erased or first.text == proposal.text):
        return Recorded(first, duplicate=True)
    return Rejected(Code.ID_REUSED, f"The id {proposal.id} is taken by something else that you sent.")


def _objection(state: State, room: Room | None, proposal: Proposal, *, own: bool) -> Unchanged | Rejected | None:
    """What stands against a proposal that its author may make, if anything."""
    match proposal.kind:
        case "say":
            return _flaw(flaw_in_text(proposal.text, state.text_bytes)) or _against_reply(state, proposal)
        case "edit" | "delete":
            return _against_change(state, proposal, own=own)
        case "topic":
            same = room is not None and room.topic == proposal.text
            return Unchanged(proposal.room) if same else _flaw(flaw_in_topic(proposal.text))
        case "invite" | "kick":
            if not is_username(proposal.target):
                return Rejected(Code.BAD_NAME, f"A username has {NAME_RULE}.")
            inside = room is not None and proposal.target in room.members
            return Unchanged(proposal.room) if inside is (proposal.kind == "invite") else None
    return None


def _banned(state: State, proposal: Proposal, now: int) -> Rejected | None:
    """What keeps whoever would become a member out of the room, if anything."""
    if proposal.kind not in ("join", "invite"):
        return None
    coming = proposal.author if proposal.kind == "join" else proposal.target
    return sanction(state.sanctions, coming, "ban", now, proposal.room)


def _flaw(flaw: str | None) -> Rejected | None:
    return None if flaw is None else Rejected(Code.BAD_TEXT, flaw)


def _against_reply(state: State, proposal: Proposal) -> Rejected | None:
    if not proposal.about:
        return None
    said = state.record(proposal.room, proposal.about)
    return None if said is not None and said.kind == "say" else _no_message(proposal)


def _against_change(state: State, proposal: Proposal, *, own: bool) -> Unchanged | Rejected | None:
    said = state.record(proposal.room, proposal.about)
    if said is None or said.kind != "say":
        return _no_message(proposal)
    if own and said.sender != proposal.author:
        return Rejected(Code.FORBIDDEN, f"Message {said.seq} is somebody else's.")
    if proposal.kind == "delete":
        return Unchanged(proposal.room) if said.erased else None
    if said.erased:
        return Rejected(Code.NO_SUCH_RECORD, f"Message {said.seq} was deleted.")
    return _flaw(flaw_in_text(proposal.text, state.text_bytes))


def _no_message(proposal: Proposal) -> Rejected:
    shown = shown_room(proposal.room, proposal.author)
    return Rejected(Code.NO_SUCH_RECORD, f"There is no message {proposal.about} in {shown}.")
