"""What the native protocol makes of one line: a request, or an error to act on that repeats no secret."""

import json
from typing import get_args

import msgspec
import pytest

from securechat.errors import Code, ProtocolError
from securechat.limits import SAFE_INTEGER
from securechat.protocols import frames as f
from securechat.protocols.native import EVENTS, REQUESTS, NativeClientProtocol, NativeProtocol, tag
from tests.protocols import examples
from tests.protocols.examples import LINE_BYTES

SECRET = "Zq7#Zq8#Zq9"


def receive_one(line: bytes) -> f.AnyRequest | ProtocolError:
    [item] = NativeProtocol(LINE_BYTES).receive(line + b"\n")
    return item


def error_of(line: bytes) -> ProtocolError:
    error = receive_one(line)
    assert isinstance(error, ProtocolError)
    return error


def test_there_is_an_example_of_every_frame() -> None:
    assert set(examples.REQUESTS) == set(get_args(f.AnyRequest)) == set(REQUESTS.values())
    assert {type(event) for event in examples.EVENTS} == set(get_args(f.AnyEvent)) == set(EVENTS.values())


@pytest.mark.parametrize("request_", examples.REQUESTS.values(), ids=lambda request: tag(type(request)))
def test_a_request_arrives_as_it_was_encoded(request_: f.AnyRequest) -> None:
    line = NativeClientProtocol.encode(request_)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert NativeProtocol(LINE_BYTES).receive(line) == [request_]


@pytest.mark.parametrize("event", examples.EVENTS, ids=lambda event: tag(type(event)))
def test_an_event_is_one_line_and_arrives_as_it_was_encoded(event: f.AnyEvent) -> None:
    line = NativeProtocol.encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert NativeClientProtocol().receive(line) == [event]
    assert json.loads(line)["type"] == tag(type(event))


def test_events_that_are_encoded_together_are_their_lines_one_behind_the_other() -> None:
    events: list[f.AnyEvent] = [
        f.PongAnswer(),
        f.Message(room="lobby", seq=1, sender="alice", time=2, text="a\nb"),
        f.PingPeer(),
    ]
    assert NativeProtocol.encode_all(events) == b"".join(map(NativeProtocol.encode, events))
    assert NativeProtocol.encode_all([]) == b""


def test_what_has_its_default_is_left_out_of_a_line() -> None:
    assert NativeClientProtocol.encode(f.Sync()) == b'{"type":"sync"}\n'
    assert NativeClientProtocol.encode(f.History(room="lobby")) == b'{"type":"history","room":"lobby"}\n'
    assert NativeProtocol.encode(f.Error(code=Code.STORAGE, message="")) == (
        b'{"type":"error","code":"storage","message":""}\n'
    )


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ping","ref":"a"}\r',
        b' {"ref" : "a",\t"type": "ping"} ',
        b'{"ref":"\\u0061","\\u0074ype":"ping"}',
    ],
)
def test_a_frame_may_be_written_in_any_way_that_json_allows(line: bytes) -> None:
    assert receive_one(line) == f.Ping(ref="a")


