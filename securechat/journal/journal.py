"""The journal: what it is given, what it tells, and its one loop: order, decide, commit, publish.

The loop runs on a thread of its own, the only writer of chat state. Nothing leaves before its commit. It must not know
who the origins are, how anything is sent, or which order it reads.
"""

import logging
import traceback
from collections.abc import Callable, Mapping
from itertools import chain
from threading import Thread
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

import msgspec

from securechat.chat import rules
from securechat.chat.model import Outcome, Proposal, Record, Recorded, Rejected, Room
from securechat.chat.names import is_id
from securechat.errors import Code, StorageFailed, StorageFull
from securechat.journal.draft import Draft
from securechat.journal.store import Store
from securechat.limits import Limits

log = logging.getLogger(__name__)

_INTERNAL: Final = Rejected(Code.INTERNAL, "The server failed at this; nothing was stored. Its log says more.")
_NO_SPACE: Final = Rejected(Code.STORAGE, "The server's disk is full; nothing was stored. Try again later.")

T = TypeVar("T")


class Submission(msgspec.Struct, frozen=True):
    """A proposal on its way; `origin` means something to whoever submits it, and comes back with the outcome."""

    proposal: Proposal
    origin: object


class Membership(msgspec.Struct, frozen=True):
    """A membership that a batch began or ended; `after` is the room's `seq` just before the record that did it."""

    room: str
    account: str
    after: int


class View(msgspec.Struct, frozen=True):
    """Chat state for every thread to read, without a lock. Rooms and sets in it are frozen values, replaced whole.

    It is live: a value may be newer than the batch that a reader has got to, never older. A published mapping never
    gets another key (a new room or account comes with a new View), so walking through one is safe.
    An account that was never in a room may be missing in `rooms_of`.
    """

    rooms: Mapping[str, Room]
    rooms_of: Mapping[str, frozenset[str]]


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


class Publisher(Protocol):
    """Who brings batches to the readers; called on the journal thread."""

    def publish(self, batch: Batch) -> None:
        """Pass a committed batch on, without waiting for anybody."""
        ...

    def wait_written(self, seconds: float) -> None:
        """Return when every reader's connection was given the last batch, or after `seconds`."""
        ...


class Order(Protocol):
    """What gives proposals their one order."""

    def submit(self, submissions: list[Submission]) -> bool:
        """Take all of them in this order, or none: False."""
        ...

    def take(self, limit: int) -> list[Submission]:
        """Wait for some and give up to `limit`; empty means closed, and nothing is left."""
        ...

    def close(self) -> None:
        """Take nothing more."""
        ...


