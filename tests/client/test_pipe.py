"""Chat for scripts: what goes in is said, what is heard comes out, and the end tells whether everything was stored."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.pipe import Pipe
from securechat.client.timeouts import Timeouts
from securechat.errors import Refused, SecurechatError, Unreachable
from tests.client.scripted import DEADLINE, Peer, authority_file, message, scripted

Captured = pytest.CaptureFixture[bytes]


@contextmanager
def piping(
    tmp_path: Path,
    script: Callable[[Peer], None],
    lines: Iterator[bytes | None],
    rooms: tuple[str, ...] = ("lobby",),
    *,
    as_json: bool = False,
) -> Iterator[Pipe]:
    """A pipe to a scripted server, which first lets alice in and into `rooms`."""

    def whole(peer: Peer) -> None:
        peer.let_in()
        for room in rooms:
            if not room.startswith("@"):
                assert peer.answer(type="joined", room=room, head=0, members=1)["room"] == room
        peer.answer(type="synced")
        script(peer)

    ca = authority_file(tmp_path)
    with (
        scripted(whole) as server,
        Client.connect("localhost", server.port, client_context(ca), "alice", "secret") as client,
    ):
        yield Pipe(client, list(rooms), enumerate(lines, 1), as_json=as_json)


def typed(*lines: bytes | None, then: threading.Event | None = None) -> Iterator[bytes | None]:
    """These lines of input, and its end when `then` is set."""
    yield from lines
    if then:
        assert then.wait(DEADLINE)


def test_lines_are_said_in_the_first_room_and_everything_is_waited_for(tmp_path: Path, capfdbinary: Captured) -> None:
    said: list[tuple[str, str]] = []

    def script(peer: Peer) -> None:
        says = [peer.expect("say") for _ in range(3)]
        for seq, say in enumerate(says, 1):
            peer.store(seq, say)
            said.append((say["room"], say["text"]))
        peer.leave()

    lines = typed(b"one", b"", b"  ", "zwei ü".encode(), b"/join is no command here")
    with piping(tmp_path, script, lines, ("ops", "lobby")) as pipe:
        pipe.run()
    assert said == [("ops", "one"), ("ops", "zwei ü"), ("ops", "/join is no command here")]
    assert capfdbinary.readouterr() == (b"", b"")


def test_what_others_say_comes_out_safe_on_one_line_and_own_lines_do_not(tmp_path: Path, capfdbinary: Captured) -> None:
    def script(peer: Peer) -> None:
        peer.send(message(1, "hello\n[lobby] bob: forged\x1b[2J", sender="carol"))
        peer.store(2)
        peer.send(
            message(3, "ünïcode", room="@bob"),
            message(3, "from my other device", sender="alice", id="other"),
            {"type": "join", "room": "lobby", "seq": 4, "sender": "dave", "time": 0},
        )
        peer.store(5)
        peer.leave()

    with piping(tmp_path, script, typed(b"mine", b"last")) as pipe:
        pipe.run()
    out, err = capfdbinary.readouterr()
    assert out.decode().splitlines() == [
        "[lobby] carol: hello\\u{A}[lobby] bob: forged\\u{1B}[2J",
        "[@bob] bob: ünïcode",
        "[lobby] alice: from my other device",
    ]
    assert err == b""


def test_as_json_every_event_is_its_frame_in_ascii(tmp_path: Path, capfdbinary: Captured) -> None:
    def script(peer: Peer) -> None:
        peer.store(1)
        peer.send(message(2, "ü\x9b\x7f"), {"type": "ping"})
        assert {peer.expect("pong", "say")["type"] for _ in range(2)} == {"pong", "say"}
        peer.send({"type": "error", "ref": "4", "code": "storage", "message": "The disk is full."})
        peer.leave()

    with piping(tmp_path, script, typed(b"mine", b"last"), as_json=True) as pipe, pytest.raises(Refused):
        pipe.run()
    out, _ = capfdbinary.readouterr()
    assert out.isascii()
    assert b"\x7f" not in out
    frames: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert [frame["type"] for frame in frames] == ["ack", "message", "message", "error"]
    assert frames[0]["id"] == frames[1]["id"]
    assert frames[2]["text"] == "ü\x9b\x7f"


def test_a_refused_line_is_told_with_its_number_and_the_rest_is_said(tmp_path: Path, capfdbinary: Captured) -> None:
    def script(peer: Peer) -> None:
        peer.answer(type="error", code="bad-text", message="The text has 20000 bytes; 16384 are allowed.")
        peer.store(1)
        peer.leave()

    with piping(tmp_path, script, typed(b"x" * 20_000, b"short")) as pipe, pytest.raises(Refused) as refused:
        pipe.run()
    assert str(refused.value) == "1 of 2 lines is not acknowledged."
    assert refused.value.exit_code == 4
    out, err = capfdbinary.readouterr()
    assert err == b"securechat: Line 1 was not stored: The text has 20000 bytes; 16384 are allowed.\n"
    assert out == b""


def test_what_cannot_be_said_is_told_and_not_sent(tmp_path: Path, capfdbinary: Captured) -> None:
    def script(peer: Peer) -> None:
        assert peer.store(1)["text"] == "good"
        peer.leave()

    with piping(tmp_path, script, typed(b"bad \xff", None, b"good")) as pipe, pytest.raises(Refused) as refused:
        pipe.run()
    assert str(refused.value) == "2 of 3 lines are not acknowledged."
    _, err = capfdbinary.readouterr()
    assert err.decode().splitlines() == [
        "securechat: Line 1 was not stored: Its byte 5 is not UTF-8.",
        "securechat: Line 2 was not stored: It has 65536 bytes or more.",
    ]


def test_a_connection_that_is_lost_ends_it_and_tells_how_many_lines_hang_in_the_air(
    tmp_path: Path, capfdbinary: Captured
) -> None:
    def script(peer: Peer) -> None:
        peer.store(1)
        peer.expect("say")
        peer.expect("say")
        peer.cut()

    never = threading.Event()
    with piping(tmp_path, script, typed(b"one", b"two", b"three", then=never)) as pipe:
        with pytest.raises(Unreachable, match="was lost"):
            pipe.run()
        never.set()
    out, err = capfdbinary.readouterr()
    assert err == b"securechat: 2 of 3 lines are not acknowledged, 2 of them may be stored.\n"
    assert out == b""


def test_the_end_of_the_server_is_told_though_the_input_has_not_ended(tmp_path: Path, capfdbinary: Captured) -> None:
    def script(peer: Peer) -> None:
        peer.send({"type": "error", "code": "internal", "message": "Oh \x1b."})
        peer.send({"type": "bye", "code": "shutdown", "message": "Stopping."})

    never = threading.Event()
    with piping(tmp_path, script, typed(then=never)) as pipe:
        with pytest.raises(Unreachable, match=r"The server ended the connection: Stopping\."):
            pipe.run()
        never.set()
    assert capfdbinary.readouterr().err == b"securechat: Oh \\u{1B}.\n"


def test_a_room_that_cannot_be_joined_ends_it_before_anything_is_said(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.let_in()
        peer.answer(type="error", code="no-such-room", message="There is no room ops.")
        peer.leave()

    ca = authority_file(tmp_path)
    with (
        scripted(script) as server,
        Client.connect("localhost", server.port, client_context(ca), "alice", "secret") as client,
        pytest.raises(Refused, match=r"There is no room ops\."),
    ):
        Pipe(client, ["ops"], iter([(1, b"hello")]), as_json=False).run()


def test_a_person_can_be_written_to_without_joining(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        assert peer.store(1)["room"] == "@bob"
        peer.leave()

    with piping(tmp_path, script, typed(b"psst"), ("@bob",)) as pipe:
        pipe.run()


def test_input_that_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes | None]:
        yield b"one"
        raise SecurechatError("The input cannot be read.")

    def script(peer: Peer) -> None:
        peer.store(1)
        peer.receive()

    with piping(tmp_path, script, broken()) as pipe, pytest.raises(SecurechatError, match="cannot be read"):
        pipe.run()


def test_more_lines_than_are_taken_at_once_are_said_in_order(tmp_path: Path) -> None:
    count = 500
    texts: list[str] = []

    def script(peer: Peer) -> None:
        for seq in range(1, count + 1):
            texts.append(peer.store(seq)["text"])
        peer.leave()

    with piping(tmp_path, script, typed(*[b"%d" % number for number in range(count)])) as pipe:
        pipe.run()
    assert texts == [str(number) for number in range(count)]


def test_a_terminal_that_shows_a_pipe_gets_a_gutter_where_a_line_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", Terminal(shown, "utf-8"))
    monkeypatch.setattr("os.get_terminal_size", lambda descriptor: type("Size", (), {"columns": 40}))

    def script(peer: Peer) -> None:
        peer.send(message(1, "x" * 50 + "\nnext"))
        peer.store(2)
        peer.leave()

    with piping(tmp_path, script, typed(b"last")) as pipe:
        pipe.run()
    assert shown.getvalue().decode().splitlines() == [
        "[lobby] bob:",
        *["      | " + "x" * width for width in (31, 19)],
        "      | next",
    ]


def test_a_pipe_whose_connection_is_cut_goes_on_where_it_was(tmp_path: Path, capfdbinary: Captured) -> None:
    again: list[str] = []

    def first(peer: Peer) -> None:
        peer.let_in(token="t")
        peer.answer(type="joined", room="lobby", head=0, members=1)
        peer.answer(type="synced")
        peer.store(1)
        peer.expect("say")
        peer.cut()

    def second(peer: Peer) -> None:
        peer.let_in(rooms=[{"room": "lobby", "head": 2, "members": 1, "joined": True}])
        assert peer.answer(type="synced")["after"] == {"lobby": 1}
        peer.send(message(2, "meanwhile"))
        for seq in (3, 4):
            again.append(peer.store(seq)["text"])
        peer.leave()

    context = client_context(authority_file(tmp_path))
    waits = Timeouts(retry=0.001, outage=DEADLINE)
    with (
        scripted(first, second) as server,
        Client.connect("localhost", server.port, context, "alice", "secret", timeouts=waits) as client,
    ):
        Pipe(client, ["lobby"], enumerate(typed(b"one", b"two", b"three"), 1), as_json=False).run()
    assert again == ["two", "three"]
    out, err = capfdbinary.readouterr()
    assert out == b"[lobby] bob: meanwhile\n"
    lost, back = err.decode().splitlines()
    assert lost.endswith("was lost: it was cut without a goodbye. Trying again.")
    assert back == "securechat: Connected again."


def test_a_pipe_gives_up_when_the_server_stays_away_and_tells_what_is_not_acknowledged(
    tmp_path: Path, capfdbinary: Captured
) -> None:
    def script(peer: Peer) -> None:
        peer.let_in(token="t")
        peer.answer(type="joined", room="lobby", head=0, members=1)
        peer.answer(type="synced")
        peer.store(1)
        peer.expect("say")
        peer.cut()

    context = client_context(authority_file(tmp_path))
    waits = Timeouts(retry=0.01, outage=0.1, greet=0.1)
    with (
        scripted(script) as server,
        Client.connect("localhost", server.port, context, "alice", "secret", timeouts=waits) as client,
    ):
        with pytest.raises(Unreachable, match="Nothing came of trying again") as gave_up:
            Pipe(client, ["lobby"], enumerate(typed(b"one", b"two"), 1), as_json=False).run()
        assert gave_up.value.exit_code == 3
    told = capfdbinary.readouterr().err.decode().splitlines()
    assert told[-1] == "securechat: 1 of 2 lines is not acknowledged, 1 of them may be stored."
