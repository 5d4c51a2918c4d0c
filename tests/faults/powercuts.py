"""Power cuts at random moments: the real store and journal on a disk that forgets what was not synced.

A history is a store that lives through several cuts. In each life four authors send again what was not acknowledged and
say more, until the power goes; what the disk then has is read by the standard library's SQLite and audited, and is
where the next life begins. The seed decides everything.
"""

import itertools
import random
import shutil
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple

from securechat.chat.model import Record, Recorded, Rejected
from securechat.chat.names import LOBBY
from securechat.errors import SecurechatError, StorageFailed
from securechat.journal.journal import Batch, Journal, Submission
from securechat.journal.local import LocalOrder
from securechat.journal.store import Store
from securechat.journal.verify import verify_store
from securechat.limits import Limits
from tests.faults.audit import Counts, audit
from tests.faults.connection import stores_on
from tests.faults.disk import STORE, Disk
from tests.journal.support import PATIENCE, Durability, change, said

AUTHORS: Final = ("ann", "ben", "cat", "dan")

LIVES: Final = 10
"""Cuts in one history: many enough for what one cut left behind to meet the next one."""

STEPS: Final = 1_500
"""Steps of the disk in one life at most: two or three lives fill a WAL of 1,000 pages, which brings a checkpoint."""

MESSAGES: Final = 400
"""Messages in one life at most: more than STEPS can write."""

SIZES: Final = (20, 200, 3_000, 16_000)
"""Characters in a message: some in one page with others, some over several pages."""


class Life(NamedTuple):
    """What one cut left: the audit of all that its history ever acknowledged. `unfinished`: messages were on their way;
    `in_checkpoint`: SQLite was writing the database file itself; `sound`: what was left verifies."""

    counts: Counts
    unfinished: bool
    in_checkpoint: bool
    sound: bool


class Report(NamedTuple):
    """What came of all cuts together."""

    counts: Counts
    cuts: int
    unfinished: int
    in_checkpoints: int
    damaged: int
    """Stores that do not verify."""


class Ledger:
    """The publisher: keeps what is acknowledged for as long as there is power."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.acknowledged: dict[str, int] = {}
        self.refused = 0
        self.ended = Event()
        self._disk: Disk | None = None
        self._expected = 0

    def expect(self, answers: int, disk: Disk) -> None:
        """Begin a life in which so many proposals are to be answered."""
        self.ended.clear()
        self._expected, self._disk = answers, disk

    def publish(self, batch: Batch) -> None:
        assert self._disk is not None
        # The power may also go in a checkpoint, of which SQLite tells nobody: what is committed then is not heard.
        heard = batch.outcomes if self._disk.image is None else ()
        for _, outcome in heard:
            self.refused += isinstance(outcome, Rejected)
            if isinstance(outcome, Recorded) and outcome.record.kind == "say":
                # The first number is the one that counts; another one later is not found under it.
                self.acknowledged.setdefault(outcome.record.id, outcome.record.seq)
        self._expected -= len(batch.outcomes)
        if not self._expected:
            self.ended.set()

    def wait_written(self, seconds: float) -> None:
        pass

    def failed(self, error: SecurechatError) -> None:
        """The journal's last word."""
        self.ended.set()


class History:
    """One store through several power cuts, in a folder of its own."""

    def __init__(self, folder: Path, chance: random.Random, durability: Durability) -> None:
        self._folder = folder
        self._chance = chance
        self._durability = durability
        self._ledger = Ledger()
        self._image: dict[str, bytes] = {}
        self._clock = itertools.count(1_000).__next__
        self._spoken = dict.fromkeys(AUTHORS, 0)

    def live(self) -> Life:
        """Live until the power goes; gives the audit of everything that was ever acknowledged in this history."""
        disk = Disk(self._lay_out("life"), self._chance, self._chance.randint(1, STEPS))
        with stores_on(disk):
            # The power may go while the store is opened.
            with suppress(StorageFailed), closing(Store(disk.folder / STORE, self._durability)) as store:
                self._talk(store, disk)
                disk.cut()
            self._image = disk.cut()
        disk.unplug()
        ledger = self._ledger
        log, sound = self._read("after")
        assert not ledger.refused
        counts = audit(log, ledger.said, ledger.acknowledged)
        unfinished = len(ledger.acknowledged) < len(ledger.said)
        # What was lost is counted once; its author says it again.
        there = {record.id for record in log}
        ledger.acknowledged = {id: seq for id, seq in ledger.acknowledged.items() if id in there}
        return Life(counts, unfinished, disk.cut_in_checkpoint, sound)

    def _talk(self, store: Store, disk: Disk) -> None:
        """Let the authors say what is not acknowledged yet, and more, until all is answered or the power goes."""
        ledger = self._ledger
        for _ in range(self._chance.randint(1, MESSAGES)):
            author = self._chance.choice(AUTHORS)
            ledger.said[f"{author}-{self._spoken[author]}"] = "x" * self._chance.choice(SIZES)
            self._spoken[author] += 1
        waiting = {id: text for id, text in ledger.said.items() if id not in ledger.acknowledged}
        proposals = [change("join", author) for author in AUTHORS]
        proposals += [said(id.rpartition("-")[0], id, text) for id, text in waiting.items()]
        limits = Limits(batch_records=self._chance.randint(1, 16))
        ledger.expect(len(proposals), disk)
        order = LocalOrder(limits.journal_proposals)
        journal = Journal(order, store, ledger, limits, self._clock, ledger.failed)
        # All at once and before the start: so the batches, and all that follows from them, are the seed's alone.
        assert journal.submit([Submission(proposal, None) for proposal in proposals])
        journal.start()
        assert ledger.ended.wait(PATIENCE)
        assert journal.stop(PATIENCE)

    def _lay_out(self, name: str) -> Path:
        """Write what the disk has into a new folder; of an older one with that name nothing stays."""
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file, content in self._image.items():
            (folder / file).write_bytes(content)
        return folder

    def _read(self, name: str) -> tuple[list[Record], bool]:
        """The log as the next start sees it, and whether the file and the chain of its rooms hold."""
        path = self._lay_out(name) / STORE
        with closing(Store(path, "full")) as store, closing(store.reader()) as reader:
            log = reader.page(LOBBY, after=0, limit=1_000_000).records
        return log, verify_store(path).flaw is None


def cut_power(folder: Path, cuts: int, seed: int, durability: Durability = "full") -> Report:
    """Cut the power so many times at random moments; `folder` is there for the files of the histories."""
    chance = random.Random(seed)
    lives: list[Life] = []
    counts = Counts()
    while len(lives) < cuts:
        history = History(folder, chance, durability)
        mine = [history.live() for _ in range(min(LIVES, cuts - len(lives)))]
        found = mine[-1].counts.found
        flaws = [sum(column) for column in list(zip(*(life.counts for life in mine), strict=True))[2:]]
        counts = counts.plus(Counts(found + flaws[0], found, *flaws))
        lives += mine
    return Report(
        counts,
        cuts=len(lives),
        unfinished=sum(life.unfinished for life in lives),
        in_checkpoints=sum(life.in_checkpoint for life in lives),
        damaged=sum(not life.sound for life in lives),
    )
