"""One TLS socket: handshake with a deadline, read, a bounded outgoing queue, flush, and an orderly end.

It belongs to one reactor for life; every method runs on that reactor's thread. It turns bytes into requests with its
protocol and hands them to its session; it knows no account, no room and no other connection.
"""

import contextlib
import enum
import logging
import math
import selectors
import socket
import ssl
import time

from securechat.errors import ProtocolError
from securechat.protocols.frames import AnyEvent, AnyRequest, Logout
from securechat.protocols.native import NativeProtocol
from securechat.server.neighbours import Listening, Owner
from securechat.server.tcp_info import acknowledged_bytes

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

RECORD_BYTES = 16_384
"""The most that one TLS record holds (RFC 8446, 5.1): a read of this size leaves nothing decrypted behind."""

READS_A_TURN = 8
"""TLS records read from one connection before the others have their turn."""

POURING_SECONDS = 0.001
"""Between two reads of a connection: after less, there is likely to be more."""

WRITE_BYTES = 262_144
"""Queued bytes that are joined for one run of TLS writes."""

log = logging.getLogger(__name__)


class Phase(enum.Enum):
    """Where a connection is in its life; it only moves down this list."""

    HANDSHAKE = enum.auto()
    OPEN = enum.auto()
    FLUSHING = enum.auto()
    LINGERING = enum.auto()
    CLOSED = enum.auto()


# By names of their own: looking one up in its class takes as long as all that `flush` does besides the TLS write.
HANDSHAKE, OPEN, FLUSHING, LINGERING, CLOSED = Phase