@pytest.mark.parametrize("line", [b"", b"\r", b"  \t "])
def test_a_blank_line_is_nothing(line: bytes) -> None:
    protocol = NativeProtocol(LINE_BYTES)
    assert protocol.receive(line + b"\n" + line + b"\n") == []
    assert not protocol.partial
    assert protocol.receive(b'{"type":"ping"}\n') == [f.Ping()]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello", "The line is not JSON: invalid character (byte 0)."),
        (b'{"type":"ping"', "The line is not JSON: Input data was truncated."),
        (b'{"type":"ping"} x', "The line is not JSON: trailing characters (byte 17)."),
        (b'{"type":"say","id":"1","room":"lobby","text":NaN}', "The line is not JSON: invalid character (byte 45)."),
        (b'{"type":"say","id":"1","room":"lobby","text":"\\ud800"}', "The line is not JSON: Input data was truncated."),
        (b'\xef\xbb\xbf{"type":"ping"}', "The line is not JSON: invalid character (byte 0)."),
        (b"\0", "The line is not JSON: invalid character (byte 0)."),
        (b'{"type":"say","id":"1","room":"lobby","text":"a\0b"}', "The line is not JSON: invalid character (byte 47)."),
        (b'{"type":"say","id":"1","room":"lobby","text":"\xff"}', "The line is not UTF-8."),
        (b'{"type":"say","id":"1","room":"lobby","text":"\xed\xa0\x80"}', "The line is not UTF-8."),
        (b'{"x":' + b"[" * 60_000, "The line is nested too deeply."),
        (b"[" * 60_000, "The frame is not right: Expected `object`, got `array`."),
        (b"5", "The frame is not right: Expected `object`, got `int`."),
        (b"{}", "The frame is not right: Object missing required field `type`."),
        (b'{"type":5}', "The frame is not right: Expected `str` - at `$.type`."),
        (b'{"type":"join"}', "`join` is not right: Object missing required field `room`."),
        (b'{"type":"join","room":5}', "`join` is not right: Expected `str`, got `int` - at `$.room`."),
        (b'{"type":"join","room":null}', "`join` is not right: Expected `str`, got `null` - at `$.room`."),
        (
            b'{"type":"join","room":"' + b"a" * 65 + b'"}',
            "`join` is not right: Expected `str` of length <= 64 - at `$.room`.",
        ),
        (
            b'{"type":"history","room":"lobby","before":1.5}',
            "`history` is not right: Expected `int | null`, got `float` - at `$.before`.",
        ),
        (
            b'{"type":"history","room":"lobby","limit":501}',
            "`history` is not right: Expected `int` <= 500 - at `$.limit`.",
        ),
        (
            b'{"type":"history","room":"lobby","after":' + b"9" * 5_000 + b"}",
            "`history` is not right: Integer value out of range - at `$.after`.",
        ),
        (
            b'{"type":"sync","after":{"lobby":-1}}',
            "`sync` is not right: Expected `int` >= 0 - at `$.after[...]`.",
        ),
        (
            b'{"type":"ping","room":"lobby"}',
            "`ping` has a field that it does not take; it takes type, ref.",
        ),
        (
            b'{"type":"search","text":"tea","from_":"bob"}',
            "`search` has a field that it does not take; it takes type, ref, text, room, from, before, after, limit.",
        ),
        (
            b'{"type":"say","id":"1","room":"lobby","text":"hi","reply_to":0}',
            "`say` is not right: Expected `int` >= 1 - at `$.reply_to`.",
        ),
        (b'{"type":"ping","x":1,"type":5}', "The frame has a field that it does not take."),
        (b'{"type":"ping","ref":"a","ref":"a"}', "A field is given twice."),
        (b'{"type":"sync","after":{"lobby":1,"lobby":2}}', "A field is given twice."),
        (
            b'{"type":"ping","type":"pong"}',
            "`pong` has a value that is none of the choices, or a field twice.",
        ),
    ],
)
def test_a_bad_frame_is_refused_with_a_message_that_names_the_place(line: bytes, message: str) -> None:
    error = error_of(line)
    assert (error.code, error.message, error.fatal) == (Code.BAD_FRAME, message, False)


def test_the_connection_goes_on_after_a_bad_frame() -> None:
    first, second = NativeProtocol(LINE_BYTES).receive(b'oops\n{"type":"ping"}\n')
    assert isinstance(first, ProtocolError)
    assert second == f.Ping()


def test_the_largest_safe_number_is_taken_and_the_next_is_not() -> None:
    line = b'{"type":"subscribe","room":"lobby","after":%d}'
    assert receive_one(line % SAFE_INTEGER) == f.Subscribe(room="lobby", after=SAFE_INTEGER)
    assert error_of(line % (SAFE_INTEGER + 1)).code is Code.BAD_FRAME


