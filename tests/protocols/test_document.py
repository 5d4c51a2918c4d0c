"""docs/protocol.md against the code: each example is a frame, each table says what structs, limits and codes say."""

import json
import re
from pathlib import Path
from typing import Final, get_args

import msgspec
import msgspec.inspect as mi
import pytest

from securechat import limits
from securechat.errors import Code, ProtocolError
from securechat.limits import Limits
from securechat.protocols import frames as f
from securechat.protocols.native import EVENTS, REQUESTS, NativeClientProtocol, NativeProtocol
from securechat.protocols.states import render_table
from tests.protocols.examples import LINE_BYTES

DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")

PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "A room in a list": f.RoomState,
    "A find": f.Hit,
    "A session in a list": f.SessionState,
    "A cursor in a list": f.CursorState,
}
"""What is no frame, but in lists of one."""

HEADINGS: Final[dict[str, type[msgspec.Struct]]] = {
    **{f"C `{name}`": kind for name, kind in REQUESTS.items()},
    **{f"S `{name}`": kind for name, kind in EVENTS.items()},
    **PARTS,
}
"""Every section with a table of fields."""

SECTIONS: Final[dict[str, frozenset[type[msgspec.Struct]]]] = {
    "Requests": frozenset(REQUESTS.values()),
    "Answers": frozenset(kind for kind in EVENTS.values() if issubclass(kind, f.Answer)) | frozenset(PARTS.values()),
    "Records": frozenset(get_args(f.AnyRecord)),
    "What the server says by itself": frozenset({f.Hello, f.PingPeer, f.Presence, f.Broadcast, f.NodeList, f.Bye}),
}
"""Which frames a chapter explains."""


def chapter(title: str) -> str:
    """The text between this heading of the second level and the next."""
    return DOCUMENT.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def section(title: str) -> str:
    """The text between this heading of the third level and the next heading."""
    return re.split(r"\n##+ ", DOCUMENT.split(f"\n### {title}\n", 1)[1], maxsplit=1)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the one table in this text, without its head."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def lines_of(side: str, text: str = DOCUMENT) -> list[bytes]:
    """The examples of what this side (C or S) sends, without their newlines."""
    fenced = "".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    return [line[2:].encode() for line in fenced.splitlines() if line.startswith(f"{side} ")]


ITEMS: Final[dict[type, str]] = {f.RoomState: "room", f.Hit: "find", f.SessionState: "session", f.CursorState: "cursor"}


def words(kind: mi.Type) -> str:
    """How the document calls this type."""
    match kind:
        case mi.UnionType(types=(inner, mi.NoneType())):
            return words(inner)
        case mi.StrType(max_length=None):
            return "text"
        case mi.StrType(min_length=None, max_length=longest):
            return f"text, up to {longest} characters"
        case mi.IntType(ge=None, le=None) | mi.FloatType():
            return "number"
        case mi.IntType(ge=least, le=most):
            return f"number, {least} to {'2^53 - 1' if most == limits.SAFE_INTEGER else most}"
        case mi.BoolType():
            return "true or false"
        case mi.StructType(cls=item) if item in ITEMS:
            return ITEMS[item]
        case mi.UnionType():
            return "record"
        case mi.VarTupleType(item_type=mi.StrType()):
            return "list of text"
        case mi.VarTupleType(item_type=inner):
            return f"list of {words(inner)}s"
        case mi.StructType(fields=fields):
            return f"object with {', '.join(f'`{field.name}`' for field in fields)}"
        case mi.DictType(key_type=key, value_type=value, max_length=most):
            return f"object with up to {most} entries: {words(key)}, to {words(value)}"
        case _:
            raise AssertionError(f"the document has no word for {kind}")


def default(field: mi.Field) -> str:
    """How the document shows what a field is when it is left out."""
    if field.required:
        return "required"
    if field.default is None:
        return "none"
    value = field.default if field.default is not msgspec.NODEFAULT else {}
    return f"`{json.dumps(value)}`"


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_table_names_the_fields_of_a_frame_with_their_limits(heading: str) -> None:
    kind = HEADINGS[heading]
    info = mi.type_info(kind)
    assert isinstance(info, mi.StructType)
    shown = [
        [f"`{field.encode_name}`", words(field.type), default(field)]
        for field in info.fields
        if not (issubclass(kind, f.Request) and field.name == "ref")
    ]
    assert [row[:3] for row in rows(section(heading))] == shown
    assert all(row[3] for row in rows(section(heading)))


