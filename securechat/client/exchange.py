"""What the threads of one client share: requests that wait for their answer, lines that wait for their
acknowledgement, and what was heard. Callers leave notes here; the thread that owns the socket takes them and brings
the answers. It knows frames, and nothing of sockets or TLS.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeVar

import msgspec

from securechat.client import text
from securechat.errors import Code, Refused, SecurechatError, Unreachable
from securechat.limits import CLIENT_EVENTS, CLIENT_IN_FLIGHT
from securechat.protocols.frames import Ack, Answer, AnyEvent, AnyRequest, Error, Say
from securechat.protocols.native import NativeClientProtocol

A = TypeVar("A", bound=Answer)


class Pending:
    """One line that was said, and what became of it: `pending`, then `stored` with its number or `failed`."""

    def __init__(self, id: str, room: str, text: str, changed: threading.Condition) -> None:
        self.id: Final = id
        self.room: Final = room
        self.text: Final = text
        self._changed = changed
        self._outcome: Ack | SecurechatError | None = None

    def __repr__(self) -> str:
        return f"Pending({self.id!r}, {self.room!r}, {self.state})"

    @property
    def state(self) -> Literal["pending", "stored", "failed"]:
        """Where it is on its way; the last two are final."""
        if self._outcome is None:
            return "pending"
        return "stored" if isinstance(self._outcome, Ack) else "failed"

    @property
    def seq(self) -> int:
        """Its number in the room; 0 until it is stored."""
        return self._outcome.seq if isinstance(self._outcome, Ack) else 0

    @property
    def failure(self) -> SecurechatError | None:
        """Why it failed: Refused (it is not stored), or Unreachable (it may be stored); None while it has not."""
        return self._outcome if isinstance(self._outcome, SecurechatError) else None

    def wait(self, seconds: float | None = None) -> Ack:
        """Wait for the acknowledgement: the record is on the server's disk.

        Raises Refused, Unreachable when the connection ended first, and TimeoutError after `seconds`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._outcome is not None, seconds):
                raise TimeoutError
        if isinstance(self._outcome, Ack):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome

    def settle(self, outcome: Answer | SecurechatError) -> None:
        """Take the outcome; called once, with the lock held."""
        if isinstance(outcome, Ack | SecurechatError):
            self._outcome = outcome
        else:
            self._outcome = _out_of_place(outcome)


class _Question:
    """A request that waits for its answer."""

    def __init__(self) -> None:
        self.outcome: Answer | SecurechatError | None = None

    def settle(self, outcome: Answer | SecurechatError) -> None:
        self.outcome = outcome