def test_a_sync_names_a_thousand_rooms_at_most() -> None:
    def line(rooms: int) -> bytes:
        return json.dumps({"type": "sync", "after": {f"room{number}": 0 for number in range(rooms)}}).encode()

    assert isinstance(receive_one(line(1_000)), f.Sync)
    assert error_of(line(1_001)).message == "`sync` is not right: Expected `object` of length <= 1000 - at `$.after`."


@pytest.mark.parametrize(
    "text", ["", "a:b", "{}[]:,", '"type":"say","text":', "\\", '\\":"', "https://example.org/?a=b:c"]
)
def test_a_text_that_looks_like_fields_is_a_text(text: str) -> None:
    line = json.dumps({"type": "say", "ref": "a:b", "id": "c:d", "room": "lobby", "text": text}).encode()
    assert receive_one(line) == f.Say(ref="a:b", id="c:d", room="lobby", text=text)


@pytest.mark.parametrize("request_", examples.REQUESTS.values(), ids=lambda request: tag(type(request)))
def test_every_field_given_twice_is_refused_even_with_the_same_value(request_: f.AnyRequest) -> None:
    line = NativeClientProtocol.encode(request_).rstrip()
    for key, value in json.loads(line).items():
        error = error_of(line[:-1] + f',"{key}":{json.dumps(value)}}}'.encode())
        assert (error.code, error.message) == (Code.BAD_FRAME, "A field is given twice.")


@pytest.mark.parametrize("line", [b'{"type":"shout"}', b'{"type":""}', b'{"ref":"7","type":"hello","protocol":1}'])
def test_an_unknown_type_is_told_the_known_ones(line: bytes) -> None:
    error = error_of(line)
    assert error.code is Code.UNKNOWN_TYPE
    assert not error.fatal
    assert error.message == (
        "There is no request of this type; there are login, resume, authority, redeem, logout, ping, pong, create, "
        "join, leave, topic, invite, kick, ban, unban, rooms, members, say, edit, delete, read, consumers, forget, "
        "history, search, subscribe, sync, sessions, revoke, password."
    )


@pytest.mark.parametrize("event", examples.EVENTS, ids=lambda event: tag(type(event)))
def test_a_frame_of_the_servers_is_an_error_from_a_client(event: f.AnyEvent) -> None:
    item = receive_one(NativeProtocol.encode(event).rstrip())
    if isinstance(event, f.PingPeer | f.PongAnswer | f.ReadMarker):
        assert isinstance(item, f.Ping | f.Pong | f.Read)  # these say the same both ways
    else:
        assert isinstance(item, ProtocolError)
        assert item.code is (Code.BAD_FRAME if tag(type(event)) in REQUESTS else Code.UNKNOWN_TYPE)


@pytest.mark.parametrize(
    "field", ['"seq":1', '"sender":"bob"', '"time":1795372800000', '"salt":"q83vASNFZ4mrze8BI0VniQ"', '"replay":true']
)
@pytest.mark.parametrize("request_", examples.REQUESTS.values(), ids=lambda request: tag(type(request)))
def test_what_the_server_alone_says_is_refused_in_a_request(request_: f.AnyRequest, field: str) -> None:
    if field == '"seq":1' and hasattr(request_, "seq"):
        return  # the number of a record that is there already
    line = NativeClientProtocol.encode(request_).rstrip()
    error = error_of(line[:-1] + f",{field}}}".encode())
    assert error.code is Code.BAD_FRAME
    assert error.message.startswith(f"`{tag(type(request_))}` has a field that it does not take; it takes type, ref")


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"shout","ref":"r1"}',
        b'{"ref":"r1","type":"join"}',
        b'{"ref":"r1"}',
        b'{"ref":"r1","type":7}',
        b'{"type":"ping","ref":"r1","seq":4}',
        b'{"type":"ping","ref":"r0","ref":"r1"}',
        b'{"type":"sync","ref":"r1","after":{"a":1,"a":2}}',
        b'{"type":"say","id":"1","room":"lobby","text":"\xff","ref":"r1"}',
    ],
)
def test_the_answer_to_a_bad_frame_carries_its_ref(line: bytes) -> None:
    assert error_of(line).ref == "r1"


