"""What every reactor and session may use of the server: settings, accounts, journal, workers; and nothing else."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from securechat.accounts.authentication import Authenticator
from securechat.chat.model import Rejected
from securechat.config import Config
from securechat.errors import Code, SecurechatError
from securechat.journal.journal import Journal
from securechat.journal.state import View
from securechat.journal.store import Reader
from securechat.server.workers import Workers

if TYPE_CHECKING:
    from ssl import SSLContext


class Services:
    """Shared by all reactors; every member may be used from every thread."""

    def __init__(
        self,
        config: Config,
        context: "Callable[[], SSLContext]",
        authenticator: Authenticator,
        hashing: Workers[Authenticator],
        reading: Workers[Reader],
        journal: Journal,
        fail: Callable[[SecurechatError], None],
    ) -> None:
        self.config = config
        self.context = context
        self.authenticator = authenticator
        self.hashing = hashing
        self.reading = reading
        self.journal = journal
        self.fail = fail
        """Ends the server with this reason: what a thread does that cannot go on."""
        self._connections = 0
        self._lock = threading.Lock()

    @property
    def view(self) -> View:
        """The rooms as the journal last published them."""
        return self.journal.view

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
