"""What is on its way between one client and its server: the lines and requests that are to be sent, those that were and
have no answer, and the lines that are to be sent again. It knows nothing of threads; times are of the monotonic clock.
"""

import math
from collections import deque
from typing import Final

from securechat.client.pending import Pending, Slot
from securechat.limits import CLIENT_IN_FLIGHT

HOLD_SECONDS: Final = 1.0
"""How long a line is held that is to be sent again, where the server does not say."""


class Traffic:
    """One client's, over all its connections. Lines are sent in the order in which they were said, also again."""

    def __init__(self) -> None:
        self._waiting: deque[Slot] = deque()
        self._sent: dict[str, Slot] = {}
        self._in_flight = 0
        self._held: list[Slot] = []
        self._held_until = -math.inf

    def add(self, slot: Slot) -> None:
        """Have it sent behind all that waits."""
        self._waiting.append(slot)

    def add_first(self, slot: Slot) -> None:
        """Have it sent before all that waits."""
        self._waiting.appendleft(slot)

    @property
    def has_waiting(self) -> bool:
        """Whether there is something to be sent."""
        return bool(self._waiting)

    def take(self, now: float, *, all: bool = False) -> bytes:
        """What is to be sent now; `all`, though CLIENT_IN_FLIGHT lines are on their way. No line overtakes one that is
        held."""
        if now >= self.deadline:
            self._waiting.extendleft(reversed(_as_said(self._held)))
            self._held.clear()
        notes: list[bytes] = []
        behind: list[Slot] = []
        while self._waiting:
            slot = self._waiting[0]
            if isinstance(slot, Pending) and not self._held:
                if self._in_flight >= CLIENT_IN_FLIGHT and not all:
                    break
                self._in_flight += 1
            self._waiting.popleft()
            if isinstance(slot, Pending) and self._held:
                behind.append(slot)
            elif isinstance(slot, Pending) or not slot.is_given_up:
                slot.was_sent = True
                self._sent[slot.ref] = slot
                notes.append(slot.note)
        self._waiting.extendleft(reversed(behind))
        return b"".join(notes)

    def answered(self, ref: str) -> Slot | None:
        """The answer to this has come; returns what it is for, unless nobody waits for it any more."""
        slot = self._sent.pop(ref, None)
        if isinstance(slot, Pending):
            self._in_flight -= 1
        return slot

    def hold(self, line: Pending, now: float, seconds: float | None) -> None:
        """The server could not say whether it stored this line: it is sent again, behind those before it, when all that
        are on their way are answered and so many seconds have passed."""
        self._held.append(line)
        self._held_until = max(self._held_until, now + (HOLD_SECONDS if seconds is None else seconds))

    @property
    def deadline(self) -> float:
        """When lines that are held may be sent again."""
        return self._held_until if self._held and not self._in_flight else math.inf

    def empty(self) -> list[Slot]:
        """Everything that has no answer, in the order in which it is to be sent again; nothing is left here."""
        unanswered = [*_as_said([*self._held, *self._sent.values()]), *self._waiting]
        self._held.clear()
        self._sent.clear()
        self._waiting.clear()
        self._in_flight = 0
        return unanswered


def _as_said(slots: list[Slot]) -> list[Slot]:
    return sorted(slots, key=lambda slot: int(slot.ref))
