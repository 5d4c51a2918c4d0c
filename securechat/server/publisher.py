"""From the journal's thread to the reactors: publishes each committed batch, and says when it has been written out.

This is the pace of the server: the journal takes its next batch when this one is out, and what has come meanwhile is
then one larger batch, encoded once and written once.
"""

import threading
from collections.abc import Callable, Sequence

from securechat.chat.model import Outcome
from securechat.journal.journal import Batch
from securechat.server.control import Waiting, described, is_moderation, result_of
from securechat.server.fanout import Delivery, Origin
from securechat.server.reactor import Reactor
from securechat.server.services import Services


def _nothing() -> None:
    """Nobody follows yet."""


class Publisher:
    """What the journal knows of the reactors."""

    def __init__(self) -> None:
        self._services: Services | None = None
        self._follow: Callable[[], None] = _nothing
        self._reactors: Sequence[Reactor] = ()
        self._number = 0
        self._written: dict[Reactor, int] = {}
        self._changed = threading.Condition()

    def serve(self, services: Services, follow: Callable[[], None]) -> None:
        """Publish to the reactors of these services from now on; `follow` wakes who reads the log by itself."""
        self._services = services
        self._reactors = services.reactors
        self._follow = follow

    def publish(self, batch: Batch) -> None:
        """Have every reactor fan the batch out; returns at once. For the journal's thread alone."""
        for origin, outcome in batch.outcomes:
            if isinstance(origin, Waiting):
                origin.decided(outcome)
            elif isinstance(origin, Origin) and is_moderation(origin.proposal):
                self._note(origin, outcome)
        if self._services and batch.records:
            for room, records in batch.records.items():
                if any(record.kind == "delete" for record in records):
                    self._services.shared_pages.forget(room)  # what is erased must not live on there
            self._follow()
        self._number += 1
        delivery = Delivery(batch)
        for reactor in self._reactors:
            reactor.deliver(self._number, delivery)

    def _note(self, origin: Origin, outcome: Outcome) -> None:
        """Have in the audit log what one account did to another; here, for its session may have left meanwhile."""
        if self._services:
            (act, what), author = described(origin.proposal), origin.session
            self._services.trail.note(act, author.username, what, author.connection.address, result_of(outcome))

    def wait_written(self, seconds: float) -> None:
        """Wait until every reactor has written out the last batch, but no longer than `seconds`."""
        with self._changed:
            self._changed.wait_for(self._is_written, seconds)

    def written(self, reactor: Reactor, number: int) -> None:
        """A reactor has written out the batches up to this one."""
        with self._changed:
            self._written[reactor] = number
            self._changed.notify()

    def _is_written(self) -> bool:
        return all(self._written.get(reactor, 0) >= self._number for reactor in self._reactors)
