"""The entries of a room's log, as a reader is told of them.

This file knows nothing of bytes on a wire, of sessions or of rooms; docs/protocol.md says what each frame means.
"""

from typing import TypeAlias

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What a client can be told; a field that has its default is left out."""


class RecordEvent(Event, frozen=True, kw_only=True):
    """One record of a room. `seq`, `sender` and `time` come from the server alone.

    `salt` is where there is a text, `erased` where it was erased: with either, a client can check the room's chain.
    `replay` says that the record was there before this session read the room."""

    room: str
    seq: int
    sender: str
    time: int
    id: str = ""
    salt: str = ""
    erased: str = ""
    replay: bool = False


class Message(RecordEvent, frozen=True, kw_only=True, tag="message"):
    """The server tells each reader of a room, the author too, what somebody said."""

    text: str
    reply_to: int = 0


class CreateRecord(RecordEvent, frozen=True, kw_only=True, tag="create"):
    """The server tells the readers of a room that `sender` made it; always the first record.

    `target` is the word `private` for a private room, and empty for others."""

    target: str = ""


class JoinRecord(RecordEvent, frozen=True, kw_only=True, tag="join"):
    """The server tells each reader of a room that `sender` became a member."""


class LeaveRecord(RecordEvent, frozen=True, kw_only=True, tag="leave"):
    """The server tells each reader of a room that `sender` is a member no more."""


class TopicRecord(RecordEvent, frozen=True, kw_only=True, tag="topic"):
    """The server tells each reader of a room what `sender` says it is about."""

    text: str


class InviteRecord(RecordEvent, frozen=True, kw_only=True, tag="invite"):
    """The server tells each reader of a room that `sender` made `target` a member."""

    target: str


class KickRecord(RecordEvent, frozen=True, kw_only=True, tag="kick"):
    """The server tells each reader of a room that `sender` ended the membership of `target`."""

    target: str


class EditRecord(RecordEvent, frozen=True, kw_only=True, tag="edit"):
    """The server tells each reader of a room what `sender` has put in the place of the text of record `about`."""

    about: int
    text: str


class DeleteRecord(RecordEvent, frozen=True, kw_only=True, tag="delete"):
    """The server tells each reader of a room that `sender` had the text of record `about` erased."""

    about: int


class ArchiveRecord(RecordEvent, frozen=True, kw_only=True, tag="archive"):
    """The server tells each reader of a room that `sender` has closed it: nothing more can be said in it."""


AnyRecord: TypeAlias = (
    Message
    | CreateRecord
    | JoinRecord
    | LeaveRecord
    | TopicRecord
    | InviteRecord
    | KickRecord
    | EditRecord
    | DeleteRecord
    | ArchiveRecord
)
