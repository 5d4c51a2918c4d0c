"""Whether two copies of a chat are of one history: their chains of hashes are the same, as far as both go.

A head stands for all records before it, so that one look at each room is enough where they agree, and a few more find
the first record where they do not. It trusts that each copy is what `journal.verify` says of it.
"""

from collections.abc import Mapping
from typing import Protocol

from securechat.journal.reader import Reader
from securechat.journal.verify import Flaw


class Chains(Protocol):
    """The chains of one copy."""

    def heads(self) -> Mapping[str, int]:
        """The number of the newest record of each room, by the room's key."""
        ...

    def hash_at(self, room: str, seq: int) -> bytes | None:
        """The chain's hash at this record; None where it is not known."""
        ...


class StoredChains:
    """Those of a store. Raises StorageFailed where it cannot be read."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._rooms = {room.name: room for room in reader.rooms()}

    def heads(self) -> Mapping[str, int]:
        """As they were when this was made."""
        return {room.name: room.head for room in self._rooms.values()}

    def hash_at(self, room: str, seq: int) -> bytes | None:
        """None for a room that is not there, and for records that retention has erased."""
        kept = self._rooms.get(room)
        if kept is None:
            return None
        if seq == kept.base:
            return kept.base_hash
        record = self._reader.record(room, seq)
        return record.hash if record else None


def difference(one: Chains, other: Chains) -> Flaw | None:
    """The first record of the first room, by name, that is not the same in both; None where they agree."""
    heads, others = one.heads(), other.heads()
    for room in sorted(heads.keys() & others.keys()):
        last = min(heads[room], others[room])
        if _differ(one, other, room, last):
            return Flaw(room, _first(one, other, room, last), "It is not the same in both.")
    return None


def gap(before: Chains, after: Chains) -> Flaw | None:
    """The first record that `before` has and `after`, which should go on from it, has not got to."""
    heads = after.heads()
    for room, head in sorted(before.heads().items()):
        if heads.get(room, 0) < head:
            return Flaw(room, heads.get(room, 0) + 1, "It is missing.")
    return None


def _differ(one: Chains, other: Chains, room: str, seq: int) -> bool:
    hashes = one.hash_at(room, seq), other.hash_at(room, seq)
    return None not in hashes and hashes[0] != hashes[1]


def _first(one: Chains, other: Chains, room: str, different: int) -> int:
    # From the first difference on all are different, and what is not known is older than what is.
    same = 0
    while different - same > 1:
        middle = (same + different) // 2
        if _differ(one, other, room, middle):
            different = middle
        else:
            same = middle
    return different
