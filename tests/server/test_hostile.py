"""Peers that are broken, hostile or silent: each gets a clear answer or is closed, and nobody else notices."""

import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from securechat.server.server import Server
from tests.server.support import DEADLINE, Peer, peer, running_server, trusting

BAD_LINES = {
    "no-json": b"hello\n",
    "not-an-object": b"[1,2]\n",
    "no-type": b'{"room":"lobby"}\n',
    "missing-field": b'{"type":"say"}\n',
    "unknown-field": b'{"type":"ping","colour":"red"}\n',
    "wrong-type": b'{"type":"join","room":5}\n',
    "bad-utf8": b'{"type":"join","room":"\xff\xfe"}\n',
    "nested": b"[" * 60_000 + b"\n",
    "of-the-servers": b'{"type":"message","room":"lobby","seq":1,"sender":"bob","time":1,"text":"forged"}\n',
    "with-a-sender": b'{"type":"say","id":"x","room":"lobby","text":"t","sender":"bob"}\n',
}


def test_a_bad_frame_after_login_is_answered_and_the_talk_goes_on(server: Server) -> None:
    with peer(server, "alice") as alice:
        for name, line in BAD_LINES.items():
            alice.send_bytes(line)
            assert alice.receive()["code"] in ("bad-frame", "unknown-type"), name
            alice.send({"type": "ping"})
            assert alice.receive()["type"] == "pong"


def test_a_bad_frame_before_login_is_answered_and_closed(server: Server) -> None:
    for name, line in BAD_LINES.items():
        with Peer(server.port) as stranger:
            stranger.receive()
            stranger.send_bytes(line)
            (answer,) = stranger.ends()
            assert answer["code"] in ("bad-frame", "unknown-type"), name


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_line_over_the_limit_is_refused_and_closed_before_it_ends(server: Server, logged_in: bool) -> None:
    with peer(server, "alice" if logged_in else None) as one:
        if not logged_in:
            one.receive()
        one.send_bytes(b'{"type":"say","id":"x","room":"lobby","text":"' + b"x" * 65_536)
        (answer,) = one.ends()
        assert (answer["type"], answer["code"]) == ("error", "too-long")


def test_a_session_that_is_cut_off_ends_with_one_line_in_the_log_that_says_why(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    logged = caplog.at_level(logging.INFO, logger="securechat")
    with logged, peer(server, "alice", room="lobby") as alice, peer(server, "bob", room="lobby") as bob:
        bob.send({"type": "sync"})
        caplog.clear()
        alice.close()
        while bob.receive() != {"type": "presence", "username": "alice", "online": False}:
            pass
    ends = [record for record in caplog.records if getattr(record, "account", "") == "alice"]
    assert [one.getMessage() for one in ends] == ["session ended: the peer cut it without a TLS goodbye"]


def test_an_unfinished_line_at_the_end_is_an_error(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="securechat"), peer(server, "alice") as alice:
        alice.send_bytes(b'{"type":"pi')
        with contextlib.suppress(ssl.SSLError):  # it says goodbye, then finds the answer where a goodbye should be
            alice.socket.unwrap()
        with contextlib.suppress(OSError, ValueError):
            alice.ends()
    assert "closed for bad-frame" in caplog.text


def test_sixty_four_frames_in_one_tls_record_are_all_handled(server: Server) -> None:
    with peer(server, "alice") as alice:
        alice.send(*({"type": "ping", "ref": str(n)} for n in range(64)))
        assert [alice.receive()["ref"] for _ in range(64)] == [str(n) for n in range(64)]


def test_frames_cut_into_single_bytes_are_the_same_frames(server: Server) -> None:
    with peer(server, "alice") as alice:
        for byte in b'{"type":"ping","ref":"whole"}\n':
            alice.send_bytes(bytes((byte,)))
        assert alice.receive() == {"type": "pong", "ref": "whole"}


def test_a_peer_that_cuts_the_connection_is_forgotten_and_the_others_go_on(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice:
        with peer(server, "bob", room="lobby") as bob:
            bob.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close resets
        assert alice.say("still here", id="one")["type"] == "ack"


def test_a_plaintext_client_is_closed_without_a_byte_of_chat(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as plain:
        plain.sendall(b'{"type":"login","username":"alice","password":"x"}\n')
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := plain.recv(4096):
                received += data
        assert b"hello" not in received


def test_an_older_tls_is_refused(server: Server) -> None:
    context = trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", server.port), DEADLINE) as raw,
        pytest.raises(ssl.SSLError, match=r"(?i)protocol version"),
    ):
        context.wrap_socket(raw, server_hostname="localhost")


def test_no_session_ticket_is_given(server: Server) -> None:
    with peer(server, "alice") as alice:
        session = alice.socket.session
        assert session is None or not session.has_ticket


def test_a_client_of_another_ca_sends_nothing(server: Server) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", server.port), DEADLINE) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(raw, server_hostname="localhost")


# --- deadlines: each is shortened for its test, and the end is waited for, not timed -----------------


def test_silent_peers_delay_nobody(home: Path) -> None:
    with running_server(home, handshake_seconds=30.0) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port), DEADLINE) for _ in range(50)]
        try:
            with peer(server, "alice", room="lobby") as alice:
                assert alice.say("hello", id="one")["type"] == "ack"
            for one in silent:  # all of them are still there, in their handshake
                one.setblocking(False)
                with pytest.raises(BlockingIOError):
                    one.recv(1)
        finally:
            for one in silent:
                one.close()


