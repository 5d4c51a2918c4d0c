"""The examples do what they say, each as a process of its own against a real server."""

import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from securechat.errors import Unreachable
from securechat.protocols.frames import Message, Welcome
from securechat.server.server import Server
from tests.project.tree import ROOT
from tests.server.support import DEADLINE, peer


def example(name: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    return subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    )


def test_the_bot_answers_what_is_asked_while_it_is_there(server: Server) -> None:
    with peer(server, "bob", room="lobby") as bob, example("echo_bot", "lobby") as bot:
        bob.say("!echo before", id="before")
        heard: list[dict[str, object]] = []
        asked = 0
        while not (answers := [message for message in heard if message["sender"] == "alice"]):
            asked += 1  # until it is there, and answers
            bob.say(f"!echo {asked}", id=f"q{asked}")
            bob.send({"type": "ping"})
            while (frame := bob.expect("message", "pong"))["type"] == "message":
                heard.append(frame)
        bot.terminate()
        _, err = bot.communicate(timeout=DEADLINE)
    assert err == ""
    question = next(message for message in heard if message["seq"] == answers[0]["reply_to"])
    assert question["text"] == f"!echo {answers[0]['text']}" != "!echo before"


def test_a_build_is_told_once_however_often_it_is_run(server: Server) -> None:
    for words, code in (
        (("lobby", "docs", "7", "green"), 0),
        (("lobby", "docs", "7", "green"), 0),
        (("ops", "a", "1", "b"), 4),
    ):
        with example("ci_notifier", *words) as run:
            out, err = run.communicate(timeout=DEADLINE)
        assert (run.returncode, out) == (code, "" if code else "lobby 2\n"), err


def test_a_bridge_carries_both_ways_and_goes_on_where_it_was(server: Server) -> None:
    with peer(server, "alice") as alice:
        alice.send({"type": "read", "room": "lobby", "seq": 1, "consumer": "bridge"})
        assert alice.expect("read", "error")["type"] == "read"

    def until_marked(seq: int) -> None:
        deadline = time.monotonic() + DEADLINE
        with peer(server, "alice") as alice:
            marked = 0
            while marked < seq:
                assert time.monotonic() < deadline, marked
                alice.send({"type": "read", "room": "lobby", "seq": 0, "consumer": "bridge"})
                marked = alice.expect("read")["seq"]

    with peer(server, "bob", room="lobby") as bob:
        bob.say("one", id="one")
        with example("bridge", "lobby") as bridge:
            assert bridge.stdin
            assert bridge.stdout
            assert json.loads(bridge.stdout.readline()) == {"id": "lobby-3", "sender": "bob", "text": "one"}
            bridge.stdin.write(json.dumps({"id": "x1", "sender": "zoe", "text": "from afar"}) + "\n")
            bridge.stdin.flush()
            assert [message["text"] for message in bob.messages(2)] == ["one", "<zoe> from afar"]
            two = bob.say("two", id="two")["seq"]
            assert json.loads(bridge.stdout.readline())["text"] == "two"
            until_marked(two)
            _, err = bridge.communicate(timeout=DEADLINE)  # the other end closes
            assert (bridge.returncode, err) == (0, "")
        bob.say("three", id="three")
        with example("bridge", "lobby") as bridge:
            assert bridge.stdout
            assert json.loads(bridge.stdout.readline())["text"] == "three"
            bridge.communicate(timeout=DEADLINE)


def test_a_bridge_whose_other_end_closes_while_it_marks_what_it_said_ends_in_good_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Closed:
        """A client that is closed by the other thread as soon as the message has been said there."""

        welcome = Welcome(username="alice", role="member", session="s", version="1", rooms=())

        def cursor(self, room: str, consumer: str) -> int:
            return 0

        def messages(self, room: str, after: int | None) -> Iterator[Message]:
            yield Message(room=room, seq=4, id="four", sender="bob", time=0, text="four")

        def advance(self, room: str, consumer: str, seq: int) -> None:
            raise Unreachable("The connection was closed.")

    bridge = runpy.run_path(str(ROOT / "examples" / "bridge.py"))
    bridge["outward"](Closed(), "lobby", bridge["Other"]())
    assert json.loads(capsys.readouterr().out)["id"] == "lobby-4"


def test_importing_the_package_loads_no_client() -> None:
    code = "import securechat, sys; assert 'ssl' not in sys.modules and 'msgspec' not in sys.modules; securechat.Client"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE)
