"""Slowing down whoever guesses passwords: by address, by account, and by both for who is at home there.

Whose logins failed waits before the next is looked at, longer each time. Of who failed before, one login at a time is
looked at, so that trying many at once gains nothing. It decides; it knows no clock, no connection and no password.
A session token is never slowed: nobody can guess one, and so nobody can keep a person out who has one.
"""

import ipaddress
import threading
from typing import Final

from securechat.limits import ACCOUNT_FAILURES_FREE, THROTTLE_FORGET_SECONDS, THROTTLE_ROWS

SOON: Final = 1.0
"""Seconds until whoever failed before may ask again while another of its logins is being looked at."""


def source_of(host: str) -> str:
    """What an address counts as: itself, an IPv6 address as its /64, for that is what one customer gets.

    An IPv4 address in IPv6's clothes is the IPv4 address.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


class _Row:
    """What is known of one address, one account, or one account at one address."""

    __slots__ = ("failures", "free", "looked_at", "since", "until")

    def __init__(self, free: int) -> None:
        self.free = free
        self.failures = 0
        self.looked_at = 0
        """Logins that are being looked at now."""
        self.until = 0.0
        """When the next may be looked at."""
        self.since = 0.0
        """When the last one failed."""


class Attempt:
    """A login that may be looked at; whoever looks says once what came of it."""

    __slots__ = ("account", "rows")

    def __init__(self, rows: tuple[tuple[str, str], ...], account: str) -> None:
        self.rows = rows
        self.account = account


class Throttle:
    """Who has to wait, and how long; times are seconds of any clock that only goes forward. Safe from every thread.

    At most THROTTLE_ROWS rows are kept: past it, those that have been quiet the longest are forgotten early. Each row
    costs a failed login and so a hash, and making others forgotten takes longer than waiting.
    """

    def __init__(self, waits: tuple[float, ...]) -> None:
        """`waits` are the seconds after the first failure, the second …; the last holds on. None: no waits."""
        self.waits = waits
        self._rows: dict[tuple[str, str], _Row] = {}
        self._lock = threading.Lock()

    def begin(self, source: str, account: str, *, at_home: bool, now: float) -> Attempt | float:
        """Let a login be looked at, or give the seconds that it has to wait.

        `at_home`: the account has a session from this source. What others do, there or elsewhere, is then not counted
        against it.
        """
        keys = ((source, account),) if at_home else ((source, ""), ("", account))
        with self._lock:
            wait = max((self._wait(self._rows[key], now) for key in keys if key in self._rows), default=0.0)
            if wait > 0:
                return wait
            for key in keys:
                row = self._rows.get(key)
                if row is None or now - row.since > THROTTLE_FORGET_SECONDS:
                    row = self._rows[key] = row or _Row(0 if key[0] else ACCOUNT_FAILURES_FREE)
                    row.failures = 0
                row.looked_at += 1
        return Attempt(keys, account)

    def failed(self, attempt: Attempt, now: float) -> None:
        """The password was wrong."""
        with self._lock:
            for key in attempt.rows:
                row = self._rows.pop(key)
                row.looked_at -= 1
                row.failures += 1
                row.since = now
                over = row.failures - row.free
                if over > 0 and self.waits:
                    row.until = now + self.waits[min(over, len(self.waits)) - 1]
                self._rows[key] = row  # at the end: those at the front have been quiet the longest
            self._forget(now)

    def succeeded(self, attempt: Attempt) -> None:
        """The password was right: its account is forgiven, but not its address, which may try others' in between."""
        with self._lock:
            for key in attempt.rows:
                if key[1]:
                    self._rows[key].failures = 0
            self._release(attempt)

    def given_up(self, attempt: Attempt) -> None:
        """Nobody looked at it."""
        with self._lock:
            self._release(attempt)

    def __len__(self) -> int:
        return len(self._rows)

    def _wait(self, row: _Row, now: float) -> float:
        if now - row.since > THROTTLE_FORGET_SECONDS or not self.waits or row.failures <= row.free:
            return 0.0
        if row.until > now:
            return row.until - now
        return SOON if row.looked_at else 0.0

    def _release(self, attempt: Attempt) -> None:
        for key in attempt.rows:
            row = self._rows[key]
            row.looked_at -= 1
            if not (row.looked_at or row.failures):
                del self._rows[key]

    def _forget(self, now: float) -> None:
        quiet = [key for key, row in self._oldest() if not row.looked_at and now - row.since > THROTTLE_FORGET_SECONDS]
        for key in quiet:
            del self._rows[key]
        idle = [key for key, row in self._oldest() if not row.looked_at]
        for key in idle[: max(0, len(self._rows) - THROTTLE_ROWS)]:
            del self._rows[key]

    def _oldest(self) -> list[tuple[tuple[str, str], _Row]]:
        # A few at a time: each failure adds two rows at most, so that this keeps up.
        return [(key, self._rows[key]) for key, _ in zip(self._rows, range(8), strict=False)]
