"""A program that says things through a journal as fast as it is answered, and prints what is acknowledged.

Run as `python -m tests.journal.speaker DATABASE ROUND`; it goes on until it is killed. Each printed line is
`id seq`, of a message that was published. The ids of an author in a round count up from 0.
"""

import random
import sys
import time
from pathlib import Path
from threading import Semaphore

from securechat.chat.model import Recorded
from securechat.errors import SecurechatError
from securechat.journal.journal import Batch, Journal, Submission
from securechat.journal.local import LocalOrder
from securechat.journal.store import Store
from securechat.limits import Limits
from tests.journal.support import change, said

AUTHORS = ("ann", "ben", "cat", "dan")
WINDOW = 200
"""Messages that wait for their acknowledgement at once."""


class Printer:
    """The publisher: prints each acknowledged message, and lets as many new ones be said."""

    def __init__(self, window: Semaphore) -> None:
        self._window = window

    def publish(self, batch: Batch) -> None:
        lines = [
            f"{outcome.record.id} {outcome.record.seq}\n"
            for _, outcome in batch.outcomes
            if isinstance(outcome, Recorded) and outcome.record.kind == "say"
        ]
        sys.stdout.write("".join(lines))
        sys.stdout.flush()
        if lines:
            self._window.release(len(lines))

    def wait_written(self, seconds: float) -> None:
        pass


def fail(error: SecurechatError) -> None:
    raise error


def main(path: Path, turn: str) -> None:
    window = Semaphore(WINDOW)
    limits = Limits(batch_records=32)
    order = LocalOrder(limits.journal_proposals)
    store = Store(path, "full")
    journal = Journal(order, store, Printer(window), limits, lambda: time.time_ns() // 1_000_000, fail)
    journal.start()
    journal.submit([Submission(change("join", author), None) for author in AUTHORS])
    number = 0
    while True:
        several = random.randint(1, 10)
        for _ in range(several * len(AUTHORS)):
            window.acquire()
        proposals = [said(author, f"{turn}-{author}-{number + step}") for step in range(several) for author in AUTHORS]
        journal.submit([Submission(proposal, None) for proposal in proposals])
        number += several


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
