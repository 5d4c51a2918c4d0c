"""What a logged-in account asks for, turned into proposals, reads and answers. It decides nothing about a room: the
journal does. Names are checked here, because a room is found by its name.
"""

import enum
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from securechat.chat.model import Kind, Outcome, Proposal, Recorded, Rejected, Room
from securechat.chat.names import ROOM_RULE, direct_room, is_direct, is_room, is_username, shown_room
from securechat.errors import Code
from securechat.protocols import frames
from securechat.server.fanout import Origin
from securechat.server.pages import read_history

if TYPE_CHECKING:
    from securechat.server.session import Session

RETRY_SECONDS: Final = 1.0
"""What `retry_after` says when a queue was full: the workers get through hundreds of pages, or forty logins, in it."""

log = logging.getLogger(__name__)


class Wait(enum.Flag):
    """Why the next request is not heard for now."""

    NOTHING = 0
    MEMBERSHIP = enum.auto()
    """A join, leave or create is being decided, and what comes behind it may depend on it."""
    PAGE = enum.auto()
    """A page of history is being read."""


class Requests:
    """The requests of one session that is logged in."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._services = session.reactor.services
        self._limits = session.reactor.limits
        self._subscriptions = session.subscriptions
        self._username = session.username
        self._wait = Wait.NOTHING
        self.in_flight = 0
        """Proposals that the journal has not answered."""
        self._in_flight_bytes = 0
        self._synced = False

    def hears(self) -> bool:
        """Whether the next request may be handled now."""
        return (
            not self._wait
            and self.in_flight < self._limits.in_flight
            and self._in_flight_bytes < self._limits.in_flight_bytes
        )

    def handle(self, request: frames.Request) -> None:
        """Act on one request."""
        _HANDLERS[type(request)](self, request)

    def gained(self, room: str, after: int) -> None:
        """The account has become a member: a session that reads all its rooms reads this one too."""
        if self._synced and room not in self._subscriptions:
            self._subscriptions.begin(room, after)

    def decided(self, origin: Origin, outcome: Outcome) -> None:
        """The journal has decided one of this session's proposals."""
        proposal, ref = origin.proposal, origin.ref
        self.in_flight -= 1
        self._in_flight_bytes -= len(proposal.text)
        if proposal.kind != "say":
            self._wait &= ~Wait.MEMBERSHIP
        if isinstance(outcome, Rejected):
            self._session.refuse(ref, outcome.code, outcome.message)
            return
        shown = shown_room(proposal.room, self._username)
        if proposal.kind == "leave":
            self._session.tell(frames.Left(ref=ref, room=shown))
        elif proposal.kind == "say":
            assert isinstance(outcome, Recorded)
            said = outcome.record
            self._session.tell(
                frames.Ack(ref=ref, id=said.id, room=shown, seq=said.seq, time=said.time, duplicate=outcome.duplicate)
            )
        else:
            self._entered(proposal, ref, outcome)

    def room_state(self, room: Room) -> frames.RoomState:
        """A room as this account sees it in a list."""
        return frames.RoomState(
            room=shown_room(room.name, self._username),
            head=room.head,
            members=len(room.members),
            topic=room.topic,
            private=room.private,
            joined=self._username in room.members,
        )

    # --- changes ------------------------------------------------------------------------------------

    def _say(self, request: frames.Say) -> None:
        room = self._resolve(request.room, request.ref)
        if room is None:
            return
        if is_direct(room) and room not in self._services.view.rooms and not self._knows(request.room[1:]):
            self._session.refuse(request.ref, Code.NO_SUCH_ACCOUNT, f"There is no account {request.room[1:]}.")
            return
        self._propose("say", room, request.ref, request.id, request.text)

    def _change_membership(self, request: frames.Create | frames.Join | frames.Leave) -> None:
        room = self._resolve(request.room, request.ref)
        if room is not None:
            self._wait |= Wait.MEMBERSHIP
            self._propose(_MEMBERSHIP[type(request)], room, request.ref)

    def _propose(self, kind: Kind, room: str, ref: str | None, id: str = "", text: str = "") -> None:
        self.in_flight += 1
        self._in_flight_bytes += len(text)
        account = self._services.authenticator.accounts.get(self._username)
        admin = account is not None and account.role == "admin"
        proposal = Proposal(kind, self._username, room, id, text, admin)
        self._session.reactor.propose(Origin(self._session, proposal, ref))

    def _entered(self, proposal: Proposal, ref: str | None, outcome: Outcome) -> None:
        room = self._services.view.rooms[proposal.room]
        head = outcome.record.seq if isinstance(outcome, Recorded) else room.head
        if proposal.kind == "join":
            self._session.tell(frames.Joined(ref=ref, room=room.name, head=head, members=len(room.members)))
        else:
            self._session.tell(frames.Created(ref=ref, room=room.name, head=head))
        if room.name not in self._subscriptions and self._username in room.members:
            self._subscriptions.begin(room.name, head)

    # --- questions ------------------------------------------------------------------------------------

    def _rooms(self, request: frames.Rooms) -> None:
        rooms = tuple(self._services.view.rooms.values())
        shown = sorted((room for room in rooms if self._sees(room)), key=lambda room: room.name)
        self._session.tell(frames.RoomList(ref=request.ref, rooms=tuple(self.room_state(room) for room in shown)))

    def _members(self, request: frames.Members) -> None:
        room = self._own_room(request.room, request.ref)
        if room is not None:
            members = tuple(sorted(room.members))
            shown = shown_room(room.name, self._username)
            self._session.tell(frames.MemberList(ref=request.ref, room=shown, members=members))

    def _history(self, request: frames.History) -> None:
        room = self._own_room(request.room, request.ref)
        if room is None:
            return
        if request.before is not None and request.after is not None:
            self._session.refuse(request.ref, Code.BAD_FRAME, "A page is before or after a number, not both.")
            return
        self._wait |= Wait.PAGE
        work = read_history(request, room.name, self._username, self._limits.page_bytes)
        deliver = self._session.on_its_thread(lambda result: self._paged(request, result))
        if not self._services.reading.submit(work, deliver):
            self._wait &= ~Wait.PAGE
            self._session.refuse(request.ref, Code.TOO_MANY_REQUESTS, "Too many are reading at once.", RETRY_SECONDS)

    def _paged(self, request: frames.History, result: bytes | Exception) -> None:
        self._wait &= ~Wait.PAGE
        if isinstance(result, bytes):
            self._session.connection.queue(result)
        else:
            log.error("history could not be read: %s", result, extra=self._session.who())
            self._session.refuse(request.ref, Code.STORAGE, "The server cannot read its store.")
        self._session.connection.hear()

    def _subscribe(self, request: frames.Subscribe) -> None:
        room = self._own_room(request.room, request.ref)
        if room is not None:
            shown = shown_room(room.name, self._username)
            self._session.tell(frames.Subscribed(ref=request.ref, room=shown, head=room.head))
            cursor = room.head if request.after is None else min(request.after, room.head)
            self._subscriptions.begin(room.name, cursor)

    def _sync(self, request: frames.Sync) -> None:
        view = self._services.view
        after = {self._key(shown): seq for shown, seq in request.after.items()}
        self._synced = True
        self._session.tell(frames.Synced(ref=request.ref))
        for key in sorted(view.rooms_of.get(self._username, ())):
            head = view.rooms[key].head
            if key in after or key not in self._subscriptions:
                self._subscriptions.begin(key, min(after.get(key, head), head))

    # --- names ------------------------------------------------------------------------------------------

    def _key(self, shown: str) -> str:
        """The key of the room that this account sees under this name."""
        return direct_room(self._username, shown[1:]) if shown.startswith("@") else shown

    def _resolve(self, shown: str, ref: str | None) -> str | None:
        """The key of the room named in a request, or None when the name is refused."""
        if is_username(shown[1:]) if shown.startswith("@") else is_room(shown):
            return self._key(shown)
        self._session.refuse(ref, Code.BAD_NAME, f"A room's name is {ROOM_RULE}; a direct room's is @ and a username.")
        return None

    def _own_room(self, shown: str, ref: str | None) -> Room | None:
        """The room named in a request if this account is in it, or None when the request is refused."""
        key = self._resolve(shown, ref)
        if key is None:
            return None
        room: Room | None = self._services.view.rooms.get(key)
        if room is None or not self._sees(room):
            self._session.refuse(ref, Code.NO_SUCH_ROOM, f"There is no room {shown}.")
        elif self._username not in room.members:
            self._session.refuse(ref, Code.NOT_MEMBER, f"Join {shown} first.")
        else:
            return room
        return None

    def _sees(self, room: Room) -> bool:
        return self._username in room.members or not (room.private or is_direct(room.name))

    def _knows(self, username: str) -> bool:
        return username in self._services.authenticator.accounts


_MEMBERSHIP: Final[dict[type, Kind]] = {frames.Create: "create", frames.Join: "join", frames.Leave: "leave"}

_HANDLERS: Final[dict[type, Callable[[Requests, Any], None]]] = {
    frames.Create: Requests._change_membership,
    frames.Join: Requests._change_membership,
    frames.Leave: Requests._change_membership,
    frames.Rooms: Requests._rooms,
    frames.Members: Requests._members,
    frames.Say: Requests._say,
    frames.History: Requests._history,
    frames.Subscribe: Requests._subscribe,
    frames.Sync: Requests._sync,
}
