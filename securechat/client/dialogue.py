"""The client's side of one session without its I/O: greeting, login, conversation, leaving; what to send, what the
server's frames mean, and when to lose patience. It is told the time, and knows nothing of sockets, TLS or threads.
"""

import enum
from typing import Final

from securechat.client import text
from securechat.client.comeback import Comeback
from securechat.client.exchange import Exchange, refusal
from securechat.client.nodes import Nodes
from securechat.client.timeouts import Timeouts
from securechat.errors import ChainBroken, Code, ProtocolError, Refused, SecurechatError, Unreachable
from securechat.protocols.frames import (
    AnyEvent,
    Bye,
    Error,
    Hello,
    Logout,
    NodeList,
    Ping,
    PingPeer,
    Pong,
    Resume,
    Welcome,
)
from securechat.protocols.native import NativeClientProtocol

MAY_RETURN: Final = frozenset(
    {
        Code.THROTTLED,
        Code.TOO_MANY_REQUESTS,
        Code.TOO_SLOW,
        Code.STORAGE,
        Code.UNAVAILABLE,
        Code.INTERNAL,
        Code.IDLE,
        Code.SHUTDOWN,
    }
)
"""The reasons of a server that may let the same client in later. For all others a person is needed."""

PROTOCOL: Final = 1
"""The version of the protocol that this client speaks."""


class Stage(enum.Enum):
    """Where the session is; it only moves down this list."""

    GREETING = "waiting for the server's greeting"
    LOGIN = "waiting for the answer to the login"
    IN = "in"
    LEAVING = "leaving"
    OVER = "over"


class Dialogue:
    """One session with the current one of `nodes`. Times are of the monotonic clock, in seconds."""

    def __init__(self, nodes: Nodes, comeback: Comeback, exchange: Exchange, timeouts: Timeouts, now: float) -> None:
        self.stage = Stage.GREETING
        self.outgoing: Final = bytearray()
        """What is to be sent; whoever sends takes it from the front."""
        self.in_since: float | None = None
        """When the server let us in."""
        self.failure: SecurechatError | None = None
        """Why it is over, unless it was left."""
        self.may_return = True
        """Whether another connection may come to something, where a connection was lost."""
        self.retry_after = 0.0
        """Seconds for which the server asks to be left alone."""
        self._nodes = nodes
        self._address = nodes.current
        self._comeback = comeback
        self._has_resumed = False
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
            self.may_return = False
            self._end(Unreachable(f"{self._address} does not speak the securechat protocol: {error.message}"))
            return
        try:
            self._take(events, now)
        except ChainBroken as broken:
            self.may_return, self.failure, self.stage = False, broken, Stage.OVER

    def _take(self, events: list[AnyEvent], now: float) -> None:
        heard: list[AnyEvent] = []
        somebody_listens = not self.is_leaving
        for event in events:
            if isinstance(event, PingPeer):
                self.outgoing.extend(NativeClientProtocol.encode(Pong()))
            elif isinstance(event, NodeList) and self.stage is Stage.IN:
                self._learn(event.nodes)
            elif self.stage in (Stage.GREETING, Stage.LOGIN):
                self._come_in(event, now)
            elif self.stage in (Stage.IN, Stage.LEAVING):
                heard.append(event)
                self._note(event)
        if heard:
            self._exchange.hear(heard, now, keep=somebody_listens)

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
            case Stage.IN if not self._exchange.hearing.has_room:
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
        return self.stage is not Stage.OVER and (self.stage is not Stage.IN or self._exchange.hearing.has_room)

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
                    self.may_return = False
                    what = f"{self._address} speaks version {event.protocol} of the protocol, this client {PROTOCOL}."
                    self._end(Unreachable(what, hint="Install a newer securechat."))
                    return
                self._exchange.line_bytes = event.limits.line
                opening = self._comeback.opening()
                self._has_resumed = isinstance(opening, Resume)
                self.outgoing.extend(NativeClientProtocol.encode(opening))
                self.stage = Stage.LOGIN
                self._deadline = now + self._timeouts.login
            case Welcome() if self.stage is Stage.LOGIN:
                self._comeback.entered(event.token)
                self._learn(event.nodes)
                self.in_since = now
                self.stage = Stage.IN
                self._exchange.opened(event)
            case Error() | Bye():
                self.retry_after = event.retry_after or 0.0
                self.may_return = event.code in MAY_RETURN
                self._end(self._not_let_in(event))
            case _:
                pass  # a newer server may say more

    def _learn(self, nodes: tuple[str, ...]) -> None:
        self._nodes.told(nodes)
        if self._nodes.are_several:
            self._timeouts = self._timeouts.among_nodes()

    def _not_let_in(self, event: Error | Bye) -> SecurechatError:
        if event.code == Code.BAD_CREDENTIALS:
            what = f"{self._address} did not let {self._address.username} in: "
            wrong = "log in anew." if self._has_resumed else "the username or the password is wrong."
            return Refused(what + wrong, code=event.code)
        wait = f"Try again in {event.retry_after:g} s." if event.retry_after else "Try again later."
        if event.code == Code.THROTTLED:
            what = f"{self._address} lets nobody try so often."
            return Refused(what, code=event.code, hint=wait, retry_after=event.retry_after)
        if isinstance(event, Bye):
            return _farewell(event)
        if event.code == Code.UNAVAILABLE:  # of this node, not of the account
            return Unreachable(f"{self._address} lets nobody in now: {text.line(event.message)}", hint=wait)
        return refusal(event)

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Error) and event.ref is None:
            self._refused = event
        elif isinstance(event, Bye):
            self.retry_after = event.retry_after or 0.0
            self.may_return = event.code in MAY_RETURN
            self._end(_farewell(event))

    def _end(self, failure: SecurechatError | None) -> None:
        if not self.is_leaving:
            self.failure = failure
        self.stage = Stage.OVER


def _farewell(bye: Bye) -> SecurechatError:
    """The server's goodbye in words; only where it wants nobody back it is a refusal."""
    what = f"The server ended the connection: {text.line(bye.message or bye.code)}"
    if bye.code in (Code.ACCOUNT_CHANGED, Code.REVOKED, Code.BAD_CREDENTIALS):
        return Refused(what, code=bye.code)
    return Unreachable(what, hint=f"Try again in {bye.retry_after:g} s." if bye.retry_after else "")
