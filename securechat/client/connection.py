"""The thread's own: the TLS sockets of one client, one after the other, each from its first packet to its last.

Its law: the client's thread alone ever touches a socket (OpenSSL forbids two threads in one connection). A server that
TLS has not proven to be the right one gets a handshake and nothing else. What is heard and not taken is bounded: past
the bound nothing is read, and the server waits. It knows nothing of what is said.
"""

import contextlib
import selectors
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Final

from securechat.certificates import inspect_certificate
from securechat.certificates.explain import explain, shown_names
from securechat.client.address import Address
from securechat.client.bell import Bell
from securechat.client.comeback import Comeback
from securechat.client.dialogue import Dialogue, Stage
from securechat.client.exchange import Exchange
from securechat.client.nodes import Nodes
from securechat.client.timeouts import Timeouts
from securechat.errors import CertificateError, Refused, SecurechatError, Unreachable, VerificationFailed

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

RECORD_BYTES: Final = 16_384
"""The most that one TLS record holds (RFC 8446, 5.1): a read of this size leaves nothing decrypted behind."""

READS_A_TURN: Final = 16
"""TLS records read before what is to be sent has its turn."""


def require_verifying(context: ssl.SSLContext) -> None:
    """Raise ValueError for a context that would take any server for the right one."""
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("The context must verify the server's certificate and its name.")


