"""Who touches what: one thread a TLS socket, and nothing left behind by those who come and go."""

import gc
import os
import socket
import ssl
import threading
import weakref
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from securechat.server.connection import Connection
from securechat.server.reactor import HANDSHAKES_A_TURN, Reactor
from securechat.server.server import Server
from securechat.server.session import Session
from tests.server.support import DEADLINE, Peer, in_parallel, peer, running_server, trusting


def test_only_one_thread_ever_calls_a_tls_sockets_methods(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    callers: defaultdict[int, set[str]] = defaultdict(set)
    sockets: list[Any] = []

    class Watched(ssl.SSLSocket):
        def _note(self) -> None:
            if self.server_side:
                if id(self) not in callers:
                    sockets.append(self)  # so that no other gets its id
                callers[id(self)].add(threading.current_thread().name)

        def do_handshake(self, block: bool = False) -> None:
            self._note()
            super().do_handshake(block)

        def recv(self, *args: Any) -> bytes:
            self._note()
            return super().recv(*args)

        def send(self, *args: Any) -> int:
            self._note()
            return super().send(*args)

        def unwrap(self) -> Any:
            self._note()
            return super().unwrap()

        def close(self) -> None:
            self._note()
            super().close()

    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", Watched)
    with running_server(home, reactors=2) as server:

        def talk(name: str) -> None:
            with peer(server, name, room="lobby") as one:
                one.send({"type": "sync"})
                for n in range(100):
                    one.send({"type": "say", "id": f"{name}{n}", "room": "lobby", "text": "x" * 500})
                for _ in range(100):
                    one.expect("ack")
                one.send({"type": "logout"})
                one.ends()

        in_parallel(*(lambda name=name: talk(name) for name in ("alice", "bob", "carol", "dave")))
    assert len(callers) >= 4
    assert all(len(threads) == 1 and next(iter(threads)).startswith("reactor") for threads in callers.values())


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_those_who_come_and_go_leave_no_thread_and_no_descriptor(server: Server) -> None:
    def come_and_go() -> None:
        for _ in range(5 * HANDSHAKES_A_TURN):
            with peer(server, "alice") as alice:
                alice.send({"type": "logout"})
                alice.ends()
            with Peer(server.port) as dropped:
                dropped.receive()

    come_and_go()
    with peer(server, "bob") as bob:  # the server has seen all the others go when it answers a later one
        threads, descriptors = threading.active_count(), _descriptors()
        come_and_go()
        while _descriptors() > descriptors:
            bob.send({"type": "ping"})
            bob.expect("pong")
        assert threading.active_count() == threads


def test_those_who_have_gone_are_freed_without_a_search_for_garbage(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: weakref.WeakSet[Session] = weakref.WeakSet()
    opened = Reactor.opened

    def noted(*words: Any) -> Session:
        session = opened(*words)
        sessions.add(session)
        return session

    monkeypatch.setattr(Reactor, "opened", noted)
    gc.disable()
    try:
        with Peer(server.port) as bob:
            token = bob.login("bob")["token"]
            bob.join()
            for number in range(20):
                with Peer(server.port) as other:
                    other.send({"type": "resume", "token": token}, {"type": "sync"})
                    other.expect("synced")
                    other.say("hello", id=str(number))
                with Peer(server.port) as dropped:
                    dropped.receive()
            while server.services.connections > 1:
                bob.send({"type": "ping"})
                bob.expect("pong")
            assert server.answers(DEADLINE)
            # Each thread that works for sessions may still hold the last thing that it did.
            assert len(sessions) <= 1 + len(("journal", "hashing", "hashing", "reading"))
    finally:
        gc.enable()


def test_a_stopped_server_leaves_no_thread_and_no_descriptor(home: Path) -> None:
    with running_server(home) as server, peer(server, "alice"):
        pass
    threads, descriptors = threading.active_count(), _descriptors()
    with running_server(home, reactors=3) as server, peer(server, "alice", room="lobby") as alice:
        alice.say("hello", id="one" + os.urandom(4).hex())
    assert (threading.active_count(), _descriptors()) == (threads, descriptors)


def test_those_who_come_at_once_shake_hands_a_few_in_a_turn(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    turn, ready = Reactor._turn, Connection.ready

    def counted_turn(reactor: Reactor) -> None:
        steps.append(0)
        turn(reactor)

    def counted_ready(connection: Connection, mask: int) -> None:
        steps[-1] += connection.is_new
        ready(connection, mask)

    gate = threading.Event()

    def hold() -> None:
        gate.wait(DEADLINE)

    with running_server(home, reactors=1) as server, ExitStack() as crowd:
        server.services.reactors[0].post(hold)
        monkeypatch.setattr(Reactor, "_turn", counted_turn)
        monkeypatch.setattr(Connection, "ready", counted_ready)
        clients = []
        for _ in range(5 * HANDSHAKES_A_TURN):
            raw = crowd.enter_context(socket.create_connection(("127.0.0.1", server.port), DEADLINE))
            client = trusting().wrap_socket(raw, server_hostname="localhost", do_handshake_on_connect=False)
            client.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()  # it has said what it has to say
            clients.append(crowd.enter_context(client))
        gate.set()
        for client in clients:
            client.settimeout(DEADLINE)
            client.do_handshake()
            assert client.recv(1_000).startswith(b'{"type":"hello"')
    assert max(steps) <= HANDSHAKES_A_TURN
    assert sum(steps) >= 2 * len(clients)
