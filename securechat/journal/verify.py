"""Verifying: reading the store as it lies on the disk, and proving each room's records by their chain.

It trusts nothing that it reads, changes nothing, keeps one record at a time, and sees the store as it was at one
moment, so that a server may go on writing. It knows nothing of whoever wrote the records, and repairs nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
from msgspec.structs import replace

from securechat.chat import chain, rules
from securechat.chat.model import Record, Room
from securechat.chat.names import is_room_key
from securechat.errors import NotFound, StorageFailed
from securechat.journal.reader import Reader
from securechat.journal.schema import APPLICATION, FORMAT
from securechat.journal.search import check

if TYPE_CHECKING:
    from sqlite3 import Connection

SEARCH: Final = "search.db"
"""The search index, beside the store."""

_ROOMS: Final = """
    SELECT number, name, owner, topic, private, head, time, archived, hash, base, base_hash FROM rooms
    ORDER BY number"""
_MEMBERS: Final = "SELECT account FROM members WHERE room = ?"
_RECORDS: Final = """
    SELECT seq, kind, sender, id, time, text, target, about, salt, erased, hash FROM records
    WHERE room = ? ORDER BY seq"""
_RECORD_TYPES: Final = (int, str, str, str, int, str, str, int, bytes, bytes, bytes)
_ABOUT: Final = "SELECT kind, erased FROM records WHERE room = ? AND seq = ?"
_ERASED_BY_NOBODY: Final = """
    SELECT min(seq) FROM records WHERE room = ?1 AND kind = 'say' AND erased <> x''
    AND seq NOT IN (SELECT about FROM records WHERE room = ?1 AND kind = 'delete')"""
_ID_TWICE: Final = "SELECT sender, id FROM records WHERE id <> '' GROUP BY sender, id HAVING count(*) > 1 LIMIT 1"
_LAST_WITH_ID: Final = """
    SELECT name, seq FROM records JOIN rooms ON number = room
    WHERE sender = ? AND records.id = ? ORDER BY records.time DESC, number DESC, seq DESC LIMIT 1"""


class Verified(msgspec.Struct, frozen=True):
    """A room that holds what it should, and how far its chain has got (32 bytes).

    Retention has erased the records up to `base` (0: none): the chain was checked from the hash that it left there."""

    room: str
    records: int
    head: int
    hash: bytes
    base: int


class Flaw(msgspec.Struct, frozen=True):
    """What is wrong; `room` is empty and `seq` is 0 where no room, and no record, is to blame."""

    room: str
    seq: int
    what: str

    def __str__(self) -> str:
        place = f"{self.room}, record {self.seq}: " if self.seq else f"{self.room}: " if self.room else ""
        return place + self.what


class Report(msgspec.Struct, frozen=True):
    """The rooms that are in order, up to the first flaw if there is one."""

    rooms: list[Verified]
    flaw: Flaw | None

    @property
    def records(self) -> int:
        """How many records were checked and are in order."""
        return sum(room.records for room in self.rooms)


def verify_store(path: Path, rooms: Collection[str] = ()) -> Report:
    """Verify the rooms with these keys, or, with none given, every room and the file as a whole.

    Raises NotFound for a store or a room that is not there, StorageFailed for a file that is none or cannot be read.
    """
    verified: list[Verified] = []
    stated: dict[str, Room] = {}
    if not path.exists():
        raise NotFound(
            f"There is no {path.name} in {path.parent.absolute()}.", hint="Name the folder of a server with --home."
        )
    try:
        with closing(Reader(path)) as reader, reader.snapshot() as connection:
            connection.text_factory = _text
            _refuse_other_files(connection, path)
            for walk in _walks(connection, rooms):
                stated[walk.stated.name] = walk.stated
                room = walk.verify()
                verified.append(room)
            if not rooms:
                _verify_whole(connection)
                _verify_index(path.with_name(SEARCH), reader, stated)
    except _Found as found:
        return Report(verified, found.flaw)
    return Report(verified, None)


class _Found(Exception):
    """A flaw was found."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(str(flaw))
        self.flaw = flaw


