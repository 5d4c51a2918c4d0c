"""The log: lines on stderr, as text for people or JSON for machines, in UTC, written by a thread of its own.

Every value is escaped, since names and addresses come from strangers; nothing here sees a message's text, a password or
a token, because nobody logs one.
"""

import contextlib
import functools
import json
import logging
import logging.handlers
import queue
import sys
import threading
import time
from typing import Final, TextIO

from securechat.limits import LOG_LINES

STOP_SECONDS = 1.0
"""For the last lines, when the server ends."""

GATHER_SECONDS: Final = 0.05
"""From the first line to the write: woken for each, this thread takes turns with those that serve. Two lines of each
login were a tenth of what it cost (measured)."""

_FIELDS = ("peer", "account", "session")


def _stamp(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@functools.lru_cache(maxsize=1)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class TextFormatter(logging.Formatter):
    """`2026-11-22T20:15:00.123Z info logged in peer=127.0.0.1:5000 account=alice`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = [f"{name}={_escape(str(value))}" for name in _FIELDS if (value := getattr(record, name, ""))]
        parts = [_stamp(record), record.levelname.lower(), _escape(record.getMessage()), *fields]
        line = " ".join(parts)
        if record.exc_text or record.exc_info:
            text = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type] # not None here
            line += "".join(f"\n  {_escape(row)}" for row in text.splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message, and peer, account, session, traceback where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        row = {"time": _stamp(record), "level": record.levelname.lower(), "message": record.getMessage()}
        row |= {name: str(value) for name in _FIELDS if (value := getattr(record, name, ""))}
        if record.exc_text or record.exc_info:
            row["traceback"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type] # not None
        return json.dumps(row)


class _Handler(logging.handlers.QueueHandler):
    """Puts records into the bounded queue, and counts those that it could not take."""

    lost = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # the formatter runs on the other side of the queue, in this same process

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.lost += 1


class _Writer(threading.Thread):
    """Writes what is in the queue; a daemon, so that a stuck stderr cannot keep the process from ending."""

    def __init__(
        self, records: "queue.Queue[logging.LogRecord | None]", stream: TextIO, formatter: logging.Formatter
    ) -> None:
        super().__init__(name="log", daemon=True)
        self._records = records
        self._stream = stream
        self._formatter = formatter
        self._ending = threading.Event()

    def run(self) -> None:
        going = True
        while going:
            records = [self._records.get()]
            self._ending.wait(GATHER_SECONDS)
            with contextlib.suppress(queue.Empty):
                while len(records) < LOG_LINES and records[-1] is not None:
                    records.append(self._records.get_nowait())
            going = records[-1] is not None
            lines = [self._line(record) for record in records if record is not None]
            # There is nobody to tell that the log cannot be written.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("".join(lines))
                self._stream.flush()

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return f"{self._formatter.format(record)}\n"
        except Exception as error:  # noqa: BLE001 - a bug in one line is not the end of the log
            return f"a line of {record.name} could not be written: {type(error).__name__}\n"

    def stop(self) -> None:
        """Write out what is queued and end, as far as stderr takes it in a moment."""
        self._ending.set()
        try:
            self._records.put(None, timeout=STOP_SECONDS)
        except queue.Full:
            self._records.get_nowait()  # one line for the end
            self._records.put_nowait(None)
        self.join(STOP_SECONDS)


class Log:
    """The package's log while a server runs."""

    def __init__(self, style: str, stream: TextIO | None = None) -> None:
        """`style` is `text`, `json`, or `auto`: text on a terminal, JSON otherwise. Without a stream it is stderr."""
        stream = stream or sys.stderr
        as_text = style == "text" or (style == "auto" and stream.isatty())
        records: queue.Queue[logging.LogRecord | None] = queue.Queue(LOG_LINES)
        self._handler = _Handler(records)
        self._writer = _Writer(records, stream, TextFormatter() if as_text else JsonFormatter())
        self._logger = logging.getLogger("securechat")

    def __enter__(self) -> "Log":
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.addHandler(self._handler)
        self._writer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._handler.lost:
            self._logger.warning("%d log lines were lost", self._handler.lost)
        self._logger.removeHandler(self._handler)
        self._logger.propagate = True
        self._writer.stop()
