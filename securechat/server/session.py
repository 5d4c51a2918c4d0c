"""One client's session: its deadlines, and its end. Its way in is `entry`, what it asks for once it is in `requests`.

It runs on its reactor's thread alone and never blocks: passwords are hashed by workers. It knows frames, never bytes.
"""

import enum
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from securechat.certificates import read_peer
from securechat.chat.model import Barrier, Grant, Outcome
from securechat.errors import Code, ProtocolError
from securechat.protocols import frames
from securechat.protocols.frames import AnyEvent, AnyRequest, Bye, Error
from securechat.protocols.states import State, refusal
from securechat.server.connection import Connection
from securechat.server.entry import Entry
from securechat.server.fanout import Origin
from securechat.server.own_account import session_name
from securechat.server.rate import Rate
from securechat.server.requests import RETRY_SECONDS, Requests
from securechat.server.subscriptions import Subscriptions

if TYPE_CHECKING:
    from securechat.server.reactor import Reactor


class Hearing(enum.Enum):
    """Whether requests are heard; it only moves down this list."""

    ON = enum.auto()
    LEAVING = enum.auto()
    """The peer said goodbye: what it proposed before is still answered."""
    OFF = enum.auto()
    """The server stops."""


# By names of their own: before Python 3.12, looking one up in its class costs more than the rest of `hears`.
ON, CHECKING, IN = Hearing.ON, State.CHECKING, State.IN

PING_BYTES = 64
"""More than a ping takes on the wire: a program that hangs has a system that takes that much for it."""

SOON = 0.1
"""Seconds until a deadline that has passed is looked at again: its consequence is on its way."""

log = logging.getLogger(__name__)


