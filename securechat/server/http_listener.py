"""The HTTP listener: a few small answers for machines, on a port of its own that is off unless it is configured.

A table of routes, and threads of its own: it touches no chat thread. What a request may cost is bounded in connections,
bytes and time. It knows no account, no room and no metric: whoever adds a route does. A path can hold a token, so
nothing here logs one.
"""

import contextlib
import io
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import msgspec

from securechat.limits import HTTP_CONNECTIONS, HTTP_DISCARDED_BYTES, HTTP_HEAD_BYTES, HTTP_SECONDS
from securechat.server.listener import PAUSE_SECONDS, listen, show_address

TEXT: Final = "text/plain; charset=utf-8"

log = logging.getLogger(__name__)


class Request:
    """What a route is asked: `rest` is what stood for the star in its path, and may be a secret, as the body may;
    `content_type` is what the peer says of the body."""

    __slots__ = ("body", "content_type", "rest")

    def __init__(self, rest: str, body: bytes, content_type: str = "") -> None:
        self.rest = rest
        self.body = body
        self.content_type = content_type


class Response(msgspec.Struct, frozen=True):
    """What a route answers."""

    status: HTTPStatus
    body: str
    content_type: str = TEXT


class Route(msgspec.Struct, frozen=True):
    """One line of the table; `answer` runs on a thread of the request's own, and may wait."""

    method: str
    """`GET` or `POST`."""
    path: str
    """As it is asked for; a `*` at its end stands for one part of a path, whatever it is."""
    answer: Callable[[Request], Response]
    body_bytes: int = 0
    """The largest body that is read; a larger one is refused unread with 413."""

    def match(self, path: str) -> str | None:
        """What the star stands for in this path; None where the route is another's."""
        if not self.path.endswith("*"):
            return "" if path == self.path else None
        start = self.path[:-1]
        rest = path.removeprefix(start)
        return rest if path.startswith(start) and rest and "/" not in rest else None


class _TooLarge(HTTPException):
    """A request has more bytes than it may."""


class _Timely(io.RawIOBase):
    """Reads a socket up to a deadline and a number of bytes, however they drip in."""

    def __init__(self, reading: socket.socket) -> None:
        self._socket = reading
        self._deadline = time.monotonic() + HTTP_SECONDS
        self.allowed = HTTP_HEAD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.allowed <= 0:
            raise _TooLarge
        self._socket.settimeout(left)
        count = self._socket.recv_into(memoryview(buffer)[: self.allowed])
        self.allowed -= count
        return count


class _Exchange(BaseHTTPRequestHandler):
    """One request and its answer; then the connection is closed, as HTTP/1.0 does."""

    server: "HttpListener"
    server_version = "securechat"
    sys_version = ""
    error_message_format = "%(message)s.\n"
    error_content_type = TEXT
    default_request_version = "HTTP/1.0"  # so that nonsense, too, is answered with a status

    def setup(self) -> None:
        self.connection = self.request
        self._reading = _Timely(self.connection)
        self.rfile = io.BufferedReader(self._reading)
        self.wfile = self.connection.makefile("wb")

    def handle(self) -> None:
        try:
            super().handle()
        except _TooLarge:  # in its first line
            self.requestline = self.request_version = self.command = ""
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a path can hold a token, and whoever asks often would fill the log."""

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        found = {route.method: (route, rest) for route in self.server.routes if (rest := route.match(path)) is not None}
        if not found:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.command not in found:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            self._call(*found[self.command])

    do_GET = do_POST = _answer  # noqa: N815 - the names that the library looks for

    def _call(self, route: Route, rest: str) -> None:
        length = self.headers.get("Content-Length", "" if route.body_bytes else "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdecimal()):
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        if len(length) > len(str(route.body_bytes)) or int(length) > route.body_bytes:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self._reading.allowed += int(length)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return  # it left in the middle of its request
        try:
            response = route.answer(Request(rest, body, self.headers.get("Content-Type", "")))
        except Exception:
            log.exception("an HTTP request failed: %s %s", route.method, route.path)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        content = response.body.encode()
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in words, and let them arrive."""
        super().send_error(code, message, explain)
        self.wfile.flush()
        # What was not read is thrown away, up to a limit: closing with unread bytes resets the connection, and the
        # reset can destroy the answer on its way.
        self.connection.shutdown(socket.SHUT_WR)
        self._reading.allowed = HTTP_DISCARDED_BYTES
        with contextlib.suppress(_TooLarge):
            while self._reading.readinto(bytearray(4096)):
                pass


class HttpListener(socketserver.ThreadingTCPServer):
    """The listening socket, its thread, and a thread for each request, up to a limit; past it, they are hung up on."""

    def __init__(self, host: str, port: int, routes: Sequence[Route]) -> None:
        """Listen. Raises SecurechatError when the address is not this machine's or the port is taken."""
        super().__init__((host, port), _Exchange, bind_and_activate=False)
        self.socket.close()  # the library's own, which knows one kind of address only
        self.socket = listen(host, port, option="http_port", host_option="http_host")
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self.address = show_address((host or self.socket.getsockname()[0], self.port))
        self.routes = routes
        self._places = threading.BoundedSemaphore(HTTP_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, name="http", kwargs={"poll_interval": 0.1})

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more, let those be answered that have asked, and end the threads."""
        if self._thread.ident is not None:
            self.shutdown()
            self._thread.join()
        for one in tuple(self._open):
            with contextlib.suppress(OSError):  # it has left by itself
                one.shutdown(socket.SHUT_RD)  # whoever has not asked yet is not waited for
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept; where there is no descriptor left, not again at once."""
        try:
            return self.socket.accept()
        except BlockingIOError:
            raise
        except OSError:
            time.sleep(PAUSE_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own, if there is a place."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._open.add(request)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one request; the place is free again afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that hangs up, or is too slow, is no error of the server's."""

    def _leave(self, request: socket.socket) -> None:
        self._open.discard(request)
        self._places.release()
