"""The order of proposals where one process is the whole server: first come, first served, in memory, bounded.

What waits here is not decided and not acknowledged; if the process ends, the author sends it again.
"""

from collections import deque
from collections.abc import Callable
from threading import Condition

from securechat.journal.journal import Submission, Terms
from securechat.journal.store import Position


class LocalOrder:
    """A queue that many threads fill and the journal thread empties; at most `limit` proposals wait in it."""

    position = None
    is_level = True

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Submission] = deque()
        self._enough = 1
        self._closed = False
        self._changed = Condition()

    def start(
        self,
        after: Callable[[], Position],
        terms: Callable[[], Terms],
        digest: Callable[[], str],
        answer: Callable[[bytes], bytes],
    ) -> None:
        """Nothing is kept here: what was taken is past, and what comes is decided as it is taken."""

    def submit(self, submissions: list[Submission]) -> bool:
        """Take all of them, in this order and next to each other, or none: False when full or closed."""
        with self._changed:
            if self._closed or len(self._waiting) + len(submissions) > self._limit:
                return False
            self._waiting.extend(submissions)
            # Not for each one: woken in vain, the journal would take turns with whoever brings the rest.
            if len(self._waiting) >= self._enough:
                self._changed.notify()
            return True

    def take(self, limit: int, enough: int = 1, seconds: float = 0.0) -> list[Submission]:
        """Give the oldest, up to `limit`: wait for some, and then up to `seconds` for `enough` of them.

        Empty means closed, and nothing is left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if len(self._waiting) < enough:
                self._enough = enough
                self._changed.wait_for(lambda: len(self._waiting) >= enough or self._closed, seconds)
                self._enough = 1
            return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    @property
    def waiting(self) -> int:
        """How many wait to be taken."""
        return len(self._waiting)

    def close(self) -> None:
        """Take nothing more; what waits can still be taken out."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def end(self) -> None:
        """Nothing is held that would have to be let go."""
