"""What can go wrong before one is in: each in plain words, with its exit code, and nothing sent to a stranger."""

import datetime
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import trustme

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.timeouts import Timeouts
from securechat.errors import Refused, SecurechatError, Unreachable, VerificationFailed
from tests.client.scripted import DEADLINE, HELLO, Peer, authority, authority_file, message, scripted

PASSWORD = "correct horse battery staple"


def failure(port: int, tmp_path: Path, host: str = "localhost", **timeouts: float) -> SecurechatError:
    """What connecting raises."""
    ca = tmp_path / "ca.pem"
    if not ca.exists():
        authority_file(tmp_path)
    with pytest.raises(SecurechatError) as raised:
        Client.connect(
            host, port, client_context(ca), "alice", PASSWORD, authority=ca, timeouts=Timeouts(**timeouts)
        ).close()
    assert PASSWORD not in str(raised.value)
    return raised.value


def expired() -> trustme.LeafCert:
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    return authority().issue_cert("localhost", not_before=long_ago, not_after=long_ago + datetime.timedelta(days=1))


def not_yet_valid() -> trustme.LeafCert:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
    return authority().issue_cert("localhost", not_before=later, not_after=later + datetime.timedelta(days=1))


@pytest.mark.parametrize(
    ("leaf", "told"),
    [
        (lambda: trustme.CA().issue_cert("localhost"), "not from the CA"),
        (
            lambda: authority().issue_cert("chat.example"),
            "The server's certificate is for chat.example; you asked for localhost. On the server:",
        ),
        (expired, "expired"),
        (not_yet_valid, "not valid yet"),
    ],
    ids=["wrong CA", "wrong name", "expired", "not yet valid"],
)
def test_a_server_that_is_not_proven_gets_not_one_byte(
    tmp_path: Path, leaf: Callable[[], trustme.LeafCert], told: str
) -> None:
    def script(peer: Peer) -> None:  # a false server greets, and waits for the password
        peer.send(HELLO)
        peer.receive()

    with scripted(script, leaf=leaf(), refused=True) as server:
        error = failure(server.port, tmp_path)
    assert isinstance(error, VerificationFailed)
    assert told in str(error)
    assert error.exit_code == 5
    assert server.received == b""


def test_a_context_that_verifies_nothing_is_not_taken() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match="must verify"):
        Client.connect("localhost", 1, context, "alice", PASSWORD)


def test_a_refusal_that_comes_behind_the_handshake_is_told_in_words(tmp_path: Path) -> None:
    # TLS 1.3: the client's handshake is over when the server asks for its certificate, and refuses.
    with scripted(lambda peer: None, require_certificate=True, refused=True) as server:
        error = failure(server.port, tmp_path)
    assert isinstance(error, Refused)
    assert error.exit_code == 4
    assert "asks for a client certificate" in str(error)


def test_a_port_where_nothing_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(port, tmp_path, "127.0.0.1")
    assert isinstance(error, Unreachable)
    assert str(error).startswith(f"Nothing listens at 127.0.0.1:{port}.")
    assert error.exit_code == 3


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "There is no address for chat.example"),
        (UnicodeError("label too long"), "There is no address for chat.example"),
        (TimeoutError(), r"chat.example:7443 did not answer within 10 seconds"),
        (OSError(113, "No route to host"), r"chat.example:7443 cannot be reached: no route to host\."),
    ],
)
def test_a_host_that_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: OSError, told: str
) -> None:
    def unreachable(*_: object) -> NoReturn:
        raise raised

    monkeypatch.setattr(socket, "create_connection", unreachable)
    error = failure(7443, tmp_path, "chat.example")
    assert isinstance(error, Unreachable)
    assert str(error).startswith(told.replace("\\", ""))


def plain_text(raw: socket.socket) -> None:
    raw.sendall(b"220 mail.example ESMTP\r\n")


