"""`securechat connect` on a pseudo-terminal: the full screen, what hostile texts come to on it, what it leaves."""

import os
import re
import signal
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client.screens import BRACKETED_PASTE, OnScreen
from tests.client.scripted import Peer, authority_file, message, scripted
from tests.client.test_terminal import HOSTILE

PASSWORD = "correct horse battery staple"
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


def on_screen(tmp_path: Path, port: int, *arguments: str) -> OnScreen:
    account = f"alice@localhost:{port}"
    screen = OnScreen("connect", account, "--ca", authority_file(tmp_path), *arguments, columns=100, rows=40)
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


@pytest.mark.parametrize(("leave", "code"), [(interrupt, 130), (terminate, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_the_terminal_is_as_it_was_and_what_is_not_stored_is_told(
    tmp_path: Path, leave: Callable[[OnScreen], None], code: int
) -> None:
    room = Room(message(1, "hello"))
    with scripted(room.play) as server, on_screen(tmp_path, server.port) as screen:
        screen.wait_for("│ hello")
        screen.enter("this is refused")
        screen.wait_for("1 failed")
        leave(screen)
        assert screen.end() == code
        screen.wait_for("You said: this is refused")
        assert screen.modes() == screen.modes_before
        assert BRACKETED_PASTE not in screen.screen.mode
        assert not screen.screen.cursor.hidden
        assert b"\x1b[?1049l" in screen.written
        assert "Traceback" not in "\n".join(screen.lines)


def test_no_colour_is_used_where_none_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    room = Room(message(1, "hello alice"))
    with scripted(room.play) as server, on_screen(tmp_path, server.port) as screen:
        screen.wait_for("│ hello alice")
        screen.type("\x04")
        assert screen.end() == 0
        assert b"38;5" not in screen.written
        assert b"[0;1m" in screen.written
