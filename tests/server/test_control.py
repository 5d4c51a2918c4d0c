"""The local socket: it answers every request, and survives those that are none."""

import json
import os
import socket
from pathlib import Path

import pytest

from securechat.chat.model import Grant, Proposal, Revoke
from securechat.config import Config
from securechat.errors import SecurechatError
from securechat.server import control
from securechat.server.control import SOCKET, Answer
from securechat.server.operating import propose
from tests.server.support import DEADLINE, make_home, peer, running_server


def _raw(home: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.chdir(home)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(DEADLINE)
        asking.connect(SOCKET)
        asking.sendall(data)
        asking.shutdown(socket.SHUT_WR)
        return asking.makefile("rb").read()


@pytest.mark.parametrize(
    "data", [b"", b"hello\n", b"\xff\n", b"[" * 60_000 + b"\n", b'{"kind":"say"}\n', b'{"type":"propose"}\n']
)
def test_what_is_no_request_is_refused(home: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server(home):
        assert json.loads(_raw(home, data, monkeypatch))["code"] == "bad-frame"
        done = propose(home, Config(), Proposal("create", "alice", "ops"))
        assert (done.code, done.unchanged) == ("", False)
        assert propose(home, Config(), Proposal("join", "alice", "ops")).unchanged
        assert propose(home, Config(), Proposal("join", "alice", "nowhere")).code == "no-such-room"


def test_a_change_that_is_no_record_is_decided_with_a_server_and_without(home: Path) -> None:
    grant, revoke = Grant("alice", bytes(32), "laptop"), Revoke("alice", bytes(32))
    assert propose(home, Config(), grant) == Answer()
    with running_server(home):
        assert propose(home, Config(), grant).unchanged
        assert propose(home, Config(), revoke) == Answer()
    assert propose(home, Config(), revoke).unchanged


def test_others_than_the_servers_user_and_root_are_not_answered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = Proposal("create", "alice", "ops")
    with running_server(home):
        monkeypatch.setattr(control, "peer_uid", lambda _: os.geteuid() + 1)
        with pytest.raises(SecurechatError, match="did not answer"):
            propose(home, Config(), create)
        monkeypatch.undo()
        assert propose(home, Config(), create) == Answer()


def test_a_home_with_a_path_too_long_for_a_socket_works_too(tmp_path: Path) -> None:
    home = make_home(tmp_path / ("long" * 30))
    with running_server(home) as server, peer(server, "alice") as alice:
        assert propose(home, Config(), Proposal("create", "alice", "ops")).code == ""
        alice.join("ops")


def test_a_server_that_does_not_answer_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SECONDS", 0.2)
    monkeypatch.chdir(home)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(SOCKET)
        silent.listen()
        with pytest.raises(SecurechatError, match="did not answer"):
            propose(Path(), Config(), Proposal("create", "alice", "ops"))
