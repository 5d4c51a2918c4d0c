"""What a stream of bytes may do to the native protocol: be cut anywhere, be damaged anywhere, never end a line."""

import tracemalloc
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from securechat.errors import Code, ProtocolError
from securechat.protocols import frames as f
from securechat.protocols.native import NativeClientProtocol, NativeProtocol
from tests.protocols import examples
from tests.protocols.examples import LINE_BYTES

PING = b'{"type":"ping"}\n'
SECRET = "Zq7#Zq8#Zq9#Zq6"

_lines = st.one_of(
    examples.requests.map(NativeClientProtocol.encode),
    examples.events.map(NativeProtocol.encode),
    st.sampled_from([b"\n", b"\r\n", b"x\n", b'{"type":"shout","ref":"1"}\n', b"\xff\n", b"[" * 300 + b"\n"]),
    st.binary(max_size=40),
)
_streams = st.lists(_lines, max_size=8).map(b"".join)


def shown(item: f.AnyRequest | ProtocolError) -> object:
    if isinstance(item, ProtocolError):
        return (item.code, item.message, item.fatal, item.ref)
    return item


def heard(chunks: list[bytes], line_bytes: int) -> list[object]:
    """What comes of a stream in these chunks, to its end, and whether a line was begun before the end."""
    protocol = NativeProtocol(line_bytes)
    items = [shown(item) for chunk in chunks for item in protocol.receive(chunk)]
    return [*items, protocol.partial, *map(shown, protocol.receive_eof())]


