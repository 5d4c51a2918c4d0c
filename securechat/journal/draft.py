"""The state as the batch that is being decided sees it: what is committed, and over it what the batch adds.

It becomes true only when the store has committed it; thrown away, it leaves no trace. It decides nothing.
"""

from collections.abc import Mapping

from securechat.chat import rules
from securechat.chat.model import Record, Room


class Draft:
    """One batch's state for `rules.decide`; `rooms`, `records` and `members` are what it adds.

    `committed` are the rooms before the batch; `recorded` what is committed already under ids that the batch uses, by
    author and id.
    """

    def __init__(
        self, committed: Mapping[str, Room], recorded: Mapping[tuple[str, str], Record], text_bytes: int
    ) -> None:
        self.text_bytes = text_bytes
        self.rooms: dict[str, Room] = {}
        """Each room that changed, as it is after the batch."""
        self.records: dict[str, list[Record]] = {}
        """New records by room, in order."""
        self.members: dict[tuple[str, str], bool] = {}
        """By room and account: whether it is a member after the batch, where the batch changed that."""
        self._committed = committed
        self._recorded = dict(recorded)

    def room(self, name: str) -> Room | None:
        """The room with this key, with all that the batch did to it so far."""
        return self.rooms.get(name) or self._committed.get(name)

    def recorded(self, author: str, id: str) -> Record | None:
        """What the author had recorded under this `id`: in this batch, or ever."""
        return self._recorded.get((author, id))

    def add(self, record: Record) -> None:
        """Let what follows in the batch see this record."""
        self.rooms[record.room] = rules.apply(self.room(record.room), record)
        self.records.setdefault(record.room, []).append(record)
        for account in rules.gained(record):
            self.members[record.room, account] = True
        for account in rules.lost(record):
            self.members[record.room, account] = False
        if record.id:
            self._recorded[record.sender, record.id] = record
