"""A state for the rules that is built from values, and no journal."""

from collections.abc import Mapping

from msgspec.structs import replace

from securechat.chat import chain, rules
from securechat.chat.model import Outcome, Proposal, Record, Recorded, Room, Sanction
from securechat.chat.sanctions import Key


class Past:
    """What was decided so far; `ask` decides one more proposal, and remembers what it recorded."""

    def __init__(self, *rooms: Room, text_bytes: int = 100) -> None:
        self.text_bytes = text_bytes
        self.rooms = {room.name: room for room in rooms}
        self.records: list[Record] = []
        self.sanctions: Mapping[Key, Sanction] = {}

    def room(self, name: str) -> Room | None:
        return self.rooms.get(name)

    def recorded(self, author: str, id: str) -> Record | None:
        return next((record for record in self.records if (record.sender, record.id) == (author, id)), None)

    def record(self, room: str, seq: int) -> Record | None:
        return next((record for record in self.records if (record.room, record.seq) == (room, seq)), None)

    def ask(self, proposal: Proposal, now: int = 1_000) -> Outcome:
        outcome = rules.decide(self, proposal, now)
        if isinstance(outcome, Recorded) and not outcome.duplicate:
            self.add(outcome.record)
        return outcome

    def add(self, record: Record) -> None:
        room = self.rooms.get(record.room)
        record = replace(record, hash=chain.link_record(room.hash if room else chain.start(record.room), record))
        self.rooms[record.room] = rules.apply(room, record)
        if record.kind == "delete":
            self.records = [rules.erase(old) if self._goes(old, record) else old for old in self.records]
        self.records.append(record)

    def seq(self, proposal: Proposal) -> int:
        """The number of a proposal that must be recorded."""
        outcome = self.ask(proposal)
        assert isinstance(outcome, Recorded), outcome
        return outcome.record.seq

    @staticmethod
    def _goes(old: Record, deletion: Record) -> bool:
        said = old.about if old.kind == "edit" else old.seq
        return (old.room, said) == (deletion.room, deletion.about)
