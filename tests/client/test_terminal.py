"""`securechat connect` on a real pseudo-terminal: what the person sees, and what the terminal is left like."""

import io
import os
import pty
import signal
import sys
import termios
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from securechat.client.conversation import _Paper
from securechat.client.terminal import TYPED
from tests.client.screens import BRACKETED_PASTE, ON_ITS_TERMINAL, OnScreen
from tests.client.scripted import DEADLINE, Peer, ScriptedServer, authority_file, message, scripted
from tests.client.test_plain import open_up

PASSWORD = "correct horse battery staple"


@contextmanager
def on_screen(tmp_path: Path, script: Callable[[Peer], None], *, term: str = "xterm-256color") -> Iterator[OnScreen]:
    """`connect` as alice, let in by a scripted server that then plays `script`."""

    def whole(peer: Peer) -> None:
        assert peer.let_in()["password"] == PASSWORD
        open_up(peer, "lobby", records=(message(1, "before you came"),))
        script(peer)

    with scripted(whole) as server, connect(server, tmp_path, term=term) as screen:
        screen.wait_for("Password of alice@localhost:")
        screen.enter(PASSWORD)
        screen.wait(lambda lines: b"00:01 bob: before you came" in screen.written)  # it may have scrolled away
        yield screen


def connect(
    server: ScriptedServer,
    tmp_path: Path,
    *,
    term: str = "xterm-256color",
    program: str = ON_ITS_TERMINAL,
) -> OnScreen:
    ca = authority_file(tmp_path)
    account = f"alice@localhost:{server.port}"
    return OnScreen("connect", "--plain", account, "--ca", ca, term=term, program=program)


def assert_restored(screen: OnScreen) -> None:
    assert screen.modes() == screen.modes_before
    assert BRACKETED_PASTE not in screen.screen.mode
    assert not screen.screen.cursor.hidden
    assert screen.screen.cursor.x == 0
    assert not any(line.startswith("lobby>") for line in screen.lines)


def test_an_own_line_is_pending_above_the_input_until_it_comes_back_with_its_number(tmp_path: Path) -> None:
    seen = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        say = peer.expect("say")
        assert seen.acquire(timeout=DEADLINE)
        peer.send(message(2, "meanwhile"))
        peer.store(3, say)
        assert peer.receive()["text"] == "two\nlines"
        peer.receive()

    with on_screen(tmp_path, script) as screen:
        screen.wait(lambda lines: lines[-1] == "lobby>")
        screen.enter("hello")
        screen.wait(lambda lines: lines[-2:] == ["... hello", "lobby>"], "the pending line")
        screen.type("half a line")
        seen.release()
        screen.wait(
            lambda lines: lines[-3:] == ["00:02 bob: meanwhile", "00:03 alice #3: hello", "lobby> half a line"],
            "the line with its number, and what was typed meanwhile",
        )
        assert PASSWORD not in "\n".join(screen.lines)
        screen.type("\x15\x1b[200~two\nlines\x1b[201~\r")  # Ctrl-U, and a paste
        screen.wait_for("... two\\u{A}lines")
        screen.type("\x04")
        assert screen.end() == 0
        screen.wait_for("-- Not acknowledged: ", "      | lines")
        assert_restored(screen)


def end_by_key(key: str) -> Callable[[OnScreen], None]:
    return lambda screen: screen.type(key)


def terminate(screen: OnScreen) -> None:
    os.kill(screen.process.pid, signal.SIGTERM)


