"""What the threads of one client share: lines and requests on their way, over all its connections. Callers leave notes
here; the thread that owns the socket takes them and brings the answers, and what else was heard goes to `hearing`. It
knows frames, and nothing of sockets or TLS.
"""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from securechat.client import text
from securechat.client.hearing import Back, Hearing
from securechat.client.outbox import Line, Outbox
from securechat.client.pending import REPEATABLE, Pending, Question, Slot, out_of_place
from securechat.client.reading import Reading
from securechat.client.traffic import Traffic
from securechat.errors import Code, Refused, SecurechatError, Unreachable
from securechat.limits import (
    CLIENT_OUTBOX,
    ROOM_NAME_LENGTH,
    ROOMS_PER_REQUEST,
    Limits,
)
from securechat.protocols.frames import (
    Answer,
    AnyEvent,
    AnyRecord,
    AnyRequest,
    Error,
    RecordEvent,
    Say,
    Welcome,
)
from securechat.protocols.native import NativeClientProtocol

A = TypeVar("A", bound=Answer)


class Exchange:
    """One client's; `notify` tells the thread that owns the socket that there is something to do."""

    def __init__(self, notify: Callable[[], None], outbox: Outbox | None = None) -> None:
        self.line_bytes = Limits().line_bytes
        """The longest line that the server takes; it says so in its `hello`."""
        self.proof = ""
        """How the server of the last connection was proven: the version of TLS and the CA."""
        self.welcome: Welcome | None = None
        """What the server said when it let us in the last time."""
        self.reading: Final = Reading()
        self.hearing: Final = Hearing(changed := threading.Condition(), notify)
        self.left_over: Final[list[Pending]] = []
        """The lines that an earlier run left in the outbox."""
        self._notify = notify
        self._outbox = outbox
        self._changed = changed
        self._traffic = Traffic()
        self._lines: dict[str, Pending] = {}  # not settled, by id
        self._requests = 0
        self._is_in = False
        self._is_over = False
        self._failure: SecurechatError | None = None
        for line in outbox.lines() if outbox else ():
            self._take_up(line)

    # --- what callers do, on any thread -----------------------------------------------------------

    def wait_in(self) -> bool:
        """Wait until the server has let us in; False when the client was closed. Raises what else ended it."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_in or self._is_over)
            if self._failure is not None:
                raise self._failure
            return not self._is_over

    @property
    def is_in(self) -> bool:
        """Whether there is a connection, and the server has let us in."""
        return self._is_in

    def ask(self, request: AnyRequest, answer: type[A], seconds: float, *, is_followed: bool = True) -> A:
        """Send a request and wait for the answer to it, also over a new connection where asking twice does no harm.

        Raises Refused for an `error`, Unreachable when none came or the client ended.
        """
        with self._changed:
            question = Question(self.reading.asks(request) if is_followed else request, is_followed=is_followed)
            self._write_note(question)
            self._hand_over(question)
            self._changed.wait_for(lambda: question.outcome is not None, seconds)
            question.is_given_up = True
            self._traffic.answered(question.ref)
        outcome = question.outcome
        if outcome is None:
            raise Unreachable(f"The server gave no answer within {seconds:g} seconds.")
        if isinstance(outcome, SecurechatError):
            raise outcome
        if not isinstance(outcome, answer):
            raise out_of_place(outcome)
        return outcome

    def send(self, say: Say, seconds: float) -> Pending:
        """Hand over a line, which is in the outbox then; waits while CLIENT_OUTBOX lines are on their way.

        Raises Unreachable after `seconds` of waiting, and after the end what ended the client; SecurechatError where
        the outbox cannot be written.
        """
        pending = Pending(say, self._changed)
        with self._changed:
            twin = self._lines.get(say.id)
            if twin is not None:
                if twin.request == say:
                    return twin
                raise Refused("Something else is on its way under this id.", code=Code.ID_REUSED)
            if not self._changed.wait_for(lambda: len(self._lines) < CLIENT_OUTBOX or self._is_over, seconds):
                raise Unreachable(f"{CLIENT_OUTBOX} lines are on their way already, and none was stored for a while.")
            if self._is_over:
                raise self._end_for_callers()
            try:
                self._write_note(pending)
            except Refused as refused:
                pending.settle(refused)
                return pending
            self._lines[say.id] = pending
        self._keep(pending)
        with self._changed:
            if not self._is_over:
                self._hand_over(pending)
        return pending

    def forget(self, pending: Pending) -> None:
        """Drop a line that failed from the outbox."""
        with self._changed:
            if pending in self.left_over:
                self.left_over.remove(pending)
        if self._outbox and pending.state == "failed":
            self._outbox.settle([pending.id])

    # --- what the owner of the socket does --------------------------------------------------------

    def take(self, now: float, *, all: bool = False) -> bytes:
        """What is to be sent, in the order in which it was left here; `all`, though CLIENT_IN_FLIGHT lines are."""
        with self._changed:
            return self._traffic.take(now, all=all)

    @property
    def deadline(self) -> float:
        """When to `take` again though nobody notifies."""
        with self._changed:
            return self._traffic.deadline

    def opened(self, welcome: Welcome) -> None:
        """The server let us in, the first time or again: reading goes on where it ended, then what waits is sent.

        Raises ChainBroken where a room is not what it was.
        """
        with self._changed:
            self.reading.rooms_a_sync = _rooms_in(self.line_bytes)
            for request in reversed(self.reading.welcomed(welcome)):
                self._ask_first(request)
            if self.welcome is not None:
                self.hearing.put(Back())
            self.welcome = welcome
            self._is_in = True
            self._changed.notify_all()
        self._notify()  # what waited for it is to be sent

    def hear(self, events: list[AnyEvent], now: float, *, keep: bool) -> None:
        """Bring answers to those who wait for them; keep the rest, and what became of lines, for `events()`.

        An answer that nobody waits for any more is dropped; `keep` is False where nobody will read what is heard.
        Raises ChainBroken where a room does not go on from what was heard of it.
        """
        settled: list[Pending] = []
        try:
            with self._changed:
                try:
                    for event in events:
                        is_new = self._hear(event, now, settled)
                        if is_new and keep:
                            self.hearing.put(event)
                finally:
                    self._changed.notify_all()
        finally:
            self._write_down(settled)

    def lost(self, failure: SecurechatError) -> None:
        """The connection is over, and another one is tried: what has no answer is sent again there, if that is safe."""
        with self._changed:
            if self._is_in:
                self.hearing.lose(failure.message)
            self._is_in = False
            for slot in self._traffic.empty():
                if isinstance(slot, Question) and slot.is_own:
                    continue  # asked anew by the next welcome
                if slot.was_sent and not isinstance(slot.request, REPEATABLE):
                    slot.settle(Unreachable("The connection was lost before the answer came; it may be done."))
                else:
                    self._traffic.add(slot)
            self.hearing.miss()
            self._changed.notify_all()

    def end(self, failure: SecurechatError | None) -> None:
        """The client is over: because it was closed (None), or for this reason. Nobody waits any longer."""
        with self._changed:
            self._is_in = False
            self._is_over = True
            self._failure = failure
            self.hearing.end(failure)
            for slot in self._traffic.empty():
                if isinstance(slot, Question):
                    slot.settle(self._end_for_callers())
            for line in self._lines.values():
                line.settle(Unreachable(_unfinished(line, is_kept=self._outbox is not None)))
            self._lines.clear()
            self._changed.notify_all()
        if self._outbox:
            self._outbox.close()

    # --- within, with the lock held ---------------------------------------------------------------

    def _hand_over(self, slot: Slot) -> None:
        if self._is_over:
            raise self._end_for_callers()
        self._traffic.add(slot)
        self._notify()

    def _ask_first(self, request: AnyRequest) -> None:
        """Send a request of the client's own before all that waits."""
        question = Question(request, is_own=True)
        self._write_note(question)
        self._traffic.add_first(question)
        self._notify()

    def _write_note(self, slot: Slot) -> None:
        """Write the request as it will be sent. Raises Refused for what no server takes."""
        self._requests += 1
        slot.ref = str(self._requests)
        try:
            slot.note = NativeClientProtocol.encode(msgspec.structs.replace(slot.request, ref=slot.ref))
        except UnicodeEncodeError:
            raise Refused("The text holds half of a character (a surrogate).", code=Code.BAD_TEXT) from None
        if len(slot.note) > self.line_bytes:
            # The server would close the connection for it.
            raise Refused(f"It is too long: {self.line_bytes} bytes are the most.", code=Code.TOO_LONG)

    def _hear(self, event: AnyEvent, now: float, settled: list[Pending]) -> bool:
        """Take one event; whether it is for `events()`."""
        if isinstance(event, RecordEvent):
            return self._hear_record(event)
        if not isinstance(event, Answer):
            return True
        slot = self._traffic.answered(event.ref) if event.ref else None
        if slot is None:
            return event.ref is None and isinstance(event, Error)
        outcome = refusal(event) if isinstance(event, Error) else event
        if isinstance(slot, Pending) and isinstance(event, Error) and event.code == Code.UNAVAILABLE:
            self._traffic.hold(slot, now, event.retry_after)
            return False
        if isinstance(slot, Pending):
            self._lines.pop(slot.id, None)
            settled.append(slot)
            if self._traffic.has_waiting:
                self._notify()
            slot.settle(outcome)
            return True
        slot.settle(outcome)
        if slot.is_followed:
            self.reading.answered(slot.request, outcome)
        return False

    def _hear_record(self, record: AnyRecord) -> bool:
        self.hearing.give(record)
        if not self.hearing.is_listened_to:
            self.reading.passes(record)
            return False
        is_next, request = self.reading.hears(record)
        if request is not None:
            self._ask_first(request)
        return is_next

    def _end_for_callers(self) -> SecurechatError:
        return self._failure or Unreachable("The connection was closed.")

    # --- the outbox -------------------------------------------------------------------------------

    def _take_up(self, line: Line) -> None:
        say = Say(id=line.id, room=line.room, text=line.text, reply_to=line.reply_to or None)
        pending = Pending(say, self._changed)
        self.left_over.append(pending)
        if line.code:
            pending.settle(Refused(line.reason, code=line.code))
            return
        self._write_note(pending)
        self._lines[pending.id] = pending
        self._traffic.add(pending)

    def _keep(self, pending: Pending) -> None:
        if self._outbox is None:
            return
        say = pending.request
        try:
            self._outbox.add(Line(say.id, say.room, say.text, say.reply_to or 0))
        except SecurechatError:
            with self._changed:
                self._lines.pop(say.id, None)
            raise

    def _write_down(self, settled: list[Pending]) -> None:
        if self._outbox is None or not settled:
            return
        refusals = [(line.id, line.failure) for line in settled if isinstance(line.failure, Refused)]
        self._outbox.settle(
            [line.id for line in settled if line.state == "stored"],
            [(id, refused.code, refused.message) for id, refused in refusals],
        )


def refusal(error: Error) -> Refused:
    """An `error` frame as what a caller is raised; its words are made safe to show."""
    return Refused(text.line(error.message), code=error.code, retry_after=error.retry_after)


def _rooms_in(line_bytes: int) -> int:
    """How many rooms and their cursors surely fit in one line: each takes a name, a number and four marks."""
    return max(0, min(ROOMS_PER_REQUEST, (line_bytes - 128) // (ROOM_NAME_LENGTH + 20)))


def _unfinished(line: Pending, *, is_kept: bool) -> str:
    if is_kept:
        return "The connection ended before the acknowledgement came; the line is kept, and sent again the next time."
    if line.was_sent:
        return "The connection ended before the acknowledgement came; it may be stored."
    return "The connection ended before it was sent; it is not stored."
