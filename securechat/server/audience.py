"""Who is logged in with one reactor, and what all of them are told: committed batches, goodbyes, who came and went.

It runs on its reactor's thread alone. It knows sessions and batches, and decides nothing; it knows no socket.
"""

import collections
import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from securechat.chat.model import Mark, Outcome
from securechat.chat.names import shown_room
from securechat.errors import Code
from securechat.journal.journal import Batch
from securechat.limits import PRESENCE_MEMBERS
from securechat.protocols.frames import AnyEvent, Bye, Presence, ReadMarker
from securechat.server.fanout import Delivery, Origin, Subscription
from securechat.server.services import ACCOUNT_CHANGED

if TYPE_CHECKING:
    from securechat.server.reactor import Reactor
    from securechat.server.session import Session

_ENDED: Final = Bye(code=Code.REVOKED, message="This session was ended.")

log = logging.getLogger(__name__)


class Audience:
    """The sessions of one reactor that are logged in, and the subscriptions that are level."""

    def __init__(self, reactor: "Reactor") -> None:
        self.live: dict[str, set[Subscription]] = {}
        """The subscriptions that are level with their room, by room."""
        self._reactor = reactor
        self._services = reactor.services
        self._sessions: dict[str, tuple[Session, ...]] = {}
        """By account."""
        self._handed: collections.deque[tuple[float, int]] = collections.deque()
        """When how many proposals were handed to the journal that have no answer yet: answers come in their order."""

    def entered(self, session: "Session") -> None:
        """The session is logged in."""
        self._sessions[session.username] = (*self._sessions.get(session.username, ()), session)
        self._services.presence.came(session.username, session.token_hash, session.connection.source)

    def left(self, session: "Session") -> None:
        """The session, which was logged in, is over."""
        others = tuple(one for one in self._sessions[session.username] if one is not session)
        if others:
            self._sessions[session.username] = others
        else:
            del self._sessions[session.username]
        self._services.presence.went(session.username, session.token_hash, session.connection.source)

    def tell_all(self, event: AnyEvent) -> None:
        """Tell every session."""
        for sessions in tuple(self._sessions.values()):
            for session in sessions:
                session.tell(event)

    def end_sessions(self, accounts: Iterable[str], bye: Bye, keep: "Session | None") -> None:
        """End every session of these accounts but the one to keep."""
        for name in accounts:
            for session in self._sessions.get(name, ()):
                if session is not keep:
                    session.connection.finish(bye)

    def end_revoked(self) -> None:
        """End every session whose client certificate is revoked by now."""
        bye = Bye(code=Code.REVOKED, message="The client certificate is revoked.")
        for session in [session for sessions in self._sessions.values() for session in sessions]:
            if session.certificate and self._services.certificate.is_revoked(session.certificate.serial):
                log.info("client certificate revoked", extra=session.who())
                session.connection.finish(bye)

    def tell_presence(self, account: str, *, online: bool) -> None:
        """Tell those who share a room with the account, and read all their rooms, that it came or went."""
        view = self._services.view
        near: set[str] = set()
        for key in view.rooms_of.get(account, ()):
            members = view.rooms[key].members
            if len(members) <= PRESENCE_MEMBERS:
                near.update(self._sessions.keys() & members)
        near.discard(account)
        event = Presence(username=account, online=online)
        for name in near:
            for session in self._sessions[name]:
                if session.is_synced:
                    session.tell(event)

    def handed(self, proposals: int) -> None:
        """So many proposals were handed to the journal."""
        self._handed.append((time.monotonic(), proposals))

    def deliver(self, delivery: Delivery) -> None:
        """Tell of a committed batch: the answers first, then the records to those who are level with their room."""
        batch = delivery.batch
        mine = 0
        for origin, outcome in batch.outcomes:
            mine += self.tell_outcome(origin, outcome)
        self._time_answers(mine)
        for gain in batch.gained:
            for session in self._sessions.get(gain.account, ()):
                self._reactor.guard(session.connection, session.gained, gain.room, gain.after)
        # Before the fan-out: whoever was kicked hears that, and nothing that stands behind it in the same batch.
        self._take_away(batch)
        for room in batch.records:
            self._fan_out(room, delivery)
        self._take_away(batch)  # again: who is level now reads no more
        self._tell_marks(batch)
        for token in batch.revoked:
            for session in self._sessions.get(token.account, ()):
                if session.token_hash == token.token_hash:
                    session.connection.finish(ACCOUNT_CHANGED if token.account in batch.enrolled else _ENDED)

    def _fan_out(self, room: str, delivery: Delivery) -> None:
        subscriptions = self.live.get(room)
        if not subscriptions:
            return
        behind = delivery.send(room, subscriptions)
        self._reactor.counts.deliveries += len(delivery.batch.records[room]) * (len(subscriptions) - len(behind))
        for subscription in behind:
            subscription.session.subscriptions.fell_behind(subscription)

    def _take_away(self, batch: Batch) -> None:
        for loss in batch.lost:
            room = batch.view.rooms.get(loss.room)
            if room is not None and loss.account in room.members:
                continue  # back in already, within the same batch
            for session in self._sessions.get(loss.account, ()):
                session.subscriptions.end_with(loss.room, loss.after + 1)

    def _tell_marks(self, batch: Batch) -> None:
        if not batch.marks:
            return
        # Whoever asked about this room has heard it as the answer.
        asked = {
            (origin.session, origin.proposal.room)
            for origin, _ in batch.outcomes
            if isinstance(origin, Origin) and isinstance(origin.proposal, Mark) and not origin.proposal.consumer
        }
        for mark in batch.marks:
            if mark.consumer:
                continue  # a program's, and nobody else's
            event = ReadMarker(room=shown_room(mark.room, mark.account), seq=mark.seq)
            for session in self._sessions.get(mark.account, ()):
                if (session, mark.room) not in asked:
                    session.tell(event)

    def tell_outcome(self, origin: object, outcome: Outcome) -> bool:
        """Tell the session that proposed it; whether this reactor did."""
        if not isinstance(origin, Origin):
            return False  # not a session's: the publisher has told whoever asked
        session = origin.session
        if session.reactor is not self._reactor:
            return False
        if not session.is_over:
            self._reactor.guard(session.connection, session.decided, origin, outcome)
        return True

    def _time_answers(self, answers: int) -> None:
        now = time.monotonic()
        while answers:
            handed, count = self._handed.popleft()
            answered = min(count, answers)
            self._reactor.counts.answer_seconds.add(now - handed, answered)
            answers -= answered
            if answered < count:
                self._handed.appendleft((handed, count - answered))
