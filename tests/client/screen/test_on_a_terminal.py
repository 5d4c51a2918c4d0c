"""`securechat connect` on a pseudo-terminal: the full screen, what hostile texts come to on it, what it leaves."""

import os
import re
import signal
import sqlite3
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client.screens import BRACKETED_PASTE, ON_ITS_TERMINAL, OnScreen
from tests.client.scripted import Peer, authority_file, message, scripted
from tests.client.test_terminal import HOSTILE
from tests.server.support import PASSWORD, make_home, running_server

STATE = {"room": "lobby", "head": 0, "members": 2, "joined": True}


class Room:
    """A scripted server's only room, in which a test has records appear."""

    def __init__(self, *frames: dict[str, Any]) -> None:
        self._frames = frames
        self.is_seen = threading.Event()

    def play(self, peer: Peer) -> None:
        peer.let_in()
        while (request := peer.receive())["type"] != "logout":
            answer: dict[str, Any] = {"ref": request["ref"]}
            match request["type"]:
                case "join":
                    answer |= {"type": "joined", "room": "lobby", "head": 0, "members": 2}
                case "sync":
                    answer |= {"type": "synced"}
                case "history":
                    answer |= {"type": "page", "room": "lobby", "records": [], "more": False}
                case "members":
                    answer |= {"type": "members", "room": "lobby", "members": ["alice", "\x1b[2Jeve\u202e"]}
                case "rooms":
                    answer |= {"type": "rooms", "rooms": [{**STATE, "topic": "".join(HOSTILE)}]}
                case "read":
                    answer |= {"type": "read", "room": "lobby", "seq": request["seq"]}
                case "say":
                    answer |= {"type": "error", "code": "bad-text", "message": "No \x1b[2J\u202e, said the server."}
            peer.send(answer)
            if request["type"] == "members":
                peer.send(*self._frames)
        peer.send({"type": "bye", "code": "logged-out", "message": "Goodbye."})


def on_screen(tmp_path: Path, port: int, *, program: str = ON_ITS_TERMINAL) -> OnScreen:
    account = f"alice@localhost:{port}"
    screen = OnScreen("connect", account, "--ca", authority_file(tmp_path), columns=100, rows=40, program=program)
    screen.wait_for("Password of alice@localhost:")
    screen.enter(PASSWORD)
    return screen


def hostile_records() -> list[dict[str, Any]]:
    """Sixty and more texts: each hostile one as a message, as a topic, and as what is answered."""
    records: list[dict[str, Any]] = []
    for hostile in HOSTILE:
        seq = len(records) + 1
        about = {"room": "lobby", "sender": "eve", "time": 60_000}
        records += [
            message(seq, hostile, sender="eve"),
            {"type": "topic", "seq": seq + 1, "text": hostile, **about},
            {**message(seq + 2, "so it is", sender="eve"), "reply_to": seq},
        ]
    return records


def test_hostile_texts_are_harmless_on_the_full_screen_too(tmp_path: Path) -> None:
    records = hostile_records()
    assert len(records) >= 60
    room = Room(*records, message(len(records) + 1, "the end of it"))
    with scripted(room.play) as server, on_screen(tmp_path, server.port) as screen:
        screen.wait_for("│ the end of it")
        screen.enter("is it?")
        screen.wait_for("Not stored: No \\u{1B}[2J\\u{202E}, said the server.")
        shown: set[str] = set()
        for _ in range(12):
            shown |= set(screen.lines[1:-2])
            top = screen.lines[1]
            screen.type("\x1b[5~")
            if any("1 January 1970" in line for line in screen.lines[1:3]):
                break
            screen.wait(lambda lines, top=top: lines[1] != top)  # type: ignore[misc]
        assert any("\\u{1B}[2J" in line for line in shown)
        screen.type("\x04")
        assert screen.end() == 0
        written = screen.written.decode()
    for char in written:
        category = unicodedata.category(char)
        assert category not in ("Cf", "Co", "Cn", "Zl", "Zp"), hex(ord(char))
        assert category != "Cc" or char in "\r\n\x1b\b", hex(ord(char))
    assert "\x1b]" not in written
    for line in shown:
        talk = line.partition("│ ")[2]
        assert re.match(
            r"\d\d:\d\d +(eve|bob|--|alice) │ |·{5} +alice │ | +│ |-- (Welcome|Not stored)|  +|─|$", talk
        ), line


