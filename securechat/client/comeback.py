"""How a client comes back after a loss: with what, and after how long a wait. Times are of the monotonic clock, in
seconds. It knows nothing of sockets and threads.
"""

import random
from typing import Final, TypeAlias

from securechat.client.timeouts import Timeouts
from securechat.errors import Code, Refused, SecurechatError, Unreachable
from securechat.protocols.frames import Login, Redeem, Resume

Opening: TypeAlias = Login | Resume | Redeem
"""What a client says to be let in."""

PATIENCE: Final = 300.0
"""The longest wait that a server can ask for: past it, it is not asked for but imposed."""


class Comeback:
    """One client's. The password is forgotten once the client is in, unless `keep_password`."""

    def __init__(self, opening: Opening, timeouts: Timeouts, *, keep_password: bool) -> None:
        self._login = None if isinstance(opening, Resume) else opening
        self._token = opening.token if isinstance(opening, Resume) else ""
        self._timeouts = timeouts
        self._keep_password = keep_password
        self._tries = 0
        self._was_in = False
        self._lost_at: float | None = None

    def __repr__(self) -> str:
        return "Comeback()"

    def opening(self) -> Opening:
        """What to say to be let in."""
        if self._token:
            return Resume(token=self._token)
        assert self._login is not None
        return self._login

    def entered(self, token: str) -> None:
        """The server let us in, and gave this token (empty: none)."""
        self._was_in = True
        self._token = token or self._token
        if not self._keep_password:
            self._login = None

    def wait(
        self,
        failure: SecurechatError,
        *,
        may_return: bool,
        retry_after: float,
        in_for: float,
        now: float,
        elsewhere: bool = False,
    ) -> float:
        """How long to wait before the next try, after one that held for `in_for` seconds (0: was not let in).

        `elsewhere` says that the next try is at a node that was not tried yet, which the wait of another does not
        concern. Raises the failure where no further try can help, or none is left.
        """
        if in_for:
            self._lost_at = None
            if in_for >= self._timeouts.retry_most:
                self._tries = 0  # that was a connection; shorter ones are tries, too
        if isinstance(failure, Refused) and failure.code == Code.BAD_CREDENTIALS and self._token and self._login:
            self._token = ""
            may_return = True
        if not (self._was_in or elsewhere) or not may_return or not (self._token or self._login):
            raise failure
        if self._lost_at is None:
            self._lost_at = now
        if elsewhere:
            seconds = self._next(0.0) if in_for else _jittered(self._timeouts.retry)
        else:
            seconds = self._next(retry_after)
        if now + seconds > self._lost_at + self._timeouts.outage:
            raise self._given_up(failure)
        return seconds

    def _next(self, retry_after: float) -> float:
        longest = min(self._timeouts.retry_most, self._timeouts.retry * 2.0 ** min(self._tries, 32))
        self._tries += 1
        own = _jittered(longest)
        return own if own >= retry_after else min(retry_after, PATIENCE) + own

    def _given_up(self, failure: SecurechatError) -> SecurechatError:
        if isinstance(failure, Unreachable) and self._timeouts.outage > 0:
            return Unreachable(f"{failure.message} Nothing came of trying again for {self._timeouts.outage:g} seconds.")
        return failure


def _jittered(longest: float) -> float:
    # Whoever was cut off at the same moment does not come back at the same moment.
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - it need not be hard to guess
