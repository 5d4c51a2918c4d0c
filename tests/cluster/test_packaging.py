"""What packaging/nats ships: three real servers with it, on loopback, and who gets in there and may do what."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from securechat.certificates import KeyPair, client_context
from securechat.client.client import Client
from securechat.errors import Unreachable
from securechat.journal.jetstream import snapshots
from securechat.journal.jetstream.stream import Engine
from securechat.protocols.frames import Join, Joined, Message
from tests.cli.calling import call
from tests.cluster.servers import SERVER
from tests.cluster.tryout import HOST, Shipped, nodes, shipped_servers
from tests.server.support import DEADLINE, PASSWORD


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    with shipped_servers(tmp_path_factory.mktemp("nats")) as servers:
        yield servers


class Wire:
    """One connection to the first server, in the words of its protocol (docs.nats.io, "NATS client protocol")."""

    def __init__(self, shipped: Shipped, shown: KeyPair | None) -> None:
        raw = socket.create_connection((HOST, shipped.ports[0]), DEADLINE)
        assert raw.recv(4) == b"INFO"
        while raw.recv(1) != b"\n":
            pass
        self._tls = client_context(shipped.authority, shown).wrap_socket(raw, server_hostname=HOST)
        self._lines = self._tls.makefile("rb")
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._lines.close()
        self._tls.close()

    def comes_in(self) -> str:
        """Say who one is, and what the server says to it."""
        self._send(
            b'CONNECT {"verbose":false,"headers":true,"lang":"test","version":"0"}\r\nSUB _INBOX.me.* 1\r\nPING\r\n'
        )
        return self._line()

    def ask(self, subject: str, body: object = b"") -> dict[str, Any] | str:
        """The answer to a request, or what the server says in its place: nothing, where nobody answers for a second."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._asked += 1
        inbox = f"_INBOX.me.{self._asked}"
        self._send(f"PUB {subject} {inbox} {len(text)}\r\n".encode() + text + b"\r\nPING\r\n")
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            line = self._line()
            if line.startswith("-ERR"):
                return line
            if line.startswith("MSG"):
                answer = json.loads(self._lines.read(int(line.split()[-1]) + 2))
                if inbox in line:
                    assert isinstance(answer, dict)
                    return answer
            elif line == "PONG":
                self._send(b"PING\r\n")
        return ""

    def _send(self, data: bytes) -> None:
        self._tls.sendall(data)

    def _line(self) -> str:
        line = self._lines.readline().decode().strip()
        if line == "PING":
            self._send(b"PONG\r\n")
            return self._line()
        return line if not line.startswith("INFO") else self._line()


def _answered(node: Wire, subject: str, body: object = b"") -> dict[str, Any]:
    """The answer to a request, asked until the three have found each other and chosen who gives it."""
    deadline = time.monotonic() + DEADLINE
    while True:
        answer = node.ask(subject, body)
        if isinstance(answer, dict) and "error" not in answer:
            return answer
        assert time.monotonic() < deadline, answer


def test_the_configuration_is_one_that_the_server_takes(shipped: Shipped) -> None:
    environ = {**os.environ, "NATS_NAME": "nats-1"}
    checked = subprocess.run(
        [SERVER, "-t", "-c", shipped.configurations[0]], env=environ, capture_output=True, text=True
    )
    assert (checked.returncode, "is valid" in checked.stderr) == (0, True), checked.stderr


def test_a_node_keeps_a_stream_on_all_three_and_cannot_destroy_it_and_nobody_else_gets_in(shipped: Shipped) -> None:
    with Wire(shipped, shipped.shown_by("node-1")) as node:
        assert node.comes_in() == "PONG"
        wanted = {"name": "probe", "subjects": ["sc.probe"], "storage": "file", "num_replicas": 3}
        assert _answered(node, "$JS.API.STREAM.CREATE.probe", wanted)["config"]["num_replicas"] == 3
        assert _answered(node, "sc.probe", b"first")["stream"] == "probe"
        for subject in ("$JS.API.STREAM.DELETE.probe", "$JS.API.STREAM.PURGE.probe", "other.log.node-1"):
            assert node.ask(subject) == f"-ERR 'Permissions Violation for Publish to \"{subject}\"'"
        assert _answered(node, "$JS.API.STREAM.INFO.probe")["state"]["first_seq"] == 1
        # What a stream begins with that goes on from a server's history.
        assert "Violation" not in node.ask("$JS.API.STREAM.MSG.GET.sc", {"seq": 1})

    # People's certificates are of the same CA.
    with Wire(shipped, shipped.shown_by("alice")) as person:
        assert person.comes_in() == "-ERR 'Authorization Violation'"
    with pytest.raises(OSError, match="certificate required"), Wire(shipped, None) as stranger:
        stranger.comes_in()


def test_a_node_makes_snapshots_removes_those_before_the_last_two_and_takes_one(
    shipped: Shipped, tmp_path: Path
) -> None:
    shown, tls = shipped.shown_by("node-2"), tuple(f"tls://{HOST}:{port}" for port in shipped.ports)
    way = Engine(tls, "sc", 3, "node-2", client_context(shipped.authority, shown))
    store = tmp_path / "chat.db"
    store.write_bytes(os.urandom(300_000))
    deadline = time.monotonic() + DEADLINE
    while True:  # until the three have found each other
        with contextlib.suppress(Unreachable):
            snapshots.look(way)
            break
        assert time.monotonic() < deadline
    first = snapshots.put(way, store, 0)
    snapshots.take(way, snapshots.look(way).snapshots[-1], tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == store.read_bytes()
    for entry in (1, 2):
        snapshots.put(way, store, entry)
    assert first not in snapshots.look(way).snapshots


def _in(port: int, context: ssl.SSLContext, account: str) -> Client:
    """A client that is in, tried until the three have chosen who leads the stream, and the node has followed it."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return Client.connect("localhost", port, context, account, PASSWORD)
        except Unreachable:
            assert time.monotonic() < deadline


def test_whose_node_is_killed_goes_on_at_another_with_nothing_lost(shipped: Shipped, tmp_path: Path) -> None:
    context = client_context(shipped.certs.authority)
    with (
        nodes(tmp_path, shipped, PASSWORD, 2) as (first, second),
        _in(first.port, context, "alice") as alice,
        _in(second.port, context, "bob") as bob,
    ):
        for client in (alice, bob):
            client.request(Join(room="lobby"), Joined)
        deadline = time.monotonic() + DEADLINE
        names: list[str] = []
        while names != [first.name, second.name]:  # it hears those that answer within its time
            assert time.monotonic() < deadline, names
            status = call("cluster", "status", "--json", "--home", str(second.home))
            names = [one["node"] for one in json.loads(status.out)["nodes"]]
        said = [alice.send("lobby", str(number)) for number in range(100)]
        said[40].wait(DEADLINE)
        first.process.kill()
        numbers = [pending.wait(DEADLINE).seq for pending in said]
        assert numbers == list(range(numbers[0], numbers[0] + 100))
        heard: list[Message] = []
        for message in bob.messages("lobby", after=0):
            heard.append(message)
            if message.seq == numbers[-1]:
                break
        assert [(one.seq, one.text) for one in heard] == [(seq, str(number)) for number, seq in enumerate(numbers)]
