"""The ends of a server: asked to stop, killed, out of disk, a disk that fails. What was acknowledged stays."""

import contextlib
import itertools
import os
import queue
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securechat.config import Config
from securechat.errors import SecurechatError, StorageFailed
from securechat.journal.store import Store
from securechat.server.server import Server
from tests.server.support import DEADLINE, Peer, make_home, peer, running_server


@contextlib.contextmanager
def serving(home: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`securechat serve` in a process of its own, and its port."""
    command = [sys.executable, "-m", "securechat", "serve", "--home", str(home), "--port", "0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("securechat is listening on 127.0.0.1:"), (line, process.stderr)
            yield process, int(line.rpartition(":")[2])
        finally:
            process.kill()


def test_a_server_that_is_asked_to_stop_tells_its_peers_and_closes_in_good_order(server: Server) -> None:
    with peer(server, "alice") as alice, Peer(server.port) as stranger:
        stranger.receive()
        server.stop()
        assert alice.ends() == [{"type": "bye", "code": "shutdown", "message": "The server stops.", "retry_after": 2.0}]
        assert [frame["type"] for frame in stranger.ends()] == ["bye"]


def test_what_was_heard_before_the_stop_is_committed_and_acknowledged(home: Path) -> None:
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        alice.send(*({"type": "say", "id": f"n{n}", "room": "lobby", "text": "x"} for n in range(200)))
        first = alice.expect("ack")
        server.stop()
        acknowledged = [first["id"], *(frame["id"] for frame in alice.ends() if frame["type"] == "ack")]
    with running_server(home) as server, peer(server, "alice") as alice:
        alice.send({"type": "history", "room": "lobby", "after": 0, "limit": 500})
        stored = [record["id"] for record in alice.expect("page")["records"] if record["type"] == "message"]
    assert stored == acknowledged


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_serve_with_exit_code_0(home: Path, number: int) -> None:
    with serving(home) as (process, port), Peer(port) as alice:
        alice.login("alice")
        process.send_signal(number)
        assert [frame["code"] for frame in alice.ends()] == ["shutdown"]
        out, err = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, err
        assert out == ""  # the one line was read already
        assert "Traceback" not in err


def test_no_acknowledged_message_is_lost_when_the_server_is_killed(home: Path) -> None:
    chance = random.Random()
    acknowledged: dict[str, int] = {}
    ids = (f"n{n}" for n in itertools.count())
    rounds = 5
    for _ in range(rounds):
        with serving(home) as (process, port), Peer(port) as alice:
            alice.login("alice")
            alice.join("lobby")
            enough = len(acknowledged) + chance.randrange(1, 150)
            with contextlib.suppress(OSError, EOFError):
                while True:
                    alice.send(*({"type": "say", "id": next(ids), "room": "lobby", "text": "x"} for _ in range(20)))
                    for _ in range(20):
                        ack = alice.expect("ack")
                        acknowledged[ack["id"]] = ack["seq"]
                        if len(acknowledged) == enough:
                            process.kill()  # and hear what was on its way
            assert process.wait(DEADLINE) == -signal.SIGKILL
    with contextlib.closing(sqlite3.connect(home / "chat.db")) as store:
        stored = dict(store.execute("SELECT id, seq FROM records WHERE id <> ''"))
        seqs = [seq for (seq,) in store.execute("SELECT seq FROM records ORDER BY seq")]
    assert len(acknowledged) >= rounds
    assert acknowledged.items() <= stored.items()
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_full_disk_is_told_to_the_author_and_reading_goes_on_until_there_is_room_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[Store] = []
    load = Store.load

    def remember(self: Store) -> Any:
        stores.append(self)
        return load(self)

    monkeypatch.setattr(Store, "load", remember)
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        heard = alice.say("before", id="before")["seq"]
        # SQLite's own way to be full: no page may be added to the file.
        (pages,) = stores[0].connection.execute("PRAGMA page_count").fetchone()
        stores[0].connection.execute(f"PRAGMA max_page_count = {pages}")
        answers = {alice.say("x" * 16_000, id=f"full{n}")["type"] for n in range(3)}
        assert "error" in answers
        refused = alice.say("x" * 16_000, id="refused")
        assert (refused["type"], refused["code"]) == ("error", "storage")
        alice.send({"type": "history", "room": "lobby", "after": heard - 1, "limit": 1})
        assert alice.expect("page")["records"][0]["text"] == "before"
        stores[0].connection.execute("PRAGMA max_page_count = 1000000")
        assert alice.say("x" * 16_000, id="refused")["type"] == "ack"


def test_a_disk_that_fails_ends_the_server_and_nothing_of_it_is_acknowledged(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:

        def fail(*_: object) -> None:
            raise StorageFailed("The disk failed.")

        monkeypatch.setattr(Store, "commit", fail)
        alice.send({"type": "say", "id": "one", "room": "lobby", "text": "lost"})
        server.wait()
        with pytest.raises(StorageFailed):
            server.stop()
        assert [(frame["type"], frame["code"]) for frame in alice.ends()] == [("bye", "storage")]
        monkeypatch.undo()
    with running_server(home) as server, peer(server, "alice", room="lobby") as alice:
        assert "duplicate" not in alice.say("lost", id="one")


def test_two_servers_on_one_home_are_one_too_many(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    whole = re.escape(f"Another server (process {os.getpid()}) runs on {home.resolve()}.")
    with running_server(home), pytest.raises(SecurechatError, match=whole):
        Server(Path(), Config(port=0)).start()


def test_a_thread_that_stops_on_a_bug_takes_the_server_down_and_says_why(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with running_server(home) as server:

        def broken(*_: object) -> None:
            raise RuntimeError("planted")

        monkeypatch.setattr("securechat.server.reactor.Reactor._submit", broken)
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE):
            server.wait()
        monkeypatch.undo()
        with pytest.raises(SecurechatError, match="reactor stopped"):
            server.stop()
    assert "planted" in caplog.text


@pytest.mark.timeout(20)
def test_a_signal_is_heard_at_any_moment_of_waiting_for_one(home: Path) -> None:
    for moment in range(1, 100):
        server, passed = Server(home, Config()), 0

        def strike(*_: Any, moment: int = moment) -> None:
            nonlocal passed
            passed += 1
            if passed == moment:
                signal.raise_signal(signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, lambda *_, server=server: server.ask_to_stop())
        sys.setprofile(strike)
        try:
            server.wait(0.001)
        finally:
            sys.setprofile(None)
            signal.signal(signal.SIGUSR1, before)
        assert server.wait(0) is (passed >= moment)
        if passed < moment:
            return
    raise AssertionError("waiting has no end of moments")


def test_a_signal_that_comes_as_the_wait_begins_is_acted_on_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(make_home(tmp_path / "home"), Config())
    waited: list[float | None] = []

    class Deaf(queue.SimpleQueue[None]):
        """Where nobody is woken: what was put here came too early for that."""

        def get(self, block: bool = True, timeout: float | None = None) -> None:
            waited.append(timeout)
            server.ask_to_stop()
            raise queue.Empty

    monkeypatch.setattr(server, "_wake", Deaf())
    assert server.wait()
    assert [timeout is not None and timeout <= 1.0 for timeout in waited] == [True]
