"""What every reactor and session may use of the server: settings, accounts, journal, workers; and nothing else."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from securechat.accounts.authentication import Authenticator
from securechat.accounts.throttle import Throttle
from securechat.accounts.tokens import opens
from securechat.chat.model import Rejected, Revoke, Token
from securechat.config import Config
from securechat.errors import Code, SecurechatError
from securechat.journal.journal import Journal, Submission
from securechat.journal.reader import Reader
from securechat.journal.state import View
from securechat.protocols.frames import Bye
from securechat.server.certificate import ServerCertificate
from securechat.server.pages import Finder
from securechat.server.presence import Presence
from securechat.server.shared_pages import SharedPages
from securechat.server.strangers import Strangers
from securechat.server.trail import Trail
from securechat.server.workers import Workers

if TYPE_CHECKING:
    from securechat.server.reactor import Reactor
    from securechat.server.session import Session

ACCOUNT_CHANGED: Final = Bye(code=Code.ACCOUNT_CHANGED, message="Your account was changed; log in again.")

log = logging.getLogger(__name__)


class Services:
    """Shared by all reactors; every member may be used from every thread."""

    def __init__(
        self,
        config: Config,
        certificate: ServerCertificate,
        authenticator: Authenticator,
        hashing: Workers[Authenticator],
        reading: Workers[Reader],
        searching: Workers[Finder],
        journal: Journal,
        trail: Trail,
        fail: Callable[[SecurechatError], None],
    ) -> None:
        self.config = config
        self.certificate = certificate
        self.authenticator = authenticator
        self.hashing = hashing
        self.reading = reading
        self.searching = searching
        self.journal = journal
        self.trail = trail
        self.fail = fail
        """Ends the server with this reason: what a thread does that cannot go on."""
        self.presence = Presence(self.announce)
        self.throttle = Throttle(config.limits.login_waits)
        self.strangers = Strangers(config.limits.strangers, config.limits.strangers_per_address)
        self.shared_pages = SharedPages(config.limits.shared_bytes)
        self.reactors: Sequence[Reactor] = ()
        self._connections = 0
        self._lock = threading.Lock()

    @property
    def view(self) -> View:
        """The rooms as the journal last published them."""
        return self.journal.view

    def announce(self, account: str, *, online: bool) -> None:
        """Have every reactor tell that the account came or went."""
        for reactor in self.reactors:
            reactor.tell_presence(account, online=online)

    def end_sessions(self, accounts: Iterable[str], keep: "Session | None" = None) -> None:
        """End the sessions of accounts that changed, but for the one to keep."""
        names = frozenset(accounts)
        for reactor in self.reactors:
            reactor.end_sessions(names, ACCOUNT_CHANGED, keep)

    def end_logins(self, accounts: Iterable[str]) -> None:
        """End the logins of accounts that changed: their sessions, then their tokens."""
        names = frozenset(accounts)
        self.end_sessions(names)
        if not self.journal.submit([Submission(Revoke(name), None) for name in names]):
            log.error("tokens of %s are still in force: the journal is full", ", ".join(sorted(names)))

    def end_stale_tokens(self) -> None:
        """Revoke the tokens that stand for no account of today: it changed while nobody looked."""
        view, accounts = self.view, self.authenticator.accounts
        stale = [
            Revoke(name, held)
            for name, mine in view.tokens_of.items()
            for held in mine
            if name not in accounts or not opens(view.tokens[held], accounts[name])
        ]
        for name in sorted({change.account for change in stale}):
            self.trail.note("sessions end", "", name)
        if not self.journal.submit([Submission(change, None) for change in stale]):
            log.error("tokens of accounts that changed are not revoked: the journal is full")

    def end_revoked(self) -> None:
        """End the sessions whose client certificate is on the revocation list in force."""
        for reactor in self.reactors:
            reactor.end_revoked()

    def tokens_of(self, account: str) -> list[tuple[bytes, Token]]:
        """The tokens of the account, by their hashes, the newest first."""
        view = self.view
        return [(key, view.tokens[key]) for key in reversed(view.tokens_of.get(account, ())) if key in view.tokens]

    def change(self, config: Config) -> None:
        """Go by these settings from now on; sessions that are open keep the limits that they came in with."""
        limits = config.limits
        self.config = config
        self.throttle.waits = limits.login_waits
        self.strangers.limit, self.strangers.each = limits.strangers, limits.strangers_per_address
        self.journal.limits = limits
        for reactor in self.reactors:
            reactor.limits = limits

    @property
    def connections(self) -> int:
        """How many there are, logged in or not."""
        return self._connections

    def take_place(self) -> bool:
        """Count one more connection; False when there is no place for it."""
        with self._lock:
            if self._connections >= self.config.limits.connections:
                return False
            self._connections += 1
            return True

    def connection_closed(self) -> None:
        """Count one connection less."""
        with self._lock:
            self._connections -= 1

    def refusal(self) -> Rejected:
        """What an author is told whose proposal the journal did not take."""
        return Rejected(Code.TOO_MANY_REQUESTS, "The server has too much to write; try again.")
