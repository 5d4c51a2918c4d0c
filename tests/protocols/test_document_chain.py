"""The chain as docs/protocol.md tells it: its program and example, with hashlib alone and with our own code."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import pytest

from securechat.chat import chain as our_chain
from tests.protocols.test_document import chapter, lines_of, rows

CHAPTER: Final = chapter("The chain")
[LINE] = lines_of("S", CHAPTER)
PAGE: Final[dict[str, Any]] = json.loads(LINE)
_, FIELDS, HASHES = (rows(part) for part in re.split(r"(?m)^(?=\| (?:field|seq) \|)", CHAPTER))


@pytest.fixture
def program() -> dict[str, Callable[..., Any]]:
    """What the program in the document defines."""
    [code] = re.findall(r"^```python\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"import (\w+)", code)) == {"base64", "hashlib"}
    names: dict[str, Callable[..., Any]] = {}
    exec(code, names)
    return names


def test_the_worked_example_has_every_case() -> None:
    records = PAGE["records"]
    assert [record["seq"] for record in records] == [1, 2, 3, 4, 5]
    assert {"erased", "target", "about", "reply_to", "salt"} <= {name for record in records for name in record}
    assert not all(record.get("text", "").isascii() for record in records)


def test_the_program_in_the_document_finds_the_worked_example_right(program: dict[str, Callable[..., Any]]) -> None:
    assert program["decode"](PAGE["base"]) == program["start"]("pantry")
    assert program["check"](PAGE)


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 7},
        {"sender": "eve"},
        {"time": 1},
        {"id": "other"},
        {"text": "Where is the salt?"},
        {"reply_to": 2},
        {"type": "topic"},
        {"target": "eve"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_program_in_the_document_finds_a_change(
    program: dict[str, Callable[..., Any]], change: dict[str, Any]
) -> None:
    records = list(PAGE["records"])
    records[2] = records[2] | change
    assert not program["check"](PAGE | {"records": records})


def test_the_program_in_the_document_refuses_a_salt_that_took_a_letter_of_the_text(
    program: dict[str, Callable[..., Any]],
) -> None:
    moved = PAGE["records"][2] | {"salt": PAGE["records"][2]["salt"][:-2]}
    with pytest.raises(ValueError, match="the salt has not its length"):
        program["commitment"](moved)


def test_the_program_in_the_document_takes_a_topic_of_nothing(program: dict[str, Callable[..., Any]]) -> None:
    assert program["commitment"]({"type": "topic", "text": ""}) == our_chain.commitment(b"", "")


def test_the_fields_in_hexadecimal_are_what_is_hashed() -> None:
    encoded = b""
    for _, length, value in FIELDS:
        content = bytes.fromhex(value.strip("`"))
        assert int(length.strip("`"), 16) == len(content)
        encoded += bytes.fromhex(length.strip("`")) + content
    by_seq = {seq: hashed.strip("`") for seq, hashed in HASHES}
    assert FIELDS[0][2].strip("`") == by_seq["2"]
    assert sha256(encoded).hexdigest() == by_seq["3"]


def test_the_hashes_in_the_table_are_those_of_the_program_and_of_our_own_code(
    program: dict[str, Callable[..., Any]],
) -> None:
    theirs = ours = our_chain.start("pantry")
    for record, (seq, hashed) in zip(PAGE["records"], HASHES, strict=True):
        theirs = program["link"](theirs, record)
        ours = our_chain.link(
            ours,
            seq=record["seq"],
            kind={"message": "say"}.get(record["type"], record["type"]),
            sender=record["sender"],
            id=record.get("id", ""),
            time=record["time"],
            target=record.get("target", ""),
            about=record.get("about", record.get("reply_to", 0)),
            commitment=program["commitment"](record),
        )
        assert (str(record["seq"]), theirs.hex(), ours.hex()) == (seq, hashed.strip("`"), hashed.strip("`"))
    assert theirs == program["decode"](PAGE["hash"])