class Connection:
    """One peer's TLS connection, from accept to close."""

    __slots__ = (
        "_deadline",
        "_mask",
        "_out",
        "_owner",
        "_phase",
        "_queue",
        "_read_waits_for",
        "_received",
        "_socket",
        "_write_waits_for",
        "address",
        "certificate",
        "frame_began",
        "heard",
        "is_awaited",
        "protocol",
        "queued",
        "scheduled",
        "session",
        "source",
    )

    def __init__(self, raw: socket.socket, address: str, source: str, context: ssl.SSLContext, owner: Owner) -> None:
        """Take over an accepted socket. Raises OSError when the peer is gone already."""
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, owner.limits.send_buffer_bytes)
        self._socket = context.wrap_socket(
            raw, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self._owner = owner
        self._phase = HANDSHAKE
        self._mask = 0
        # Lists, for all that is taken from their front: an empty deque has 600 bytes, and most connections are idle.
        self._queue: list[bytes] = []
        self._out: bytes | memoryview = b""
        self._read_waits_for = READ
        self._write_waits_for = 0
        self._received: list[AnyRequest | ProtocolError] = []
        self._deadline = time.monotonic() + owner.limits.handshake_seconds
        self.address = address
        self.source = source
        """What the address counts as."""
        self.certificate: bytes | None = None
        """The client certificate that the peer has proven to be its own, in DER form."""
        self.protocol = NativeProtocol(owner.limits.line_bytes)
        self.queued = 0
        self.is_awaited = False
        """Whether the session waits for room in the queue."""
        self.heard = 0.0
        self.frame_began: float | None = None
        self.session: Listening | None = None
        self.scheduled = math.inf
        """When the reactor will call `check`, of the monotonic clock."""
        owner.expect(self, self._deadline)
        self._watch(READ)  # the peer speaks first

    # --- what the session says -------------------------------------------------------------------

    def tell(self, event: AnyEvent) -> None:
        """Queue one event for the peer."""
        self.queue(self.protocol.encode(event))

    def queue(self, data: bytes) -> None:
        """Queue encoded events; they are written at the end of the reactor's turn."""
        if self._phase is OPEN:
            if not self.queued:
                self._owner.flush_later(self)
            self._queue.append(data)
            self.queued += len(data)

    def finish(self, *last: AnyEvent) -> None:
        """Say the last events, write out what is queued and close, within `close_seconds` whatever the peer does."""
        if self._phase is HANDSHAKE:
            self.drop()
        elif self._phase is OPEN:
            for event in last:
                self.tell(event)
            self._phase = FLUSHING
            self._received.clear()
            self._set_deadline(time.monotonic() + self._owner.limits.close_seconds)
            self._owner.flush_later(self)

    def deafen(self) -> None:
        """Hear no more requests; what is queued is still written."""
        if self.session:
            self.session.deafen()
            self._watch()
        elif self._phase is HANDSHAKE:
            self.drop()

    def forget_received(self) -> None:
        """Drop the requests that came behind the one being handled."""
        self._received.clear()

    # --- what the reactor says -------------------------------------------------------------------

    def ready(self, mask: int) -> None:
        """The socket can do what it was watched for."""
        if self._phase is HANDSHAKE:
            self._shake_hands()
        elif self._phase is LINGERING:
            self._linger()
        else:
            if mask & self._write_waits_for:
                self.flush()
            if mask & self._read_waits_for and self._may_read():
                self._read()

    def hear(self) -> None:
        """Hand received requests to the session for as long as it hears; read on when none is left."""
        if self._received or not self._mask & self._read_waits_for:
            self._hand_over()
            self._watch()

    def flush(self) -> None:
        """Write what is queued, as far as the peer takes it."""
        was_full = self.queued > self._owner.limits.queue_bytes // 2
        was_blocked, self._write_waits_for = self._write_waits_for, 0
        try:
            while self.queued:
                out = self._out = self._out or self._join()
                sent = self._socket.send(out)
                self.queued -= sent
                self._out = memoryview(out)[sent:] if sent < len(out) else b""
                if was_blocked:
                    self.heard = time.monotonic()  # a peer that takes what it did not take before is there
        except ssl.SSLWantWriteError:
            self._write_waits_for = WRITE
        except ssl.SSLWantReadError:
            self._write_waits_for = READ
        except OSError as error:
            self.drop(_reason(error))
            return
        if self._phase is FLUSHING and not self.queued:
            self._say_goodbye()
        elif self._phase is OPEN and self.session:
            if self.is_awaited and self.queued <= self._owner.limits.queue_bytes // 2:
                self.is_awaited = False
                self.session.drained()
            if was_full:
                self.hear()
        if self._write_waits_for or was_blocked:
            self._watch()

    def check(self, now: float) -> None:
        """Act on the deadline that has passed, if one has, and ask to be called again at the next."""
        if self._phase is OPEN and self.session:
            self._set_deadline(self.session.check(now))
        elif self._phase is not CLOSED:
            if now < self._deadline:
                self._owner.expect(self, self._deadline)
                return
            if self._phase is HANDSHAKE:
                log.info("handshake not finished in time", extra={"peer": self.address})
            self.drop()

    def drop(self, why: str = "") -> None:
        """Close at once, without a word; `why` is for the log."""
        if self._phase is CLOSED:
            return
        self._watch(0)
        self._phase = CLOSED
        self._queue.clear()
        self._received.clear()
        self._out = b""
        self.queued = 0
        self._socket.close()
        session, self.session = self.session, None
        if session:
            session.ended(why)
        self._owner.closed(self)

    @property
    def is_new(self) -> bool:
        """Whether its handshake is still to be done."""
        return self._phase is HANDSHAKE

    @property
    def taken(self) -> int:
        """Bytes that the peer's system has acknowledged so far; 0 where this system does not tell (Linux does)."""
        return acknowledged_bytes(self._socket)

    @property
    def is_open(self) -> bool:
        """Whether events can still be queued."""
        return self._phase is OPEN

    @property
    def is_closed(self) -> bool:
        """Whether the socket is closed."""
        return self._phase is CLOSED

    # --- TLS ------------------------------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(READ)
        except ssl.SSLWantWriteError:
            self._watch(WRITE)
        except OSError as error:
            log.info("handshake failed: %s", _reason(error), extra={"peer": self.address})
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                self._set_deadline(time.monotonic() + self._owner.limits.close_seconds)
                self._end_quietly()  # an alert with the reason is on its way
            else:
                self.drop()
        else:
            if self._socket.context.verify_mode:  # 0 where no certificate is asked for
                if self._socket.session_reused:  # a TLS 1.2 session's id, which Python cannot turn off
                    log.info("resumption refused", extra={"peer": self.address})
                    self.drop()
                    return
                self.certificate = self._socket.getpeercert(binary_form=True)
            self._phase = OPEN
            self.heard = time.monotonic()
            self.session = self._owner.opened(self)
            self.check(self.heard)
            self._watch()

    def _read(self) -> None:
        self._read_waits_for = READ
        try:
            for _ in range(READS_A_TURN):
                data = self._socket.recv(RECORD_BYTES)
                before, self.heard = self.heard, time.monotonic()
                if not data:
                    self._received.extend(self.protocol.receive_eof())
                    self._received.append(Logout())  # what it asked for before is still answered
                    break
                items = self.protocol.receive(data)
                self._time_frame(bool(items))
                self._received.extend(items)
                self._hand_over()
                # Less than a full record is nearly always all there is, and an attempt in vain behind each costs more
                # than another turn of the selector; not so where one request comes right behind another.
                is_pouring = len(data) == RECORD_BYTES or self.heard - before < POURING_SECONDS
                if not (is_pouring and self._may_read()):
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            self._read_waits_for = WRITE
        except OSError as error:
            self.drop(_reason(error))
            return
        self._hand_over()
        self._watch()

    def _hand_over(self) -> None:
        session = self.session
        while self._received and self._phase is OPEN and session and session.hears():
            session.handle(self._received.pop(0))

    def _may_read(self) -> bool:
        return self._phase is OPEN and not self._received and self.session is not None and self.session.hears()

    def _time_frame(self, ended: bool) -> None:
        if not self.protocol.partial:
            self.frame_began = None
        elif ended or self.frame_began is None:
            self.frame_began = self.heard
            self._set_deadline(self.heard + self._owner.limits.frame_seconds)

    def _say_goodbye(self) -> None:
        # The peer's own goodbye is not waited for in TLS.
        with contextlib.suppress(OSError):
            self._socket.unwrap()  # the first call sends close_notify; that it would wait for the peer's is cut short
        self._end_quietly()

    def _end_quietly(self) -> None:
        # What the peer still sends is read and thrown away below TLS, for closing a socket with unread bytes resets it,
        # and the reset can destroy our last words on their way.
        self._phase = LINGERING
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop()
            return
        self._watch(READ)
        self._linger()

    def _linger(self) -> None:
        try:
            for _ in range(READS_A_TURN):
                if not self._socket.recv(RECORD_BYTES):
                    self.drop()
                    return
        except BlockingIOError:
            pass
        except OSError:
            self.drop()

    def fileno(self) -> int:
        """The socket's descriptor, for the selector."""
        return self._socket.fileno()

    # --- small parts ----------------------------------------------------------------------------

    def _join(self) -> bytes:
        queue = self._queue
        if len(queue) == 1:
            return queue.pop()
        size = count = 0
        for part in queue:
            if size >= WRITE_BYTES:
                break
            size += len(part)
            count += 1
        data = b"".join(queue[:count])
        del queue[:count]
        return data

    def _watch(self, mask: int | None = None) -> None:
        if mask is None:
            mask = self._write_waits_for
            if self._phase is LINGERING or self._may_read():
                mask |= self._read_waits_for
        if mask != self._mask and self._phase is not CLOSED:
            self._owner.watch(self, self._mask, mask)
            self._mask = mask

    def _set_deadline(self, deadline: float) -> None:
        self._deadline = deadline
        if self._phase is not CLOSED:
            self._owner.expect(self, deadline)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError):
        return "the peer cut it without a TLS goodbye"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client certificate is not taken: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return error.strerror or type(error).__name__