class Journal:
    """Gives proposals their order, decides them, makes them durable, and publishes what came of them.

    `clock` gives milliseconds since 1970 UTC. `failed` is called at most once, on the journal thread, when nothing more
    can be promised: what was not answered by then never is, and nothing is taken any more.
    Raises StorageFailed when the store cannot be read at the start.
    """

    def __init__(
        self,
        order: Order,
        store: Store,
        publisher: Publisher,
        limits: Limits,
        clock: Callable[[], int],
        failed: Callable[[StorageFailed], None],
    ) -> None:
        self._order = order
        self._store = store
        self._publisher = publisher
        self._limits = limits
        self._clock = clock
        self._failed = failed
        self._full = False
        # A daemon, so that a disk that hangs cannot keep the process from ending.
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._read_back()

    @property
    def view(self) -> View:
        """Chat state as it is; any thread may read it."""
        return self._view

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
            while submissions := self._order.take(self._limits.batch_records):
                self._publisher.publish(self._settle(submissions))
                # What arrives until the last batch is written out makes the next one larger.
                self._publisher.wait_written(self._limits.pace_seconds)
        except StorageFailed as error:
            self._order.close()
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - a journal that ended in silence would leave everybody waiting
            log.error("the journal stopped on a bug: %s", _trace(error))  # noqa: TRY400 - see _trace
            self._order.close()
            self._failed(StorageFailed(f"The journal stopped on a bug: {type(error).__name__}.", hint="See the log."))

    def _settle(self, submissions: list[Submission]) -> Batch:
        """Decide and commit one batch. Raises StorageFailed."""
        ids = {(said.proposal.author, said.proposal.id) for said in submissions if is_id(said.proposal.id)}
        draft = Draft(self._rooms, self._store.recorded(ids), self._limits.text_bytes)
        now = self._clock()
        outcomes = [(submission.origin, _decide(draft, submission.proposal, now)) for submission in submissions]
        records = list(chain.from_iterable(draft.records.values()))
        if not records:
            return Batch(outcomes, {}, [], [], self._view)
        try:
            self._store.commit(draft.rooms.values(), records, draft.members)
        except StorageFull as error:
            self._note_space(error)
            self._read_back()
            return Batch([(submission.origin, _NO_SPACE) for submission in submissions], {}, [], [], self._view)
        self._note_space(None)
        self._accept(draft)
        gained = [
            Membership(record.room, account, record.seq - 1) for record in records for account in rules.gained(record)
        ]
        lost = [
            Membership(record.room, account, record.seq - 1) for record in records for account in rules.lost(record)
        ]
        return Batch(outcomes, draft.records, gained, lost, self._view)

    def _note_space(self, full: StorageFull | None) -> None:
        """Log when the disk became full and when it no longer is: not for each batch, which would fill it further."""
        if full is not None and not self._full:
            log.warning("nothing more is stored: %s", full)
        elif full is None and self._full:
            log.warning("the disk has room again: messages are stored")
        self._full = full is not None

    def _accept(self, draft: Draft) -> None:
        """Show everybody what was committed."""
        changed: dict[str, set[str]] = {}
        for (room, account), inside in draft.members.items():
            if account not in changed:
                changed[account] = set(self._rooms_of.get(account, ()))
            if inside:
                changed[account].add(room)
            else:
                changed[account].discard(room)
        rooms_of = {account: frozenset(names) for account, names in changed.items()}
        self._show(_replaced(self._rooms, draft.rooms), _replaced(self._rooms_of, rooms_of))

    def _read_back(self) -> None:
        """Take the state from the store, which is the truth."""
        rooms = {room.name: room for room in self._store.load()}
        rooms_of: dict[str, set[str]] = {}
        for room in rooms.values():
            for account in room.members:
                rooms_of.setdefault(account, set()).add(room.name)
        self._show(rooms, {account: frozenset(names) for account, names in rooms_of.items()})

    def _show(self, rooms: dict[str, Room], rooms_of: dict[str, frozenset[str]]) -> None:
        self._rooms = rooms
        self._rooms_of = rooms_of
        self._view = View(MappingProxyType(rooms), MappingProxyType(rooms_of))


def _decide(draft: Draft, proposal: Proposal, now: int) -> Outcome:
    """Decide one proposal and let the next ones see it; a bug in it is the end of nothing else."""
    try:
        outcome = rules.decide(draft, proposal, now)
        if isinstance(outcome, Recorded) and not outcome.duplicate:
            draft.add(outcome.record)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others in the batch get their answers
        log.error("a bug in deciding %r of %r: %s", proposal.kind, proposal.author, _trace(error))  # noqa: TRY400 - see _trace
        return _INTERNAL
    return outcome


def _trace(error: Exception) -> str:
    """What went wrong and where, without the error's own words: they may quote what somebody wrote."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


def _replaced(values: dict[str, T], changes: dict[str, T]) -> dict[str, T]:
    """The values with the changes, in the same dict where no key is new.

    Others may be walking through it, so it must not grow: it is copied instead (50 µs for 10,000 entries, and only
    when a room is made or somebody enters a first one). Replacing values disturbs no reader, with the GIL or without.
    """
    if not changes.keys() <= values.keys():
        return values | changes
    values.update(changes)
    return values
