"""`securechat history`, `export`, `search`, `rooms` and `who` against a real server."""

import html
import json
import re
import time
from collections.abc import Iterator

import pytest

from securechat.client.transcript import POLICY
from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.client.screens import OnScreen
from tests.server.support import peer

HOSTILE = '<script>alert(1)</script>\n\u202eevil\u202c <img src=x onerror=y> &amp; "quoted" \''


@pytest.fixture
def talked(served: Server, commands: Commands) -> Iterator[Commands]:
    """The commands, and a lobby in which alice and bob have talked."""
    with peer(served, "alice", room="lobby") as alice, peer(served, "bob", room="lobby") as bob:
        alice.say("hello", id="1")
        bob.say(HOSTILE, id="2")
        alice.send({"type": "say", "room": "lobby", "id": "3", "text": "yes", "reply_to": 3})
        alice.expect("ack")
        alice.send({"type": "edit", "room": "lobby", "id": "4", "seq": 3, "text": "hello all"})
        alice.expect("ack")
        alice.send({"type": "delete", "room": "lobby", "seq": 5})
        alice.expect("ack")
        alice.say("/me waves", id="6")
        yield commands


def test_the_past_is_shown_in_lines_and_as_json(talked: Commands) -> None:
    code, out, err = talked.at("history", "lobby")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert [re.sub(moment, "T", line) for line in lines] == [
        "-- T #1 alice joined.",
        "-- T #2 bob joined.",
        "T #3 alice: hello",
        'T #4 bob: <script>alert(1)</script>\\u{A}\\u{202E}evil\\u{202C} <img src=x onerror=y> &amp; "quoted" \'',
        "-- T #5 alice said something that was deleted.",
        "-- T #6 alice changed #3: hello all",
        "-- T #7 alice deleted #5.",
        "T #8 * alice waves",
    ]
    assert talked.at("export", "lobby") == (0, out, "")
    assert talked.at("history", "lobby", "--last", "2", "--text")[1].splitlines() == lines[-2:]
    code, out, _ = talked.at("export", "lobby", "--json")
    frames = [json.loads(line) for line in out.splitlines()]
    assert out.isascii()
    assert [frame["seq"] for frame in frames] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert frames[3]["text"] == HOSTILE


def test_the_page_is_harmless_whatever_was_said(talked: Commands) -> None:
    code, page, err = talked.at("export", "lobby", "--html")
    assert (code, err) == (0, "")
    assert f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' in page
    tags = set(re.findall(r"</?([a-z0-9]+)", page))
    assert tags == {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "a", "b", "time", "br"}
    assert not re.search(r"(?i)\bsrc=|https?:|url\(|\son\w+=", re.sub(r"&lt;.*?&gt;", "", page))
    assert "\u202e" not in page
    said = html.unescape(re.sub(r"<br>\n", "\n", page))
    assert "<script>alert(1)</script>\n\\u{202E}evil" in said
    assert "</time> * <b>alice</b> waves</p>" in page
    assert '<a href="#r3">answers' not in page  # it was deleted


def test_a_part_is_asked_for_by_its_times(served: Server, talked: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = talked.at("export", "lobby", "--json", "--from", "2020-01-01", "--to", "2020-12-31T00:00Z")
    assert (code, out) == (0, "")
    times = [json.loads(line)["time"] for line in talked.at("export", "lobby", "--json")[1].splitlines()]
    begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(times[3] / 1000)) + f".{times[3] % 1000:03}Z"
    expected = [number for number, when in enumerate(times, 1) if when >= times[3]]
    out = talked.at("export", "lobby", "--json", "--from", begin)[1]
    assert [json.loads(line)["seq"] for line in out.splitlines()] == expected
    today = time.strftime("%Y-%m-%d", time.localtime(times[0] / 1000))
    assert talked.at("history", "lobby", "--from", today, "--to", "2999-01-01")[1].count("\n") == 8
    for words, told in (
        (["--from", "yesterday"], "'yesterday' is no day and no time."),
        (["--json", "--html"], "It is written down in one form."),
    ):
        code, out, err = talked.at("export", "lobby", *words)
        assert (code, out, told in err) == (2, "", True)
    code, _, err = talked.at("history", "nowhere")
    assert (code, err) == (4, "securechat: There is no room nowhere.\n")


def test_rooms_people_and_finds_are_listed(served: Server, talked: Commands) -> None:
    with peer(served, "bob") as bob:
        bob.send({"type": "create", "room": "kitchen"})
        bob.expect("created")
        bob.send({"type": "topic", "room": "kitchen", "text": "\u202etea"})
        bob.expect("ack")
        code, out, err = talked.at("rooms")
        assert (code, err) == (0, "")
        assert [line.split() for line in out.splitlines()] == [
            ["kitchen", "1", "members", "2", "records", "\\u{202E}tea"],
            ["*", "lobby", "2", "members", "8", "records", "8", "unread"],
        ]
        rooms = json.loads(talked.at("rooms", "--json")[1])
        assert [(room["room"], room["joined"], room["topic"]) for room in rooms] == [
            ("kitchen", False, "\u202etea"),
            ("lobby", True, ""),
        ]
        assert talked.at("who", "lobby") == (0, "* alice\n* bob\n", "")
    assert json.loads(talked.at("who", "lobby", "--json")[1])[1] == {"username": "bob", "online": True}
    assert talked.at("who", "kitchen")[0] == 4
    with peer(served, "alice") as alice:  # the index follows what is said
        alice.say("hello again", id="5")
        alice.send({"type": "search", "text": "again"})
        while not alice.expect("found")["hits"]:
            alice.send({"type": "search", "text": "again"})
    for words in (["lobby", "hello"], ["-", "hello", "--by", "alice", "--last", "5"]):
        code, out, _ = talked.at("search", *words)
        assert (code, "#6 alice changed #3: hello all" in out, "#9 alice: hello again" in out) == (0, True, True)
    assert talked.at("search", "lobby", "hello", "--by", "bob") == (0, "", "")
    code, out, err = talked.at("search", "-", "hello", "--last", "1", "--json")
    assert (json.loads(out)["seq"], err) == (9, "There are older ones: ask with --last or --to.\n")


def test_on_a_terminal_days_have_lines_and_long_exports_a_bar(talked: Commands) -> None:
    with OnScreen("history", "lobby", *talked.way_in()) as screen:
        screen.wait_for("-- 20", "alice #3: hello", "      | ")
        assert screen.end() == 0
