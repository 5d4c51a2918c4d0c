"""What others wrote cannot drive the terminal, hide, or pass for what somebody else wrote (TRUST U1, U2)."""

import json
import re
import unicodedata
from collections.abc import Callable
from typing import get_args

import pytest
import wcwidth
from hypothesis import example, given
from hypothesis import strategies as st

from securechat.client import text
from securechat.protocols.frames import (
    AnyRecord,
    ArchiveRecord,
    CreateRecord,
    DeleteRecord,
    EditRecord,
    InviteRecord,
    JoinRecord,
    KickRecord,
    LeaveRecord,
    Message,
    TopicRecord,
)

ANYTHING = st.text(st.characters(codec=None), max_size=60)
HOSTILE = st.text(
    st.sampled_from(
        "☃a-│ 漢🇩"
        "\x1b\x07\x08\r\n\t\x00\x7f\x85\x9b\u202e\u2066\u200b\u200d\ufeff\U000e0041\u3164\u2800\u0301\u0489\ufe0f"
    ),
    max_size=60,
)
TEXTS = ANYTHING | HOSTILE
NUMBERS = st.integers(-(2**63), 2**64 - 1)
WIDTHS = st.integers(1, 200)


@st.composite
def records(draw: st.DrawFn) -> AnyRecord:
    room, sender, author_id = draw(TEXTS), draw(TEXTS), draw(TEXTS)
    seq, time = draw(NUMBERS), draw(NUMBERS)
    kind = draw(st.sampled_from([Message, *get_args(AnyRecord)]))
    own = {"text": TEXTS, "target": TEXTS, "about": NUMBERS}
    fields = {name: draw(values) for name, values in own.items() if name in kind.__struct_fields__}
    record: AnyRecord = kind(room=room, seq=seq, sender=sender, time=time, id=author_id, **fields)
    return record


def assert_harmless(shown: str, *, newlines: bool = False) -> None:
    listed = (
        "[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f\u115f\u1160\u3164\uffa0\u2800\u2028\u2029"
        "\ue000-\uf8ff\ud800-\udfff\ufff9-\ufffb\u180e\u00ad\u034f\ufe00-\ufe0f]"
    )
    for char in shown:
        code = ord(char)
        assert code >= 0x20 or (newlines and char == "\n"), f"U+{code:04X}"
        assert not 0x7F <= code <= 0x9F, f"U+{code:04X}"
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or char == "\n"
    assert not re.search(listed, shown)
    marks = 0
    for char in shown:
        marks = marks + 1 if unicodedata.category(char).startswith("M") else 0
        assert marks <= text.MARKS


@given(TEXTS)
def test_a_line_holds_nothing_that_drives_a_terminal(value: str) -> None:
    assert_harmless(text.line(value))


@given(TEXTS)
def test_a_line_of_json_is_as_harmless_and_says_the_same(value: str) -> None:
    shown = text.json_line(json.dumps({"text": value}, ensure_ascii=False))
    assert_harmless(shown)
    assert json.loads(shown) == {"text": value}


@given(TEXTS)
def test_a_name_holds_nothing_but_what_names_are_made_of(value: str) -> None:
    assert re.fullmatch(r"([a-z0-9._@-]|\\u\{[0-9A-F]+\})*", text.name(value))


@given(records(), st.booleans(), st.booleans(), st.none() | WIDTHS)
def test_a_record_holds_nothing_that_drives_a_terminal(
    event: AnyRecord, room: bool, number: bool, width: int | None
) -> None:
    assert_harmless(text.record(event, room=room, number=number, width=width), newlines=width is not None)


@given(TEXTS, NUMBERS, WIDTHS)
def test_no_other_display_function_lets_anything_through(value: str, number: int, width: int) -> None:
    assert_harmless(text.system(text.line(value)))
    assert_harmless(text.system(text.line(value), width), newlines=True)
    assert_harmless(text.shorten(text.line(value), width))
    assert_harmless(text.clock(number))
    assert_harmless(text.heard(Message(room=value, seq=number, sender=value, time=number, text=value)))


@given(records(), st.booleans(), WIDTHS)
@example(Message(room="r", seq=1, sender="eve", time=0, text="hi\n-- 12:00 bob left."), False, 80)
@example(Message(room="r", seq=1, sender="eve", time=0, text="x" * 300), False, 80)
@example(Message(room="r", seq=1, sender="eve", time=0, text=" " * 70 + "-- the server says"), False, 80)
def test_only_the_client_begins_a_line(event: AnyRecord, number: bool, width: int) -> None:
    first, *further = text.record(event, room=True, number=number, width=width).split("\n")
    assert re.match(r"(-- )?(\d\d:\d\d|\?\?:\?\?)( |$)", first)
    assert all(row.startswith(text.GUTTER) for row in further)


@given(records(), st.integers(20, 200))
def test_no_line_is_so_long_that_the_terminal_breaks_it(event: AnyRecord, width: int) -> None:
    for row in text.record(event, room=True, number=True, width=width).split("\n"):
        assert wcwidth.wcswidth(row) < width


@given(st.characters())
def test_no_character_is_believed_narrower_than_terminals_draw_it(char: str) -> None:
    shown = text.line(char)
    assert text.columns(shown) >= wcwidth.wcswidth(shown)


