"""The chain: it says of each record what it held and what came before, and nothing else can say the same."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from securechat.chat import chain
from securechat.chat.model import Record

SALT = bytes(range(16))
SAID = Record("lobby", 7, "say", "alice", "a1", 1_795_372_800_000, "hello", about=3, salt=SALT)

words = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.integers(min_value=0, max_value=2**53 - 1)
digests = st.binary(min_size=32, max_size=32)
fields = st.fixed_dictionaries(
    {
        "seq": numbers,
        "kind": words,
        "sender": words,
        "id": words,
        "time": numbers,
        "target": words,
        "about": numbers,
        "commitment": digests,
    }
)


def test_the_start_of_a_room_is_fixed_for_ever() -> None:
    assert chain.start("lobby") == sha256(b"securechat/1 room lobby").digest()


def test_a_commitment_is_the_hash_of_salt_and_text() -> None:
    assert chain.commitment(SALT, "héllo") == sha256(SALT + "héllo".encode()).digest()


def test_a_link_is_fixed_for_ever() -> None:
    committed = sha256(SALT + b"hello").digest()
    parts = [chain.start("lobby"), b"7", b"say", b"alice", b"a1", b"1795372800000", b"", b"3", committed]
    encoded = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    assert chain.link_record(chain.start("lobby"), SAID) == sha256(encoded).digest()
    assert (
        chain.link_record(chain.start("lobby"), SAID).hex()
        == "b0bb3cce094c8c66850d7cc65bfdeda897c1e0f46a07cc4d3f5a28f20b869076"
    )


@given(
    st.binary(max_size=40),
    st.text(st.characters(codec="utf-8", max_codepoint=200), max_size=300),
    st.binary(max_size=40),
    numbers,
)
@example(SALT * 2, "alice", SALT * 2, 1)
@example(SALT * 2, "Ælfgifu", SALT * 2, 1)
@example(SALT * 2, "a" * 200, SALT * 2, 1)
@example(SALT, "alice", SALT * 2, 1)
def test_a_link_is_over_all_fields_after_their_lengths(past: bytes, word: str, committed: bytes, number: int) -> None:
    parts = [past, b"7", b"say", word.encode(), b"a1", str(number).encode(), b"", b"3", committed]
    link = chain.link(
        past, seq=7, kind="say", sender=word, id="a1", time=number, target="", about=3, commitment=committed
    )
    assert link == sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


@given(st.tuples(digests, fields), st.tuples(digests, fields))
def test_different_records_never_have_one_link(one: tuple[bytes, Any], other: tuple[bytes, Any]) -> None:
    assume(one != other)
    assert chain.link(one[0], **one[1]) != chain.link(other[0], **other[1])


@given(digests, fields, fields, st.data())
def test_another_value_in_any_one_field_makes_another_link(previous: bytes, one: Any, other: Any, data: Any) -> None:
    name = data.draw(st.sampled_from(sorted(one)))
    assume(one[name] != other[name])
    assert chain.link(previous, **one) != chain.link(previous, **(one | {name: other[name]}))


@given(digests, digests, fields)
def test_another_past_makes_another_link(previous: bytes, other: bytes, record: Any) -> None:
    assume(previous != other)
    assert chain.link(previous, **record) != chain.link(other, **record)


@given(words.filter(bool), st.data())
def test_moving_the_border_between_two_fields_makes_another_link(letters: str, data: Any) -> None:
    neighbours = [("kind", "sender"), ("sender", "id"), ("kind", "target"), ("id", "target")]
    left, right = data.draw(st.sampled_from(neighbours))
    base = dict.fromkeys(("kind", "sender", "id", "target"), "") | dict.fromkeys(("seq", "time", "about"), 1)
    links = {
        chain.link(SALT, **(base | {left: letters[:cut], right: letters[cut:]}), commitment=SALT)
        for cut in range(len(letters) + 1)
    }
    assert len(links) == len(letters) + 1


@given(words, words)
def test_two_rooms_start_differently(one: str, other: str) -> None:
    assume(one != other)
    assert chain.start(one) != chain.start(other)


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 8},
        {"kind": "topic"},
        {"sender": "alicf"},
        {"id": "a2"},
        {"time": 1_795_372_800_001},
        {"text": "hellp"},
        {"target": "bob"},
        {"about": 4},
        {"salt": bytes(16)},
        {"erased": bytes(32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_that_was_changed_has_another_link(change: dict[str, Any]) -> None:
    changed = msgspec.structs.replace(SAID, **change)
    assert chain.link_record(SALT, changed) != chain.link_record(SALT, SAID)


def test_what_the_record_says_of_its_own_hash_changes_nothing() -> None:
    assert chain.link_record(SALT, msgspec.structs.replace(SAID, hash=bytes(32))) == chain.link_record(SALT, SAID)


def test_an_erased_text_leaves_the_link_as_it_was() -> None:
    left = chain.commitment(SAID.salt, SAID.text)
    erased = msgspec.structs.replace(SAID, text="", salt=b"", erased=left)
    assert chain.link_record(SALT, erased) == chain.link_record(SALT, SAID)


@pytest.mark.parametrize("length", [0, 255, 256, 70_000])
def test_a_field_of_any_length_is_hashed_after_its_length_in_four_bytes(length: int) -> None:
    sender = "a" * length
    words = (SALT, b"7", b"say", sender.encode(), b"a1", b"1", b"", b"0", bytes(32))
    expected = sha256(b"".join(len(word).to_bytes(4, "big") + word for word in words)).digest()
    linked = chain.link(
        SALT, seq=7, kind="say", sender=sender, id="a1", time=1, target="", about=0, commitment=bytes(32)
    )
    assert linked == expected
