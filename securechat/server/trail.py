"""The way of an act into the audit log: through a bounded queue, so that no chat thread waits for the disk."""

import contextlib
import logging
import queue
import threading
from pathlib import Path
from typing import Final

from securechat import audit
from securechat.limits import AUDIT_ENTRIES

GATHER_SECONDS: Final = 0.1
"""From the first entry to the write: each write is two syncs and a rename, and half a millisecond of CPU, which in a
storm of logins was a quarter of what they cost (measured)."""

log = logging.getLogger(__name__)


class Trail:
    """Writes what is noted, on a thread of its own."""

    def __init__(self, home: Path) -> None:
        self._path = home / audit.FILE
        self._entries: queue.Queue[audit.Entry | None] = queue.Queue(AUDIT_ENTRIES)
        self._lost = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit")

    def note(self, act: str, who: str, what: str = "", source: str = "", result: str = "ok") -> None:
        """Have this written soon; safe from every thread, and never waits. Too many at once are lost, and counted."""
        try:
            self._entries.put_nowait(audit.entry(act, who, what, source, result))
        except queue.Full:
            self._lost += 1

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, and end the thread."""
        if self._thread.ident is not None:
            self._ending.set()
            self._entries.put(None)
            self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            entries = [self._entries.get()]
            self._ending.wait(GATHER_SECONDS)
            with contextlib.suppress(queue.Empty):
                while len(entries) < AUDIT_ENTRIES and entries[-1] is not None:
                    entries.append(self._entries.get_nowait())
            going = entries[-1] is not None
            self._write([one for one in entries if one is not None])

    def _write(self, entries: list[audit.Entry]) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            entries.append(audit.entry("lost", "", f"{lost} entries", result="too-many-requests"))
        try:
            audit.append(self._path, entries)
        except OSError as error:
            log.error("%d lines of the audit log are lost: %s", len(entries), error.strerror)  # noqa: TRY400
