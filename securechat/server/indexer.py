"""The thread that has the search index follow the log, off the path of the acknowledgement, in bounded steps."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from securechat.errors import SecurechatError
from securechat.journal.reader import Reader
from securechat.journal.search import Index, Searcher
from securechat.journal.state import View
from securechat.server.workers import stand_back

RETRY_SECONDS = 60.0
"""Until the index is tried again when it could not be written: a full disk lasts, and only search depends on it."""

GATHER_SECONDS = 0.25
"""Silence in the log after which its news are indexed: together they cost a fraction of what each would alone, and
hardly anybody searches for what was said a moment ago."""

PATIENCE_SECONDS = 5.0
"""From the first news to the next step, however much is said meanwhile."""

REST = 9
"""While more is being said, the index rests so many times as long as it worked: at most a tenth of a core is taken from
those who talk, and search lags behind until they pause."""

log = logging.getLogger(__name__)


class Indexer:
    """Keeps `search.db` level with the log."""

    def __init__(self, path: Path, make_reader: Callable[[], Reader], view: Callable[[], View]) -> None:
        """Raises SecurechatError when the index can be neither opened nor made anew."""
        self._index = Index(path)
        self._make_reader = make_reader
        self._view = view
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="indexer")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def searcher(self) -> Searcher:
        """A reading connection of its own to the index, for one worker."""
        return self._index.searcher()

    def wake(self) -> None:
        """There is something new in the log; safe from every thread."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Close the index, once the thread has ended."""
        self._index.close()

    def _run(self) -> None:
        stand_back()
        reader = self._make_reader()
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                began = time.monotonic()
                if not self._step(reader):
                    self._wake.wait()
                    self._wait_for_silence()
                elif self._wake.is_set():
                    self._stopping.wait(REST * (time.monotonic() - began))
        finally:
            reader.close()

    def _wait_for_silence(self) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while self._wake.is_set() and time.monotonic() < end:
            self._wake.clear()
            if self._stopping.wait(GATHER_SECONDS):
                return

    def _step(self, reader: Reader) -> bool:
        """Index a bounded step; whether something is left."""
        try:
            return self._index.follow(reader, self._view().rooms)
        except SecurechatError as error:
            log.warning("the search index is behind: %s", error)
        except Exception:
            log.exception("the search index is behind")
        return not self._stopping.wait(RETRY_SECONDS)
