"""What the person says, from the key to the record: pending, then stored, or failed and to be sent again or dropped.
It knows the client and the model, and nothing of terminals.
"""

import time
from collections.abc import Callable
from typing import Final

from securechat.client import text
from securechat.client.client import Client
from securechat.client.ids import new_id
from securechat.client.pending import Pending
from securechat.client.screen.lanes import Lane
from securechat.client.screen.model import Model
from securechat.client.screen.rooms import OwnLine
from securechat.errors import Refused, SecurechatError
from securechat.protocols.frames import Ack


class Saying:
    """The lines of one's own; to be called on the thread that owns the model; `post` has something done there."""

    def __init__(
        self,
        client: Client,
        model: Model,
        post: Callable[[Callable[[], None]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._client = client
        self._model = model
        self._post = post
        self._said: dict[str, Pending] = {}  # on their way, or failed and neither sent again nor dropped
        # What is said does not wait for a page of history, nor a page for what cannot be said now.
        self._lane: Final = Lane("sayer", fail)
        for pending in client.left_over:
            self._take_up(pending)

    def close(self) -> None:
        """End its thread; the client is closed already."""
        self._lane.close()

    def stored(self, ack: Ack, now: float) -> None:
        """A line is stored."""
        self._said.pop(ack.id, None)
        self._model.stored(ack.id, ack.seq, now)

    def say(self, room: str, said: str, reply_to: int | None = None) -> None:
        """Say something; it is shown at once, and told what becomes of it."""
        line = OwnLine(new_id(), room, said, reply_to, at=time.monotonic())
        self._model.say(line)
        self._send(line)

    def resend(self) -> None:
        """Send the lines that failed again, under the same ids."""
        for line in self._failed():
            line.state, line.reason, line.at = "pending", "", time.monotonic()
            self._said.pop(line.id, None)
            self._send(line)

    def drop_failed(self) -> None:
        """Forget the lines that failed."""
        for line in self._failed():
            self._model.rooms[line.room].drop_own(line.id)
            if pending := self._said.pop(line.id, None):
                self._client.forget(pending)

    def note(self) -> None:
        """Look what became of the lines."""
        for id, pending in list(self._said.items()):
            if pending.state == "failed":
                self._model.failed(id, text.line(str(pending.failure)))
            elif pending.state == "stored":
                del self._said[id]
                self._model.stored(id, pending.seq, time.monotonic())

    def left_behind(self) -> list[tuple[str, str]]:
        """What was said and is not known to be stored, each with the reason before it; for after the end."""
        self.note()
        return [
            (f"{self._what(line)}: {line.reason}".rstrip(), line.text)
            for line in self._model.own
            if line.state != "stored"
        ]

    def _what(self, line: OwnLine) -> str:
        pending = self._said.get(line.id)
        is_refused = isinstance(pending.failure, Refused) if pending else bool(line.reason)
        return "Not stored" if is_refused else "Not acknowledged"

    def _failed(self) -> list[OwnLine]:
        return [line for line in self._model.own if line.state == "failed"]

    def _send(self, line: OwnLine) -> None:
        id, room, said, reply_to = line.id, line.room, line.text, line.reply_to

        def send() -> None:
            try:
                pending = self._client.send(room, said, id=id, reply_to=reply_to)
            except SecurechatError as error:
                reason = text.line(str(error))
                self._post(lambda: self._model.failed(id, reason))
                return
            self._post(lambda: self._take_up(pending))

        self._lane.ask(send)

    def _take_up(self, pending: Pending) -> None:
        """Look after a line that the client has."""
        if not any(line.id == pending.id for line in self._model.own) and pending.state != "stored":
            line = OwnLine(pending.id, pending.room, pending.text, pending.request.reply_to, at=time.monotonic())
            self._model.say(line)
        self._said[pending.id] = pending
        self.note()
