"""What the search finds: the same as reading every text, for any text and any question; and in which order."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unicodedata import decomposition

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.chat.model import Expire, Kind, Proposal
from securechat.chat.names import LOBBY, flaw_in_text
from securechat.errors import StorageFailed
from securechat.journal.search import Hit, Index, check
from securechat.journal.search.matching import fold
from securechat.limits import PAGE_RECORDS
from tests.journal.search_log import MemoryLog, followed, found, level
from tests.journal.support import change, running_journal

# Few of each, so that questions match: Latin with its forms, marks that combine, CJK, emoji, what FTS5 and SQL mean
# something by, and white space.
ALPHABET = (
    "abAB ßéÉe\u0301İ\u0131\u017f\u0323ﬁ\uff21\uff411 你好世界カｶﾞがか\u3099한글\u1112\u1161👩\u200d💻🇩🇪"
    " \"'*^-:(){}%_\\ \t\n\u00a0\u3000"
)
TEXTS = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=12) | st.text(
    st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def read_all(log: MemoryLog, text: str, room: str) -> list[int]:
    """What the search must find, found by reading every text."""
    words = fold(text).split()
    texts = {record.seq: fold(record.text) for record in log.records[room]}
    return [seq for seq in reversed(texts) if words and all(word in texts[seq] for word in words)]


@given(st.data(), st.lists(TEXTS, min_size=1, max_size=20))
def test_the_index_finds_what_reading_every_text_finds(data: st.DataObject, texts: list[str]) -> None:
    log = MemoryLog()
    for number, text in enumerate(texts):
        log.say(text, ("lobby", "other")[number % 2])
    parts = [text[at : at + size] for text in texts for at in range(len(text)) for size in range(1, 9)]
    questions = st.sampled_from(parts) | st.text(st.sampled_from(ALPHABET), min_size=1, max_size=8)
    with tempfile.TemporaryDirectory() as folder, followed(Path(folder, "search.db"), log) as (_, searcher):
        for text in data.draw(st.lists(questions, min_size=10, max_size=30)):
            for room in log.records:
                assert found(searcher, text, room) == read_all(log, text, room), text


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Good Morning", "mORN"),
        ("Straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("cafe\u0301", "CAF\u00c9"),
        ("\uff21\uff22\uff23\uff11\uff12\uff13", "abc123"),
        ("ｶﾞｷﾞｸﾞ", "ガギグ"),
        ("ﬁne", "FINE"),
        ("你好世界", "好"),
        ("你好世界", "好世"),
        ("你好世界", "好世界"),
        ("안녕하세요", "녕하"),
        ("so 👩\u200d💻 it is", "👩\u200d💻"),
        ("a b", "b a"),
        ("the red fox", "fox red"),
        ("the red fox", "e r"),
        ("no. 1", "."),
        ("nº. 1", "."),
        ("café", "é"),
        ("c++ or c#", "c#"),
        ("one\ntwo", "two\tone"),
    ],
)
def test_case_form_and_order_of_words_make_no_difference(path: Path, log: MemoryLog, text: str, question: str) -> None:
    log.say(text)
    with followed(path, log) as (_, searcher):
        assert found(searcher, question) == [1]


@pytest.mark.parametrize(
    "question", ["cafe", "red wolf", "foxy", "dex", "d red z", "好界", "fo*", '"red fox"', "fox OR wolf"]
)
def test_every_word_must_be_there_as_it_is_written(path: Path, log: MemoryLog, question: str) -> None:
    log.say("the red fox, café, 好世界")
    with followed(path, log) as (_, searcher):
        assert found(searcher, question) == []


@pytest.mark.parametrize(
    "text",
    [
        *('"', '""', 'a "quoted', "a* b", "^abc", "NEAR(abc, 5)", "text : abc", "{text}: abc", "-abc", "abc + def"),
        *("a AND b", "NOT", "'; DROP TABLE rooms; --", "%", "_", "\\", "x" * 256, "\U0010ffff", "你" * 40),
        " ".join("abcdefghijklmnopqrstuv"),
    ],
)
def test_nothing_in_a_question_is_syntax(path: Path, log: MemoryLog, text: str) -> None:
    log.say("something else")
    log.say(text)
    with followed(path, log) as (_, searcher):
        assert found(searcher, text) == [2]


@pytest.mark.parametrize("question", ["", " ", "\n\u3000", "\0", "a\0b", "abc\0def", "\ud800", "abc\x1b"])
def test_what_no_message_can_hold_is_not_found(path: Path, log: MemoryLog, question: str) -> None:
    log.say("abc def a b")
    with followed(path, log) as (_, searcher):
        assert found(searcher, question) == []


def test_no_character_that_a_message_may_hold_folds_to_nothing() -> None:
    characters = [character for character in map(chr, range(sys.maxunicode + 1)) if decomposition(character)]
    assert len(characters) > 5_000
    assert [c for c in characters if not flaw_in_text(c, 4) and not fold(c).split()] == []


@pytest.fixture
def rooms(path: Path, log: MemoryLog) -> Iterator[Index]:
    """Three rooms whose messages, all with the word tea, come by turns: at 1001 in a, 1002 in b, 1003 in c …"""
    for number in range(12):
        log.say(f"tea {number}", "abc"[number % 3], ("alice", "bob")[number % 2])
    with closing(Index(path)) as index:
        level(index, log)
        yield index


def test_the_newest_come_first_whatever_their_room(rooms: Index) -> None:
    with closing(rooms.searcher()) as searcher:
        hits = searcher.search("tea", ["a", "b", "c"], limit=5)
        assert hits == [Hit("c", 4), Hit("b", 4), Hit("a", 4), Hit("c", 3), Hit("b", 3)]
        assert searcher.search("tea", ["a", "b", "c"], limit=1) == hits[:1]


ROOM = st.sampled_from("abcd")
SENDER = st.sampled_from(("alice", "bob"))
TIME = st.none() | st.integers(1_000, 1_020)


@given(st.data(), st.lists(st.tuples(ROOM, SENDER, st.integers(0, 2), st.booleans()), min_size=1, max_size=30))
def test_any_narrowing_gives_the_newest_of_what_it_leaves(
    data: st.DataObject, messages: list[tuple[str, str, int, bool]]
) -> None:
    log = MemoryLog()
    for room, sender, log.tick, tea in messages:
        log.say("tea" if tea else "coffee", room, sender)
    with tempfile.TemporaryDirectory() as folder, followed(Path(folder, "search.db"), log) as (_, searcher):
        for _ in range(10):
            rooms, by = data.draw(st.sets(ROOM)), data.draw(st.none() | SENDER)
            before, after, limit = data.draw(TIME), data.draw(TIME), data.draw(st.integers(1, 12))
            should = sorted(
                (-record.time, room, -record.seq)
                for room in rooms & log.records.keys()
                for record in log.records[room]
                if record.text == "tea"
                and by in (None, record.sender)
                and (before is None or record.time < before)
                and (after is None or record.time > after)
            )
            hits = searcher.search("tea", rooms, sender=by, before=before, after=after, limit=limit)
            assert hits == [Hit(room, -seq) for _, room, seq in should[:limit]]


def test_only_the_rooms_that_are_given_are_looked_in(rooms: Index) -> None:
    with closing(rooms.searcher()) as searcher:
        assert {hit.room for hit in searcher.search("tea", {"a", "c", "unknown"}, limit=100)} == {"a", "c"}
        assert searcher.search("tea", [], limit=100) == []


def test_hits_can_be_narrowed_to_a_sender_and_a_time(rooms: Index) -> None:
    with closing(rooms.searcher()) as searcher:
        assert searcher.search("tea", ["a"], sender="bob", limit=9) == [Hit("a", 4), Hit("a", 2)]
        assert searcher.search("tea", ["a"], sender="nobody", limit=9) == []
        assert searcher.search("tea", ["a", "b"], before=1_004, limit=9) == [Hit("b", 1), Hit("a", 1)]
        assert searcher.search("tea", ["a", "b"], after=1_008, limit=9) == [Hit("b", 4), Hit("a", 4)]
        assert searcher.search("te", ["a", "b"], after=1_002, before=1_007, limit=9) == [Hit("b", 2), Hit("a", 2)]
        assert searcher.search("tea", ["a"], before=1_001, limit=9) == []
        assert searcher.search("tea", ["a"], after=1_010, limit=9) == []


def test_a_message_is_found_by_its_newest_edit_alone(path: Path, log: MemoryLog) -> None:
    log.say("first words")
    log.say("untouched")
    log.edit(1, "second words")
    with followed(path, log) as (index, searcher):
        assert (found(searcher, "first"), found(searcher, "second")) == ([], [1])
        log.edit(1, "third words")
        log.edit(1, "fourth words")
        level(index, log)
        assert (found(searcher, "second"), found(searcher, "third"), found(searcher, "fourth")) == ([], [], [1])
        assert found(searcher, "untouched") == [2]


def test_a_deleted_message_is_not_found_whenever_it_was_deleted(path: Path, log: MemoryLog) -> None:
    log.say("erased before it was indexed")
    log.edit(1, "erased, and edited before")
    log.delete(1)
    unlucky = log.say("erased while it is read")
    with closing(Index(path)) as index, closing(index.searcher()) as searcher:
        # The page was read before the deletion, the next one after it.
        assert index.follow(log, log.rooms)
        assert found(searcher, "erased") == [unlucky]
        log.edit(unlucky, "erased once more")
        log.delete(unlucky)
        level(index, log)
        assert found(searcher, "erased") == []
        log.say("erased within one step")
        page = log.records["lobby"][-1]
        log.delete(page.seq)
        log.records["lobby"][page.seq - 1] = page
        level(index, log)
        assert found(searcher, "erased") == []


def test_what_expired_is_not_found(path: Path, log: MemoryLog) -> None:
    for number in range(2 * PAGE_RECORDS + 10):
        log.say(f"tea {number}")
    with followed(path, log) as (index, searcher):
        log.expire(2 * PAGE_RECORDS)
        level(index, log)
        assert found(searcher, "tea") == list(range(2 * PAGE_RECORDS + 10, 2 * PAGE_RECORDS, -1))
        log.edit(1, "tea again")
        log.expire(2 * PAGE_RECORDS + 11)
        level(index, log)
        assert found(searcher, "tea") == []


def test_an_index_begins_where_the_log_now_begins(path: Path, log: MemoryLog) -> None:
    for room in ("lobby", "gone"):
        for number in range(5):
            log.say(f"tea {number}", room)
    log.expire(3)
    log.expire(5, "gone")
    with followed(path, log) as (_, searcher):
        assert found(searcher, "tea") == [5, 4]
        assert found(searcher, "tea", "gone") == []


def test_only_what_is_said_is_found(path: Path, log: MemoryLog) -> None:
    log.add("create", "lobby", text="tea")
    log.add("join", "lobby", text="tea")
    log.edit(1, "tea")
    with followed(path, log) as (_, searcher):
        assert found(searcher, "tea") == []


def test_a_step_is_bounded_and_begins_with_what_lacks_least(path: Path, log: MemoryLog) -> None:
    for number in range(2 * PAGE_RECORDS):
        log.say(f"old {number}", "past")
    for room in ("one", "two"):
        log.say("new", room)
    with closing(Index(path)) as index, closing(index.searcher()) as searcher:
        assert index.follow(log, log.rooms)
        assert sum(count for *_, count in log.pages) == PAGE_RECORDS
        assert found(searcher, "new", "one") == found(searcher, "new", "two") == [1]
        assert len(found(searcher, "old", "past")) == PAGE_RECORDS - 2
        assert level(index, log) == 2
        assert len(found(searcher, "old", "past")) == 1_000


def test_an_index_that_is_opened_again_goes_on_where_it_was(path: Path, log: MemoryLog) -> None:
    log.say("before")
    with followed(path, log):
        pass
    log.say("after")
    log.pages.clear()
    with followed(path, log) as (_, searcher):
        assert log.pages == [("lobby", 1, 1)]
        assert found(searcher, "before") + found(searcher, "after") == [1, 2]


def test_the_log_may_be_ahead_of_the_heads(path: Path, log: MemoryLog, caplog: pytest.LogCaptureFixture) -> None:
    log.say("tea")
    rooms = log.rooms
    log.say("tea")
    with closing(Index(path)) as index, closing(index.searcher()) as searcher:
        while index.follow(log, rooms):
            pass
        assert found(searcher, "tea") == [1]
        level(index, log)
        assert found(searcher, "tea") == [2, 1]
    assert caplog.records == []


def test_a_step_that_fails_leaves_no_trace(path: Path, log: MemoryLog) -> None:
    log.say("before")
    with followed(path, log) as (index, searcher):
        log.say("after")

        def fail() -> None:
            raise StorageFailed("injected by a test")

        log.on_page = fail
        with pytest.raises(StorageFailed):
            index.follow(log, log.rooms)
        assert found(searcher, "after") == []
        log.on_page = lambda: None
        level(index, log)
        assert found(searcher, "after") == [2]


def test_the_index_follows_the_store_that_a_journal_writes(tmp_path: Path, path: Path) -> None:
    def speak(kind: Kind, id: str, text: str = "", about: int = 0) -> Proposal:
        return Proposal(kind, "alice", LOBBY, id=id, text=text, about=about, salt=b"*" * 16 if text else b"")

    with (
        running_journal(tmp_path / "chat.db") as running,
        closing(Index(path)) as index,
        closing(running.store.reader()) as reader,
        closing(index.searcher()) as searcher,
    ):

        def follow() -> None:
            while index.follow(reader, running.journal.view.rooms):
                pass
            assert check(path, reader, running.journal.view.rooms) is None

        running.record(change("join", "alice"))
        for number, text in enumerate(("Grüße aus 東京", "soon deleted", "soon edited", "stays"), start=2):
            assert running.record(speak("say", f"{number}", text)).seq == number
        follow()
        assert (found(searcher, "grüsse"), found(searcher, "東"), found(searcher, "soon")) == ([2], [2], [4, 3])
        running.record(speak("edit", "e", "edited now", about=4))
        running.record(speak("delete", "d", about=3))
        follow()
        assert (found(searcher, "soon"), found(searcher, "edited")) == ([], [4])
        running.settle(Expire(LOBBY, 2))
        follow()
        assert (found(searcher, "東"), found(searcher, "stays")) == ([], [5])
