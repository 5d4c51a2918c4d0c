"""How many requests one session may make: so many a second, and for a moment more. It knows no request."""

import time
from typing import Final

BURST_SECONDS: Final = 2.0
"""Seconds whose requests a session that was quiet may make at once: a client that comes back asks much."""


class Rate:
    """A bucket of requests that fills again in time; for one thread."""

    __slots__ = ("_a_second", "_filled", "_left")

    def __init__(self, a_second: int) -> None:
        self._a_second = a_second
        self._left = a_second * BURST_SECONDS
        self._filled = time.monotonic()

    def admits(self) -> bool:
        """Whether one more is within the rate; counts it if so."""
        if self._left < 1:
            # The clock is asked for when the bucket is empty, not at each request.
            now = time.monotonic()
            self._left += min(now - self._filled, BURST_SECONDS) * self._a_second
            self._filled = now
            if self._left < 1:
                return False
        self._left -= 1
        return True