class Connection:
    """What the thread of one client does, until the client is closed or cannot come back."""

    def __init__(
        self,
        nodes: Nodes,
        context: ssl.SSLContext,
        authority: Path | None,
        timeouts: Timeouts,
        exchange: Exchange,
        bell: Bell,
    ) -> None:
        self.closing: Final = threading.Event()
        self.nodes: Final = nodes
        self._context = context
        self._authority = authority
        self.timeouts: Final = timeouts
        self._exchange = exchange
        self._bell = bell
        self._shown: list[str] = []
        self._not_proven: VerificationFailed | None = None

    @property
    def _address(self) -> Address:
        return self.nodes.current

    @property
    def _patience(self) -> Timeouts:
        return self.timeouts.among_nodes() if self.nodes.are_several else self.timeouts

    def live(self, comeback: Comeback) -> None:
        """All connections of the client, to its end; the exchange learns how it ended."""
        failure: SecurechatError | None = Unreachable("The client failed.")  # stays only where it has a bug
        try:
            while (wait := self._try(comeback)) is not None and not self.closing.wait(wait):
                pass
            failure = None
        except SecurechatError as error:
            failure = error
        finally:
            self._exchange.end(failure)
            self._bell.close()

    def knock(self) -> None:
        """Have the server prove that it is the right one, hear its first words, and leave. Raises SecurechatError."""
        try:
            with self._reach() as raw, self._wrap(raw) as tls:
                self._shake_hands(tls)
                if not tls.recv(RECORD_BYTES):
                    raise Unreachable(f"{self._address} closed the connection before it greeted.")
                _say_goodbye(tls)
        except OSError as error:
            raise self._unproven(error) from None

    def _try(self, comeback: Comeback) -> float | None:
        """One connection; returns how long to wait before the next, or None when the client was closed. Raises what
        ended it for good."""
        may_return, retry_after, in_since = True, 0.0, None
        failure: SecurechatError | None
        try:
            with self._reach() as raw, self._wrap(raw) as tls:
                self._shake_hands(tls)
                self._exchange.proof = _proof(tls, self._authority)
                tls.setblocking(False)
                dialogue = Dialogue(self.nodes, comeback, self._exchange, self._patience, time.monotonic())
                self._converse(tls, dialogue)
                failure = dialogue.failure
                may_return, retry_after, in_since = dialogue.may_return, dialogue.retry_after, dialogue.in_since
        except SecurechatError as error:
            failure = error
        except OSError as error:
            failure = self._unproven(error)
            # All else can be the work of a network that cuts a handshake in two; a false certificate and the refusal of
            # ours cannot.
            may_return = not isinstance(error, ssl.SSLCertVerificationError) and not isinstance(failure, Refused)
        if failure is None:
            return None
        now = time.monotonic()
        elsewhere = self._goes_elsewhere(failure, may_return=may_return, was_in=in_since is not None)
        wait = comeback.wait(
            failure,
            may_return=may_return or elsewhere,
            elsewhere=elsewhere,
            retry_after=retry_after,
            in_for=now - in_since if in_since is not None else 0.0,
            now=now,
        )
        if not isinstance(failure, Refused):
            self.nodes.move_on()
        self._exchange.lost(failure)
        return wait

    def _goes_elsewhere(self, failure: SecurechatError, *, may_return: bool, was_in: bool) -> bool:
        """Whether the next try is at a node that was not tried yet since one let us in.

        Raises VerificationFailed when all were tried and one of them was not proven: then a person has to know.
        """
        if was_in:
            self._not_proven = None
        if isinstance(failure, VerificationFailed) and not may_return:
            self._not_proven = self._not_proven or failure
            may_return = True
        if self.nodes.has_untried:
            return may_return and not isinstance(failure, Refused)
        if self._not_proven is not None:
            raise self._not_proven
        return False

    def _reach(self) -> socket.socket:
        try:
            raw = socket.create_connection((self._address.host, self._address.port), self._patience.connect)
        except (socket.gaierror, UnicodeError):
            raise Unreachable(f"There is no address for {self._address.host}.", hint="Is the name right?") from None
        except ConnectionRefusedError:
            hint = "Is the server running, and is the port right?"
            raise Unreachable(f"Nothing listens at {self._address}.", hint=hint) from None
        except TimeoutError:
            waited = f"{self._patience.connect:g} seconds"
            raise Unreachable(
                f"{self._address} did not answer within {waited}.", hint="Is the address right?"
            ) from None
        except OSError as error:
            raise Unreachable(f"{self._address} cannot be reached: {_reason(error)}.") from None
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return raw

    def _wrap(self, raw: socket.socket) -> ssl.SSLSocket:
        raw.settimeout(self._patience.greet)
        return self._context.wrap_socket(
            raw, server_hostname=self._address.host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )

    def _shake_hands(self, tls: ssl.SSLSocket) -> None:
        try:
            tls.do_handshake()
        except ssl.SSLCertVerificationError:
            self._shown = shown_names(tls)  # while there is a connection to ask
            raise

    def _unproven(self, error: OSError) -> SecurechatError:
        """What came of a server that has not greeted."""
        if isinstance(error, TimeoutError):
            return Unreachable(f"{self._address} does not answer: the TLS handshake took too long.")
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return explain(error, self._address.host, self._authority, self._shown)
        return Unreachable(f"{self._address} closed the connection before it greeted.", hint="Try again later.")

    def _converse(self, tls: ssl.SSLSocket, dialogue: Dialogue) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, READ)
            watched = 0
            while True:
                self._bell.quiet()
                is_closing = self.closing.is_set()  # asked first: what was said before goes out before the goodbye
                if dialogue.stage is Stage.IN:
                    dialogue.outgoing.extend(self._exchange.take(time.monotonic(), all=is_closing))
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
                deadline = dialogue.deadline
                if dialogue.stage is Stage.IN:
                    deadline = min(deadline, self._exchange.deadline)
                selector.select(0 if again else max(0.0, deadline - time.monotonic()))
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


def _proof(tls: ssl.SSLSocket, authority: Path | None) -> str:
    """How the server was proven: the version of TLS, and the CA by its SHA-256 where we were given it, else by name."""
    version = (tls.version() or "").replace("v", " ")
    if authority is not None:
        with contextlib.suppress(CertificateError):
            return f"{version}, CA {inspect_certificate(authority).fingerprint[:11]}"
    certificate: dict[str, Any] = tls.getpeercert() or {}
    issuer = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return f"{version}, CA {issuer.get('commonName', issuer.get('organizationName', '?'))}"


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError):
        return "it was cut without a goodbye"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return (error.strerror or type(error).__name__).lower()
