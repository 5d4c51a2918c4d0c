"""The journal: what it is given, what it tells, and its one loop: order, decide, commit, publish.

The loop runs on a thread of its own, the only writer of chat state. Nothing leaves before its commit. It must not know
who the origins are, how anything is sent, or which order it reads.
"""

import logging
import os
import time
import traceback
from collections.abc import Callable, Collection
from functools import cache
from itertools import chain
from threading import Thread
from typing import Final, Protocol

import msgspec

from securechat.chat import rules
from securechat.chat.changes import decide_change
from securechat.chat.model import Change, Changed, Mark, Outcome, Proposal, Record, Recorded, Rejected
from securechat.counters import JournalCounts
from securechat.errors import Code, SecurechatError, StorageFailed, StorageFull
from securechat.journal.draft import Draft, Membership, Revoked
from securechat.journal.questions import answer
from securechat.journal.state import Committed, View, digest
from securechat.journal.store import Position, Store
from securechat.limits import Limits

log = logging.getLogger(__name__)

GATHER_SHARE: Final = 1 / 8
"""Of the time that a batch took, commit and writing out, the next is given this much to grow: who waits does not notice
an eighth more, and a batch that is split in two costs nearly twice as much."""

_INTERNAL: Final = Rejected(Code.INTERNAL, "The server failed at this; nothing was stored. Its log says more.")
_NO_SPACE: Final = Rejected(Code.STORAGE, "The server's disk is full; nothing was stored. Try again later.")


class Terms(msgspec.Struct, frozen=True):
    """What the outcome of a proposal depends on beside the state: when it is decided, in milliseconds since 1970 UTC,
    and the longest text, in bytes of UTF-8."""

    now: int
    text_bytes: int


class Submission(msgspec.Struct, frozen=True):
    """What is proposed, on its way; `origin` means something to whoever submits it, and comes back with the outcome.

    An order that others share too adds the `terms` on which all decide (None: those of this moment, here), or the
    `answer` to what it could not take, which is then decided by nobody."""

    proposal: Proposal | Change
    origin: object
    terms: Terms | None = None
    answer: Rejected | None = None


class Batch(msgspec.Struct, frozen=True):
    """What one commit brought. An account may leave and join a room in one batch, and is then in both lists:
    the greater `after` came last, and the members in `view` say how it stands now."""

    outcomes: list[tuple[object, Outcome]]
    """Origin and outcome of each submission, in the journal's order."""
    records: dict[str, list[Record]]
    """New records by room, in order."""
    gained: list[Membership]
    lost: list[Membership]
    view: View
    marks: list[Mark] = []
    """Read markers that moved, as they are now."""
    revoked: list[Revoked] = []
    """Tokens that are in force no more: asked for, or the oldest of an account that has too many."""
    enrolled: Collection[str] = ()
    """The accounts that changed, of those that a cluster shares."""


class Publisher(Protocol):
    """Who brings batches to the readers; called on the journal thread."""

    def publish(self, batch: Batch) -> None:
        """Pass a committed batch on, without waiting for anybody."""
        ...

    def wait_written(self, seconds: float) -> None:
        """Return when every reader's connection was given the last batch, or after `seconds`."""
        ...


class Order(Protocol):
    """What gives proposals their one order; `submit`, `close` and what it shows are for every thread."""

    def start(
        self,
        after: Callable[[], Position],
        terms: Callable[[], Terms],
        digest: Callable[[], str],
        answer: Callable[[bytes], bytes],
    ) -> None:
        """Begin to order, behind what was followed already; `terms` gives those of any moment, `digest` what stands
        for all chains, as far as they were taken, and `answer` what another node asks about them.

        For the journal's thread, as `take` and `end` are.
        """
        ...

    def submit(self, submissions: list[Submission]) -> bool:
        """Take all of them in this order, or none: False."""
        ...

    def take(self, limit: int, enough: int = 1, seconds: float = 0.0) -> list[Submission]:
        """Wait for some, and then up to `seconds` for `enough`; give up to `limit`. Empty: closed, and nothing left.

        Raises SecurechatError when there can be nothing more.
        """
        ...

    @property
    def position(self) -> Position | None:
        """Up to where the order was taken, where it is kept elsewhere; the store keeps it with what came of it."""
        ...

    @property
    def is_level(self) -> bool:
        """Whether all that was ordered when it was last looked at has been taken."""
        ...

    @property
    def waiting(self) -> int:
        """How many wait to be taken."""
        ...

    def close(self) -> None:
        """Take nothing more."""
        ...

    def end(self) -> None:
        """Let go of everything: nothing is taken out any more."""
        ...


