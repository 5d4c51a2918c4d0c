"""The thread that looks after what changes slowly: the credential file, the certificate, and records that are too
old. It touches no connection."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable

from securechat.accounts.roll import Roll
from securechat.errors import SecurechatError
from securechat.journal.reader import Reader
from securechat.server.certificate import ServerCertificate
from securechat.server.retention import Retention
from securechat.server.trail import Trail

SECONDS = 1.0
"""Between two looks at the credential file and the certificate: a change of them is in force within two seconds."""

AT_FIRST_SECONDS = 0.05
"""The same, until the accounts are known: a node of a cluster lets nobody in before."""

SWEEP_SECONDS = 60.0
"""Between two looks for old records while there are none; where there are, a step is taken each second."""

log = logging.getLogger(__name__)


class Keeper:
    """Looks once a second, and has the sessions ended whose account is gone, disabled or has another password."""

    def __init__(
        self,
        roll: Roll,
        certificate: ServerCertificate,
        trail: Trail,
        end_logins: Callable[[Iterable[str]], None],
        make_reader: Callable[[], Reader],
        make_retention: Callable[[Reader], Retention],
        each_second: Callable[[], None],
    ) -> None:
        """`each_second` is whatever else is to be looked at."""
        self._roll = roll
        self._certificate = certificate
        self._trail = trail
        self._end_logins = end_logins
        self._make_reader = make_reader
        self._make_retention = make_retention
        self._each_second = each_second
        self._told = ""
        """Why accounts could not be taken up when it last looked: it is said once, for as long as it lasts."""
        self._next_sweep = 0.0
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
        with contextlib.closing(self._make_reader()) as reader:
            retention = self._make_retention(reader)
            while not self._stopping.wait(SECONDS if self._roll.is_ready else AT_FIRST_SECONDS):
                self._look_at_accounts()
                self._look_at_certificate()
                self._look_for_old(retention)
                self._each_second()

    def _look_at_accounts(self) -> None:
        try:
            changed = self._roll.refresh()
        except SecurechatError as error:
            if str(error) != self._told:
                log.error("accounts stay as they were: %s", error)  # noqa: TRY400 - the sentence says it all
            self._told = str(error)
        except Exception:
            log.exception("accounts could not be looked at")
        else:
            self._told = ""
            if changed:
                log.info("accounts changed: %s", ", ".join(sorted(changed)))
                for name in sorted(changed):
                    self._trail.note("sessions end", "", name)
                self._end_logins(changed)

    def _look_at_certificate(self) -> None:
        try:
            before = self._certificate.context
            self._certificate.look()
            if self._certificate.context is not before:
                self._trail.note("certificate", "", f"another is in force, until {self._certificate.expires:%Y-%m-%d}")
        except Exception:
            log.exception("the certificate could not be looked at")

    def _look_for_old(self, retention: Retention) -> None:
        now = time.monotonic()
        if now < self._next_sweep:
            return
        try:
            found = retention.sweep(time.time_ns() // 1_000_000)
        except Exception:
            log.exception("old records could not be looked for")
            found = False
        self._next_sweep = now if found else now + SWEEP_SECONDS
