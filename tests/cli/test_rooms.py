"""`securechat room …`, with a server and without: the same commands, the same log."""

import json
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from securechat.cli.proof import shown_hash
from securechat.journal.verify import verify_store
from securechat.server.control import SOCKET
from tests.cli.calling import Done, call
from tests.server.support import make_home, peer, running_server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = make_home(tmp_path / "home")
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        alice.say("hello", id="one")
    return home


@pytest.fixture(params=["with-a-server", "without"])
def either(request: pytest.FixtureRequest, home: Path) -> Iterator[Path]:
    """The home, with a server running on it and without."""
    with running_server(home) if request.param == "with-a-server" else nullcontext():
        yield home


def _room(home: Path, *words: str) -> Done:
    return call("room", *words, "--home", str(home))


def test_rooms_are_made_filled_emptied_and_archived(either: Path) -> None:
    assert _room(either, "create", "ops", "--owner", "alice", "--private").code == 0
    assert _room(either, "create", "ops", "--owner", "alice").code == 7
    done = _room(either, "invite", "ops", "bob")
    assert (done.code, done.err) == (0, "bob is in ops.\n")
    assert _room(either, "members", "ops").out == "alice\nbob\n"
    assert _room(either, "kick", "ops", "bob").code == 0
    assert json.loads(_room(either, "members", "ops", "--json").out) == ["alice"]
    assert _room(either, "ban", "ops", "alice", "--for", "7d").err == "alice is banned from ops for 7d.\n"
    assert _room(either, "ban", "ops", "alice", "--for", "soon").code == 2
    assert "alice is banned from ops until" in _room(either, "invite", "ops", "alice").err
    sanctions = call("sanctions", "--home", str(either)).out
    assert sanctions.endswith("by @operator  in ops\n")
    assert _room(either, "unban", "ops", "alice").err == "alice is not banned from ops any more.\n"
    assert _room(either, "unban", "ops", "alice").err == "alice is not banned from ops.\n"
    assert _room(either, "ban", "nowhere", "alice").code == 6
    assert _room(either, "invite", "ops", "alice").code == 0
    assert _room(either, "archive", "ops").code == 0
    facts = json.loads(_room(either, "show", "ops", "--json").out)
    assert (facts["owner"], facts["private"], facts["archived"], facts["head"]) == ("alice", True, True, 6)
    assert "ops" in _room(either, "list").out
    assert [row["room"] for row in json.loads(_room(either, "list", "--json").out)] == ["lobby", "ops"]


def test_what_is_not_there_is_told(either: Path) -> None:
    for words in (("show", "nowhere"), ("archive", "nowhere"), ("invite", "lobby", "nobody"), ("members", "nowhere")):
        done = _room(either, *words)
        assert (done.code, done.out) == (6, ""), words
        assert done.err.count("\n") == 1


def test_a_room_is_exported_record_by_record(either: Path) -> None:
    rows = [json.loads(line) for line in _room(either, "export", "lobby").out.splitlines()]
    assert [(row["seq"], row["type"]) for row in rows] == [(1, "join"), (2, "message")]
    assert rows[1]["text"] == "hello"


def test_a_direct_room_is_exported_under_its_key_and_nothing_in_a_text_drives_or_deceives_a_terminal(
    home: Path,
) -> None:
    hostile = "re: \u202egpj.exe\u200b \U000e0041 你好 e\u0301\u0301\u0301\u0301\u0301"
    with running_server(home) as server, peer(server, "alice") as alice:
        assert alice.say(hostile, id="two", room="@bob")["type"] == "ack"
        alice.send({"type": "topic", "room": "lobby", "text": hostile})
        alice.expect("ack")
    (line,) = _room(home, "export", "@alice:bob").out.splitlines()
    row = json.loads(line)
    assert (row["room"], row["sender"], row["text"]) == ("@alice:bob", "alice", hostile)
    shown = _room(home, "show", "lobby").out
    for said in (line, shown):
        assert "你好" in said
        assert not {"\u202e", "\u200b", "\U000e0041"}.intersection(said)
        assert "\u0301" * 4 not in said


def test_a_rooms_head_is_shown_as_verify_shows_it(home: Path) -> None:
    facts = json.loads(_room(home, "show", "lobby", "--json").out)
    report = verify_store(home / "chat.db", ["lobby"])
    assert facts["hash"] == shown_hash(report.rooms[0].hash)


def test_who_is_online_hears_at_once_what_a_command_does(home: Path) -> None:
    with running_server(home) as server, peer(server, "bob") as bob:
        bob.send({"type": "sync"})
        bob.expect("synced")
        assert _room(home, "invite", "lobby", "bob").code == 0
        invited = bob.expect("invite")
        assert (invited["target"], invited["sender"]) == ("bob", "@operator")


def test_without_a_store_there_is_nothing_to_list(tmp_path: Path) -> None:
    done = _room(tmp_path, "list")
    assert done.code == 6
    assert "serve" in done.err


def test_the_socket_is_its_owners_alone_and_gone_after_the_server(home: Path) -> None:
    with running_server(home):
        assert (home / SOCKET).stat().st_mode & 0o777 == 0o600
    assert not (home / SOCKET).exists()


def test_a_socket_that_a_killed_server_left_is_in_nobodys_way(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(SOCKET)
    assert _room(home, "create", "ops", "--owner", "alice").code == 0
    with running_server(home) as server, peer(server, "alice") as alice:
        alice.join("ops")
        assert _room(home, "archive", "ops").code == 0
        assert alice.expect("archive")["sender"] == "@operator"
