"""The thread that looks after what changes slowly: now, the credential file. It touches no connection and no room."""

import logging
import threading
from collections.abc import Callable, Iterable

from securechat.accounts.authentication import Authenticator
from securechat.errors import CredentialError

SECONDS = 1.0
"""Between two looks at the credential file: a change of it is in force within two seconds."""

log = logging.getLogger(__name__)


class Keeper:
    """Looks once a second, and has the sessions ended whose account is gone, disabled or has another password."""

    def __init__(self, authenticator: Authenticator, end_sessions: Callable[[Iterable[str]], None]) -> None:
        self._authenticator = authenticator
        self._end_sessions = end_sessions
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(SECONDS):
            try:
                changed = self._authenticator.refresh()
            except CredentialError as error:
                log.error("accounts stay as they were: %s", error)  # noqa: TRY400 - the sentence says it all
            except Exception:
                log.exception("accounts could not be looked at")
            else:
                if changed:
                    log.info("accounts changed: %s", ", ".join(sorted(changed)))
                    self._end_sessions(changed)
