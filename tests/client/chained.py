"""A room whose records are chained as a server chains them, as frames on the wire."""

import base64
from typing import Any

from securechat.chat import chain
from securechat.chat.model import Record

SALT = b"sixteen bytes..."


def encoded(data: bytes) -> str:
    """As the wire has it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Chained:
    """The records of `room`; `hashes[seq]` is the chain's value there."""

    def __init__(self, count: int, *, room: str = "lobby", key: str = "lobby") -> None:
        self.room = room
        self.records: list[dict[str, Any]] = []
        self.hashes = [encoded(value := chain.start(key))]
        for seq in range(1, count + 1):
            record = Record(key, seq, "say", "bob", f"id-{seq}", 60_000 * seq, text=f"line {seq}", salt=SALT)
            value = chain.link_record(value, record)
            self.hashes.append(encoded(value))
            self.records.append(self._frame(record))

    def _frame(self, record: Record) -> dict[str, Any]:
        frame = {"type": "message", "room": self.room, "salt": encoded(record.salt), "text": record.text}
        return frame | {"seq": record.seq, "sender": record.sender, "time": record.time, "id": record.id}

    def page(self, after: int, limit: int = 500) -> dict[str, Any]:
        """The page behind a number."""
        records = self.records[after : after + limit]
        last = after + len(records)
        more = last < len(self.records)
        page = {"type": "page", "room": self.room, "records": records, "more": more}
        return page | {"base": self.hashes[after], "hash": self.hashes[last]}

    def state(self, head: int) -> dict[str, Any]:
        """The room in a list, at this head."""
        return {"room": self.room, "head": head, "members": 2, "joined": True, "hash": self.hashes[head]}
