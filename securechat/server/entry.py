"""One session's way in: a password, a token or an invitation is checked, and the session begun or the peer refused.

It runs on its reactor's thread alone and never blocks: passwords are hashed by workers. It knows frames, never bytes,
and nothing of what is asked for once one is in.
"""

import logging
import math
import time
from typing import TYPE_CHECKING, Final

from securechat import __version__
from securechat.accounts.authentication import Authenticator
from securechat.accounts.tokens import fingerprint, hash_token, new_token, opens
from securechat.chat import invitations, sanctions
from securechat.chat.accounts import Account
from securechat.chat.model import Barrier, Changed, Grant, Outcome, Redeem, Rejected
from securechat.chat.names import is_username
from securechat.errors import AlreadyExists, Code, WeakPassword
from securechat.protocols import frames
from securechat.protocols.frames import Bye, Error
from securechat.protocols.states import State
from securechat.server.fanout import Origin
from securechat.server.own_account import session_name
from securechat.server.redemption import redeem
from securechat.server.requests import RETRY_SECONDS

if TYPE_CHECKING:
    from securechat.server.session import Session

_NOT_YET: Final = Rejected(Code.UNAVAILABLE, "This node does not know the accounts yet.", retry_after=RETRY_SECONDS)

log = logging.getLogger(__name__)


