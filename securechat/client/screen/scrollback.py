"""The part of a room's log that a client has at hand: a run of records without a gap, and the client's own notices
between them. It may lack both ends, grows at either as pages come, and is bounded. Pure: it asks nobody for anything.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from securechat.protocols.frames import AnyRecord, DeleteRecord, EditRecord, Message

AMENDMENTS: Final = 10_000
"""Edits and deletions that are kept for messages which may still be loaded; past it, the oldest are forgotten, and the
message is shown as it was first said."""


class Notice(msgspec.Struct, frozen=True):
    """A line of the client's own; it is safe."""

    sentence: str


Item: TypeAlias = AnyRecord | Notice
Key: TypeAlias = tuple[int, int]
"""The place of an item: a record's number and 0; of a notice, the number of the record before it, and its own."""


class Scrollback:
    """What is loaded of one room, oldest first, and what is known to be missing."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.items: list[Item] = []
        self.first = 0
        """The number of the oldest record that is loaded; 0 if none is."""
        self.last = 0
        """The number of the newest record that is loaded; 0 if none is."""
        self.has_older = True
        """Whether the room may have records before the first."""
        self.reaches_head = True
        """Whether what comes next in the room belongs behind the last."""
        self.changes = 0
        """Counts what changed in the text of items that were there; whoever keeps what it drew looks at it."""
        self._amendments: dict[int, EditRecord | DeleteRecord] = {}
        self._notices = 0

    def add(self, record: AnyRecord) -> bool:
        """Take a record that was heard; whether it is new here."""
        if isinstance(record, EditRecord | DeleteRecord):
            self._amend(record)
        if record.seq <= self.last or not self.reaches_head:
            return False
        self._put_last(record)
        return True

    def note(self, sentence: str, head: int) -> None:
        """Put a notice behind everything, also behind what is still to be loaded up to the room's head."""
        self._notices += 1
        self.keys.append((max(self.last, head, self.keys[-1][0] if self.keys else 0), self._notices))
        self.items.append(Notice(sentence))

    def put_before(self, records: Sequence[AnyRecord], *, more: bool) -> None:
        """Put a page before the first record; what is there already is passed over."""
        older = [record for record in records if not self.first or record.seq < self.first]
        self._amend_with(older)
        self.has_older = more
        if not older:
            return
        shown = [record for record in older if _is_shown(record)]
        # A notice may stand before the first record that was loaded.
        at = bisect_right(self.keys, (older[0].seq, 0)) if not self.first else 0
        self.keys[at:at] = [(record.seq, 0) for record in shown]
        self.items[at:at] = shown
        if not self.first:
            self._sort()
        self.first = older[0].seq
        self.last = max(self.last, older[-1].seq)

    def put_behind(self, records: Sequence[AnyRecord]) -> None:
        """Put a page behind the last record; what is there already is passed over."""
        self._amend_with(records)
        for record in records:
            if record.seq > self.last:
                self._put_last(record)

    def begin_at(self, records: Sequence[AnyRecord], *, has_older: bool) -> None:
        """Forget what is loaded, and begin again with these."""
        self.keys.clear()
        self.items.clear()
        self.first = self.last = 0
        self.put_behind(records)
        self.has_older = has_older

    def clear_notices(self) -> None:
        """Forget all notices."""
        kept = [(key, item) for key, item in zip(self.keys, self.items, strict=True) if not isinstance(item, Notice)]
        self.keys = [key for key, _ in kept]
        self.items = [item for _, item in kept]

    def trim(self, limit: int, *, keep: Key | None = None) -> None:
        """Forget the oldest items past `limit`, or the newest where `keep` is nearer to the old end."""
        surplus = len(self.items) - limit
        if surplus <= 0:
            return
        at = len(self.items) if keep is None else self.index(keep)
        if at >= len(self.items) - at:
            del self.keys[:surplus], self.items[:surplus]
            self.first = self.keys[0][0]
            self.has_older = True
        else:
            del self.keys[limit:], self.items[limit:]
            self.last = self.keys[-1][0]
            self.reaches_head = False

    def index(self, key: Key) -> int:
        """Where the item of this key is, or the next one behind it."""
        return bisect_left(self.keys, key)

    def message(self, seq: int) -> Message | None:
        """The message with this number, if it is loaded."""
        at = self.index((seq, 0))
        if at < len(self.items) and self.keys[at] == (seq, 0):
            item = self.items[at]
            return item if isinstance(item, Message) else None
        return None

    def amendment(self, seq: int) -> EditRecord | DeleteRecord | None:
        """What was last done to this message."""
        return self._amendments.get(seq)

    def _put_last(self, record: AnyRecord) -> None:
        if not self.first:
            self.first = record.seq
        self.last = record.seq
        if _is_shown(record):
            self.keys.append((record.seq, 0))
            self.items.append(record)

    def _sort(self) -> None:
        both = sorted(zip(self.keys, self.items, strict=True), key=lambda pair: pair[0])
        self.keys = [key for key, _ in both]
        self.items = [item for _, item in both]

    def _amend_with(self, records: Iterable[AnyRecord]) -> None:
        for record in records:
            if isinstance(record, EditRecord | DeleteRecord):
                self._amend(record)

    def _amend(self, record: EditRecord | DeleteRecord) -> None:
        before = self._amendments.get(record.about)
        if before is not None and before.seq >= record.seq:
            return
        self._amendments[record.about] = record
        self.changes += 1
        if len(self._amendments) > AMENDMENTS:
            del self._amendments[next(iter(self._amendments))]


def _is_shown(record: AnyRecord) -> bool:
    """Whether it has lines of its own; an edit and a deletion show in the message that they are about."""
    return not isinstance(record, EditRecord | DeleteRecord)
