"""Verifying: what was stored is proved, and whatever was changed, taken away or put in since is found and named."""

import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.chat import chain
from securechat.chat.model import Expire, Proposal, Record
from securechat.chat.names import LOBBY
from securechat.errors import NotFound, StorageFailed
from securechat.journal.journal import Submission
from securechat.journal.reader import Reader
from securechat.journal.search import Index
from securechat.journal.store import Store
from securechat.journal.verify import Flaw, Report, verify_store
from tests.journal.support import RunningJournal, change, running_journal, said

NOON = 1_795_372_800_000
"""A time as the clock gives it: its six bytes are what is looked for in the file."""

STORY: Sequence[Proposal] = (
    change("join", "alice"),  # lobby 1
    change("join", "bob"),  # 2
    said("alice", "a1", "the first words"),  # 3
    said("bob", "b1", "words that will go"),  # 4
    Proposal("say", "alice", LOBBY, id="a2", text="an answer to them", about=4),  # 5
    Proposal("edit", "bob", LOBBY, id="b2", text="they will go as well", about=4),  # 6
    Proposal("edit", "alice", LOBBY, id="a3", text="the very first words", about=3),  # 7
    Proposal("delete", "bob", LOBBY, about=4),  # 8
    Proposal("topic", "bob", LOBBY, text="what it is about"),  # 9
    said("bob", "b3", "the last words"),  # 10
    Proposal("create", "alice", "den", private=True),  # den 1
    Proposal("invite", "alice", "den", target="bob"),  # 2
    Proposal("kick", "alice", "den", target="bob"),  # 3
    Proposal("archive", "alice", "den"),  # 4
    said("alice", "a4", "between the two of us", room="@alice:bob"),  # @alice:bob 1
)


def tell(running: RunningJournal, story: Sequence[Proposal] = STORY) -> None:
    for proposal in story:
        running.record(proposal)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a store in which the story was told."""
    path = tmp_path_factory.mktemp("sound") / "chat.db"
    with running_journal(path, clock=count(NOON).__next__) as running:
        tell(running)
    return path.read_bytes()


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a test may put a store that it has spoilt, again and again."""
    return tmp_path_factory.mktemp("spoilt") / "chat.db"


@pytest.fixture
def path(sound: bytes, tmp_path: Path) -> Path:
    """A store of the test's own, in which the story was told."""
    path = tmp_path / "chat.db"
    path.write_bytes(sound)
    return path


@contextmanager
def edited(path: Path) -> Iterator[sqlite3.Connection]:
    """The store as somebody with SQL opens it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def flaw(path: Path, *rooms: str) -> Flaw:
    found = verify_store(path, rooms).flaw
    assert found is not None
    return found


def records(path: Path, room: str) -> list[Record]:
    with closing(Reader(path)) as reader:
        return reader.page(room, after=0, limit=1_000).records


def chain_again(path: Path, room: str) -> None:
    """Give a room's records and its head the hashes of what they say now, as a careful forger would."""
    read = records(path, room)
    value = chain.start(room)
    with edited(path) as connection:
        ((number,),) = connection.execute("SELECT number FROM rooms WHERE name = ?", (room,))
        for record in read:
            value = chain.link_record(value, record)
            place = (value, number, record.seq)
            connection.execute("UPDATE records SET hash = ? WHERE room = ? AND seq = ?", place)
        head = (read[-1].seq, read[-1].time, value, number)
        connection.execute("UPDATE rooms SET head = ?, time = ?, hash = ? WHERE number = ?", head)


def test_what_was_stored_is_proved_with_each_rooms_head(path: Path) -> None:
    report = verify_store(path)
    assert report.flaw is None
    assert [(room.room, room.records, room.head, room.base) for room in report.rooms] == [
        (LOBBY, 10, 10, 0),
        ("den", 4, 4, 0),
        ("@alice:bob", 1, 1, 0),
    ]
    assert [room.hash for room in report.rooms] == [records(path, room.room)[-1].hash for room in report.rooms]
    assert report.records == 15


