"""`securechat tail` against a real server: where it begins, when it ends, and what a consumer goes on from."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.server.support import DEADLINE, peer, running_server

ENDS = ("--until-idle", "0")


@pytest.fixture
def talked(served: Server, commands: Commands) -> Commands:
    """The commands, and a lobby with four records: two who came, and what bob said."""
    with peer(served, "alice", room="lobby"), peer(served, "bob", room="lobby") as bob:
        bob.say("one", id="1")
        bob.say("two\n\x1b".replace("\x1b", "\u202e"), id="2")
    return commands


def frames(out: str) -> list[tuple[int, bool]]:
    return [(frame["seq"], frame.get("replay", False)) for frame in map(json.loads, out.splitlines())]


def test_it_begins_where_it_is_told_and_ends_when_it_has_enough(talked: Commands) -> None:
    both = "[lobby] bob: one\n[lobby] bob: two\\u{A}\\u{202E}\n"
    assert talked.at("tail", "lobby", "--after", "0", "--count", "2") == (0, both, "")
    assert talked.at("tail", "lobby", "--last", "1", *ENDS) == (0, both.splitlines()[1] + "\n", "")
    assert talked.at("tail", "lobby", *ENDS) == (0, "", "")
    code, out, _ = talked.at("tail", "lobby", "--after", "0", "--json", "--count", "4")
    assert (code, frames(out)) == (0, [(1, True), (2, True), (3, True), (4, True)])
    for words, code, told in (
        (["--after", "1", "--last", "1"], 2, "both say where to begin"),
        (["--consumer", "No Name", *ENDS], 4, "A consumer's name has"),
    ):
        ended, out, err = talked.at("tail", "lobby", *words)
        assert (ended, out, told in err) == (code, "", True)
    assert talked.at("tail", "nowhere", *ENDS)[0] == 4


def test_a_consumer_goes_on_where_it_stopped_whatever_else_is_asked(served: Server, talked: Commands) -> None:
    bot = ("--json", "--consumer", "bot")
    assert talked.at("tail", "lobby", *bot, "--after", "1", "--count", "2")[0] == 0
    code, out, _ = talked.at("tail", "lobby", *bot, "--after", "0", *ENDS)
    assert (code, frames(out)) == (0, [(4, True)])
    # One that begins with what is new misses nothing either.
    assert talked.at("tail", "lobby", "--json", "--consumer", "fresh", *ENDS) == (0, "", "")
    served.stop()
    with running_server(talked.home, port=talked.port) as again:
        with peer(again, "bob") as bob:
            bob.say("while nobody listened", id="3")
        for consumer in ("bot", "fresh"):
            code, out, _ = talked.at("tail", "lobby", "--json", "--consumer", consumer, *ENDS)
            assert (code, frames(out)) == (0, [(5, True)])
            assert talked.at("tail", "lobby", "--json", "--consumer", consumer, *ENDS) == (0, "", "")
        code, out, _ = talked.at("consumer", "list")
        assert [line.split() for line in out.splitlines()] == [["bot", "lobby", "5"], ["fresh", "lobby", "5"]]
        assert talked.at("consumer", "forget", "bot") == (0, "", "bot is forgotten.\n")
        code, out, err = talked.at("consumer", "forget", "bot")
        assert (code, out, "Your account has no consumer 'bot'." in err) == (6, "", True)
        code, out, _ = talked.at("consumer", "list", "--json")
        assert json.loads(out) == [{"consumer": "fresh", "room": "lobby", "seq": 5}]
        assert talked.at("consumer", "list", username="bob") == (0, "", "")
        assert frames(talked.at("tail", "lobby", *bot, "--last", "1", *ENDS)[1]) == [(5, True)]


def test_several_rooms_are_joined_and_heard_live(served: Server, talked: Commands) -> None:
    with peer(served, "bob") as bob:
        bob.send({"type": "create", "room": "kitchen"})
        bob.expect("created")
        with subprocess.Popen(
            [sys.executable, "-m", "securechat", "tail", "kitchen", "lobby", "--last", "1", *talked.way_in()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as tail:  # fmt: skip
            assert tail.stdout
            assert tail.stdout.readline().startswith("[lobby] bob: two")
            bob.expect("join")
            bob.say("tea?", id="3", room="kitchen")
            assert tail.stdout.readline() == "[kitchen] bob: tea?\n"
            tail.send_signal(signal.SIGINT)
            assert tail.wait(DEADLINE) == 130
            assert tail.stderr
            assert tail.stderr.read() == ""


def test_a_server_that_stays_away_ends_it_and_is_no_silence(commands: Commands, tmp_path: Path) -> None:
    with running_server(commands.home) as server:
        commands.port = server.port
        with subprocess.Popen(
            [sys.executable, "-m", "securechat", "tail", "lobby", "--after", "0", "--json", "--retry-seconds", "0",
             "--until-idle", "30", *commands.way_in()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as tail:  # fmt: skip
            assert tail.stdout
            assert json.loads(tail.stdout.readline())["type"] == "join"
            server.stop()
            assert tail.wait(DEADLINE) == 3
            assert tail.stderr
            assert "The server stops." in tail.stderr.read()