def reset(raw: socket.socket) -> None:
    raw.recv(1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def nothing(raw: socket.socket) -> None:
    raw.recv(65_536)


@pytest.mark.parametrize(
    ("answer", "told", "exit_code"),
    [(plain_text, "not with TLS", 5), (reset, "closed the connection", 3), (nothing, "closed the connection", 3)],
)
def test_a_server_without_tls(
    tmp_path: Path, answer: Callable[[socket.socket], None], told: str, exit_code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            with raw:
                raw.settimeout(DEADLINE)
                answer(raw)

        thread = threading.Thread(target=serve)
        thread.start()
        error = failure(listener.getsockname()[1], tmp_path)
        thread.join(DEADLINE)
    assert told in str(error)
    assert error.exit_code == exit_code


def test_a_silent_server_is_given_up_in_the_handshake(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = failure(listener.getsockname()[1], tmp_path, greet=0.05)
    assert isinstance(error, Unreachable)
    assert "the TLS handshake took too long" in str(error)


def test_a_server_that_does_not_greet_is_given_up_and_got_no_password(tmp_path: Path) -> None:
    given_up = threading.Event()
    with scripted(lambda peer: assert_set(given_up)) as server:
        error = failure(server.port, tmp_path, greet=0.2)
        given_up.set()
    assert isinstance(error, Unreachable)
    assert "waiting for the server's greeting took too long" in str(error)
    assert server.received == b""


def test_a_server_that_does_not_answer_the_login_is_given_up(tmp_path: Path) -> None:
    given_up = threading.Event()

    def script(peer: Peer) -> None:
        peer.send(HELLO)
        peer.expect("login")
        assert_set(given_up)

    with scripted(script) as server:
        error = failure(server.port, tmp_path, login=0.05)
        given_up.set()
    assert isinstance(error, Unreachable)
    assert "waiting for the answer to the login took too long" in str(error)


def assert_set(event: threading.Event) -> None:
    assert event.wait(DEADLINE)


@pytest.mark.parametrize("greeting", [b"* OK IMAP4rev1\r\n", b'{"type":"hello"}\n', b'{"type":"bye","code":1}\n'])
def test_a_server_of_another_protocol_gets_no_password(tmp_path: Path, greeting: bytes) -> None:
    with scripted(lambda peer: peer.send_bytes(greeting)) as server:
        error = failure(server.port, tmp_path)
    assert isinstance(error, Unreachable)
    assert server.received == b""


def test_a_server_of_a_later_protocol_gets_no_password(tmp_path: Path) -> None:
    with scripted(lambda peer: peer.send({**HELLO, "protocol": 2})) as server:
        error = failure(server.port, tmp_path)
    assert isinstance(error, Unreachable)
    assert "speaks version 2 of the protocol, this client 1" in str(error)
    assert server.received == b""


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (
            {"type": "error", "code": "bad-credentials", "message": "No."},
            "bad-credentials",
            "did not let alice in: the username or the password is wrong",
        ),
        (
            {"type": "error", "code": "throttled", "message": "No.", "retry_after": 8},
            "throttled",
            "lets nobody try so often. Try again in 8 s.",
        ),
        ({"type": "bye", "code": "throttled", "message": "No."}, "throttled", "Try again later."),
        ({"type": "error", "code": "internal", "message": "It \x1bbroke."}, "internal", "It \\u{1B}broke."),
    ],
)
def test_who_is_not_let_in_is_told_why(tmp_path: Path, answer: dict[str, object], code: str, told: str) -> None:
    def script(peer: Peer) -> None:
        peer.send(HELLO)
        peer.expect("login")
        peer.send(answer)

    with scripted(script) as server:
        error = failure(server.port, tmp_path)
    assert isinstance(error, Refused)
    assert (error.code, error.exit_code) == (code, 4)
    assert told in str(error)


def test_a_server_that_stops_while_one_comes_in_says_so(tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.send(message(1, "too early"))
        peer.send({"type": "bye", "code": "shutdown", "message": "Stopping.", "retry_after": 2})

    with scripted(script) as server:
        error = failure(server.port, tmp_path)
    assert isinstance(error, Unreachable)
    assert str(error) == "The server ended the connection: Stopping. Try again in 2 s."