@pytest.mark.parametrize("title", SECTIONS)
def test_a_frame_is_explained_in_its_chapter(title: str) -> None:
    headings = re.findall(r"^### (.+)$", chapter(title), re.MULTILINE)
    assert len(headings) == len(SECTIONS[title])
    assert {HEADINGS[heading] for heading in headings} == SECTIONS[title]


def test_what_is_said_of_ref_in_requests_holds() -> None:
    assert mi.type_info(f.Ref) == mi.UnionType((mi.StrType(min_length=1, max_length=64), mi.NoneType()))
    assert "any 1 to 64 characters" in chapter("Names, ids, texts, numbers")


@pytest.mark.parametrize("line", lines_of("C"))
def test_an_example_of_a_request_is_one(line: bytes) -> None:
    [request] = NativeProtocol(LINE_BYTES).receive(line + b"\n")
    assert not isinstance(request, ProtocolError)


@pytest.mark.parametrize("line", lines_of("S"))
def test_an_example_of_an_event_is_what_the_server_writes(line: bytes) -> None:
    [event] = NativeClientProtocol().receive(line + b"\n")
    assert NativeProtocol.encode(event) == line + b"\n"


@pytest.mark.parametrize("heading", [heading for heading in HEADINGS if heading not in PARTS])
def test_the_section_of_a_frame_has_an_example_of_it(heading: str) -> None:
    side, name = heading.replace("`", "").split()
    assert name in [json.loads(line)["type"] for line in lines_of(side, section(heading))]


def test_a_code_in_an_example_is_in_the_list() -> None:
    codes = {json.loads(line).get("code") for line in lines_of("S")} - {None}
    assert codes <= set(Code)


def test_every_code_is_explained_in_the_order_of_the_list() -> None:
    table = rows(chapter("Codes"))
    assert [row[0] for row in table] == [f"`{code}`" for code in Code]
    for _, carried_in, closes, meaning, advice in table:
        assert carried_in in ("`error`", "`bye`", "`error`, `bye`")
        assert closes in (
            "no",
            "yes",
            "before login",
            "before login, and after 16 in a row",
            "the third time",
            "with `bye`",
        )
        assert closes == "yes" or carried_in != "`bye`"
        assert meaning
        assert advice


def test_every_code_that_a_section_names_is_in_the_list() -> None:
    named = re.findall(r"`([a-z]+(?:-[a-z]+)+)`", DOCUMENT)
    assert set(named) <= set(Code)


def test_the_table_of_states_is_the_one_in_the_code() -> None:
    assert f"\n{render_table()}\n" in chapter("What is heard when")


def test_the_limits_are_those_in_the_code() -> None:
    constants = {
        "a line from the server: a client must take at least": limits.EVENT_LINE_BYTES,
        "an `id`, a `ref`": limits.ID_LENGTH,
        "a room's name": limits.ROOM_NAME_LENGTH,
        "a username": limits.NAME_LENGTH,
        "a password": limits.PASSWORD_MAX_BYTES,
        "records in a `page`": limits.PAGE_RECORDS,
        "rooms named in a `sync`": limits.ROOMS_PER_REQUEST,
        "a room's topic, in UTF-8": limits.TOPIC_BYTES,
        "sessions of an account that can be resumed": limits.TOKENS_PER_ACCOUNT,
        "what is searched for": limits.SEARCH_LENGTH,
        "records in a `found`": limits.SEARCH_HITS,
        "members of a room in which `presence` is told": limits.PRESENCE_MEMBERS,
        "bad lines in a row, then it is closed": limits.BAD_LINES,
    }
    for what, limit, setting in rows(chapter("Limits and deadlines")):
        expected = getattr(Limits(), setting.strip("`")) if setting else constants.pop(what)
        assert int(limit.split()[0].replace(",", "")) == expected, what
    assert not constants


def test_the_example_of_hello_has_the_limits_of_a_new_server() -> None:
    hello = NativeProtocol.encode(
        f.Hello(
            protocol=1,
            auth=("password", "token"),
            limits=f.LineLimits(line=Limits().line_bytes, text=Limits().text_bytes),
        )
    )
    assert lines_of("S")[0] + b"\n" == hello
