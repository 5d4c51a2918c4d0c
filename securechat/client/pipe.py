"""Chat for scripts: a line in is said, a line out was heard, and the end tells whether everything was stored.

In the text form a line out is `[room] sender: text` in UTF-8, with escapes for what no terminal may see; what this
connection itself said is not repeated. In the other form each event is its JSON frame, in ASCII. It asks nothing.
"""

import contextlib
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable

import msgspec

from securechat.chat.names import is_direct
from securechat.client import text
from securechat.client.client import Client
from securechat.client.hearing import Back, Heard, Lost
from securechat.client.ids import new_id
from securechat.client.lines import LINE_BYTES
from securechat.client.pending import Pending
from securechat.errors import Code, Refused, SecurechatError, Unreachable
from securechat.protocols.frames import Error, Join, Joined, Message, Sync, Synced


class Pipe:
    """One run over a client: `rooms` are joined, and the lines are said in the first of them."""

    def __init__(
        self, client: Client, rooms: list[str], lines: Iterable[tuple[int, bytes | None]], *, as_json: bool
    ) -> None:
        self._client = client
        self._events = client.events()
        self._patience = min(client.timeouts.outage + client.timeouts.answer, threading.TIMEOUT_MAX)
        self._rooms = rooms
        self._lines = lines
        self._as_json = as_json
        self._width = os.get_terminal_size(1).columns if sys.stdout.isatty() else None
        self._own: set[str] = set()
        self._lock = threading.Lock()
        self._unanswered: deque[tuple[int, Pending]] = deque()
        self._lines_read = self._refused = self._unknown = self._sent = 0
        self._failure: SecurechatError | None = SecurechatError("The input was not read to its end.")

    def run(self) -> None:
        """Say and hear until the end of the input and the last acknowledgement; what befalls a line goes to stderr.

        Raises Refused when a room or a line was refused, Unreachable when the connection was lost for good before.
        """
        # A daemon: when the connection ends, it may wait for a line that never comes.
        threading.Thread(target=self._speak, name="securechat-speak", daemon=True).start()
        ended: SecurechatError | None = None
        try:
            for event in self._events:
                self._write(event)
        except SecurechatError as error:
            ended = error
        finally:
            self._client.close()
        self._judge(ended)

    def _speak(self) -> None:
        """Say all lines and wait for what becomes of them. On a thread of its own."""
        try:
            for room in self._rooms:
                if not is_direct(room):
                    self._client.request(Join(room=room), Joined)
            self._client.request(Sync(), Synced)
            for number, line in self._lines:
                self._say(number, line)
                self._sweep()
            for _, pending in tuple(self._unanswered):
                with contextlib.suppress(SecurechatError):
                    pending.wait(self._patience)
            self._failure = None
        except TimeoutError:
            self._failure = Unreachable(f"There was no acknowledgement within {self._patience:g} seconds.")
        except SecurechatError as error:
            self._failure = error
        finally:
            self._client.close()

    def _say(self, number: int, line: bytes | None) -> None:
        if line is not None and not line.strip():
            return
        self._lines_read += 1
        if line is None:
            self._refuse(number, f"It has {LINE_BYTES} bytes or more.")
            return
        try:
            said = line.decode("utf-8")
        except UnicodeDecodeError as error:
            self._refuse(number, f"Its byte {error.start + 1} is not UTF-8.")
            return
        own = new_id()
        if not self._as_json:
            self._own.add(own)  # first: it may be heard before `say` returns
        pending = self._client.send(self._rooms[0], said, id=own, seconds=self._patience)
        with self._lock:
            self._unanswered.append((number, pending))

    def _sweep(self) -> None:
        """Count and report the lines of which it is known what became of them."""
        with self._lock:
            while self._unanswered and self._unanswered[0][1].state != "pending":
                number, pending = self._unanswered.popleft()
                if isinstance(pending.failure, Refused):
                    self._own.discard(pending.id)
                    self._refuse(number, str(pending.failure))
                elif pending.failure is not None:
                    self._unknown += 1
                    self._sent += pending.was_sent

    def _refuse(self, number: int, reason: str) -> None:
        self._refused += 1
        _report(f"Line {number} was not stored: {reason}")

    def _judge(self, ended: SecurechatError | None) -> None:
        """Raise what the run came to, unless everything is acknowledged; `ended` is what ended the client."""
        self._sweep()
        missing = self._unknown + self._refused
        counts = f"{missing} of {self._lines_read} lines {'is' if missing == 1 else 'are'} not acknowledged"
        failure = self._failure
        if self._unknown or failure is not None:
            failure = ended or failure  # the cause, where the other is only what followed from it
        if failure is not None:
            if missing:
                _report(f"{counts}, {self._sent} of them may be stored.")
            raise failure
        if missing:
            raise Refused(f"{counts}.", code=Code.BAD_TEXT)

    # --- what is heard -----------------------------------------------------------------------------------------

    def _write(self, event: Heard) -> None:
        if isinstance(event, Lost):
            _report(f"{event.reason} Trying again.")
        elif isinstance(event, Back):
            _report("Connected again.")
        elif self._as_json:
            # ASCII, so that no terminal that this may end on is driven by it.
            _put(json.dumps(msgspec.to_builtins(event), separators=(",", ":")))
        elif isinstance(event, Message):
            if event.id in self._own:
                self._own.discard(event.id)
            else:
                _put(text.heard(event, self._width))
        elif isinstance(event, Error) and event.ref is None:
            _report(text.line(event.message))


def _put(line: str) -> None:
    sys.stdout.buffer.write(f"{line}\n".encode())
    sys.stdout.buffer.flush()


def _report(sentence: str) -> None:
    sys.stderr.write(f"securechat: {sentence}\n")
    sys.stderr.flush()
