"""`Client`: blocking calls over one TLS connection that one thread owns.

Its law: the thread started by `connect` alone ever touches the socket (OpenSSL forbids two threads in one connection);
callers on any thread leave notes in the exchange, and wait there. A server that TLS has not proven to be the right one
gets a handshake and nothing else. What is heard and not taken is bounded: past the bound nothing is read, and the
server waits. It knows nothing of terminals and people.
"""

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self, TypeVar

from securechat.certificates import explain
from securechat.client.address import Address
from securechat.client.bell import Bell
from securechat.client.dialogue import Dialogue, Stage, Timeouts
from securechat.client.exchange import Exchange, Pending
from securechat.client.ids import new_id
from securechat.errors import SecurechatError, Unreachable
from securechat.protocols.frames import Answer, AnyEvent, AnyRequest, Login, Welcome

A = TypeVar("A", bound=Answer)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

RECORD_BYTES: Final = 16_384
"""The most that one TLS record holds (RFC 8446, 5.1): a read of this size leaves nothing decrypted behind."""

READS_A_TURN: Final = 16
"""TLS records read before what is to be sent has its turn."""

SECONDS: Final = Timeouts()
"""The timeouts of a client that was not given others."""


class Client:
    """One session with a server: made by `connect`, usable from every thread, ended by `close`.

    Take `events()` on a thread of its own while others make calls: an answer can stand behind more events than the
    client keeps.
    """

    def __init__(
        self, address: Address, context: ssl.SSLContext, authority: Path | None, password: str, timeouts: Timeouts
    ) -> None:
        """For `connect`, which starts it."""
        self.address: Final = address
        self._timeouts = timeouts
        self._bell = Bell()
        self._exchange = Exchange(self._bell.ring)
        self._line = _Line(address, context, authority, timeouts, self._exchange, self._bell)
        # The password is the thread's argument and nobody's attribute.
        login = Login(username=address.username, password=password)
        self._thread = threading.Thread(target=self._line.live, args=(login,), name="securechat-client", daemon=True)

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        context: ssl.SSLContext,
        username: str,
        password: str,
        *,
        authority: Path | None = None,
        timeouts: Timeouts = SECONDS,
    ) -> Self:
        """Connect, verify, log in.

        `context` is made by `certificates.client_context(authority)`; `authority` is given again for the words of a
        failed verification. Raises VerificationFailed (nothing was sent), Unreachable, and Refused for a wrong
        username or password (`bad-credentials`) and for too many tries (`throttled`, with `retry_after`).
        """
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ValueError("The context must verify the server's certificate and its name.")
        client = cls(Address(username, host, port), context, authority, password, timeouts)
        client._thread.start()
        try:
            client._exchange.wait_open()
        except BaseException:
            client.close()
            raise
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.address.username!r} at {self.address})"

    @property
    def welcome(self) -> Welcome:
        """What the server said when it let us in: the account's role, its rooms."""
        assert self._line.dialogue is not None
        assert self._line.dialogue.welcome is not None
        return self._line.dialogue.welcome

    def request(self, request: AnyRequest, answer: type[A]) -> A:
        """Ask for something and wait for the answer, of the kind `answer`: `request(Join(room="lobby"), Joined)`.

        Raises Refused where the server answers with an error, Unreachable where no answer comes in time.
        """
        return self._exchange.ask(request, answer, self._timeouts.answer)

    def say(self, room: str, text: str, id: str | None = None) -> Pending:
        """Say something in a room, or to a person (`@bob`); what becomes of it is told by the Pending.

        `id` makes a repeat harmless; without one a new one is made. Waits while CLIENT_IN_FLIGHT lines have no answer.
        Raises Unreachable (or what else ended the connection) after the end.
        """
        return self._exchange.say(room, text, id or new_id())

    def events(self) -> Iterator[AnyEvent]:
        """What is heard, each once, in order: records, `ack` and `error` for what was said, at last `bye`.

        Ends after `close`. Raises what else ended the connection: Unreachable, or Refused for a changed account.
        """
        return self._exchange.events()

    def close(self) -> None:
        """Log out and end the connection, within a second even if the server is stopped; twice is as good as once."""
        self._line.closing.set()
        self._bell.ring()
        self._thread.join(self._timeouts.close + 0.1)


