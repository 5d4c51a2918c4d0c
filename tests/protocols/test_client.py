"""The client's side of the native protocol: events as they come, a newer server, and a server that is none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import Code, ProtocolError
from securechat.limits import EVENT_LINE_BYTES
from securechat.protocols import frames as f
from securechat.protocols.native import NativeClientProtocol, NativeProtocol, tag
from tests.protocols import examples

PONG = b'{"type":"pong"}\n'


def refused(line: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        NativeClientProtocol().receive(line + b"\n")
    return caught.value


@given(st.lists(examples.events, max_size=8), st.integers(1, 50))
def test_however_the_events_are_cut_they_are_the_same(events: list[f.AnyEvent], size: int) -> None:
    stream = b"".join(map(NativeProtocol.encode, events))
    client = NativeClientProtocol()
    received = [
        event for place in range(0, len(stream), size) for event in client.receive(stream[place : place + size])
    ]
    assert received == events


@pytest.mark.parametrize("event", examples.EVENTS, ids=lambda event: tag(type(event)))
def test_a_field_that_only_a_newer_server_knows_is_ignored(event: f.AnyEvent) -> None:
    frame = json.loads(NativeProtocol.encode(event))
    frame["mood"] = {"of": ["the", "day"]}
    for inner in ("limits", "rooms", "records", "hits", "sessions"):
        for part in frame[inner] if isinstance(frame.get(inner), list) else [frame.get(inner)]:
            if isinstance(part, dict):
                part["mood"] = 1
                part.get("record", {})["mood"] = 2
    assert NativeClientProtocol().receive(json.dumps(frame).encode() + b"\n") == [event]


def test_an_event_that_only_a_newer_server_knows_is_ignored() -> None:
    stream = PONG + b'{"type":"poll","room":"lobby","seq":7,"sender":"bob"}\n' + PONG
    assert NativeClientProtocol().receive(stream) == [f.PongAnswer(), f.PongAnswer()]


SAID = {"type": "message", "room": "lobby", "seq": 8, "sender": "bob", "time": 1, "id": "1", "text": "hi"}
POLL = {"type": "poll", "room": "lobby", "seq": 7, "sender": "bob", "time": 1, "choices": ["tea", "coffee"]}
MESSAGE = f.Message(room="lobby", seq=8, sender="bob", time=1, id="1", text="hi")


def test_a_record_in_a_page_that_only_a_newer_server_knows_is_ignored() -> None:
    page = {"type": "page", "ref": "4", "room": "lobby", "records": [POLL, SAID, POLL], "more": True}
    chain = {"base": "b", "hash": "h"}
    assert NativeClientProtocol().receive(json.dumps(page | chain).encode() + b"\n") == [
        f.Page(ref="4", room="lobby", records=(MESSAGE,), more=True, base="b", hash="h")
    ]


def test_a_record_among_the_finds_that_only_a_newer_server_knows_is_ignored() -> None:
    hits = [{"room": "lobby", "record": record} for record in (POLL, SAID, POLL)]
    found = {"type": "found", "ref": "4", "hits": hits, "more": True}
    assert NativeClientProtocol().receive(json.dumps(found).encode() + b"\n") == [
        f.Found(ref="4", hits=(f.Hit(room="lobby", record=MESSAGE),), more=True)
    ]


def test_a_code_that_only_a_newer_server_knows_is_passed_on() -> None:
    [event] = NativeClientProtocol().receive(b'{"type":"error","code":"too-wet","message":"It rains."}\n')
    assert event == f.Error(code="too-wet", message="It rains.")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r", "The line is not JSON: invalid character (byte 0)."),
        (b"", "The line is not JSON: Input data was truncated."),
        (b'{"type":"pong","ref":"\xff"}', "The line is not UTF-8."),
        (b'{"x":' + b"[" * 60_000, "The line is nested too deeply."),
        (b'{"ref":"1"}', "The frame is not right: Object missing required field `type`."),
        (b'{"type":["pong"]}', "The frame is not right: Expected `str` - at `$.type`."),
        (b'{"type":"left"}', "`left` is not right: Object missing required field `room`."),
        (
            b'{"type":"page","room":"lobby","records":[{"type":"message"}],"more":false}',
            "`page` is not right: Object missing required field `room` - at `$.records[0]`.",
        ),
        (
            b'{"type":"page","room":"lobby","records":[{"kind":"message"}],"more":false}',
            "`page` is not right: Object missing required field `type` - at `$.records[0]`.",
        ),
        (
            b'{"type":"page","room":"lobby","records":7,"more":false}',
            "`page` is not right: Expected `array`, got `int` - at `$.records`.",
        ),
        (
            b'{"type":"found","hits":[{"room":"lobby","record":{"type":"message"}}],"more":false}',
            "`found` is not right: Object missing required field `room` - at `$.hits[0].record`.",
        ),
    ],
)
def test_what_is_no_event_is_refused(line: bytes, message: str) -> None:
    error = refused(line)
    assert (error.code, error.message) == (Code.BAD_FRAME, message)


def test_an_event_may_be_longer_than_a_request() -> None:
    rooms = tuple(f.RoomState(room=f"room{number}", head=1, members=1, topic="x" * 100) for number in range(50_000))
    line = NativeProtocol.encode(f.RoomList(rooms=rooms))
    client = NativeClientProtocol()
    assert [
        event for place in range(0, len(line), 16_384) for event in client.receive(line[place : place + 16_384])
    ] == [f.RoomList(rooms=rooms)]


def test_a_line_without_an_end_is_refused() -> None:
    client = NativeClientProtocol()
    assert client.receive(b"x" * (EVENT_LINE_BYTES - 1)) == []
    with pytest.raises(ProtocolError) as caught:
        client.receive(b"x")
    assert caught.value.code is Code.TOO_LONG
    assert caught.value.fatal
