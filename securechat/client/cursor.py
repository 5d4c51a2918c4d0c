"""How far a client has read one room: the number and the chain's hash there, and what may come next.

Pure: it is told what comes and what the server says of the chain, and knows nothing of connections or of who reads.
"""

import base64
import enum
from typing import Final

from securechat.chat.chain import HASH_BYTES, SALT_BYTES, commitment, link, start
from securechat.chat.names import direct_room, is_direct
from securechat.errors import ChainBroken
from securechat.protocols.frames import AnyRecord, Message, Page
from securechat.protocols.native import tag


class Step(enum.Enum):
    """What a record is to who has read up to a cursor."""

    NEXT = enum.auto()
    REPEAT = enum.auto()
    GAP = enum.auto()


class Cursor:
    """One reader's place in one room; `reader` is the account, by which a direct room has its key."""

    def __init__(self, room: str, reader: str, seq: int, hash: str = "") -> None:
        self.room: Final = room
        self.seq = seq
        """The number of the newest record that was read."""
        self._key = direct_room(reader, room[1:]) if is_direct(room) else room
        # Unknown until the server names one: then it is compared from there on, and from the first record on if that
        # is still to come.
        self._hash = b""
        self._named: tuple[int, bytes] | None = None
        self.name(seq, hash)

    def take(self, record: AnyRecord) -> Step:
        """Move on to this record if it is the next. Raises ChainBroken where it does not go on from what was read."""
        if record.seq <= self.seq:
            return Step.REPEAT
        if record.seq > self.seq + 1:
            return Step.GAP
        if self._hash:
            self._hash = self._after(record)
        self.seq = record.seq
        if self._named is not None and self._named[0] <= self.seq:
            seq, named = self._named
            self._named = None
            self._compare(seq, named)
        return Step.NEXT

    def skip_to(self, seq: int, hash: str = "") -> None:
        """Go on behind records that nobody can have: erased after their time, or of a kind that this client does not
        know."""
        self.seq, self._hash, self._named = seq, b"", None
        self.name(seq, hash)

    def name(self, seq: int, hash: str) -> None:
        """The server says that the chain has this hash at `seq` (base64url; empty: it does not say).

        Raises ChainBroken where it has another. What is said of a number that is still to be read is compared there.
        """
        if not hash:
            return
        try:
            named = _decode(hash)
        except ValueError:
            named = b""
        if len(named) != HASH_BYTES:
            raise ChainBroken(self.room, seq)
        if self.seq == 0 and not self._hash:
            self._hash = start(self._key)
        if seq == self.seq:
            self._compare(seq, named)
        elif seq > self.seq and self._named is None:
            self._named = seq, named  # one is enough: it covers all that comes before it

    def head(self, seq: int, hash: str) -> None:
        """The server says that its newest record is `seq`, with this hash.

        Raises ChainBroken where that is older than what was read: something that was there is gone.
        """
        if seq < self.seq:
            raise ChainBroken(self.room, self.seq)
        self.name(seq, hash)

    def _compare(self, seq: int, named: bytes) -> None:
        if not self._hash:
            self._hash = named if seq == self.seq else b""
        elif self._hash != named:
            raise ChainBroken(self.room, seq)

    def _after(self, record: AnyRecord) -> bytes:
        return link(
            self._hash,
            seq=record.seq,
            kind="say" if isinstance(record, Message) else tag(type(record)),
            sender=record.sender,
            id=record.id,
            time=record.time,
            target=getattr(record, "target", ""),
            about=record.reply_to if isinstance(record, Message) else getattr(record, "about", 0),
            commitment=self._commitment(record),
        )

    def _commitment(self, record: AnyRecord) -> bytes:
        text: str | None = getattr(record, "text", None)
        try:
            erased, salt = _decode(record.erased), _decode(record.salt)
        except ValueError:
            raise ChainBroken(self.room, record.seq) from None
        if len(erased) == HASH_BYTES and not salt and not text:
            return erased
        # Salt and text are hashed as one: with a salt of another length, another text would have the same hash.
        if erased or len(salt) != (SALT_BYTES if text else 0):
            raise ChainBroken(self.room, record.seq)
        return commitment(salt, text or "")


def _decode(word: str) -> bytes:
    """Base64url without padding; raises ValueError for what is none."""
    return base64.b64decode(word + "=" * (-len(word) % 4), b"-_", validate=True)


def check_page(page: Page, room: str, reader: str) -> None:
    """Check the chain of a page within itself; raises ChainBroken.

    A page with records of a kind that this client does not know has holes, and cannot be checked.
    """
    if not page.records or not page.base:
        return
    cursor = Cursor(room, reader, page.records[0].seq - 1, page.base)
    if all(cursor.take(record) is Step.NEXT for record in page.records):
        cursor.name(cursor.seq, page.hash)