class Exchange:
    """One connection's; `notify` tells the thread that owns the socket that there is something to do."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self.line_bytes = 0
        """The longest line that the server takes; it says so in its `hello`."""
        self._notify = notify
        self._changed = threading.Condition()
        self._notes: list[bytes] = []
        self._waiting: dict[str, Pending | _Question] = {}
        self._in_flight = 0
        self._requests = 0
        self._heard: deque[AnyEvent] = deque()
        self._is_open = False
        self._is_over = False
        self._failure: SecurechatError | None = None

    # --- what callers do, on any thread -----------------------------------------------------------

    def wait_open(self) -> None:
        """Wait until the server let us in; raises what came instead."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or self._is_over)
            if not self._is_open:
                raise self._end_for_callers()

    def ask(self, request: AnyRequest, answer: type[A], seconds: float) -> A:
        """Send a request and wait for the answer to it.

        Raises Refused for an `error`, Unreachable when none came or the connection ended.
        """
        question = _Question()
        with self._changed:
            ref = self._send(request, question)
            self._changed.wait_for(lambda: question.outcome is not None, seconds)
            self._waiting.pop(ref, None)
        outcome = question.outcome
        if outcome is None:
            raise Unreachable(f"The server gave no answer within {seconds:g} seconds.")
        if isinstance(outcome, SecurechatError):
            raise outcome
        if not isinstance(outcome, answer):
            raise _out_of_place(outcome)
        return outcome

    def say(self, room: str, text: str, id: str) -> Pending:
        """Hand over a line; waits while CLIENT_IN_FLIGHT lines are not answered. Raises Unreachable after the end."""
        pending = Pending(id, room, text, self._changed)
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight < CLIENT_IN_FLIGHT or self._is_over)
            if self._is_over:
                raise self._end_for_callers()
            self._in_flight += 1
            try:
                self._send(Say(id=id, room=room, text=text), pending)
            except Refused as refused:
                self._settle(pending, refused)
        return pending

    def events(self) -> Iterator[AnyEvent]:
        """What is heard, each event once. Ends when the client was closed; raises what else ended the connection."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._heard or self._is_over)
                if not self._heard:
                    if self._failure is not None:
                        raise self._failure
                    return
                event = self._heard.popleft()
                has_room_again = len(self._heard) == CLIENT_EVENTS - 1
            if has_room_again:
                self._notify()
            yield event

    # --- what the owner of the socket does --------------------------------------------------------

    def take(self) -> bytes:
        """What is to be sent, in the order in which it was left here."""
        with self._changed:
            notes = b"".join(self._notes)
            self._notes.clear()
        return notes

    @property
    def has_room(self) -> bool:
        """Whether more may be read: what was heard and not taken yet is within its limit."""
        return len(self._heard) < CLIENT_EVENTS

    def open(self) -> None:
        """The server let us in."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def hear(self, events: list[AnyEvent], *, keep: bool) -> None:
        """Bring answers to those who wait for them; keep the rest, and what became of lines, for `events()`.

        An answer that nobody waits for any more is dropped; `keep` is False where nobody will read what is heard.
        """
        with self._changed:
            for event in events:
                slot = self._waiting.pop(event.ref, None) if isinstance(event, Answer) and event.ref else None
                if slot is not None:
                    assert isinstance(event, Answer)
                    self._settle(slot, refusal(event) if isinstance(event, Error) else event)
                if keep and (isinstance(slot, Pending) or not isinstance(event, Answer) or _is_unasked(event)):
                    self._heard.append(event)
            self._changed.notify_all()

    def end(self, failure: SecurechatError | None) -> None:
        """The connection is over: because it was closed here (None), or for this reason. Nobody waits any longer."""
        with self._changed:
            self._is_over = True
            self._failure = failure
            for slot in self._waiting.values():
                lost = Unreachable("The connection ended before the acknowledgement came; it may be stored.")
                self._settle(slot, lost if isinstance(slot, Pending) else self._end_for_callers())
            self._waiting.clear()
            self._changed.notify_all()

    # --- within -------------------------------------------------------------------------------------

    def _send(self, request: AnyRequest, slot: Pending | _Question) -> str:
        if self._is_over:
            raise self._end_for_callers()
        self._requests += 1
        ref = str(self._requests)
        try:
            note = NativeClientProtocol.encode(msgspec.structs.replace(request, ref=ref))
        except UnicodeEncodeError:
            raise Refused("The text holds half of a character (a surrogate).", code=Code.BAD_TEXT) from None
        if len(note) > self.line_bytes:
            # The server would close the connection for it.
            raise Refused(f"It is too long: {self.line_bytes} bytes are the most.", code=Code.TOO_LONG)
        self._notes.append(note)
        self._waiting[ref] = slot
        self._notify()
        return ref

    def _settle(self, slot: Pending | _Question, outcome: Answer | SecurechatError) -> None:
        slot.settle(outcome)
        if isinstance(slot, Pending):
            self._in_flight -= 1
            self._changed.notify_all()

    def _end_for_callers(self) -> SecurechatError:
        return self._failure or Unreachable("The connection was closed.")


def refusal(error: Error) -> Refused:
    """An `error` frame as what a caller is raised; its words are made safe to show."""
    return Refused(text.line(error.message), code=error.code, retry_after=error.retry_after)


def _is_unasked(event: Answer) -> bool:
    return isinstance(event, Error) and event.ref is None


def _out_of_place(answer: Answer) -> Unreachable:
    return Unreachable(f"The server gave an answer of another kind: {type(answer).__name__}.")
