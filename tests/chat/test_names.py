"""What a username, a room's name, an id and a text may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.chat import names


@pytest.mark.parametrize("name", ["a", "alice", "a.b-c_d", "0", "9lives", "x" * 32])
def test_a_username_is_short_and_plain(name: str) -> None:
    assert names.is_username(name)


@pytest.mark.parametrize(
    "name", ["", "Alice", ".a", "-a", "_a", "a b", "a\n", "a:b", "@a", "é", "\N{CYRILLIC SMALL LETTER A}", "x" * 33]
)
def test_no_other_username_is_allowed(name: str) -> None:
    assert not names.is_username(name)


def test_a_room_name_is_a_username_that_may_be_longer() -> None:
    assert names.is_room("x" * 64)
    assert not names.is_room("x" * 65)
    assert not names.is_room("lobby\n")
    assert not names.is_room("Lobby")
    assert names.is_room(names.LOBBY)


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("lobby", True),
        ("@alice:bob", True),
        ("@alice:alice", True),
        ("@bob:alice", False),
        ("@alice:", False),
        ("@:bob", False),
        ("@alice", False),
        ("@alice:bob:carol", False),
        ("@Alice:bob", False),
        ("@alice:bob\n", False),
        ("al:ice", False),
    ],
)
def test_a_room_key_is_a_room_name_or_two_usernames_in_order(key: str, allowed: bool) -> None:
    assert names.is_room_key(key) is allowed


@pytest.mark.parametrize("value", ["1", "01K5:a.b_c-D", "x" * 64])
def test_an_id_is_any_mark_of_plain_characters(value: str) -> None:
    assert names.is_id(value)


@pytest.mark.parametrize("value", ["", "a b", "a\n", "é", "x" * 65, "a/b"])
def test_no_other_id_is_allowed(value: str) -> None:
    assert not names.is_id(value)


@pytest.mark.parametrize("text", ["hello", "two\nlines\tand a tab", "żółw 🐢", "שלום", "\N{RIGHT-TO-LEFT OVERRIDE}x"])
def test_a_text_may_hold_what_people_write(text: str) -> None:
    assert names.flaw_in_text(text, 100) is None


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\N{NO-BREAK SPACE}"])
def test_a_message_without_a_text_is_none(text: str) -> None:
    assert names.flaw_in_text(text, 100) == "A message needs a text."


def test_the_limit_of_a_text_counts_bytes_not_characters() -> None:
    assert names.flaw_in_text("ż" * 50, 100) is None
    assert names.flaw_in_text("ż" * 50 + "x", 100) == "The text has 101 bytes; 100 are allowed."


@pytest.mark.parametrize("character", ["\x00", "\x07", "\r", "\x1b", "\x7f", "\x85", "\x9b", "\ud800"])
def test_a_text_may_hold_nothing_that_drives_a_terminal(character: str) -> None:
    flaw = names.flaw_in_text(f"a{character}b", 100)
    assert flaw == f"The text holds the character U+{ord(character):04X}, which is not allowed."


USERNAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,31}", fullmatch=True)


@given(USERNAMES, USERNAMES)
def test_a_direct_room_is_the_same_from_both_sides_and_each_sees_the_other(one: str, other: str) -> None:
    key = names.direct_room(one, other)
    assert key == names.direct_room(other, one)
    assert names.is_direct(key)
    assert names.is_room_key(key)
    assert set(names.direct_members(key)) == {one, other}
    assert names.shown_room(key, one) == f"@{other}"
    assert names.shown_room(key, other) == f"@{one}"


def test_a_public_room_is_shown_by_its_name() -> None:
    assert not names.is_direct("lobby")
    assert names.shown_room("lobby", "alice") == "lobby"