def test_a_store_in_which_nothing_was_said_is_in_order(tmp_path: Path) -> None:
    Store(tmp_path / "chat.db", "normal").close()
    (lobby,) = verify_store(tmp_path / "chat.db").rooms
    assert (lobby.records, lobby.head, lobby.hash) == (0, 0, chain.start(LOBBY))


def test_rooms_that_are_named_are_verified_alone(path: Path) -> None:
    with edited(path) as connection:
        connection.execute("UPDATE records SET text = 'other words' WHERE id = 'a1'")
    report = verify_store(path, ["den", "@alice:bob"])
    assert report.flaw is None
    assert [room.room for room in report.rooms] == ["den", "@alice:bob"]
    assert flaw(path, LOBBY).seq == 3


def test_a_room_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(NotFound, match="attic"):
        verify_store(path, [LOBBY, "attic"])


def test_verifying_changes_nothing(path: Path, sound: bytes) -> None:
    verify_store(path)
    assert path.read_bytes() == sound


def test_a_store_is_verified_while_it_is_written(tmp_path: Path) -> None:
    stop, so_far = threading.Event(), [0]

    def speak(running: RunningJournal) -> None:
        for number in count(1):
            if stop.is_set():
                return
            running.settle(said("alice", f"x{number}", f"words {number}"))
            so_far.append(number)

    with running_journal(tmp_path / "chat.db") as running:
        running.record(change("join", "alice"))
        speaker = threading.Thread(target=speak, args=(running,))
        speaker.start()
        try:
            for _ in range(500):
                before = so_far[-1]
                report = verify_store(tmp_path / "chat.db")
                after = so_far[-1]
                assert report.flaw is None
                assert before <= report.records - 1 <= after + 1
                if before and after > before:
                    break
        finally:
            stop.set()
            speaker.join()
    assert after > before > 0


def test_what_retention_erased_is_told_and_the_rest_is_proved(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with running_journal(path, clock=count(NOON).__next__) as running:
        tell(running)
        assert running.journal.submit([Submission(Expire(LOBBY, 4), None)])
        running.readers.next()
    lobby, *_ = verify_store(path).rooms
    assert (lobby.records, lobby.head, lobby.base) == (6, 10, 4)
    with edited(path) as connection:
        connection.execute("UPDATE rooms SET topic = 'something else' WHERE name = 'lobby'")
    assert flaw(path) == Flaw(LOBBY, 10, "What is kept as the room's topic is not what its records make it.")
    with edited(path) as connection:
        connection.execute("UPDATE rooms SET base_hash = zeroblob(32) WHERE name = 'lobby'")
    assert (flaw(path).room, flaw(path).seq) == (LOBBY, 5)


def test_a_room_of_which_retention_left_nothing_is_proved_by_its_head(path: Path) -> None:
    with edited(path) as connection:
        connection.execute("DELETE FROM records WHERE room = 1")
        connection.execute("UPDATE rooms SET base = head, base_hash = hash WHERE number = 1")
    lobby, *_ = verify_store(path).rooms
    assert (lobby.records, lobby.head, lobby.base) == (0, 10, 10)


# --- one value changed, by somebody with SQL ----------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "text = 'the first wordz'",
        "text = ''",
        "sender = 'bob'",
        "sender = 'alicf'",
        "time = time + 1",
        "time = -1",
        "id = 'a9'",
        "kind = 'topic'",
        "kind = 'nonsense'",
        "target = 'bob'",
        "about = 2",
        "salt = randomblob(16)",
        "salt = zeroblob(15)",
        "salt = x''",
        "erased = zeroblob(32)",
        "hash = zeroblob(32)",
        "hash = x''",
        "text = cast(x'ff' AS TEXT)",
        "text = cast(text AS BLOB)",
        "sender = cast(x'c3' AS TEXT)",
        "time = 'noon'",
        "time = 1.5",
        "hash = 'text'",
    ],
)
def test_a_value_that_was_changed_is_found_in_its_record(path: Path, change: str) -> None:
    with edited(path) as connection:
        connection.execute(f"UPDATE records SET {change} WHERE room = 1 AND seq = 3")
    found = flaw(path)
    assert (found.room, found.seq) == (LOBBY, 3)
    assert str(found).startswith("lobby, record 3: ")
    assert flaw(path, LOBBY) == found