class Entry:
    """What a session does until it is logged in."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._reactor = session.reactor
        self._failures = 0
        self._granting: tuple[Account, str] | None = None
        """Who is to get which token, while the journal decides."""
        self._asked: frames.Request | None = None
        """What waits until this node of a cluster is level."""

    def handle(self, request: object) -> None:
        """Act on one request of those that are heard before login."""
        assert isinstance(request, frames.Request)
        if not self._reactor.services.config.cluster.servers or isinstance(request, frames.Authority):
            self._act(request)
        else:
            # Another node may have made the account, or let it in, a moment ago, and this one not know it yet.
            self._session.state = State.CHECKING
            self._asked = request
            self._reactor.propose(Origin(self._session, Barrier(), request.ref))

    def came_level(self, origin: Origin, outcome: Outcome) -> None:
        """This node knows all that was ordered before the client asked to come in; or it cannot tell."""
        self._session.state = State.GREETED
        if isinstance(outcome, Rejected):
            self._refuse_for_now(origin.ref, outcome)
        elif not self._reactor.services.authenticator.roll.is_ready:
            self._refuse_for_now(origin.ref, _NOT_YET)
        else:
            self._act(self._asked)
        self._session.connection.hear()

    def _act(self, request: frames.Request | None) -> None:
        match request:
            case frames.Login():
                self._login(request)
            case frames.Resume():
                self._come_back(request.ref, hash_token(request.token))
            case frames.Authority():
                self._tell_authority(request)
            case frames.Redeem():
                self._redeem(request)

    def _login(self, request: frames.Login) -> None:
        username, password = request.username, request.password
        if self._is_barred(username):
            self._bar(request.ref)
            return
        services, source = self._reactor.services, self._session.connection.source
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

        deliver = self._session.on_its_thread(lambda result: self._verified(request, result))
        if services.hashing.submit(verify, deliver):
            self._session.state = State.CHECKING
        else:
            throttle.given_up(attempt)
            self._throttled(request, "Too many log in at once; try again.", RETRY_SECONDS)

    def _throttled(self, request: frames.Login | frames.Redeem, message: str, seconds: float) -> None:
        self._reactor.counts.logins["throttled"] += 1
        self._note("login", request.username, Code.THROTTLED)
        self._session.connection.forget_received()
        self._session.refuse(request.ref, Code.THROTTLED, message, math.ceil(seconds * 10) / 10)

    def _verified(self, request: frames.Login, result: Account | Exception | None) -> None:
        self._session.state = State.GREETED
        if isinstance(result, Exception):
            log.error("a login could not be checked: %s", result, extra=self._session.who())
            self._session.connection.finish(
                Error(ref=request.ref, code=Code.INTERNAL, message="The login could not be checked.")
            )
        elif result is None or not self._is_current(result):
            self._refuse_login(request)
        else:
            self._ask_for_token(request, result)
        self._session.connection.hear()

    def _tell_authority(self, request: frames.Authority) -> None:
        if authority := self._reactor.services.certificate.authority:
            self._session.tell(frames.AuthorityCertificate(ref=request.ref, certificate=authority))
        else:
            self._session.refuse(request.ref, Code.FORBIDDEN, "This server has no CA of its own.")

    def _redeem(self, request: frames.Redeem) -> None:
        services, password = self._reactor.services, request.password
        if self._is_barred(request.username):
            self._bar(request.ref)
            return
        claim = Redeem(request.username, hash_token(request.secret))
        # Counted with the failed logins of its address, and by a name that no account has: nobody's logins wait for it.
        guest = f"@{request.username}"
        attempt = services.throttle.begin(self._session.connection.source, guest, at_home=False, now=time.monotonic())
        if isinstance(attempt, float):
            self._throttled(request, "Too many logins failed; wait, then try again.", attempt)
            return
        # The journal decides; this spares a hash to whoever tries secrets.
        refused = invitations.refusal(
            services.view.invitations.get(claim.secret_hash), claim.account, time.time_ns() // 1_000_000
        )
        if refused is invitations.UNKNOWN:
            services.throttle.failed(attempt, time.monotonic())
        else:
            services.throttle.given_up(attempt)  # whoever has the secret is not guessing
        if refused is not None:
            self._refuse_invitation(request, refused)
            return

        def work(authenticator: Authenticator) -> Account | Rejected:
            result = redeem(services.journal, authenticator, claim, password)
            if isinstance(result, Account):  # here, for whoever asked may have left
                self._note("redeem", result.name)
            return result

        deliver = self._session.on_its_thread(lambda result: self._redeemed(request, result))
        if services.hashing.submit(work, deliver):
            self._session.state = State.CHECKING
        else:
            self._throttled(request, "Too many log in at once; try again.", RETRY_SECONDS)

    def _redeemed(self, request: frames.Redeem, result: Account | Rejected | Exception) -> None:
        self._session.state = State.GREETED
        match result:
            case Account():
                self._ask_for_token(request, result)
            case Rejected():
                self._refuse_invitation(request, result)
            case WeakPassword():
                self._session.refuse(request.ref, Code.WEAK_PASSWORD, str(result))
            case AlreadyExists():
                self._session.refuse(
                    request.ref, Code.BAD_INVITATION, f"{result.message} Log in, or ask for another invitation."
                )
            case _:
                log.error(
                    "an invitation of %s came to nothing: %s", request.username, result, extra=self._session.who()
                )
                self._session.refuse(
                    request.ref, Code.STORAGE, "The server could not make the account; ask who runs it."
                )
        self._session.connection.hear()

    def _refuse_invitation(self, request: frames.Redeem, refused: Rejected) -> None:
        shown = request.username if is_username(request.username) else "a name that no account can have"
        log.warning("an invitation of %s was refused", shown, extra=self._session.who())
        self._note("redeem", request.username, refused.code)
        self.count_failure(request.ref, refused.message, refused.code)

    def _ask_for_token(self, request: frames.Login | frames.Redeem, account: Account) -> None:
        # The token is durable before its owner hears of it, as everything that is promised.
        token = new_token()
        self._session.state = State.CHECKING
        self._granting = (account, token)
        grant = Grant(account.name, hash_token(token), request.device, fingerprint(account.password))
        self._reactor.propose(Origin(self._session, grant, request.ref))

    def granted(self, origin: Origin, outcome: Outcome) -> None:
        assert self._granting is not None
        (account, token), self._granting = self._granting, None
        self._session.state = State.GREETED
        if not self._is_current(account):
            self._refuse_login(frames.Login(ref=origin.ref, username=account.name, password=""))
        elif isinstance(outcome, Rejected) and outcome.code is Code.UNAVAILABLE:
            self._refuse_for_now(origin.ref, outcome)
        elif banned := self._ban(account, outcome):
            log.warning("login refused: banned", extra=self._session.who() | {"account": account.name})
            self._note("login", account.name, banned.code)
            self.count_failure(origin.ref, banned.message, banned.code)
        elif isinstance(outcome, Changed):
            self._session.token_hash = hash_token(token)
            self._enter("password", origin.ref, account, token)
        else:  # a full disk keeps nobody from reading
            self._enter("password", origin.ref, account, "")
        self._session.connection.hear()

    def _ban(self, account: Account, outcome: Outcome) -> Rejected | None:
        """What the journal said of a banned account; where its disk is full, what it would have said."""
        if isinstance(outcome, Rejected) and outcome.code is not Code.BANNED:
            return sanctions.refusal(
                self._reactor.services.view.sanctions, account.name, "ban", time.time_ns() // 1_000_000
            )
        return outcome if isinstance(outcome, Rejected) else None

    def _refuse_for_now(self, ref: str | None, why: Rejected) -> None:
        self._session.connection.forget_received()
        self._session.refuse(ref, why.code, why.message, why.retry_after or RETRY_SECONDS)

    def _come_back(self, ref: str | None, token_hash: bytes) -> None:
        token = self._reactor.services.view.tokens.get(token_hash)
        account = self._reactor.services.authenticator.accounts.get(token.account) if token else None
        if token is None or account is None or not opens(token, account):
            self.count_failure(ref, "This token is not in force; log in with the password.")
        elif self._is_barred(account.name):
            self._bar(ref)
        else:
            self._session.token_hash = token_hash
            self._enter("token", ref, account, "")

    def _is_barred(self, username: str) -> bool:
        # Beside the password, not in its place: whoever has only the certificate's file does not come in.
        shown = self._session.certificate
        return shown is not None and (
            shown.account != username or self._reactor.services.certificate.is_revoked(shown.serial)
        )

    def _bar(self, ref: str | None) -> None:
        log.warning("login refused: the client certificate is not this account's", extra=self._session.who())
        self._session.refuse(ref, Code.FORBIDDEN, "The client certificate is not this account's, or is revoked.")

    def _is_current(self, account: Account) -> bool:
        # The file may have changed while the result was on its way; from here on, a change ends the session.
        current = self._reactor.services.authenticator.accounts.get(account.name)
        is_as_it_was = current is not None and current.active and current.password == account.password
        return is_as_it_was and not self._is_barred(account.name)

    def _refuse_login(self, request: frames.Login) -> None:
        shown = request.username if is_username(request.username) else "a name that no account can have"
        log.warning("login failed for %s", shown, extra=self._session.who())
        self._note("login", request.username, Code.BAD_CREDENTIALS)
        self.count_failure(request.ref, "The username or the password is wrong.")

    def count_failure(self, ref: str | None, message: str, code: Code = Code.BAD_CREDENTIALS) -> None:
        """Answer that a password, a token or an invitation is wrong, and close when it was one time too many."""
        self._failures += 1
        self._reactor.counts.logins["failed"] += 1
        self._session.connection.forget_received()
        error = Error(ref=ref, code=code, message=message)
        if self._failures >= self._reactor.limits.login_failures:
            self._session.connection.finish(
                error, Bye(code=Code.BAD_CREDENTIALS, message=f"{self._failures} logins failed.")
            )
        else:
            self._session.tell(error)

    def _enter(self, way: str, ref: str | None, account: Account, token: str) -> None:
        self._reactor.counts.logins[way] += 1
        requests = self._session.begin(account.name)
        log.info("logged in", extra=self._session.who())
        self._note("login" if way == "password" else "resume", account.name)
        view = self._reactor.services.view
        next_ca, signature = self._reactor.services.certificate.announced
        rooms = (view.rooms[key] for key in sorted(view.rooms_of.get(account.name, ())))
        self._session.tell(
            frames.Welcome(
                ref=ref,
                username=account.name,
                role=account.role,
                session=session_name(self._session.token_hash),
                version=__version__,
                rooms=tuple(requests.room_state(room) for room in rooms),
                token=token,
                next_ca=next_ca,
                next_ca_signature=signature,
                nodes=self._reactor.services.config.cluster.nodes,
            )
        )

    def _note(self, act: str, account: str, result: str = "ok") -> None:
        """Have it in the audit log; what no account can be called is somebody's text, and stays out."""
        who = account if is_username(account) else ""
        name, address = session_name(self._session.token_hash), self._session.connection.address
        self._reactor.services.trail.note(act, who, name, address, result)
