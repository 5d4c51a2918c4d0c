"""A state for the rules that is built from values, and no journal."""

from securechat.chat import rules
from securechat.chat.model import Outcome, Proposal, Record, Recorded, Room


class Past:
    """What was decided so far; `ask` decides one more proposal, and remembers what it recorded."""

    def __init__(self, *rooms: Room, text_bytes: int = 100) -> None:
        self.text_bytes = text_bytes
        self.rooms = {room.name: room for room in rooms}
        self.records: list[Record] = []

    def room(self, name: str) -> Room | None:
        return self.rooms.get(name)

    def recorded(self, author: str, id: str) -> Record | None:
        return next((record for record in self.records if (record.sender, record.id) == (author, id)), None)

    def ask(self, proposal: Proposal, now: int = 1_000) -> Outcome:
        outcome = rules.decide(self, proposal, now)
        if isinstance(outcome, Recorded) and not outcome.duplicate:
            record = outcome.record
            self.rooms[record.room] = rules.apply(self.rooms.get(record.room), record)
            self.records.append(record)
        return outcome