@pytest.mark.parametrize(
    "ref", ["5", "null", '""', '"' + "a" * 65 + '"', '["a"]', '"\\ud800"', '"\xff"', "[" * 9_000, "NaN", '"r1']
)
def test_a_ref_that_is_none_is_not_carried_back(ref: str) -> None:
    assert error_of(b'{"type":"shout","ref":' + ref.encode("latin-1") + b"}").ref is None


@pytest.mark.parametrize(
    "line",
    [
        '{"type":"S"}',
        '{"type":"login","username":"a","password":"p","S":1}',
        '{"type":"login","username":"a","password":"p","x":"S"}',
        '{"type":"login","username":"a","password":["S"]}',
        '{"type":"login","username":"a","password":{"S":"S"}}',
        '{"type":"login","username":"a","password":"S"',
        '{"type":"login","username":"a","password":"S',
        '{"type":"login","username":"a","password":S}',
        '{"type":"login","username":"a","password":"\\S"}',
        '{"type":"login","username":"a","password":"S","password":"S"}',
        '{"type":"login","username":"a","password":"p","device":"SSSSSSSSSS"}',
        '{"type":"login","password":"S"}',
        '{"S":"S"}',
        '{"type":["S"]}',
        '{"type":"sync","after":{"S":"S"}}',
        '{"type":"sync","after":{"S":1,"S":2}}',
        '{"type":"S","type":"S"}',
        "S",
        '"S"',
        '["S"]',
        '{"type":"login","password":"S"}}',
        '{"type":"resume","token":["S"]}',
        '{"type":"resume","token":"S","S":1}',
        '{"type":"password","old":"S","new":5}',
        '{"type":"password","old":"S","new":"S","S":"S"}',
    ],
)
def test_an_error_never_repeats_what_the_peer_sent(line: str) -> None:
    error = error_of(line.replace("S", SECRET).encode())
    assert "Zq" not in error.message
    assert "Zq" not in repr(error)
    assert error.__cause__ is None
    assert error.__context__ is None  # msgspec's own error, which does repeat it, is in no traceback


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        (f.Login(username="alice", password=SECRET), "Login(username='alice')"),
        (f.Redeem(username="carol", secret=SECRET, password=SECRET), "Redeem(username='carol')"),
        (f.Resume(token=SECRET), "Resume()"),
        (f.Password(old=SECRET, new=SECRET), "Password()"),
        (
            f.Welcome(username="alice", role="admin", session="5f", version="0", rooms=(), token=SECRET),
            "Welcome(username='alice', session='5f')",
        ),
    ],
)
def test_a_frame_does_not_show_the_secret_in_it(frame: msgspec.Struct, shown: str) -> None:
    assert SECRET.encode() in msgspec.json.encode(frame)
    assert repr(frame) == shown


def test_an_unfinished_line_at_the_end_is_an_error() -> None:
    protocol = NativeProtocol(LINE_BYTES)
    assert protocol.receive(b'{"type":"ping"}\n{"type":') == [f.Ping()]
    assert protocol.partial
    [error] = protocol.receive_eof()
    assert (error.code, error.message) == (Code.BAD_FRAME, "The stream ended in the middle of a line.")
    assert error.fatal


@pytest.mark.parametrize("data", [b"", b'{"type":"ping"}\n', b"\r", b'{"type":"ping"}\n \r'])
def test_an_end_between_lines_is_no_error(data: bytes) -> None:
    protocol = NativeProtocol(LINE_BYTES)
    protocol.receive(data)
    assert protocol.receive_eof() == []


def test_a_request_with_a_lone_surrogate_cannot_be_encoded() -> None:
    with pytest.raises(UnicodeEncodeError):
        NativeClientProtocol.encode(f.Say(id="1", room="lobby", text="\ud800"))
