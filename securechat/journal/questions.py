"""What one node of a cluster can ask another of its chains, as bytes, and how that is answered from what is stored.

Names of rooms, numbers and hashes: never who is in a room, nor what was said.
"""

import heapq
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from securechat.chat.model import Record, Room

AT_ONCE: Final = 500
"""Rooms, or places, in one question: its answer takes 60 KiB at most."""

Place = tuple[str, int]
"""A room's key and the number of a record in it."""


Named = Callable[[list[Place]], Mapping[Place, Record | None]]
"""What finds records by their places; None where there is none."""


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Either for the heads of the next rooms by name, after this one, or for the hashes at these places."""

    after: str = ""
    places: list[Place] = []


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The heads as rooms, numbers and hashes, none when there are no more; or a hash for each place, None where it is
    not known."""

    heads: list[tuple[str, int, bytes]] = []
    hashes: list[bytes | None] = []


_questions: Final = msgspec.msgpack.Decoder(Question)


def answer(question: bytes, rooms: Mapping[str, Room], named: Named) -> bytes:
    """Answer what another node asks; nothing, where that cannot be read. Raises StorageFailed."""
    try:
        asked = _questions.decode(question)
    except (msgspec.MsgspecError, RecursionError):
        return b""
    places = asked.places[:AT_ONCE]
    if places:
        found = named(places)
        return msgspec.msgpack.encode(Answer(hashes=[_hash(place, rooms, found[place]) for place in places]))
    names = heapq.nsmallest(AT_ONCE, (name for name in rooms if name > asked.after))
    return msgspec.msgpack.encode(Answer([(name, rooms[name].head, rooms[name].hash) for name in names]))


def _hash(place: Place, rooms: Mapping[str, Room], record: Record | None) -> bytes | None:
    if record is not None:
        return record.hash
    room = rooms.get(place[0])
    return room.base_hash if room is not None and place[1] == room.base else None
