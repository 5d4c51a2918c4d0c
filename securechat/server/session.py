"""One client's session: its way in (login), its deadlines, and its end. What it asks for once it is in is `requests`.

It runs on its reactor's thread alone and never blocks: passwords are hashed by workers. It knows frames, never bytes.
"""

import enum
import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from securechat import __version__
from securechat.accounts.authentication import Authenticator
from securechat.accounts.credentials import Account
from securechat.accounts.tokens import fingerprint, hash_token, new_token, opens
from securechat.certificates import read_peer
from securechat.chat import invitations, sanctions
from securechat.chat.model import Changed, Grant, Outcome, Redeem, Rejected
from securechat.chat.names import is_username
from securechat.errors import AlreadyExists, Code, ProtocolError, WeakPassword
from securechat.protocols import frames
from securechat.protocols.frames import AnyEvent, AnyRequest, Bye, Error
from securechat.protocols.native import State, refusal
from securechat.server.connection import Connection
from securechat.server.fanout import Origin
from securechat.server.own_account import session_name
from securechat.server.rate import Rate
from securechat.server.redemption import redeem
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
        self._state = State.GREETED
        self._requests: Requests | None = None
        self._rate = Rate(self._limits.requests_a_second)
        self._entry: tuple[Account, str] | None = None
        self.began = connection.heard
        self._failures = 0
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
            self._state is not CHECKING
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
        error = item if isinstance(item, ProtocolError) else refusal(self._state, item)
        if error is not None:
            self._tell_error(error)
        elif isinstance(item, frames.Login):
            self._login(item)
        elif isinstance(item, frames.Resume):
            self._resume(item)
        elif isinstance(item, frames.Authority):
            self._tell_authority(item)
        elif isinstance(item, frames.Redeem):
            self._redeem(item)
        elif isinstance(item, frames.Logout):
            self._hearing = Hearing.LEAVING
            self._leave_when_answered()
        elif isinstance(item, frames.Ping):
            self.tell(frames.PongAnswer(ref=item.ref))

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
        if self._state is not IN and now >= self.began + limits.login_seconds:
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
        if self._state is not IN:
            deadlines.append(self.began + limits.login_seconds)
        if began is not None:
            deadlines.append(began + limits.frame_seconds)
        return max(min(deadlines), now + SOON)

    def _takes(self) -> bool:
        """Whether the peer has taken more than the ping since the last look."""
        before, self._taken = self._taken, self.connection.taken
        return self._taken > before + PING_BYTES

    def ended(self) -> None:
        """The connection is closed."""
        self.is_over = True
        # Without a cycle it is gone now: the next look for garbage may be an hour away (see `process`).
        self.subscriptions.end_all()
        self._requests = None
        if self._state is IN:
            self.reactor.audience.left(self)
            log.info("session ended", extra=self.who())

    # --- what its reactor says -----------------------------------------------------------------------

    def decided(self, origin: Origin, outcome: Outcome) -> None:
        """The journal has decided one of this session's proposals."""
        if isinstance(origin.proposal, Grant):
            self._granted(origin, outcome)
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

    # --- login ------------------------------------------------------------------------------------------

    def _login(self, request: frames.Login) -> None:
        username, password = request.username, request.password
        if self._is_barred(username):
            self._bar(request.ref)
            return
        services, source = self.reactor.services, self.connection.source
        throttle, at_home = services.throttle, services.presence.is_at(username, source)
        attempt = throttle.begin(source, username, at_home=at_home, now=time.monotonic())
        if isinstance(attempt, float):
            self._throttled(request, "Too many logins failed; wait, then try again.", attempt)
            return

        def verify(authenticator: Authenticator) -> Account | None:
            # Told here, and not when the session hears of it: it may have left to escape that.
            try:
                account = authenticator.check(username, password)
            except BaseException:
                throttle.given_up(attempt)
                raise
            if account is None:
                throttle.failed(attempt, time.monotonic())
            else:
                throttle.succeeded(attempt)
            return account

        deliver = self.on_its_thread(lambda result: self._verified(request, result))
        if services.hashing.submit(verify, deliver):
            self._state = CHECKING
        else:
            throttle.given_up(attempt)
            self._throttled(request, "Too many log in at once; try again.", RETRY_SECONDS)

    def _throttled(self, request: frames.Login | frames.Redeem, message: str, seconds: float) -> None:
        self.reactor.counts.logins["throttled"] += 1
        self._note("login", request.username, Code.THROTTLED)
        self.connection.forget_received()
        self.refuse(request.ref, Code.THROTTLED, message, math.ceil(seconds * 10) / 10)

    def _verified(self, request: frames.Login, result: Account | Exception | None) -> None:
        self._state = State.GREETED
        if isinstance(result, Exception):
            log.error("a login could not be checked: %s", result, extra=self.who())
            self.connection.finish(
                Error(ref=request.ref, code=Code.INTERNAL, message="The login could not be checked.")
            )
        elif result is None or not self._is_current(result):
            self._refuse_login(request)
        else:
            self._ask_for_token(request, result)
        self.connection.hear()

    def _tell_authority(self, request: frames.Authority) -> None:
        if authority := self.reactor.services.certificate.authority:
            self.tell(frames.AuthorityCertificate(ref=request.ref, certificate=authority))
        else:
            self.refuse(request.ref, Code.FORBIDDEN, "This server has no CA of its own.")

    def _redeem(self, request: frames.Redeem) -> None:
        services, password = self.reactor.services, request.password
        if self._is_barred(request.username):
            self._bar(request.ref)
            return
        claim = Redeem(request.username, hash_token(request.secret))
        # Counted with the failed logins of its address, and by a name that no account has: nobody's logins wait for it.
        guest = f"@{request.username}"
        attempt = services.throttle.begin(self.connection.source, guest, at_home=False, now=time.monotonic())
        if isinstance(attempt, float):
            self._throttled(request, "Too many logins failed; wait, then try again.", attempt)
            return
        # The journal decides; this spares a hash to whoever tries secrets.
        refused = invitations.refusal(
            services.view.invitations.get(claim.secret_hash), claim.account, time.time_ns() // 1_000_000
        )
        if refused is not None:
            services.throttle.failed(attempt, time.monotonic())
            self._refuse_invitation(request, refused)
            return
        # Whoever has come so far has the secret, and is not guessing.
        services.throttle.given_up(attempt)

        def work(authenticator: Authenticator) -> Account | Rejected:
            return redeem(services.journal, authenticator, claim, password)

        deliver = self.on_its_thread(lambda result: self._redeemed(request, result))
        if services.hashing.submit(work, deliver):
            self._state = CHECKING
        else:
            self._throttled(request, "Too many log in at once; try again.", RETRY_SECONDS)

    def _redeemed(self, request: frames.Redeem, result: Account | Rejected | Exception) -> None:
        self._state = State.GREETED
        match result:
            case Account():
                self._ask_for_token(request, result)
            case Rejected():
                self._refuse_invitation(request, result)
            case WeakPassword():
                self.refuse(request.ref, Code.WEAK_PASSWORD, str(result))
            case AlreadyExists():
                self.refuse(
                    request.ref, Code.BAD_INVITATION, f"{result.message} Log in, or ask for another invitation."
                )
            case _:
                log.error("an invitation of %s came to nothing: %s", request.username, result, extra=self.who())
                self.refuse(request.ref, Code.STORAGE, "The server could not make the account; ask who runs it.")
        self.connection.hear()

    def _refuse_invitation(self, request: frames.Redeem, refused: Rejected) -> None:
        shown = request.username if is_username(request.username) else "a name that no account can have"
        log.warning("an invitation of %s was refused", shown, extra=self.who())
        self.count_failure(request.ref, refused.message, refused.code)

    def _ask_for_token(self, request: frames.Login | frames.Redeem, account: Account) -> None:
        # The token is durable before its owner hears of it, as everything that is promised.
        token = new_token()
        self._state = CHECKING
        self._entry = (account, token)
        self.reactor.propose(
            Origin(
                self, Grant(account.name, hash_token(token), request.device, fingerprint(account.password)), request.ref
            )
        )

    def _granted(self, origin: Origin, outcome: Outcome) -> None:
        assert self._entry is not None
        (account, token), self._entry = self._entry, None
        self._state = State.GREETED
        if not self._is_current(account):
            self._refuse_login(frames.Login(ref=origin.ref, username=account.name, password=""))
        elif banned := self._ban(account, outcome):
            log.warning("login refused: banned", extra=self.who() | {"account": account.name})
            self._note("login", account.name, banned.code)
            self.count_failure(origin.ref, banned.message, banned.code)
        elif isinstance(outcome, Changed):
            self.token_hash = hash_token(token)
            self._enter("password", origin.ref, account, token)
        else:  # a full disk keeps nobody from reading
            self._enter("password", origin.ref, account, "")
        self.connection.hear()

    def _ban(self, account: Account, outcome: Outcome) -> Rejected | None:
        """What the journal said of a banned account; where its disk is full, what it would have said."""
        if isinstance(outcome, Rejected) and outcome.code is not Code.BANNED:
            return sanctions.refusal(
                self.reactor.services.view.sanctions, account.name, "ban", time.time_ns() // 1_000_000
            )
        return outcome if isinstance(outcome, Rejected) else None

    def _resume(self, request: frames.Resume) -> None:
        token_hash = hash_token(request.token)
        token = self.reactor.services.view.tokens.get(token_hash)
        account = self.reactor.services.authenticator.accounts.get(token.account) if token else None
        if token is None or account is None or not opens(token, account):
            self.count_failure(request.ref, "This token is not in force; log in with the password.")
        elif self._is_barred(account.name):
            self._bar(request.ref)
        else:
            self.token_hash = token_hash
            self._enter("token", request.ref, account, "")

    def _is_barred(self, username: str) -> bool:
        # Beside the password, not in its place: whoever has only the certificate's file does not come in.
        shown = self.certificate
        return shown is not None and (
            shown.account != username or self.reactor.services.certificate.is_revoked(shown.serial)
        )

    def _bar(self, ref: str | None) -> None:
        log.warning("login refused: the client certificate is not this account's", extra=self.who())
        self.refuse(ref, Code.FORBIDDEN, "The client certificate is not this account's, or is revoked.")

    def _is_current(self, account: Account) -> bool:
        # The file may have changed while the result was on its way; from here on, a change ends the session.
        current = self.reactor.services.authenticator.accounts.get(account.name)
        is_as_it_was = current is not None and current.active and current.password == account.password
        return is_as_it_was and not self._is_barred(account.name)

    def _refuse_login(self, request: frames.Login) -> None:
        shown = request.username if is_username(request.username) else "a name that no account can have"
        log.warning("login failed for %s", shown, extra=self.who())
        self._note("login", request.username, Code.BAD_CREDENTIALS)
        self.count_failure(request.ref, "The username or the password is wrong.")

    def count_failure(self, ref: str | None, message: str, code: Code = Code.BAD_CREDENTIALS) -> None:
        """Answer that a password, a token or an invitation is wrong, and close when it was one time too many."""
        self._failures += 1
        self.reactor.counts.logins["failed"] += 1
        self.connection.forget_received()
        error = Error(ref=ref, code=code, message=message)
        if self._failures >= self._limits.login_failures:
            self.connection.finish(error, Bye(code=Code.BAD_CREDENTIALS, message=f"{self._failures} logins failed."))
        else:
            self.tell(error)

    def _enter(self, way: str, ref: str | None, account: Account, token: str) -> None:
        self._state = IN
        self.reactor.counts.logins[way] += 1
        self.username = account.name
        self._requests = Requests(self)
        self.reactor.entered(self)
        log.info("logged in", extra=self.who())
        self._note("login" if way == "password" else "resume", self.username)
        view = self.reactor.services.view
        next_ca, signature = self.reactor.services.certificate.announced
        rooms = (view.rooms[key] for key in sorted(view.rooms_of.get(account.name, ())))
        self.tell(
            frames.Welcome(
                ref=ref,
                username=account.name,
                role=account.role,
                session=session_name(self.token_hash),
                version=__version__,
                rooms=tuple(self._requests.room_state(room) for room in rooms),
                token=token,
                next_ca=next_ca,
                next_ca_signature=signature,
                nodes=self.reactor.services.config.cluster.nodes,
            )
        )

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

    def _note(self, act: str, account: str, result: str = "ok") -> None:
        """Have it in the audit log; what no account can be called is somebody's text, and stays out."""
        who = account if is_username(account) else ""
        self.reactor.services.trail.note(act, who, session_name(self.token_hash), self.connection.address, result)

    def who(self) -> dict[str, str]:
        """What a log line says of this session."""
        return {"peer": self.connection.address, "account": self.username, "session": session_name(self.token_hash)}

    def _tell_error(self, error: ProtocolError) -> None:
        answer = Error(ref=error.ref, code=error.code, message=error.message)
        # A peer that sends garbage before it logs in is no client of ours, and is given no more tries.
        if error.fatal or (self._state is State.GREETED and error.code is not Code.NOT_LOGGED_IN):
            log.info("closed for %s", error.code, extra=self.who())
            self.connection.finish(answer)
        else:
            self.tell(answer)