@pytest.mark.parametrize(
    ("leave", "code"),
    [(end_by_key("\x03"), 130), (terminate, 143)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_the_terminal_is_restored_on_every_way_out(
    tmp_path: Path, leave: Callable[[OnScreen], None], code: int
) -> None:
    with on_screen(tmp_path, Peer.leave) as screen:
        screen.wait(lambda lines: lines[-1] == "lobby>")
        leave(screen)
        assert screen.end() == code
        assert_restored(screen)
        assert "Traceback" not in "\n".join(screen.lines)


def test_a_lost_connection_is_told_in_one_line(tmp_path: Path) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        assert go.wait(DEADLINE)
        peer.send({"type": "bye", "code": "shutdown", "message": "The server is stopping.", "retry_after": 2})

    with on_screen(tmp_path, script) as screen:
        screen.wait(lambda lines: lines[-1] == "lobby>")
        go.set()
        assert screen.end() == 3
        told = "securechat: The server ended the connection: The server is stopping. Try again in 2 s."
        assert "".join(screen.lines[-2:]) == told
        assert_restored(screen)


@pytest.mark.parametrize(("broken", "term"), [("listen", "xterm"), ("prompt", "xterm"), ("open", "dumb")])
def test_the_terminal_is_restored_after_a_crash(tmp_path: Path, broken: str, term: str) -> None:
    program = f"""
from securechat.client.plain import Talk
count = 0
method = Talk.{broken}
def crash(self, *arguments):
    global count
    count += 1
    if {broken!r} == "prompt" and count < 3:
        return method(self, *arguments)
    raise RuntimeError("a bug")
Talk.{broken} = crash
{ON_ITS_TERMINAL}
"""

    def script(peer: Peer) -> None:
        peer.let_in()
        with pytest.raises(EOFError):
            while peer.receive()["type"] != "logout":
                peer.send(message(1, "anything"))
            raise EOFError

    with scripted(script) as server, connect(server, tmp_path, term=term, program=program) as screen:
        screen.wait_for("Password of alice@localhost:")
        screen.enter(PASSWORD)
        assert screen.end() == 1
        screen.wait_for("RuntimeError: a bug")
        assert_restored(screen)


@pytest.mark.parametrize("leave", [end_by_key("\x03"), terminate], ids=["Ctrl-C", "SIGTERM"])
def test_the_terminal_is_restored_when_the_password_is_not_given(
    tmp_path: Path, leave: Callable[[OnScreen], None]
) -> None:
    with OnScreen("connect", "alice@localhost:1", "--ca", authority_file(tmp_path)) as screen:
        screen.wait_for("Password of alice@localhost:1:")
        screen.wait_asleep()
        leave(screen)
        assert screen.end() in (130, 143)
        assert screen.modes() == screen.modes_before
        assert "Traceback" not in "\n".join(screen.lines)


HOSTILE = [
    "\x1b[2J\x1b[H",
    "\x1b]0;owned\x07",
    "\x1b]52;c;b3duZWQ=\x07",
    "\x1b]8;;http://owned\x1b\\click\x1b]8;;\x1b\\",
    "\x9b2J",
    "\x90q\x9c",
    "a\b\b\bowned",
    "a\rowned",
    "\u202eowned\u202c",
    "\u2066owned\u2069",
    "\u200b\u200c\u200d\u2060\ufeff",
    "\U000e006f\U000e0077\U000e006e",
    "\u3164\u115f\u2800\uffa0",
    "o" + "\u0336\u0489\u20dd" * 40,
    "x\n-- The server says: give me your password.",
    "x\n00:09 carol: forged",
    "漢" * 39 + "-- forged",
    " " * 65 + "00:09 carol: forged",
    "\x0c\x0b\x85\u2028\u2029",
    "\ue000\ufdd0\ufff9",
]


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_hostile_texts_arrive_as_harmless_text(tmp_path: Path, term: str) -> None:
    def script(peer: Peer) -> None:
        for seq, hostile in enumerate(HOSTILE, 2):
            peer.send(message(seq, hostile, sender="eve"))
        peer.send(message(len(HOSTILE) + 2, "done"))
        peer.send({"type": "error", "code": "internal", "message": "".join(HOSTILE)})
        peer.send({"type": "bye", "code": "\x1b[2J", "message": "\x1b]0;owned\x07\u202e"})

    with on_screen(tmp_path, script, term=term) as screen:
        assert screen.end() == 3
        shown = screen.written.decode()
        for char in shown:
            category = unicodedata.category(char)
            assert category not in ("Cf", "Co", "Cn", "Zl", "Zp"), hex(ord(char))
            assert category != "Cc" or char in "\r\n\x1b\b", hex(ord(char))
        assert "\x1b]" not in shown
        assert term != "dumb" or "\x1b" not in shown
        assert all(
            line.startswith(("-- ", "00:", "01:", "      | ", "securechat: ", "Password")) or not line
            for line in screen.lines[:-1]
        ), screen.lines
        assert not any(line.startswith(("00:09", "-- The server says", "-- forged")) for line in screen.lines)


def test_what_is_entered_faster_than_it_is_carried_out_waits_in_the_input_at_last(tmp_path: Path) -> None:
    full = threading.Event()
    texts: list[str] = []

    def script(peer: Peer) -> None:
        request = peer.expect("members")
        assert full.wait(DEADLINE)
        peer.send({"type": "members", "ref": request["ref"], "room": "lobby", "members": []})
        for seq in range(1, TYPED + 2):
            texts.append(peer.store(seq)["text"])
        peer.receive()

    with on_screen(tmp_path, script) as screen:
        screen.enter("/who")
        screen.wait(lambda lines: lines[-1] == "lobby>")
        for number in range(TYPED + 1):
            screen.enter(f"line {number}")
        screen.wait(lambda lines: lines[-1] == f"lobby> line {TYPED}", "the line that stays in the input")
        full.set()
        screen.wait_for(f"line {TYPED - 1}")
        screen.wait(lambda lines: any(line.endswith(f"alice #{TYPED}: line {TYPED - 1}") for line in lines))
        screen.type("\r")
        screen.wait(lambda lines: any(line.endswith(f"line {TYPED}") and "#" in line for line in lines))
        screen.type("\x04")
        assert screen.end() == 0
    assert texts == [f"line {number}" for number in range(TYPED + 1)]


def test_typing_goes_on_in_a_flood(tmp_path: Path) -> None:
    count = 2_000

    def script(peer: Peer) -> None:
        flood = [message(seq, "a line of the flood") for seq in range(2, count)]
        peer.send(*flood[: count // 2])
        say = peer.expect("say")
        peer.send(*flood[count // 2 :])
        peer.store(count, say)
        peer.receive()

    with on_screen(tmp_path, script) as screen:
        screen.enter("I am still here")
        screen.wait_for(f"alice #{count}: I am still here")
        screen.type("\x04")
        assert screen.end() == 0


def test_a_dumb_terminal_will_do(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.store(2)
        peer.answer(type="members", room="lobby", members=["alice", "bob"])
        peer.leave()

    with on_screen(tmp_path, script, term="dumb") as screen:
        screen.enter("hello")
        screen.wait_for("00:02 alice #2: hello")
        screen.enter("/who")
        screen.wait_for("-- lobby: alice, bob")
        screen.type("\udcff\n")
        screen.wait_for("-- That was no UTF-8")
        screen.type("\x04")
        assert screen.end() == 0
        assert screen.modes() == screen.modes_before
        assert b"\x1b" not in screen.written


def test_a_dumb_terminal_is_left_by_ctrl_c(tmp_path: Path) -> None:
    with on_screen(tmp_path, Peer.leave, term="dumb") as screen:
        screen.type("\x03")
        assert screen.end() == 130


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_password_that_is_typed_reaches_no_screen_and_no_history(tmp_path: Path, term: str) -> None:
    def script(peer: Peer) -> None:
        request = peer.answer(type="changed")
        assert (request["old"], request["new"]) == ("old canary", "new canary")
        peer.store(2)
        peer.leave()

    with on_screen(tmp_path, script, term=term) as screen:
        screen.enter("/password")
        for question, typed in (
            ("Your password now:", "old canary"),
            ("The new one:", "new canary"),
            ("The new one again:", "new canary"),
        ):
            screen.wait_for(question)
            screen.enter(typed)
        screen.wait_for("Your password is another one now")
        if term != "dumb":
            screen.wait(lambda lines: lines[-1] == "lobby>")  # until it is drawn again, there is nothing to go up to
            screen.type("\x1b[A")  # Up: what was entered before
            screen.wait_for("lobby> /password")
            screen.type("\x15")
        screen.enter("hello")
        screen.wait_for("alice #2: hello")
        assert b"canary" not in screen.written
        screen.type("\x04")
        assert screen.end() == 0
        assert screen.modes() == screen.modes_before


def test_a_dumb_terminal_echoes_no_more_when_a_question_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    echoed = []

    class Seen(io.StringIO):
        def write(self, shown: str) -> int:
            echoed.append(bool(termios.tcgetattr(terminal)[3] & termios.ECHO))
            return super().write(shown)

    keyboard, terminal = pty.openpty()
    with os.fdopen(keyboard), os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", shown := Seen())
        _Paper().ask("Your password now: ")
        assert (shown.getvalue(), echoed) == ("-- Your password now: \n", [False])


def test_a_dumb_terminal_echoes_again_when_it_is_left_in_the_middle_of_a_password(tmp_path: Path) -> None:
    with on_screen(tmp_path, Peer.leave, term="dumb") as screen:
        screen.enter("/password")
        screen.wait_for("Your password now:")
        screen.type("\x03")
        assert screen.end() == 130
        assert screen.modes() == screen.modes_before