class Session:
    """One connection's session, logged in or on its way."""

    def __init__(self, connection: Connection, reactor: "Reactor") -> None:
        self.connection = connection
        self.reactor = reactor
        self.username = ""
        self.is_over = False
        self.queue_bytes = reactor.limits.queue_bytes
        self.subscriptions = Subscriptions(self)
        self.is_synced = False
        """Whether it reads all rooms of its account, those to come too."""
        self.token_hash = b""
        self.certificate = read_peer(connection.certificate) if connection.certificate else None
        """What the peer's client certificate says, if it has shown one."""
        self._limits = reactor.limits
        self.state = State.GREETED
        self.entry = Entry(self)
        self._requests: Requests | None = None
        self._rate = Rate(self._limits.requests_a_second)
        self.began = connection.heard
        self._pinged: float | None = None
        self._taken = 0
        """What the peer had taken at the last look."""
        self._hearing = ON
        self.tell(
            frames.Hello(
                protocol=1,
                auth=("password", "token"),
                limits=frames.LineLimits(line=self._limits.line_bytes, text=self._limits.text_bytes),
            )
        )

    # --- what its connection says -------------------------------------------------------------------

    def hears(self) -> bool:
        """Whether the next request may be handled now; if not, it waits in the connection, and the peer behind it."""
        return (
            self.state is not CHECKING
            and self._hearing is ON
            and self.connection.queued < self.queue_bytes
            and (self._requests is None or self._requests.hears())
        )

    def handle(self, item: AnyRequest | ProtocolError) -> None:
        """Act on one request, or answer one error of the protocol."""
        self._pinged = None
        if self._requests:
            if not self._rate.admits() and not isinstance(item, ProtocolError | frames.Logout):
                self.refuse(item.ref, Code.TOO_MANY_REQUESTS, "You ask too much at once.", RETRY_SECONDS)
                return
            if self._requests.handle(item):
                return
        error = item if isinstance(item, ProtocolError) else refusal(self.state, item)
        if error is not None:
            self._tell_error(error)
        elif isinstance(item, frames.Logout):
            self._hearing = Hearing.LEAVING
            self._leave_when_answered()
        elif isinstance(item, frames.Ping):
            self.tell(frames.PongAnswer(ref=item.ref))
        else:
            self.entry.handle(item)

    @property
    def is_checked(self) -> bool:
        """Whether its password is being checked, or its token stored."""
        return self.state is CHECKING

    def drained(self) -> None:
        """The connection's queue was written out, at least in part."""
        self.subscriptions.read_on()

    def deafen(self) -> None:
        """Handle no further request."""
        self._hearing = Hearing.OFF
        self.connection.hear()

    def check(self, now: float) -> float:
        """Act on the deadline that has passed by `now`; return the next. Times are of the monotonic clock."""
        limits, heard, began = self._limits, self.connection.heard, self.connection.frame_began
        # Silence counts from the ping: a server that was itself asleep must not take everybody for gone.
        patience = limits.idle_seconds - limits.ping_seconds
        gone = None if self._pinged is None else max(self._pinged, heard) + patience
        if gone is not None and now >= gone and self._takes():
            self._pinged, gone = now, now + patience  # slow, not gone: the ping waits behind what it has not taken yet
        if self.state is not IN and now >= self.began + limits.login_seconds:
            self.give_up(Code.TOO_SLOW, f"No login within {limits.login_seconds:g} seconds.")
        elif began is not None and now >= began + limits.frame_seconds:
            self.give_up(Code.TOO_SLOW, f"A line did not end within {limits.frame_seconds:g} seconds.")
        elif gone is not None and now >= gone:
            self.give_up(Code.IDLE, f"Nothing was heard for {limits.idle_seconds:g} seconds.")
        elif gone is None and now >= heard + limits.ping_seconds:
            self._pinged, gone = now, now + patience
            self._taken = self.connection.taken
            self.tell(frames.PingPeer())
        deadlines = [heard + limits.ping_seconds if gone is None else gone]
        if self.state is not IN:
            deadlines.append(self.began + limits.login_seconds)
        if began is not None:
            deadlines.append(began + limits.frame_seconds)
        return max(min(deadlines), now + SOON)

    def _takes(self) -> bool:
        """Whether the peer has taken more than the ping since the last look."""
        before, self._taken = self._taken, self.connection.taken
        return self._taken > before + PING_BYTES

    def ended(self, why: str) -> None:
        """The connection is closed; `why`, where it was lost."""
        self.is_over = True
        # Without a cycle it is gone now: the next look for garbage may be an hour away (see `process`).
        self.subscriptions.end_all()
        self._requests = None
        del self.entry
        if self.state is IN:
            self.reactor.audience.left(self)
            log.info("session ended%s", f": {why}" if why else "", extra=self.who())
        elif why:
            log.info("connection lost: %s", why, extra=self.who())

    # --- what its reactor says -----------------------------------------------------------------------

    def decided(self, origin: Origin, outcome: Outcome) -> None:
        """The journal has decided one of this session's proposals."""
        if isinstance(origin.proposal, Grant):
            self.entry.granted(origin, outcome)
        elif isinstance(origin.proposal, Barrier):
            self.entry.came_level(origin, outcome)
        elif self._requests:
            self._requests.decided(origin, outcome)
            self._leave_when_answered()
            self.connection.hear()

    def gained(self, room: str, after: int) -> None:
        """The account has become a member of this room, behind its record `after`."""
        if room in self.subscriptions:
            self.subscriptions.go_on(room)
        elif self.is_synced:
            self.subscriptions.begin(room, after, replay_to=after)

    def _leave_when_answered(self) -> None:
        if self._hearing is Hearing.LEAVING and not (self._requests and self._requests.in_flight):
            self.connection.finish(Bye(code=Code.LOGGED_OUT, message="Goodbye."))

    # --- what its way in says ------------------------------------------------------------------------

    def begin(self, account: str) -> Requests:
        """It is logged in as this account."""
        self.state = IN
        self.username = account
        self._requests = Requests(self)
        self.reactor.entered(self)
        return self._requests

    # --- answers and small parts ---------------------------------------------------------------------------

    def tell(self, event: AnyEvent) -> None:
        """Queue an event for the peer."""
        self.connection.tell(event)

    def refuse(self, ref: str | None, code: Code, message: str, retry_after: float | None = None) -> None:
        """Answer a request with an error."""
        self.tell(Error(ref=ref, code=code, message=message, retry_after=retry_after))

    def give_up(self, code: Code, message: str) -> None:
        """Say goodbye with this reason, and close."""
        log.info("closed for %s", code, extra=self.who())
        self.connection.finish(Bye(code=code, message=message))

    def on_its_thread(self, act: Callable[[Any], None]) -> Callable[[Any], None]:
        """What a worker may call with its result: `act` gets it on this session's thread, if the session lives."""

        def note(result: Any) -> None:
            if not self.is_over:
                act(result)

        return lambda result: self.reactor.post_for(self.connection, lambda: note(result))

    def who(self) -> dict[str, str]:
        """What a log line says of this session."""
        return {"peer": self.connection.address, "account": self.username, "session": session_name(self.token_hash)}

    def _tell_error(self, error: ProtocolError) -> None:
        answer = Error(ref=error.ref, code=error.code, message=error.message)
        # A peer that sends garbage before it logs in is no client of ours, and is given no more tries.
        if error.fatal or (self.state is State.GREETED and error.code is not Code.NOT_LOGGED_IN):
            log.info("closed for %s", error.code, extra=self.who())
            self.connection.finish(answer)
        else:
            self.tell(answer)
