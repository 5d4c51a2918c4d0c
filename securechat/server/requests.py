"""What a logged-in account asks for: which request may be handled now, by which handler, and what came of proposals.

It decides nothing about a room, the journal does. Names are checked here, because a room is found by its name.
The handlers are in `changes` (proposals), `questions` (reads) and `own_account` (sessions and password).
"""

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from securechat.chat.model import (
    Changed,
    Forget,
    Impose,
    Kind,
    Lift,
    Mark,
    Outcome,
    Proposal,
    Recorded,
    Rejected,
    Revoke,
    Room,
    Unchanged,
)
from securechat.chat.names import ROOM_RULE, direct_room, is_direct, is_room, is_username, shown_room
from securechat.errors import Code
from securechat.protocols import frames
from securechat.server import changes, own_account, questions
from securechat.server.fanout import Origin, text_of_bytes

if TYPE_CHECKING:
    from securechat.server.session import Session


class Wait(enum.Flag):
    """Why the next request is not heard for now."""

    NOTHING = 0
    MEMBERSHIP = enum.auto()
    """A join, leave or create is being decided, and what comes behind it may depend on it."""
    WORKER = enum.auto()
    """A worker reads, searches or hashes for this session."""


NOTHING: Final = Wait.NOTHING


class Requests:
    """The requests of one session that is logged in."""

    def __init__(self, session: "Session") -> None:
        self.session = session
        self.services = session.reactor.services
        self.limits = session.reactor.limits
        self.subscriptions = session.subscriptions
        self.username = session.username
        self.in_flight = 0
        """Proposals that the journal has not answered."""
        self._in_flight_bytes = 0
        self._wait = NOTHING

    def hears(self) -> bool:
        """Whether the next request may be handled now."""
        return (
            self._wait is NOTHING
            and self.in_flight < self.limits.in_flight
            and self._in_flight_bytes < self.limits.in_flight_bytes
        )

    def handle(self, request: object) -> bool:
        """Act on one request; False where it is not of those that take a login."""
        handler = _HANDLERS.get(type(request))
        if handler is None:
            return False
        handler(self, request)
        return True

    # --- proposals ----------------------------------------------------------------------------------

    def propose(
        self,
        kind: Kind,
        room: str,
        ref: str | None,
        *,
        id: str = "",
        text: str = "",
        target: str = "",
        about: int = 0,
        private: bool = False,
    ) -> None:
        """Ask the journal for a record in this room; the answer carries the `ref`."""
        salt = self.session.reactor.salts.take() if text else b""
        if kind in _MEMBERSHIP:
            self._wait |= Wait.MEMBERSHIP
        self._in_flight_bytes += len(text)
        self.submit(Proposal(kind, self.username, room, id, text, self.is_admin, target, about, private, salt), ref)

    @property
    def is_admin(self) -> bool:
        """Whether the account has the role admin now."""
        account = self.services.authenticator.accounts.get(self.username)
        return account is not None and account.role == "admin"

    def submit(self, proposal: Proposal | Mark | Forget | Revoke | Impose | Lift, ref: str | None) -> None:
        """Hand a proposal or a change to the journal."""
        self.in_flight += 1
        self.session.reactor.propose(Origin(self.session, proposal, ref))

    def decided(self, origin: Origin, outcome: Outcome) -> None:
        """The journal has decided one of this session's proposals."""
        self.in_flight -= 1
        proposal, ref = origin.proposal, origin.ref
        if isinstance(proposal, Proposal):
            self._in_flight_bytes -= len(proposal.text)
            if proposal.kind in _MEMBERSHIP:
                self._wait &= ~Wait.MEMBERSHIP
            if isinstance(outcome, Recorded | Unchanged):
                self._answer(proposal, ref, outcome)
                return
        if isinstance(proposal, Revoke):
            own_account.revoked(self, proposal, ref, outcome)
        elif isinstance(outcome, Rejected):
            self.session.refuse(ref, outcome.code, outcome.message, outcome.retry_after)
        elif isinstance(proposal, Forget):
            own_account.tell_consumers(self, ref)
        elif isinstance(proposal, Mark):
            marked = outcome.change if isinstance(outcome, Changed) and isinstance(outcome.change, Mark) else proposal
            # A cursor that was never set is answered with 0, not with how far it was asked to be.
            seq = self.read_up_to(marked.place, marked.seq if isinstance(outcome, Changed) else 0)
            room = shown_room(marked.room, self.username)
            self.session.tell(frames.ReadMarker(ref=ref, room=room, seq=seq, consumer=marked.consumer))
        elif isinstance(proposal, Impose | Lift):
            self._unrecorded(proposal.room, "", ref, unchanged=isinstance(outcome, Unchanged))

    def _answer(self, proposal: Proposal, ref: str | None, outcome: Recorded | Unchanged) -> None:
        shown = shown_room(proposal.room, self.username)
        if proposal.kind in ("create", "join"):
            self._entered(proposal, ref, outcome)
        elif proposal.kind == "leave":
            self.session.tell(frames.Left(ref=ref, room=shown))
        elif isinstance(outcome, Recorded):
            said = outcome.record
            self.session.tell(
                frames.Ack(ref=ref, id=said.id, room=shown, seq=said.seq, time=said.time, duplicate=outcome.duplicate)
            )
        else:
            self._unrecorded(proposal.room, proposal.id, ref, unchanged=True)

    def _unrecorded(self, key: str, id: str, ref: str | None, *, unchanged: bool) -> None:
        room, shown = self.services.view.rooms[key], shown_room(key, self.username)
        self.session.tell(frames.Ack(ref=ref, id=id, room=shown, seq=room.head, time=room.time, unchanged=unchanged))

    def _entered(self, proposal: Proposal, ref: str | None, outcome: Outcome) -> None:
        room = self.services.view.rooms[proposal.room]
        now = outcome.record if isinstance(outcome, Recorded) else None
        head, chain = (now.seq, now.hash) if now else (room.head, room.hash)
        if proposal.kind == "join":
            answer: frames.Joined | frames.Created = frames.Joined(
                ref=ref, room=room.name, head=head, members=len(room.members), hash=text_of_bytes(chain)
            )
        else:
            answer = frames.Created(ref=ref, room=room.name, head=head, hash=text_of_bytes(chain))
        self.session.tell(answer)
        if room.name not in self.subscriptions and self.username in room.members:
            self.subscriptions.begin(room.name, head)

    # --- work ------------------------------------------------------------------------------------------

    def have_done(
        self,
        submit: Callable[[Callable[[Any], None]], bool],
        done: Callable[[Any], None],
        request: frames.Request,
    ) -> None:
        """Have a worker do something and `done` called with its result on this thread; nothing else is heard till then.

        `submit` gets what the worker shall call, and says whether it was taken.
        """

        def deliver(result: Any) -> None:
            self._wait &= ~Wait.WORKER
            done(result)
            self.session.connection.hear()

        if submit(self.session.on_its_thread(deliver)):
            self._wait |= Wait.WORKER
        else:
            self.session.refuse(request.ref, Code.TOO_MANY_REQUESTS, "Too many ask at once.", RETRY_SECONDS)

    # --- rooms and names -----------------------------------------------------------------------------------

    def room_state(self, room: Room) -> frames.RoomState:
        """A room as this account sees it in a list."""
        return frames.RoomState(
            room=shown_room(room.name, self.username),
            head=room.head,
            members=len(room.members),
            topic=room.topic,
            private=room.private,
            joined=self.username in room.members,
            archived=room.archived,
            read=self.read_up_to(room.name),
            hash=text_of_bytes(room.hash),
        )

    def read_up_to(self, place: str, at_least: int = 0) -> int:
        """How far this account has read the room, or a consumer of it (`Mark.place`)."""
        marks = self.services.view.marks_of.get(self.username, {})
        return max(at_least, marks.get(place, 0))

    def key(self, shown: str) -> str:
        """The key of the room that this account sees under this name."""
        return direct_room(self.username, shown[1:]) if shown.startswith("@") else shown

    def resolve(self, shown: str, ref: str | None) -> str | None:
        """The key of the room named in a request, or None when the name is refused."""
        if is_username(shown[1:]) if shown.startswith("@") else is_room(shown):
            return self.key(shown)
        self.session.refuse(ref, Code.BAD_NAME, f"A room's name has {ROOM_RULE}; a direct room's is @ and a username.")
        return None

    def own_room(self, shown: str, ref: str | None) -> Room | None:
        """The room named in a request if this account is in it, or None when the request is refused."""
        key = self.resolve(shown, ref)
        if key is None:
            return None
        room = self.services.view.rooms.get(key)
        if room is None or not self.sees(room):
            self.session.refuse(ref, Code.NO_SUCH_ROOM, f"There is no room {shown}.")
        elif self.username not in room.members:
            self.session.refuse(ref, Code.NOT_MEMBER, f"Join {shown} first.")
        else:
            return room
        return None

    def sees(self, room: Room) -> bool:
        """Whether this account may know that the room is there."""
        return self.username in room.members or not (room.private or is_direct(room.name))

    def knows(self, username: str, ref: str | None) -> bool:
        """Whether there is such an account; if not, the request is refused."""
        if username in self.services.authenticator.accounts:
            return True
        shown = username if is_username(username) else "of this name"
        self.session.refuse(ref, Code.NO_SUCH_ACCOUNT, f"There is no account {shown}.")
        return False


RETRY_SECONDS: Final = 1.0
"""What `retry_after` says when a queue was full: the workers get through hundreds of pages, or forty logins, in it."""

_MEMBERSHIP: Final = ("create", "join", "leave")

_HANDLERS: Final[dict[type, Callable[[Requests, Any], None]]] = {
    frames.Create: changes.create,
    frames.Join: changes.join,
    frames.Leave: changes.leave,
    frames.Say: changes.say,
    frames.Topic: changes.topic,
    frames.Invite: changes.invite,
    frames.Kick: changes.kick,
    frames.Ban: changes.ban,
    frames.Unban: changes.unban,
    frames.Edit: changes.edit,
    frames.Delete: changes.delete,
    frames.Read: changes.read,
    frames.Rooms: questions.rooms,
    frames.Members: questions.members,
    frames.History: questions.history,
    frames.Search: questions.search,
    frames.Subscribe: questions.subscribe,
    frames.Sync: questions.sync,
    frames.Consumers: own_account.consumers,
    frames.Forget: own_account.forget,
    frames.Sessions: own_account.sessions,
    frames.Revoke: own_account.revoke,
    frames.Password: own_account.password,
}