def interrupt(screen: OnScreen) -> None:
    screen.type("\x03")


def terminate(screen: OnScreen) -> None:
    os.kill(screen.process.pid, signal.SIGTERM)


def away(screen: OnScreen) -> None:
    screen.enter("/away")


CRASHES = {
    "nowhere": "",
    "drawing": """
from securechat.client.screen import panels
def draw(model, viewport, width, draw=panels.state):
    if model.is_away:
        raise RuntimeError("a bug")
    return draw(model, viewport, width)
panels.state = draw
""",
    "a thread": """
from securechat.client.screen import lanes
from securechat.client.screen.actions import Actions
def enter(self, typed, enter=Actions.enter):
    if typed == "/away":
        self._asker._lane.ask(lambda: 1 // 0)
    return enter(self, typed)
Actions.enter = enter
""",
}
"""What goes wrong when one is away."""


@pytest.mark.parametrize(
    ("leave", "code", "crash"),
    [(interrupt, 130, "nowhere"), (terminate, 143, "nowhere"), (away, 1, "drawing"), (away, 1, "a thread")],
    ids=["Ctrl-C", "SIGTERM", "a crash", "a crash of a thread"],
)
def test_the_terminal_is_as_it_was_and_what_is_not_stored_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leave: Callable[[OnScreen], None], code: int, crash: str
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    room = Room(message(1, "hello alice"))
    program = CRASHES[crash] + ON_ITS_TERMINAL
    with scripted(room.play) as server, on_screen(tmp_path, server.port, program=program) as screen:
        screen.wait_for("│ hello")
        screen.enter("this is refused")
        screen.wait_for("1 failed")
        leave(screen)
        assert screen.end() == code
        told = screen.written.rpartition(b"\x1b[?1049l")[2]  # where one sees it: not on the screen that is gone
        assert b"You said: this is refused" in told
        assert screen.modes() == screen.modes_before
        assert BRACKETED_PASTE not in screen.screen.mode
        assert not screen.screen.cursor.hidden
        assert b"38;5" not in screen.written, "no colour where none is wanted"
        assert b"[0;1m" in screen.written
        assert (b"Traceback" in told) is (crash != "nowhere")


def test_a_line_that_waits_when_the_client_is_killed_is_stored_once_and_shown_once_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home")
    outbox = Path(os.environ["XDG_STATE_HOME"]) / "securechat" / "outbox"

    def alice(port: int, *options: str) -> OnScreen:
        arguments = ("connect", f"alice@localhost:{port}", "--home", str(home), *options)
        screen = OnScreen(*arguments, columns=100, rows=24)
        screen.wait_for("Password of alice@localhost:")
        screen.enter(PASSWORD)
        return screen

    with running_server(home) as server:
        first = alice(server.port)
        with first:
            first.wait_for("alice joined.")
            with monkeypatch.context() as patch:
                patch.setenv("XDG_STATE_HOME", str(home / "credentials"))  # a file
                second = alice(server.port, "--plain")
            with second:
                second.wait_for("/credentials/", "cannot be used", "What is not stored when this client ends is lost.")
                second.type("\x04")
                assert second.end() == 0
                assert sum("Password of" in line for line in second.lines) == 1
            server.stop()
            first.wait_for("not connected")
            first.enter("said in the dark")
            first.wait_for("1 line waits")
            (log,) = outbox.glob("*-wal")
            first.wait(lambda _: b"said in the dark" in log.read_bytes(), "the line on disk")
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait(30)
    with running_server(home, port=server.port), alice(server.port) as third:
        third.wait(lambda lines: any(re.search(r"alice │ said in the dark +#\d+$", line) for line in lines))
        third.enter("and it is light")
        third.wait(lambda lines: any(re.search(r"alice │ and it is light +#\d+$", line) for line in lines))
        assert sum("said in the dark" in line for line in third.lines) == 1
        third.type("\x04")
        assert third.end() == 0
        assert "You said" not in "\n".join(third.lines)
    kept = sqlite3.connect(next(outbox.glob("*.outbox")))
    assert kept.execute("SELECT count(*) FROM lines").fetchone() == (0,)
    kept.close()