class _Walk:
    """The way through one room, from its first record to its head; `number` stands for the room in the store."""

    def __init__(self, connection: "Connection", number: int, stated: Room) -> None:
        self._connection = connection
        self._number = number
        self.stated = stated
        """The room as it is kept."""
        self._seq = stated.base
        self._hash = stated.base_hash if stated.base else chain.start(stated.name)
        # What went before the base is not known: from what is stated, the records after it must lead back there.
        self._made = replace(stated, head=stated.base, hash=stated.base_hash) if stated.base else None
        self._undeleted = 0
        """Messages that are erased, less the deletions seen."""

    def verify(self) -> Verified:
        """Check every record, then what is kept about the room. Raises _Found."""
        with closing(self._connection.execute(_RECORDS, (self._number,))) as rows:
            for row in rows:
                self._seq += 1
                record = self._record(row)
                self._check(record)
                self._made = rules.apply(self._made, record)
        room, last = self.stated, self._seq
        if self._undeleted > 0:
            (self._seq,) = self._connection.execute(_ERASED_BY_NOBODY, (self._number,)).fetchone()
            self._fail("Its text was erased, and no deletion says so.")
        made = self._made or Room(room.name, hash=self._hash, base_hash=self._hash)
        for field in Room.__struct_fields__:
            if getattr(room, field) != getattr(made, field):
                self._fail(f"What is kept as the room's {field} is not what its records make it.")
        return Verified(room.name, last - room.base, last, self._hash, room.base)

    def _record(self, row: tuple[Any, ...]) -> Record:
        if row[0] != self._seq:
            self._fail("It is missing.")
        if tuple(map(type, row)) != _RECORD_TYPES:
            self._fail("It holds what is no text or no number where there should be one.")
        return Record(self.stated.name, *row)

    def _check(self, record: Record) -> None:
        if record.erased:
            sound = len(record.erased) == chain.HASH_BYTES and not record.text and not record.salt
        else:
            sound = len(record.salt) == chain.SALT_BYTES or not (record.salt or record.text)
        if not sound:
            # Salt and text are hashed as one: with another border between them they would give the same hash.
            self._fail("Its text and its salt, or what is left of them, do not go together.")
        self._hash = chain.link_record(self._hash, record)
        if record.hash != self._hash:
            self._fail("It was changed after it was written: its hash is another.")
        if record.about or record.kind in ("edit", "delete"):
            self._check_reference(record)
        self._undeleted += record.kind == "say" and bool(record.erased)

    def _check_reference(self, record: Record) -> None:
        if 0 < record.about <= self.stated.base:
            return  # Retention took it.
        found = self._connection.execute(_ABOUT, (self._number, record.about)).fetchone()
        if found is None or found[0] != "say" or record.about >= record.seq:
            self._fail(f"It is about record {record.about}, and no message before it has this number.")
        erased = bool(found[1])
        if record.kind == "delete":
            self._undeleted -= 1
            if not erased:
                self._fail(f"It deletes record {record.about}, whose text is still there.")
        elif record.kind == "edit" and bool(record.erased) != erased:
            self._fail(f"It edits record {record.about}, and the text of only one of them is erased.")

    def _fail(self, what: str) -> NoReturn:
        raise _Found(Flaw(self.stated.name, self._seq, what))


def _text(data: bytes) -> str | bytes:
    # What is no UTF-8 is handed over as it is, to be found where a text should be.
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _refuse_other_files(connection: "Connection", path: Path) -> None:
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    # In all formats so far, what is read here is the same.
    if application != APPLICATION or not 0 < version <= FORMAT:
        raise StorageFailed(
            f"{path} is no chat database of this version of securechat.", hint="Look whether it is the right file."
        )


def _walks(connection: "Connection", names: Collection[str]) -> Iterator[_Walk]:
    """The rooms to verify, in the order in which they were made. Raises NotFound, and _Found for what is no room."""
    rows = connection.execute(_ROOMS).fetchall()
    unknown = set(names).difference(name for _, name, *_ in rows)
    if unknown:
        raise NotFound(
            f"There is no room {min(unknown)}.", hint="`securechat verify` without a name shows all of them."
        )
    for number, name, owner, topic, private, head, time, archived, hash, base, base_hash in rows:
        types = (type(name), type(base), type(base_hash))
        if types != (str, int, bytes) or base < 0 or not is_room_key(name):
            raise _Found(Flaw(ascii(name), 0, "What is kept under this name is no room."))
        if not names or name in names:
            members = frozenset(account for (account,) in connection.execute(_MEMBERS, (number,)))
            state = (members, head, time, bool(archived), hash, base, base_hash)
            yield _Walk(connection, number, Room(name, owner, topic, bool(private), *state))


def _verify_whole(connection: "Connection") -> None:
    """Check what is not a matter of one room. Raises _Found."""
    twice = connection.execute(_ID_TWICE).fetchone()
    if twice is not None:
        name, seq = connection.execute(_LAST_WITH_ID, twice).fetchone()
        raise _Found(Flaw(name, seq, f"Its author, {twice[0]!a}, has another record with the same id, {twice[1]!a}."))
    for table, *_ in connection.execute("PRAGMA foreign_key_check"):
        raise _Found(Flaw("", 0, f"The table {table!a} names a room that is not there."))
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise _Found(Flaw("", 0, f"SQLite finds the file damaged: {said!a}."))


def _verify_index(path: Path, reader: Reader, rooms: Mapping[str, Room]) -> None:
    """Check that the search index, where it is level with the store, holds what the store holds. Raises _Found."""
    # The reader still sees the same moment, and no text in it but what was found to be one.
    what = check(path, reader, rooms)
    if what is not None:
        raise _Found(Flaw("", 0, what))