class Journal:
    """Gives proposals their order, decides them, makes them durable, and publishes what came of them.

    `clock` gives milliseconds since 1970 UTC. `failed` is called at most once, on the journal thread, when nothing more
    can be promised: what was not answered by then never is, and nothing is taken any more. `salt` gives so many
    random bytes, for a text that was proposed without.
    Raises StorageFailed when the store cannot be read at the start.
    """

    def __init__(
        self,
        order: Order,
        store: Store,
        publisher: Publisher,
        limits: Limits,
        clock: Callable[[], int],
        failed: Callable[[SecurechatError], None],
        salt: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._order = order
        self._store = store
        self._publisher = publisher
        self.limits = limits
        """Replaced whole when they change: the next batch goes by it."""
        self._clock = clock
        self._failed = failed
        self._salt = salt
        self.counts = JournalCounts()
        self._full = False
        self._written: Position | None = None
        # A daemon, so that a disk that hangs cannot keep the process from ending.
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._committed = Committed(store)

    @property
    def view(self) -> View:
        """Chat state as it is; any thread may read it."""
        return self._committed.view

    @property
    def is_full(self) -> bool:
        """Whether the disk had no room for the last commit; any thread may ask."""
        return self._full

    @property
    def is_level(self) -> bool:
        """Whether it has followed the order to its end; any thread may ask."""
        return self._order.is_level

    @property
    def waiting(self) -> int:
        """How many proposals wait to be decided."""
        return self._order.waiting

    def start(self) -> None:
        """Begin to take proposals out of the order."""
        self._thread.start()

    def submit(self, submissions: list[Submission]) -> bool:
        """Propose all of them, in this order, or none: False when too many wait, or the journal has stopped."""
        return self._order.submit(submissions)

    def stop(self, seconds: float) -> bool:
        """Take nothing more, finish what waits, and end: False when that took longer than `seconds`."""
        self._order.close()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._order.start(self._store.position, self._terms, self._digest, self._answer)
            wanted, patience = 1, 0.0
            while submissions := self._order.take(self.limits.batch_records, wanted, patience):
                began = time.monotonic()
                # What arrives until the last batch is written out makes the next one larger, and it is given a moment
                # to become as large as those before it: batches stay batches, those that were split grow together
                # again, and whoever speaks alone waits for nobody.
                wanted = max(len(submissions), wanted // 2)
                self._publisher.publish(self._settle(submissions))
                self._publisher.wait_written(self.limits.pace_seconds)
                patience = max(self.limits.gather_seconds, (time.monotonic() - began) * GATHER_SHARE)
        except SecurechatError as error:
            self._order.close()
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - a journal that ended in silence would leave everybody waiting
            log.error("the journal stopped on a bug: %s", _trace(error))  # noqa: TRY400 - see _trace
            self._order.close()
            self._failed(StorageFailed(f"The journal stopped on a bug: {type(error).__name__}.", hint="See the log."))
        finally:
            self._order.end()

    def _answer(self, question: bytes) -> bytes:
        return answer(question, self.view.rooms, self._store.named)

    def _digest(self) -> str:
        view = self.view
        return digest(view.rooms, view.accounts, view.hooks)

    def _terms(self) -> Terms:
        return Terms(self._clock(), self.limits.text_bytes)

    def _settle(self, submissions: list[Submission]) -> Batch:
        """Decide and commit one batch. Raises StorageFailed."""
        proposals = [submission.proposal for submission in submissions]
        draft = Draft(self.view, self._store, proposals, self._salt)
        here = cache(self._terms)
        outcomes = [
            (one.origin, one.answer or _decide(draft, one.proposal, one.terms or here())) for one in submissions
        ]
        # What changed nothing was taken, too: a node that forgot that could need an entry that is gone from the stream.
        if not draft.is_news and self._order.position == self._written:
            return Batch(outcomes, {}, [], [], self.view)
        news = draft.settle()
        records = list(chain.from_iterable(news.values()))
        began = time.perf_counter()
        try:
            self._commit(draft, records)
        except StorageFull as error:
            self._note_space(error)
            if self._order.position is not None:
                # What others have stored cannot be refused here: the clients go to a node that has room.
                raise StorageFailed(f"{error} A node that cannot follow the others stops.") from None
            self._committed = Committed(self._store)
            return Batch([(submission.origin, _NO_SPACE) for submission in submissions], {}, [], [], self.view)
        self._note_space(None)
        self._count(records, time.perf_counter() - began)
        self._written = self._order.position
        self._committed.accept(draft)
        marks = list(draft.marks.values())
        return Batch(outcomes, news, draft.gained, draft.lost, self.view, marks, draft.revoked, draft.enrolled.keys())

    def _commit(self, draft: Draft, records: list[Record]) -> None:
        self._store.commit(
            draft.rooms.values(),
            [one for one in records if one.seq > draft.expired.get(one.room, 0)] if draft.expired else records,
            draft.members,
            deleted=draft.deleted,
            expired=draft.expired,
            marks=draft.marks.values(),
            tokens=draft.tokens,
            invitations=draft.invited,
            sanctions=draft.sanctioned,
            accounts=draft.enrolled,
            hooks=draft.hooked,
            position=self._order.position,
        )

    def _count(self, records: list[Record], seconds: float) -> None:
        counts = self.counts
        counts.records += len(records)
        counts.messages += sum(record.kind == "say" for record in records)
        counts.commit_seconds.add(seconds)
        counts.batch_records.add(max(1, len(records)))

    def _note_space(self, full: StorageFull | None) -> None:
        """Log when the disk became full and when it no longer is: not for each batch, which would fill it further."""
        if full is not None and not self._full:
            log.warning("nothing more is stored: %s", full)
        elif full is None and self._full:
            log.warning("the disk has room again: messages are stored")
        self._full = full is not None


def _decide(draft: Draft, proposal: Proposal | Change, terms: Terms) -> Outcome:
    """Decide one proposal and let the next ones see it; a bug in it is the end of nothing else."""
    now, draft.text_bytes = terms.now, terms.text_bytes
    try:
        if not isinstance(proposal, Proposal):
            outcome = decide_change(draft, proposal, now)
            if isinstance(outcome, Changed):
                draft.change(outcome.change, now)
            return outcome
        outcome = rules.decide(draft, proposal, now)
        if isinstance(outcome, Recorded) and not outcome.duplicate:
            return Recorded(draft.add(outcome.record))
    except Exception as error:  # noqa: BLE001 - whatever it is, the others in the batch get their answers
        log.error("a bug in deciding a %s: %s", type(proposal).__name__, _trace(error))  # noqa: TRY400 - see _trace
        return _INTERNAL
    return outcome


def _trace(error: Exception) -> str:
    """What went wrong and where, without the error's own words: they may quote what somebody wrote."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"
