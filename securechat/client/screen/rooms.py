"""One room as its reader sees it: what is loaded, read, unread, about to be said, and where the reader has scrolled to.
Pure: it is told what happens, and knows nothing of how it is shown.
"""

import re
from collections.abc import Sequence, Set
from functools import lru_cache
from typing import Final, Literal

import msgspec

from securechat.chat.names import is_direct
from securechat.client.screen.drafts import Draft
from securechat.client.screen.scrollback import Key, Scrollback
from securechat.protocols.frames import AnyRecord, Message, RoomState

SPEAKERS: Final = 500
"""Names that a room keeps for the Tab key; past it, who has not spoken for longest is forgotten."""

QUOTES: Final = 500
"""Answered messages that a room keeps because they are not loaded; past it, the first are forgotten."""


class OwnLine(msgspec.Struct):
    """A line of one's own that has not come back as a record."""

    id: str
    room: str
    text: str
    reply_to: int | None = None
    state: Literal["pending", "stored", "failed"] = "pending"
    seq: int = 0
    reason: str = ""
    at: float = 0.0
    """When it was entered, in seconds of a clock that only runs forward."""


class Anchor(msgspec.Struct, frozen=True):
    """The lowest line in sight: of which item, and how many lines of that item are above it."""

    key: Key
    row: int


class Room:
    """One room of the account."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.topic = ""
        self.private = False
        self.head = 0
        self.read = 0
        """The number of the newest record that the account has read, on whatever device."""
        self.unread = 0
        self.mentions = 0
        self.is_exact = True
        """Whether the unread messages were counted; else `unread` has all records that the account has not read."""
        self.members: tuple[str, ...] = ()
        self.scrollback: Final = Scrollback()
        self.is_loaded = False
        """Whether its newest page was asked for."""
        self.is_loading = False
        self.is_stuck = False
        """A page could not be loaded: it is not asked for again before one scrolls, or the connection comes back."""
        self.anchor: Anchor | None = None
        """None while the newest line is in sight."""
        self.new_after: int | None = None
        """The line `new since you were here` stands behind this number."""
        self.floor: Key | None = None
        """What is at or before it was cleared from the screen."""
        self.own: list[OwnLine] = []
        self.draft: Final = Draft()
        self.quotes: dict[int, Message | None] = {}
        """Messages that are answered and not loaded."""
        self._speakers: dict[str, None] = {}

    @property
    def is_direct(self) -> bool:
        """Whether it is the room with one other person."""
        return is_direct(self.name)

    @property
    def speakers(self) -> list[str]:
        """Who has spoken here, the latest first."""
        return list(reversed(self._speakers))

    def take_state(self, state: RoomState) -> None:
        """Take what the server says of the room when it lets the account in for the first time."""
        self.topic, self.private = state.topic, state.private
        self.head, self.read = state.head, state.read
        self.unread = max(0, state.head - state.read)
        self.is_exact = not self.unread

    def count_past(self, past: Sequence[AnyRecord], up_to: int, me: str, ignored: Set[str], *, is_all: bool) -> None:
        """The records behind the read marker, up to the one that was the head then, are these."""
        if self.is_exact or up_to <= self.read:
            return
        later = self.unread - (up_to - self.read)
        fresh = [record for record in past if self.read < record.seq <= up_to]
        uncounted = {me, *ignored}
        counted = [record for record in fresh if isinstance(record, Message) and record.sender not in uncounted]
        self.mentions += sum(self.concerns(record, me) for record in counted)
        if is_all:
            self.unread, self.is_exact = later + len(counted), True

    def concerns(self, message: Message, me: str) -> bool:
        """Whether a message is meant for this person in particular."""
        return message.sender != me and (self.is_direct or mentions(message.text, me))

    def mark_read(self, seq: int) -> bool:
        """The account has read up to this number; whether that is news."""
        if seq <= self.read:
            return False
        self.read = seq
        if seq >= self.head:
            self.unread, self.mentions, self.is_exact = 0, 0, True
        return True

    def speak(self, name: str) -> None:
        """This person has spoken, later than all others."""
        self._speakers.pop(name, None)
        self._speakers[name] = None
        if len(self._speakers) > SPEAKERS:
            del self._speakers[next(iter(self._speakers))]

    def spoken_before(self, records: Sequence[AnyRecord]) -> None:
        """These have spoken before all others; oldest first."""
        earlier = {record.sender: None for record in reversed(records) if isinstance(record, Message)}
        names = [name for name in earlier if name not in self._speakers]
        self._speakers = dict.fromkeys([*reversed(names), *self._speakers][-SPEAKERS:])

    def keep_quote(self, seq: int, message: Message | None) -> None:
        """This message is answered here; None until it has come."""
        self.quotes[seq] = message
        if len(self.quotes) > QUOTES:
            del self.quotes[next(iter(self.quotes))]

    def own_line(self, id: str) -> OwnLine | None:
        """The own line with this id."""
        return next((line for line in self.own if line.id == id), None)

    def drop_own(self, id: str) -> None:
        """Forget this own line."""
        self.own = [line for line in self.own if line.id != id]

    def drop_stored(self) -> None:
        """Forget the own lines that are loaded as records by now."""
        last = self.scrollback.last
        self.own = [line for line in self.own if line.state != "stored" or line.seq > last]


@lru_cache(maxsize=8)
def _pattern(me: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){re.escape(me)}(?![\w-]|\.\w)", re.IGNORECASE)


def mentions(text: str, me: str) -> bool:
    """Whether a text names this person, as a word of its own."""
    if text.isascii() and me not in text.lower():
        return False  # most have not, and it is quick to see in most
    return _pattern(me).search(text) is not None