@pytest.mark.parametrize(
    ("change", "seq"),
    [
        ("head = 9", 10),
        ("head = 11", 10),
        ("time = time + 1", 10),
        ("hash = zeroblob(32)", 10),
        ("base = 2", 3),
        ("base_hash = zeroblob(32)", 10),
        ("owner = 'bob'", 10),
        ("topic = 'something else'", 10),
        ("topic = cast(topic AS BLOB)", 10),
        ("private = 1", 10),
        ("archived = 1", 10),
    ],
)
def test_what_is_kept_about_a_room_is_what_its_records_make_it(path: Path, change: str, seq: int) -> None:
    with edited(path) as connection:
        connection.execute(f"UPDATE rooms SET {change} WHERE name = 'lobby'")
    assert (flaw(path).room, flaw(path).seq) == (LOBBY, seq)


@pytest.mark.parametrize("change", ["name = 'Lobby'", "name = cast(x'ff' AS TEXT)", "base = 'ten'", "base = -1"])
def test_a_room_that_can_be_none_is_found(path: Path, change: str) -> None:
    with edited(path) as connection:
        connection.execute(f"UPDATE rooms SET {change} WHERE name = 'lobby'")
    found = flaw(path)
    assert found.what == "What is kept under this name is no room."
    assert str(found).isascii()


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO members VALUES (1, 'mallory')", "DELETE FROM members WHERE room = 1 AND account = 'bob'"],
)
def test_a_member_that_no_record_made_one_is_found(path: Path, statement: str) -> None:
    with edited(path) as connection:
        connection.execute(statement)
    assert flaw(path) == Flaw(LOBBY, 10, "What is kept as the room's members is not what its records make it.")


def test_a_room_that_was_renamed_is_found(path: Path) -> None:
    with edited(path) as connection:
        connection.execute("UPDATE rooms SET name = 'cave' WHERE name = 'den'")
    assert (flaw(path).room, flaw(path).seq) == ("cave", 1)


@pytest.mark.parametrize("seq", range(1, 11))
def test_a_record_that_was_taken_away_is_missed(path: Path, seq: int) -> None:
    with edited(path) as connection:
        connection.execute("DELETE FROM records WHERE room = 1 AND seq = ?", (seq,))
    # The last one is missed by the head, which is named after the record that is left.
    assert (flaw(path).room, flaw(path).seq) == (LOBBY, min(seq, 9))


def test_two_records_that_changed_places_are_found(path: Path) -> None:
    with edited(path) as connection:
        for old, new in ((3, 99), (4, 3), (99, 4)):
            connection.execute("UPDATE records SET seq = ? WHERE room = 1 AND seq = ?", (new, old))
    assert flaw(path).seq == 3


def test_a_border_between_salt_and_text_that_was_moved_is_found(path: Path) -> None:
    with edited(path) as connection:
        connection.execute(
            "UPDATE records SET salt = CAST(salt || 'the' AS BLOB), text = substr(text, 4) WHERE room = 1 AND seq = 3"
        )
    chain_again(path, LOBBY)
    assert flaw(path) == Flaw(LOBBY, 3, "Its text and its salt, or what is left of them, do not go together.")


# --- one byte changed in the file ---------------------------------------------------------------------


def flipped(sound: bytes, spoilt: Path, at: int, bit: int = 0) -> Report | StorageFailed:
    """What is said of the store with one bit of its file turned over."""
    spoilt.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << bit]) + sound[at + 1 :])
    try:
        return verify_store(spoilt)
    except StorageFailed as failed:
        return failed


def places(data: bytes, wanted: bytes) -> list[int]:
    """Where each byte of what is wanted is, wherever it occurs."""
    starts = [at for at in range(len(data)) if data.startswith(wanted, at)]
    return [start + offset for start in starts for offset in range(len(wanted))]


