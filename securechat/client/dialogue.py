"""The client's side of one session without its I/O: greeting, login, conversation, leaving; what to send, what the
server's frames mean, and when to lose patience. It is told the time, and knows nothing of sockets, TLS or threads.
"""

import enum
from typing import Final

import msgspec

from securechat.client import text
from securechat.client.address import Address
from securechat.client.exchange import Exchange, refusal
from securechat.errors import Code, ProtocolError, Refused, SecurechatError, Unreachable
from securechat.protocols.frames import (
    AnyEvent,
    Bye,
    Error,
    Hello,
    Login,
    Logout,
    Ping,
    PingPeer,
    Pong,
    Welcome,
)
from securechat.protocols.native import NativeClientProtocol

PROTOCOL: Final = 1
"""The version of the protocol that this client speaks."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long a client waits, in seconds."""

    connect: float = 10.0
    """For each address of the host to accept."""

    greet: float = 10.0
    """For the TLS handshake, and as long again for the server's `hello`."""

    login: float = 30.0
    """For the answer to the login; longer than servers wait for one, for their hashing workers may be busy."""

    answer: float = 30.0
    """For the answer to a request."""

    silence: float = 120.0
    """Without a word from the server, which itself asks after 90 s whether the client is there: then it is asked,
    and is gone after as long again."""

    close: float = 0.9
    """For the last bytes and the server's goodbye, so that closing ends within a second."""


class Stage(enum.Enum):
    """Where the session is; it only moves down this list."""

    GREETING = "waiting for the server's greeting"
    LOGIN = "waiting for the answer to the login"
    IN = "in"
    LEAVING = "leaving"
    OVER = "over"


class Dialogue:
    """One session with the server at `address`. Times are of the monotonic clock, in seconds."""

    def __init__(self, address: Address, login: Login, exchange: Exchange, timeouts: Timeouts, now: float) -> None:
        self.stage = Stage.GREETING
        self.outgoing: Final = bytearray()
        """What is to be sent; whoever sends takes it from the front."""
        self.welcome: Welcome | None = None
        self.failure: SecurechatError | None = None
        """Why it is over, unless it was left."""
        self._address = address
        self._login = login
        self._exchange = exchange
        self._timeouts = timeouts
        self._protocol = NativeClientProtocol()
        self._refused: Error | None = None
        self._heard_at = now
        self._has_asked = False
        self._deadline = now + timeouts.greet

    def receive(self, data: bytes, now: float) -> None:
        """Take what the server sent."""
        self._heard_at, self._has_asked = now, False
        try:
            events = self._protocol.receive(data)
        except ProtocolError as error:
            self._end(Unreachable(f"{self._address} does not speak the securechat protocol: {error.message}"))
            return
        heard: list[AnyEvent] = []
        somebody_listens = not self.is_leaving
        for event in events:
            if isinstance(event, PingPeer):
                self.outgoing.extend(NativeClientProtocol.encode(Pong()))
            elif self.stage in (Stage.GREETING, Stage.LOGIN):
                self._come_in(event, now)
            elif self.stage in (Stage.IN, Stage.LEAVING):
                heard.append(event)
                self._note(event)
        if heard:
            self._exchange.hear(heard, keep=somebody_listens)

    def leave(self, now: float) -> None:
        """Log out behind what is still to be sent; without a session there is nothing to wait for."""
        if self.stage is Stage.IN:
            self.outgoing.extend(NativeClientProtocol.encode(Logout()))
            self.stage = Stage.LEAVING
            self._deadline = now + self._timeouts.close
        elif not self.is_leaving:
            self._end(None)

    def end_of_stream(self) -> None:
        """The server ended the connection in good order."""
        why = f": {text.line(self._refused.message)}" if self._refused else "."
        self._end(Unreachable(f"{self._address} closed the connection{why}"))

    def lost(self, reason: str) -> None:
        """The connection broke."""
        self._end(Unreachable(f"The connection to {self._address} was lost: {reason}."))

    def check(self, now: float) -> None:
        """Act on the deadline, if it has passed."""
        if now < self.deadline:
            return
        match self.stage:
            case Stage.GREETING | Stage.LOGIN:
                self._end(Unreachable(f"{self._address} does not answer: {self.stage.value} took too long."))
            case Stage.LEAVING:
                self._end(None)
            case Stage.IN if not self._exchange.has_room:
                self._heard_at = now  # nothing was read: the silence is ours
            case Stage.IN if self._has_asked:
                self.lost(f"nothing was heard for {2 * self._timeouts.silence:g} seconds")
            case _:
                self._has_asked = True
                self.outgoing.extend(NativeClientProtocol.encode(Ping()))

    @property
    def deadline(self) -> float:
        """When `check` is to be called, at the latest."""
        if self.stage is not Stage.IN:
            return self._deadline
        return self._heard_at + self._timeouts.silence * (2 if self._has_asked else 1)

    @property
    def wants_more(self) -> bool:
        """Whether to read: there is room for what is heard, or nobody listens any more."""
        return self.stage is not Stage.OVER and (self.stage is not Stage.IN or self._exchange.has_room)

    @property
    def is_leaving(self) -> bool:
        """Whether it was left, or is over."""
        return self.stage in (Stage.LEAVING, Stage.OVER)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.stage is Stage.OVER

    def _come_in(self, event: AnyEvent, now: float) -> None:
        match event:
            case Hello() if self.stage is Stage.GREETING:
                if event.protocol != PROTOCOL:
                    what = f"{self._address} speaks version {event.protocol} of the protocol, this client {PROTOCOL}."
                    self._end(Unreachable(what, hint="Install a newer securechat."))
                    return
                self._exchange.line_bytes = event.limits.line
                self.outgoing.extend(NativeClientProtocol.encode(self._login))
                self.stage = Stage.LOGIN
                self._deadline = now + self._timeouts.login
            case Welcome() if self.stage is Stage.LOGIN:
                self.welcome = event
                self.stage = Stage.IN
                self._exchange.open()
            case Error() | Bye():
                self._end(self._not_let_in(event))
            case _:
                pass  # a newer server may say more

    def _not_let_in(self, event: Error | Bye) -> SecurechatError:
        if event.code == Code.BAD_CREDENTIALS:
            return Refused(
                f"{self._address} did not let {self._login.username} in: the username or the password is wrong.",
                code=event.code,
            )
        wait = f"Try again in {event.retry_after:g} s." if event.retry_after else "Try again later."
        if event.code == Code.THROTTLED:
            what = f"{self._address} lets nobody try so often."
            return Refused(what, code=event.code, hint=wait, retry_after=event.retry_after)
        if isinstance(event, Bye):
            return _farewell(event)
        return refusal(event)

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Error) and event.ref is None:
            self._refused = event
        elif isinstance(event, Bye):
            self._end(_farewell(event))

    def _end(self, failure: SecurechatError | None) -> None:
        if not self.is_leaving:
            self.failure = failure
        self.stage = Stage.OVER


def _farewell(bye: Bye) -> SecurechatError:
    """The server's goodbye in words; only an account that was changed or removed is a refusal."""
    what = f"The server ended the connection: {text.line(bye.message or bye.code)}"
    if bye.code == Code.ACCOUNT_CHANGED:
        return Refused(what, code=bye.code)
    return Unreachable(what, hint=f"Try again in {bye.retry_after:g} s." if bye.retry_after else "")