@given(_streams, st.sets(st.integers(0, 2_000), max_size=20), st.sampled_from([40, 60, 100, LINE_BYTES]))
@example(PING * 64, set(range(0, 16 * 64, 16)), LINE_BYTES)
@example(PING * 64, set(range(0, 16 * 64, 15)), LINE_BYTES)
@example(b"x\n" * 18 + b"y", {34}, LINE_BYTES)
@example(PING + b"x" * 39, {20}, 40)
@example(PING + b"x" * 39 + b"\n" + PING, {20}, 40)
@example(PING + b"x" * 40 + b"\n" + PING, {20}, 40)
def test_however_a_stream_is_cut_the_frames_are_the_same(stream: bytes, cuts: set[int], line_bytes: int) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    whole = heard([stream], line_bytes)
    assert heard([stream[start:end] for start, end in pairwise(places)], line_bytes) == whole
    assert heard([stream[place : place + 1] for place in range(len(stream))], line_bytes) == whole


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A valid line with a few of its bytes flipped, dropped, doubled, moved or replaced, or its end cut off."""
    data = bytearray(draw(st.one_of(st.sampled_from([*examples.REQUESTS.values()]), examples.requests).map(_encode)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        act = draw(st.sampled_from(["flip", "insert", "structure", "delete", "double", "cut"]))
        if act == "flip" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif act == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=4))
        elif act == "structure":
            data[place:place] = draw(
                st.sampled_from([b'"', b"\\", b"{", b"}", b"[", b":", b",", b"\n", b"\\ud800", b"9" * 99])
            )
        elif act == "delete":
            del data[place : place + draw(st.integers(1, 6))]
        elif act == "double":
            data[place:place] = data[place : place + draw(st.integers(1, 30))]
        else:
            del data[place:]
    return bytes(data)


def _encode(request: f.AnyRequest) -> bytes:
    return NativeClientProtocol.encode(request)


@given(_damaged())
def test_a_damaged_frame_gives_requests_or_protocol_errors(data: bytes) -> None:
    protocol = NativeProtocol(LINE_BYTES)
    for item in (*protocol.receive(data + b"\n"), *protocol.receive_eof()):
        if isinstance(item, ProtocolError):
            assert item.code in (Code.BAD_FRAME, Code.UNKNOWN_TYPE)
            assert item.ref is None or 1 <= len(item.ref) <= 64
            NativeProtocol.encode(f.Error(ref=item.ref, code=item.code, message=item.message))
        else:
            assert NativeProtocol(2 * LINE_BYTES).receive(_encode(item)) == [item]


@given(st.data())
def test_an_error_about_a_damaged_login_does_not_show_the_password(data: st.DataObject) -> None:
    line = bytearray(_encode(f.Login(username="alice", password=SECRET)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(line) - 1))
        line[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=2))
    for item in NativeProtocol(LINE_BYTES).receive(bytes(line) + b"\n"):
        assert not isinstance(item, ProtocolError) or "Zq" not in item.message


def test_a_line_may_fill_the_limit_with_its_newline() -> None:
    assert NativeProtocol(len(PING)).receive(PING) == [f.Ping()]
    [error] = NativeProtocol(len(PING) - 1).receive(PING)
    assert isinstance(error, ProtocolError)
    assert (error.code, error.fatal) == (Code.TOO_LONG, True)
    assert error.message == "A line may have 15 bytes, its newline included."


def test_a_line_is_refused_before_its_end_has_come() -> None:
    protocol = NativeProtocol(100)
    assert protocol.receive(b"x" * 99) == []
    assert protocol.partial
    [error] = protocol.receive(b"x")
    assert isinstance(error, ProtocolError)
    assert error.code is Code.TOO_LONG
    assert not protocol.partial


def test_what_is_before_a_line_too_long_is_heard_and_nothing_after_it() -> None:
    protocol = NativeProtocol(100)
    first, error = protocol.receive(PING + b"x" * 100 + b"\n" + PING)
    assert first == f.Ping()
    assert isinstance(error, ProtocolError)
    assert error.code is Code.TOO_LONG
    assert protocol.receive(b"\n" + PING) == []
    assert protocol.receive_eof() == []


def test_a_line_without_an_end_takes_no_more_memory_than_the_limit() -> None:
    protocol = NativeProtocol(LINE_BYTES)
    chunk = b"x" * 1_000
    tracemalloc.start()
    try:
        for _ in range(5_000):
            protocol.receive(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * LINE_BYTES


def test_the_memory_of_a_long_line_is_given_back_at_its_end() -> None:
    protocol = NativeProtocol(2**22)
    line = b'{"type":"say","id":"1","room":"lobby","text":"' + b"x" * 2**21 + b'"}\n'
    tracemalloc.start()
    try:
        for place in range(0, len(line), 2**16):
            protocol.receive(line[place : place + 2**16])
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 2**16


def test_a_long_line_in_small_pieces_is_not_read_again_for_each_piece() -> None:
    # 64 MiB in 2**16 pieces: looking through what came before at each would read 2 TB, far past the test's time limit.
    protocol = NativeProtocol(2**27)
    piece = b"x" * 2**10
    for _ in range(2**16):
        assert protocol.receive(piece) == []
    [error] = protocol.receive(b"\n")
    assert isinstance(error, ProtocolError)
    assert error.code is Code.BAD_FRAME


def test_many_lines_in_a_chunk_are_not_copied_for_each_line() -> None:
    # 2**17 lines before one of 16 MiB: copying the rest at each would copy 2 TB, far past the test's time limit.
    [error] = NativeProtocol(2**25).receive(b"\n" * 2**17 + b"x" * 2**24 + b"\n")
    assert isinstance(error, ProtocolError)
    assert error.code is Code.BAD_FRAME


@given(st.integers(1, 40))
def test_seventeen_bad_lines_in_a_row_are_the_end_however_they_are_cut(size: int) -> None:
    stream = b'x\n{"type":"ping"}\n' + b"x\n" * 40
    protocol = NativeProtocol(1_000)
    found = [item for start in range(0, len(stream), size) for item in protocol.receive(stream[start : start + size])]
    fatal = [isinstance(item, ProtocolError) and item.fatal for item in found].index(True)
    assert fatal == 1 + 1 + 17