@pytest.mark.parametrize(
    "wanted",
    [
        b"the first words",
        b"the very first words",
        b"what it is about",
        b"between the two of us",
        # Kind and author as they lie in a record, and author and id as they lie in the index.
        b"saybobb3",
        b"topicbob",
        b"bobb3",
        *((NOON + tick).to_bytes(6, "big") for tick in (3, 8, 11)),
    ],
)
def test_no_byte_of_a_text_an_author_or_a_time_flips_unseen(sound: bytes, spoilt: Path, wanted: bytes) -> None:
    found = places(sound, wanted)
    assert found
    for at in found:
        for bit in (0, 5, 7):
            said_of_it = flipped(sound, spoilt, at, bit)
            assert isinstance(said_of_it, StorageFailed) or said_of_it.flaw is not None, (at, bit)


@given(st.data())
def test_no_bit_of_the_file_flips_what_is_read_from_it_unseen(sound: bytes, spoilt: Path, data: Any) -> None:
    at = data.draw(st.integers(0, len(sound) - 1))
    said_of_it = flipped(sound, spoilt, at, data.draw(st.integers(0, 7)))
    if isinstance(said_of_it, Report) and said_of_it.flaw is None:
        read = {room.room: records(spoilt, room.room) for room in said_of_it.rooms}
        spoilt.write_bytes(sound)
        assert read == {room: records(spoilt, room) for room in (LOBBY, "den", "@alice:bob")}


# --- forgeries whose chain is right -------------------------------------------------------------------


def _about(seq: int) -> str:
    return f"UPDATE records SET about = {seq} WHERE room = 1"


@pytest.mark.parametrize(
    ("statement", "seq", "what"),
    [
        (f"{_about(2)} AND seq = 5", 5, "It is about record 2, and no message before it has this number."),
        (f"{_about(5)} AND seq = 5", 5, "It is about record 5, and no message before it has this number."),
        (f"{_about(10)} AND seq = 5", 5, "It is about record 10, and no message before it has this number."),
        (f"{_about(99)} AND seq = 5", 5, "It is about record 99, and no message before it has this number."),
        (f"{_about(-1)} AND seq = 5", 5, "It is about record -1, and no message before it has this number."),
        (f"{_about(0)} AND seq = 7", 7, "It is about record 0, and no message before it has this number."),
        (f"{_about(0)} AND seq = 8", 8, "It is about record 0, and no message before it has this number."),
        (f"{_about(3)} AND seq = 8", 8, "It deletes record 3, whose text is still there."),
        (f"{_about(4)} AND seq = 7", 7, "It edits record 4, and the text of only one of them is erased."),
        (f"{_about(3)} AND seq = 6", 6, "It edits record 3, and the text of only one of them is erased."),
        (
            "UPDATE records SET text = '', salt = x'', erased = zeroblob(32) WHERE room = 1 AND seq = 10",
            10,
            "Its text was erased, and no deletion says so.",
        ),
    ],
)
def test_what_refers_to_nothing_or_does_not_go_together_is_found(
    path: Path, statement: str, seq: int, what: str
) -> None:
    with edited(path) as connection:
        connection.execute(statement)
    chain_again(path, LOBBY)
    assert flaw(path) == Flaw(LOBBY, seq, what)


def _id_again(connection: sqlite3.Connection) -> None:
    connection.execute("DROP INDEX records_by_id")
    connection.execute("UPDATE records SET id = 'a1', sender = 'alice' WHERE room = 1 AND seq = 10")


