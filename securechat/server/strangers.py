"""Connections that have not logged in yet: how many there are, in all and from one source.

Those who are in are never counted here, and so never pay for strangers. It knows no socket; every thread may use it.
"""

import threading
from collections import Counter


class Strangers:
    """Counts them, up to `limit` in all and `each` from one source."""

    def __init__(self, limit: int, each: int) -> None:
        self.limit = limit
        self.each = each
        self._by_source: Counter[str] = Counter()
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many there are."""
        return self._count

    @property
    def are_many(self) -> bool:
        """Whether there is place for no other."""
        return self._count >= self.limit

    def came(self, source: str) -> bool:
        """Count one more; False, and not counted, when its source has too many already."""
        with self._lock:
            if self._by_source[source] >= self.each:
                return False
            self._by_source[source] += 1
            self._count += 1
            return True

    def gone(self, source: str) -> None:
        """One of them has logged in, or is closed."""
        with self._lock:
            self._count -= 1
            self._by_source[source] -= 1
            if not self._by_source[source]:
                del self._by_source[source]