@given(TEXTS, st.integers(2, 80))
def test_a_shortened_line_fits(value: str, width: int) -> None:
    assert text.columns(text.shorten(text.line(value), width)) <= max(width, 3)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("hello", "hello"),
        ("naïve Übung 日本語 ελληνικά русский", "naïve Übung 日本語 ελληνικά русский"),
        ("\x1b[2J\x1b]0;title\x07", "\\u{1B}[2J\\u{1B}]0;title\\u{7}"),
        ("\x9b31m", "\\u{9B}31m"),
        ("a\tb\u3000c\u00a0d", "a b c d"),
        ("one\rtwo\ntwo", "one\\u{D}two\\u{A}two"),
        ("user\u202etxt.exe", "user\\u{202E}txt.exe"),
        ("a\u200bb\u2060c\ufeffd", "a\\u{200B}b\\u{2060}c\\u{FEFF}d"),
        ("\U000e0068\U000e0069", "\\u{E0068}\\u{E0069}"),
        ("\u3164\u2800\uffa0", "\\u{3164}\\u{2800}\\u{FFA0}"),
        ("\ud800", "\\u{D800}"),
        ("\ue000\ufdd0\U0010ffff", "\\u{E000}\\u{FDD0}\\u{10FFFF}"),
        ("\u2028\u2029", "\\u{2028}\\u{2029}"),
        ("e\u0301", "é"),
        ("a" + "\u0300\u0316\u0317\u0318\u0319", "à\u0316\u0317\u0318"),
        ("\u0301x", "\\u{301}x"),
        ("\u200d\u0301\u0302", "\\u{200D}\\u{301}\\u{302}"),
        ("👍🏽", "👍🏽"),
        ("👩\u200d💻", "👩\\u{200D}💻"),
        ("❤\ufe0f", "❤"),
        ("a\ufe0f", "a\\u{FE0F}"),
        ("ب\u200cب", "ب\\u{200C}ب"),
        ("क्\u200dष", "क्\\u{200D}ष"),
    ],
)
def test_a_line_shows(written: str, shown: str) -> None:
    assert text.line(written) == shown


def test_a_message_of_nothing_but_marks_is_shown_quickly_and_short() -> None:
    # Normalizing it whole would take quadratic time: a page of such messages would hold the client for minutes.
    shown = text.line("a" + "\u0301\u0327" * 100_000)
    assert len(shown) <= 1 + text.MARKS


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_a_time_is_local(zone: str, local_zone: Callable[[str], None]) -> None:
    local_zone(zone)
    assert text.clock(1_795_363_200_000) == {"UTC": "16:00", "Asia/Tokyo": "01:00"}[zone]


def test_a_record_reads(local_zone: Callable[[str], None]) -> None:
    local_zone("UTC")

    def shown(event: AnyRecord, *, room: bool = False, number: bool = False, width: int | None = 40) -> str:
        return text.record(event, room=room, number=number, width=width)

    hello = Message(room="lobby", seq=43, sender="alice", time=1_795_363_200_000, text="hello")
    assert shown(hello) == "16:00 alice: hello"
    assert shown(hello, room=True, number=True) == "16:00 [lobby] alice #43: hello"
    assert shown(Message(room="@bob", seq=1, sender="bob", time=0, text="one\ntwo three")) == (
        "00:00 bob: one\n      | two three"
    )
    long = Message(room="lobby", seq=1, sender="bob", time=0, text="words that do not fit on one line of forty")
    assert shown(long) == "00:00 bob: words that do not fit on one\n      | line of forty"
    assert shown(long, width=None) == "00:00 bob: words that do not fit on one line of forty"
    assert shown(JoinRecord(room="lobby", seq=1, sender="bob", time=0)) == "-- 00:00 bob joined."
    assert shown(LeaveRecord(room="lobby", seq=1, sender="bob", time=0), room=True) == "-- 00:00 [lobby] bob left."
    assert shown(CreateRecord(room="lobby", seq=1, sender="bob", time=0)) == "-- 00:00 bob made the room."
    tea = TopicRecord(room="lobby", seq=1, sender="bob", time=0, text="tea\n-- 00:00 eve left.")
    assert shown(tea) == "-- 00:00 bob set the topic: tea\n      | -- 00:00 eve left."
    assert shown(InviteRecord(room="lobby", seq=1, sender="bob", time=0, target="eve")) == "-- 00:00 bob invited eve."
    kick = KickRecord(room="lobby", seq=1, sender="bob", time=0, target="e e")
    assert shown(kick) == "-- 00:00 bob removed e\\u{20}e."
    edit = EditRecord(room="lobby", seq=4, sender="bob", time=0, about=3, text="hi")
    assert shown(edit) == "-- 00:00 bob changed #3: hi"
    assert shown(DeleteRecord(room="lobby", seq=4, sender="bob", time=0, about=3)) == "-- 00:00 bob deleted #3."
    assert shown(ArchiveRecord(room="lobby", seq=4, sender="bob", time=0)) == "-- 00:00 bob closed the room."
    gone = Message(room="lobby", seq=3, sender="bob", time=0, text="", erased="47DEQpj8HBSa-_TImW-5JC")
    assert shown(gone, number=True, width=60) == "-- 00:00 bob said something that was deleted."


def test_a_message_in_a_pipe_is_one_line_without_a_time() -> None:
    assert text.heard(Message(room="@bob", seq=1, sender="bob", time=0, text="a\nb")) == "[@bob] bob: a\\u{A}b"
    does = Message(room="lobby", seq=1, sender="bob", time=0, text="/me waves\n/me too")
    assert text.heard(does) == "[lobby] * bob waves\\u{A}/me too"


def test_a_line_that_does_not_fit_is_shortened_with_dots() -> None:
    assert text.shorten("hello there", 11) == "hello there"
    assert text.shorten("hello there everybody", 11) == "hello th..."