def test_an_id_that_is_used_twice_is_found_at_its_second_use(path: Path) -> None:
    with edited(path) as connection:
        _id_again(connection)
    chain_again(path, LOBBY)
    assert flaw(path) == Flaw(LOBBY, 10, "Its author, 'alice', has another record with the same id, 'a1'.")


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("INSERT INTO members VALUES (99, 'bob')", "members"),
        ("INSERT INTO marks VALUES ('bob', 99, 1)", "marks"),
        ("INSERT INTO cursors VALUES ('bob', 'bot', 99, 1)", "cursors"),
        ("UPDATE records SET room = 99 WHERE room = 1 AND seq = 1", "records"),
    ],
)
def test_what_belongs_to_no_room_is_found(path: Path, statement: str, table: str) -> None:
    with edited(path) as connection:
        connection.execute(statement)
        if table == "records":
            connection.execute(
                "INSERT INTO records SELECT 1, 1, kind, sender, '', time, text, target, about, salt,"
                " erased, hash FROM records WHERE room = 99"
            )
    assert flaw(path) == Flaw("", 0, f"The table {table!r} names a room that is not there.")


def test_an_index_that_does_not_go_with_its_table_is_found(path: Path) -> None:
    with edited(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        # The index is told to be about other records than those that are in it.
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, '<>', '>') WHERE name = 'records_by_id'")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, '''edit''', '''say''') WHERE name = 'edits'")
    found = flaw(path)
    assert (found.room, found.seq) == ("", 0)
    assert found.what.startswith("SQLite finds the file damaged: ")


# --- the search index ---------------------------------------------------------------------------------


def _follow(path: Path) -> None:
    """Make the search index beside the store."""
    with closing(Reader(path)) as reader, closing(Index(path.with_name("search.db"))) as index:
        while index.follow(reader, {room.name: room for room in reader.rooms()}):
            pass


def test_a_search_index_that_holds_what_the_store_holds_is_in_order(path: Path) -> None:
    _follow(path)
    assert verify_store(path).flaw is None


def test_a_search_index_that_holds_something_else_is_found_when_the_whole_file_is_verified(path: Path) -> None:
    _follow(path)
    with edited(path.with_name("search.db")) as connection:
        connection.execute("UPDATE documents SET text = 'other words' WHERE sender = 'bob'")
    found = flaw(path)
    assert (found.room, found.seq) == ("", 0)
    assert "search index" in found.what
    assert verify_store(path, [LOBBY]).flaw is None


# --- files that are no store --------------------------------------------------------------------------


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other(path: Path) -> None:
    with edited(path) as connection:
        connection.execute("PRAGMA application_id = 1")


def _newer(path: Path) -> None:
    with edited(path) as connection:
        connection.execute("PRAGMA user_version = 99")


def _text(path: Path) -> None:
    path.write_text("no database\n" * 1_000)


def _unreadable(path: Path) -> None:
    # What SQLite says of it quotes a byte that is no UTF-8.
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE rooms", b"CREATE TABL\xcc rooms"))


def _driving_the_terminal(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE rooms", b"CREATE \x1b[2J\x9b rooms"))


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:8_192])


@pytest.mark.parametrize("spoil", [_empty, _other, _newer, _text, _unreadable, _driving_the_terminal, _torn])
def test_a_file_that_is_no_store_is_refused(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    with pytest.raises(StorageFailed) as failed:
        verify_store(path)
    assert str(path) in failed.value.message
    assert str(failed.value).isprintable()
    assert failed.value.hint


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"There is no chat\.db in "):
        verify_store(tmp_path / "chat.db")
    assert list(tmp_path.iterdir()) == []


# --- size ---------------------------------------------------------------------------------------------


def _peak(path: Path) -> int:
    tracemalloc.start()
    try:
        assert verify_store(path).flaw is None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    peaks = []
    for round, records_more in enumerate((1_000, 3_000)):
        with running_journal(path) as running:
            running.record(Proposal("create", "alice", f"room-{round}"))
            asked = [said("alice", f"{round}.{n}", "x" * 500, room=f"room-{round}") for n in range(records_more)]
            running.propose(*asked)
        # The journal has ended: nothing else allocates meanwhile.
        peaks.append(_peak(path))
    # A third of the texts that came: the measuring of coverage may enlarge a table of its own meanwhile (256 KiB).
    assert peaks[1] < peaks[0] + 500_000