class _Line:
    """The thread's own: the socket, from its first packet to its last."""

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext,
        authority: Path | None,
        timeouts: Timeouts,
        exchange: Exchange,
        bell: Bell,
    ) -> None:
        self.closing: Final = threading.Event()
        self.dialogue: Dialogue | None = None
        self._address = address
        self._context = context
        self._authority = authority
        self._timeouts = timeouts
        self._exchange = exchange
        self._bell = bell

    def live(self, login: Login) -> None:
        """The connection's whole life; the exchange learns how it ended."""
        failure: SecurechatError | None = Unreachable("The client failed.")  # stays only where it has a bug
        try:
            with self._reach() as raw, self._wrap(raw) as tls:
                tls.do_handshake()
                tls.setblocking(False)
                dialogue = Dialogue(self._address, login, self._exchange, self._timeouts, time.monotonic())
                self.dialogue = dialogue
                self._converse(tls, dialogue)
                failure = dialogue.failure
        except SecurechatError as error:
            failure = error
        except OSError as error:
            failure = self._unproven(error)
        finally:
            self._exchange.end(failure)
            self._bell.close()

    def _reach(self) -> socket.socket:
        try:
            raw = socket.create_connection((self._address.host, self._address.port), self._timeouts.connect)
        except (socket.gaierror, UnicodeError):
            raise Unreachable(f"There is no address for {self._address.host}.", hint="Is the name right?") from None
        except ConnectionRefusedError:
            hint = "Is the server running, and is the port right?"
            raise Unreachable(f"Nothing listens at {self._address}.", hint=hint) from None
        except TimeoutError:
            waited = f"{self._timeouts.connect:g} seconds"
            raise Unreachable(
                f"{self._address} did not answer within {waited}.", hint="Is the address right?"
            ) from None
        except OSError as error:
            raise Unreachable(f"{self._address} cannot be reached: {_reason(error)}.") from None
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return raw

    def _wrap(self, raw: socket.socket) -> ssl.SSLSocket:
        raw.settimeout(self._timeouts.greet)
        return self._context.wrap_socket(
            raw, server_hostname=self._address.host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )

    def _unproven(self, error: OSError) -> SecurechatError:
        """What came of a server that has not greeted."""
        if isinstance(error, TimeoutError):
            return Unreachable(f"{self._address} does not answer: the TLS handshake took too long.")
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return explain(error, self._address.host, self._authority)
        return Unreachable(f"{self._address} closed the connection before it greeted.", hint="Try again later.")

    def _converse(self, tls: ssl.SSLSocket, dialogue: Dialogue) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, READ)
            watched = 0
            while True:
                self._bell.quiet()
                is_closing = self.closing.is_set()  # asked first: what was said before goes out before the goodbye
                dialogue.outgoing.extend(self._exchange.take())
                if is_closing:
                    dialogue.leave(time.monotonic())
                try:
                    wanted, again = self._read(tls, dialogue)
                    wanted |= self._write(tls, dialogue)
                except OSError as error:
                    if dialogue.stage is Stage.GREETING:
                        raise  # a TLS 1.3 server's refusal arrives here, behind a handshake that succeeded
                    dialogue.lost(_reason(error))
                if dialogue.is_over:
                    break
                _watch(selector, tls, watched, wanted)
                watched = wanted
                selector.select(0 if again else max(0.0, dialogue.deadline - time.monotonic()))
                dialogue.check(time.monotonic())
        _say_goodbye(tls)

    def _read(self, tls: ssl.SSLSocket, dialogue: Dialogue) -> tuple[int, bool]:
        """Read what there is; returns what to wait for, and whether there may be more without waiting."""
        try:
            for _ in range(READS_A_TURN):
                if not dialogue.wants_more:
                    return 0, False
                data = tls.recv(RECORD_BYTES)
                if not data:
                    dialogue.end_of_stream()
                    return 0, False
                dialogue.receive(data, time.monotonic())
        except ssl.SSLWantReadError:
            return READ, False
        except ssl.SSLWantWriteError:
            return WRITE, False
        return READ, True

    def _write(self, tls: ssl.SSLSocket, dialogue: Dialogue) -> int:
        """Send what there is; returns what to wait for. A call that is made again has the same bytes in front."""
        outgoing = dialogue.outgoing
        try:
            while outgoing and not dialogue.is_over:
                del outgoing[: tls.send(outgoing[:RECORD_BYTES])]
        except ssl.SSLWantReadError:
            return READ
        except ssl.SSLWantWriteError:
            return WRITE
        except OSError:
            self._read(tls, dialogue)  # the server's last words may have arrived before its end
            if not dialogue.is_over:
                raise
        return 0


def _watch(selector: selectors.BaseSelector, tls: ssl.SSLSocket, before: int, now: int) -> None:
    if not before and now:
        selector.register(tls, now)
    elif before and not now:
        selector.unregister(tls)
    elif before != now:
        selector.modify(tls, now)


def _say_goodbye(tls: ssl.SSLSocket) -> None:
    # The first call sends close_notify; the peer's own, for which it would wait, is not worth a second.
    with contextlib.suppress(OSError):
        tls.unwrap()
    with contextlib.suppress(OSError):
        tls.shutdown(socket.SHUT_RDWR)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError):
        return "it was cut without a goodbye"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return (error.strerror or type(error).__name__).lower()