def test_a_silent_handshake_ends_at_its_deadline(home: Path) -> None:
    with (
        running_server(home, handshake_seconds=0.2) as server,
        socket.create_connection(("127.0.0.1", server.port), DEADLINE) as silent,
    ):
        assert silent.recv(1) == b""


def test_a_handshake_that_drips_ends_at_its_deadline(home: Path) -> None:
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    with running_server(home, handshake_seconds=0.3) as server:
        assert _closed_while_dripping(server, outgoing.read())


def _closed_while_dripping(server: Server, data: bytes) -> bool:
    """Send one byte whenever nothing came for a moment; whether the server closes before it has taken all of them."""
    with (
        socket.create_connection(("127.0.0.1", server.port), DEADLINE) as dripping,
        selectors.DefaultSelector() as selector,
    ):
        selector.register(dripping, selectors.EVENT_READ)
        for byte in data:
            try:
                dripping.sendall(bytes((byte,)))
                if not selector.select(0.02):
                    continue
                assert dripping.recv(1) == b""
            except (BrokenPipeError, ConnectionResetError):
                pass  # closed with a byte unread, at any moment
            return True
    return False


def test_a_login_that_does_not_come_ends_at_its_deadline(home: Path) -> None:
    with running_server(home, login_seconds=0.3) as server, Peer(server.port) as stranger:
        frames = stranger.ends()
        assert [frame["type"] for frame in frames] == ["hello", "bye"]
        assert frames[1]["code"] == "too-slow"


def test_pings_do_not_put_the_login_deadline_off(home: Path) -> None:
    with running_server(home, login_seconds=0.5) as server, Peer(server.port) as stranger:
        stranger.receive()
        frame: dict[str, Any] = {}
        while frame.get("type") != "bye":
            with contextlib.suppress(OSError):
                stranger.send({"type": "ping"})
            frame = stranger.receive()
        assert frame["code"] == "too-slow"


def test_a_line_that_drips_ends_at_its_deadline(home: Path) -> None:
    with running_server(home, frame_seconds=0.3) as server, peer(server, "alice") as alice:
        alice.send_bytes(b'{"type":')
        assert [frame["code"] for frame in alice.ends()] == ["too-slow"]


def test_a_silent_session_is_pinged_then_closed(home: Path) -> None:
    # Coming in must take less than the idle time, on a busy machine too.
    with running_server(home, ping_seconds=0.2, idle_seconds=2.5) as server, peer(server, "alice") as alice:
        alice.send({"type": "pong"})  # coming in may have taken so long that the server asked meanwhile
        assert alice.receive() == {"type": "ping"}
        assert [frame["code"] for frame in alice.ends()] == ["idle"]


def test_a_session_that_answers_its_pings_stays(home: Path) -> None:
    # An answer has 2.3 seconds: a busy machine may let this thread wait for more than one.
    with running_server(home, ping_seconds=0.2, idle_seconds=2.5) as server, peer(server, "alice") as alice:
        alice.send({"type": "pong"})  # coming in may have taken so long that the server asked meanwhile
        began = time.monotonic()
        pings = 0
        while time.monotonic() < began + 2.8:  # longer than idle_seconds, so that its answers must have counted
            assert alice.receive() == {"type": "ping"}
            alice.send({"type": "pong"})
            pings += 1
        assert pings >= 2
        alice.send({"type": "ping", "ref": "here"})
        assert alice.expect("pong")["ref"] == "here"


def test_closing_takes_no_longer_because_the_peer_does_not_read(home: Path) -> None:
    with (
        running_server(home, close_seconds=0.3) as server,
        Peer(server.port, receive_buffer=2048) as stranger,
        peer(server, "alice") as alice,
    ):
        stranger.receive()
        alice.send({"type": "ping"})
        assert alice.receive()["type"] == "pong"
    # Leaving the block stopped the server: with a peer that never said goodbye it would hang here otherwise.


def test_a_bug_in_one_session_ends_that_session_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("securechat.server.requests.Requests.room_state", broken)
    with running_server(home) as server, peer(server, "alice") as alice, peer(server, "bob") as bob:
        with caplog.at_level(logging.ERROR, logger="securechat"):
            alice.send({"type": "rooms"})
            assert [frame["code"] for frame in alice.ends()] == ["internal"]
        assert "planted" in caplog.text
        bob.send({"type": "ping"})
        assert bob.receive()["type"] == "pong"


def test_more_connections_than_there_is_place_for_are_closed_and_the_others_stay(home: Path) -> None:
    with running_server(home, connections=2) as server, peer(server, "alice") as alice:
        with peer(server, "bob"), pytest.raises((OSError, EOFError)), Peer(server.port) as third:
            third.receive()
        alice.send({"type": "ping"})
        assert alice.receive()["type"] == "pong"


def test_a_server_that_was_asleep_asks_before_it_takes_anybody_for_gone(home: Path) -> None:
    def sleep_through_the_deadline() -> None:
        threading.Event().wait(2.5)

    with running_server(home, ping_seconds=1.0, idle_seconds=2.0) as server, peer(server, "alice") as alice:
        server.services.reactors[0].post(sleep_through_the_deadline)
        assert alice.receive() == {"type": "ping"}
        alice.send({"type": "ping", "ref": "here"})
        assert alice.expect("pong", "bye")["type"] == "pong"
