"""The HTTP listener: what it answers, what it refuses, and that nobody holds it up; and what `/readyz` looks at."""

import contextlib
import http.client
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest

from securechat.config import Config
from securechat.errors import SecurechatError
from securechat.journal.journal import Journal
from securechat.journal.local import LocalOrder
from securechat.limits import HTTP_CONNECTIONS, HTTP_DISCARDED_BYTES, HTTP_HEAD_BYTES
from securechat.server import http_listener
from securechat.server.health import Health
from securechat.server.http_listener import HttpListener, Request, Response, Route
from securechat.server.server import Server
from tests.server.support import DEADLINE


def fail(request: Request) -> Response:
    raise ZeroDivisionError


def echo(request: Request) -> Response:
    return Response(HTTPStatus.OK, f"{request.rest}:{request.body.decode()}")


ROUTES = [
    Route("GET", "/word", lambda _: Response(HTTPStatus.OK, "word\n")),
    Route("GET", "/bug", fail),
    Route("POST", "/echo/*", echo, body_bytes=100),
]


@pytest.fixture
def listener() -> Iterator[HttpListener]:
    one = HttpListener("127.0.0.1", 0, ROUTES)
    one.start()
    yield one
    one.stop()


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    """The status and the text of one answer."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as asking:
        asking.request(method, path, body)
        answer = asking.getresponse()
        return answer.status, answer.read().decode()


def send(port: int, data: bytes, *, end: bool = False) -> bytes:
    """Everything that comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as asking:
        asking.sendall(data)
        if end:
            asking.shutdown(socket.SHUT_WR)
        with asking.makefile("rb") as answers:
            return answers.read()


def test_a_route_is_found_by_method_and_path_and_its_star(listener: HttpListener) -> None:
    port = listener.port
    assert ask(port, "GET", "/word") == (200, "word\n")
    assert ask(port, "GET", "/word?x=1") == (200, "word\n")
    assert ask(port, "POST", "/echo/one", b"hello") == (200, "one:hello")
    assert ask(port, "GET", "/echo/one") == (405, "Method Not Allowed.\n")
    for path in ("/echo/", "/echo/one/two", "/", "/words", "/echo"):
        assert ask(port, "GET", path) == (404, "Not Found.\n"), path
    assert ask(port, "DELETE", "/word")[0] == 501


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /echo/x HTTP/1.1\r\n\r\n", 411),
        (b"POST /echo/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411),
        (b"POST /echo/x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411),
        (b"POST /echo/x HTTP/1.1\r\nContent-Length: 101\r\n\r\n" + bytes(101), 413),
        (b"POST /echo/x HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"GET /word HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 413),
        (b"GET /" + b"x" * HTTP_HEAD_BYTES, 431),
        (b"GET /word HTTP/1.1\r\nX: " + b"x" * HTTP_HEAD_BYTES, 431),
        (b"GET /word HTTP/1.1\r\n" + b"X: y\r\n" * 500, 431),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_a_request_over_a_limit_is_refused_in_words(listener: HttpListener, request_bytes: bytes, status: int) -> None:
    assert f" {status} ".encode() in send(listener.port, request_bytes, end=True).partition(b"\r\n")[0]
    assert ask(listener.port, "GET", "/word") == (200, "word\n")


def test_who_sends_far_too_much_is_cut(listener: HttpListener) -> None:
    head = b"POST /echo/x HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"
    with contextlib.suppress(ConnectionError):  # where the answer was, or while it sends
        assert b" 413 " in send(listener.port, head + bytes(8 * HTTP_DISCARDED_BYTES))
    assert ask(listener.port, "GET", "/word") == (200, "word\n")


def test_a_body_that_does_not_come_is_no_request(listener: HttpListener) -> None:
    assert send(listener.port, b"POST /echo/x HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", end=True) == b""


def test_a_bug_in_an_answer_is_an_answer_and_a_line_in_the_log(
    listener: HttpListener, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(listener.port, "GET", "/bug") == (500, "Internal Server Error.\n")
    assert "ZeroDivisionError" in caplog.text


def test_a_request_that_drips_in_is_cut_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_listener, "HTTP_SECONDS", 0.2)
    listener = HttpListener("127.0.0.1", 0, ROUTES)
    listener.start()
    try:
        with socket.create_connection(("127.0.0.1", listener.port), DEADLINE) as dripping:
            dripping.settimeout(0.02)
            with pytest.raises(ConnectionError):
                while True:
                    with contextlib.suppress(TimeoutError):
                        if not dripping.recv(1):
                            raise ConnectionError
                    dripping.sendall(b"G")
    finally:
        listener.stop()


def test_past_its_places_it_hangs_up_and_stops_at_once(listener: HttpListener) -> None:
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", listener.port), DEADLINE))
            for _ in range(HTTP_CONNECTIONS)
        ]
        # In the order of their coming: each of the silent ones has its place by then.
        assert send(listener.port, b"") == b""
        silent.pop().close()
        with contextlib.suppress(ConnectionError):
            while not send(listener.port, b"GET /word HTTP/1.0\r\n\r\n"):
                pass
        listener.stop()
        assert [one.recv(1) for one in silent] == [b""] * len(silent)


def test_a_port_that_is_taken_names_its_own_setting(listener: HttpListener) -> None:
    with pytest.raises(SecurechatError, match=r"another program has this port. Stop it, .* with http_port\."):
        HttpListener("127.0.0.1", listener.port, ROUTES)


def test_a_server_answers_over_http_only_where_it_is_told_to(home: Path) -> None:
    server = Server(home, Config(port=0, http_port=0))
    server.start()
    try:
        assert ask(server.http_port, "GET", "/healthz") == (200, "ok\n")
        assert ask(server.http_port, "GET", "/readyz") == (200, "ready\n")
        server.ask_to_stop()
        assert ask(server.http_port, "GET", "/readyz") == (503, "The server stops.\n")
        assert ask(server.http_port, "GET", "/healthz") == (200, "ok\n")
    finally:
        server.stop()
    assert Config().http_port is None


class FullJournal(Journal):
    """A journal whose last commit found no room."""

    def __init__(self) -> None:
        self._full = True
        self._order = LocalOrder(1)


def test_a_full_disk_and_an_old_certificate_are_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    health = Health(tmp_path, FullJournal(), lambda: yesterday, lambda: False)
    expired = f"The certificate expired on {yesterday:%Y-%m-%d}."
    assert health.reasons() == [expired], "there is room again, though nothing was committed since"
    assert list(tmp_path.iterdir()) == []

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    assert health.reasons() == ["The disk is full: nothing more is stored.", expired]
