"""`securechat hook …` and `POST /hook/TOKEN` on a real server: what is said, by whom, and what is refused."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from securechat.config import Config
from securechat.limits import HOOK_BURST
from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.server.support import DEADLINE, PASSWORD, Peer, peer

JSON = "application/json"


@pytest.fixture
def server(commands: Commands) -> Iterator[Server]:
    """A server that answers over HTTP too."""
    running = Server(commands.home, Config(port=0, http_port=0))
    running.start()
    yield running
    running.stop()


def post(server: Server, token: str, body: bytes, kind: str = "text/plain") -> tuple[int, Any]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=DEADLINE)) as asking:
        asking.request("POST", f"/hook/{token}", body, {"Content-Type": kind})
        answer = asking.getresponse()
        return answer.status, json.loads(answer.read())


def made(server: Server, commands: Commands) -> str:
    """The token of the hook `build` in the lobby, which the server knows by now."""
    code, out, err = commands("hook", "add", "build", "--room", "lobby", "--home", commands.home)
    assert code == 0, err
    token = out.strip()
    while post(server, token, b'{"text":', JSON)[0] == 404:
        pass  # the server looks at its files once a second
    return token


def test_what_a_hook_says_is_stored_once_and_heard_under_its_name(
    server: Server, commands: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    with peer(server, "alice", room="lobby") as alice:
        token = made(server, commands)
        assert alice.expect("invite")["target"] == "build"
        status, receipt = post(server, token, b"it is\r\ngreen\n", "application/x-www-form-urlencoded")
        assert (status, receipt["room"], receipt["seq"], receipt["duplicate"]) == (200, "lobby", 3, False)
        heard = alice.expect("message")
        assert (heard["sender"], heard["text"], heard["id"]) == ("build", "it is\ngreen", receipt["id"])
        body = json.dumps({"text": "again", "id": "b-1", "icon": "x"}).encode()
        answers = [post(server, token, body, "application/json; charset=utf-8") for _ in range(2)]
        assert [(status, answer["seq"], answer["duplicate"]) for status, answer in answers] == [
            (200, 4, False),
            (200, 4, True),
        ]
        for wrong, kind, status, code in (
            (b'{"text":"other","id":"b-1"}', JSON, 409, "id-reused"),
            (b'{"text":"x","id":"b 1"}', JSON, 400, "bad-id"),
            (b"[" * 60_000, JSON, 400, "bad-frame"),
            (b"\xff", "text/plain", 400, "bad-frame"),
            (b" ", "text/plain", 400, "bad-text"),
            (b"x" * 20_000, "text/plain", 400, "bad-text"),
        ):
            found, answer = post(server, token, wrong, kind)
            assert (found, answer["code"]) == (status, code)
        assert post(server, token + "x", b"x")[1]["code"] == "no-such-hook"
        # Nobody comes in as the hook.
        with Peer(server.port) as intruder:
            intruder.receive()
            intruder.send({"type": "login", "username": "build", "password": PASSWORD})
            assert intruder.expect("error")["code"] == "bad-credentials"
        assert 429 in [post(server, token, b"x")[0] for _ in range(HOOK_BURST)]
        assert token not in caplog.text
    files = [path.read_bytes() for path in commands.home.iterdir() if path.is_file()]
    assert not any(token.encode() in content for content in files)


def test_hooks_are_listed_and_removed(server: Server, commands: Commands) -> None:
    at = ("--home", commands.home)
    code, out, _ = commands("hook", "add", "alarm", "--room", "lobby", "--json", *at)
    facts = json.loads(out)
    assert (code, facts["name"], facts["room"], facts["http_port"]) == (0, "alarm", "lobby", None)
    for words, code in (
        (["alarm", "--room", "lobby"], 7),  # the name is taken
        (["alice", "--room", "lobby"], 7),
        (["Alarm", "--room", "lobby"], 2),
        (["other", "--room", "nowhere"], 6),
    ):
        assert commands("hook", "add", *words, *at)[0] == code
    assert commands("hook", "list", *at) == (0, f"{'alarm':<32}  lobby\n", "")
    assert json.loads(commands("hook", "list", "--json", *at)[1]) == [{"name": "alarm", "room": "lobby"}]
    assert "alarm  member  hook\n" in commands("user", "list", *at)[1]
    assert commands("room", "kick", "lobby", "alarm", *at)[0] == 0
    assert commands("hook", "remove", "alarm", *at) == (0, "", "The hook alarm is removed.\n")
    assert commands("hook", "remove", "alarm", *at)[0] == 6
    assert "alarm" not in commands("user", "list", *at)[1]
    assert post(server, facts["token"], b"x")[0] == 404
    # A room that nobody can be invited to leaves no account behind.
    assert commands("room", "archive", "lobby", *at)[0] == 0
    assert commands("hook", "add", "late", "--room", "lobby", *at)[0] == 1
    assert "late" not in commands("user", "list", *at)[1]


def test_a_hook_that_was_put_out_of_its_room_is_refused(server: Server, commands: Commands) -> None:
    token = made(server, commands)
    assert commands("room", "kick", "lobby", "build", "--home", commands.home)[0] == 0
    status, answer = post(server, token, b"x")
    assert (status, answer["code"]) == (403, "not-member")
    (commands.home / "hooks").write_text("nonsense\n")
    assert post(server, token, b"x")[0] == 403  # what cannot be read changes nothing
