"""What the person does, asked of the server on threads of its own, so that no key waits for an answer; what comes of it
returns as a note to the thread that owns the model. It knows the client and the model, and nothing of terminals.
"""

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from securechat.chat.names import is_direct
from securechat.client import text
from securechat.client.client import Client
from securechat.client.commands import COMMANDS, Do, Say, read, read_count, read_number
from securechat.client.deeds import carry_out
from securechat.client.exchange import Back, Heard
from securechat.client.ids import new_id
from securechat.client.password_change import PasswordChange
from securechat.client.pending import Pending
from securechat.client.screen.model import Doing, Model
from securechat.client.screen.rooms import OwnLine, Room
from securechat.client.screen.viewport import Viewport
from securechat.errors import Code, Refused, SecurechatError, UsageError
from securechat.limits import PAGE_RECORDS, SEARCH_HITS, SEARCH_LENGTH
from securechat.protocols.frames import (
    Ack,
    Found,
    Join,
    Joined,
    MemberList,
    Members,
    Message,
    Page,
    Read,
    ReadMarker,
    RoomState,
    Sync,
    Synced,
)

T = TypeVar("T")

PAGE: Final = 200
"""Records that are loaded at a time: more than a screen has lines, and few enough to come at once."""

COUNTED: Final = 50
"""Rooms in which unread messages are counted at the start; in others it is how many records there are."""

READ_SECONDS: Final = 1.0
"""Between two read markers, at least: in a flood each would be outdated when it arrives."""

KEYS: Final = (
    "Enter says a line, Alt-Enter begins another in it; Up and Down bring back what you entered here.",
    "Tab completes names, @names, #rooms and /commands, again for the next, Shift-Tab for the one before.",
    "Alt-1 to Alt-9 go to a room, Alt-a to the next unread one, Ctrl-n and Ctrl-p to the next and the one before.",
    "PgUp and PgDn scroll, Alt-Up and Alt-Down by a line, End (in an empty input) goes to the newest.",
    "Ctrl-r searches. Alt-r answers the latest message, again the one before; Alt-e changes your own.",
    "Ctrl-t sends what failed again, Ctrl-x drops it. Ctrl-l draws anew, Ctrl-d leaves (empty input), Ctrl-c too.",
)


class Lane:
    """A thread that does one thing after the other."""

    def __init__(self, name: str, fail: Callable[[BaseException], None]) -> None:
        """`fail` is told what nobody expected; nothing more is done then."""
        self._fail = fail
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"securechat-{name}", daemon=True)
        self._thread.start()

    def ask(self, act: Callable[[], None]) -> None:
        """Do this behind what was asked for before."""
        self._asked.put(act)

    def close(self) -> None:
        """End it behind what was asked for; the client is closed, so nothing of it waits."""
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (act := self._asked.get()) is not None:
                act()
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            self._fail(error)


class Actions:
    """Everything but `listen` is called on the thread that owns the model; `post` has something done there."""

    def __init__(
        self,
        client: Client,
        model: Model,
        viewport: Viewport,
        post: Callable[[Callable[[], None]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._client = client
        self._model = model
        self._viewport = viewport
        self._post = post
        self._said: dict[str, Pending] = {}
        self._change: PasswordChange | None = None
        self._unmarked: dict[str, int] = {}  # up to where a room was read, which the server has not been told
        self._marked_at = 0.0
        # What is said does not wait for a page of history, nor a page for what cannot be said now.
        self._sayer = Lane("sayer", fail)
        self._asker = Lane("asker", fail)
        for pending in client.left_over:
            self._take_up(pending)

    def start(self, rooms: list[str]) -> None:
        """Come into these rooms, the first in sight, and hear all others of the account too."""
        self._model.tell(f"Welcome, {text.name(self._model.me)}. /help lists keys and commands.")
        for room in rooms:
            self.join(room, goes_there=room == rooms[0])
        self._ask(lambda: self._client.request(Sync(), Synced), lambda _: self._count_unread())

    def close(self) -> None:
        """End the threads; the client is closed already."""
        self._sayer.close()
        self._asker.close()

    # --- what is heard ----------------------------------------------------------------------------------------

    def hear(self, events: list[Heard], now: float) -> bool:
        """Take what was heard; whether to ring the bell."""
        rings = False
        for event in events:
            rings |= self._model.hear(event, now)
            if isinstance(event, Ack):
                self._said.pop(event.id, None)
                self._model.stored(event.id, event.seq, now)
            elif isinstance(event, Back):
                self._model.come_back(self._client.welcome)
        self._note_failures()
        return rings

    def settle(self, now: float) -> None:
        """After what was heard or done: what is in sight is read, and what is missing there is loaded."""
        room = self._model.current
        if room.name and not room.is_loading and not room.is_stuck:
            if not room.is_loaded:
                room.is_loaded = True
                self._load_newest(room)
            elif room.scrollback.first and self._viewport.wants_older(room):
                self._load(room, older=True)
            elif room.scrollback.first and self._viewport.wants_newer(room):
                self._load(room, older=False)
            for seq in self._viewport.answered(room)[:1]:
                self._fetch_quote(room, seq)
        if room.name and (seq := self._model.seen()):
            self._unmarked[room.name] = seq
        if self._unmarked and self._model.is_connected and now - self._marked_at >= READ_SECONDS:
            self._marked_at = now
            self._mark_read()

    def _note_failures(self) -> None:
        for id, pending in list(self._said.items()):
            if pending.state == "failed":
                del self._said[id]
                self._model.failed(id, text.line(str(pending.failure)))
            elif pending.state == "stored":
                del self._said[id]
                self._model.stored(id, pending.seq, time.monotonic())

    def _mark_read(self) -> None:
        for name, seq in self._unmarked.items():
            read_marker = Read(room=name, seq=seq)
            self._ask(partial(self._client.request, read_marker, ReadMarker), quiet=True)
        self._unmarked.clear()

    # --- what is typed ----------------------------------------------------------------------------------------

    def enter(self, typed: str) -> bool:
        """Say a typed line or carry out the command; False when the person wants to leave."""
        try:
            meant = read(typed, screen=True)
            if isinstance(meant, Say):
                self.say(self._here(), meant.text)
            elif isinstance(meant, Do):
                if meant.name == "quit":
                    return False
                self._do(meant.name, meant.arguments)
        except SecurechatError as error:
            self._model.tell(text.line(str(error)))
        return True

    def answer(self, typed: str) -> None:
        """Take the answer to what is asked of the person; an empty one gives it up."""
        change, model = self._change, self._model
        if change is None:
            return
        kept = change.answer(typed)
        model.question = change.question
        if kept is None and model.question:
            return
        self._change, model.doing = None, Doing.TALKING
        if kept is not None:
            model.tell(kept)
        else:
            self._ask(change.make, model.tell)

    def say(self, room: str, said: str, reply_to: int | None = None) -> None:
        """Say something; it is shown at once, and told what becomes of it."""
        line = OwnLine(new_id(), room, said, reply_to, at=time.monotonic())
        self._model.say(line)
        here = self._model.rooms[room]
        if not here.scrollback.reaches_head:
            self._load_newest(here)
        self._send(line)

    def resend(self) -> None:
        """Send the lines that failed again, under the same ids."""
        for line in self._failed():
            line.state, line.reason, line.at = "pending", "", time.monotonic()
            self._send(line)

    def drop_failed(self) -> None:
        """Forget the lines that failed."""
        for line in self._failed():
            self._model.rooms[line.room].drop_own(line.id)
            for pending in self._client.left_over:
                if pending.id == line.id:
                    self._client.forget(pending)

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

        self._sayer.ask(send)

    def _take_up(self, pending: Pending) -> None:
        """Look after a line that the client has."""
        if not any(line.id == pending.id for line in self._model.own) and pending.state != "stored":
            line = OwnLine(pending.id, pending.room, pending.text, pending.request.reply_to, at=time.monotonic())
            self._model.say(line)
        self._said[pending.id] = pending
        self._note_failures()

    def _do(self, name: str, arguments: tuple[str, ...]) -> None:
        model = self._model
        match name:
            case "join":
                self.join(arguments[0], goes_there=True)
            case "msg":
                self._msg(*arguments)
            case "reply":
                self.say(self._here(), arguments[1], read_number(arguments[0]))
            case "search":
                self.search(arguments[0])
            case "history":
                room = model.current
                self._viewport.scroll(room, read_count(arguments, 20))
            case "ignore":
                self._ignore(arguments)
            case "away":
                model.is_away = not model.is_away
                model.tell("You are away: nothing counts as read." if model.is_away else "You are here again.")
            case "clear":
                scrollback = model.current.scrollback
                scrollback.clear_notices()
                model.current.floor = scrollback.keys[-1] if scrollback.keys else None
                model.current.anchor = None
            case "password":
                self._change = PasswordChange(self._client)
                model.question, model.doing = self._change.question, Doing.ANSWERING
            case "help":
                for line in (*KEYS, *(f"{command.usage:<18} {command.help}" for command in COMMANDS.values())):
                    model.tell(line)
            case _:
                room_name = model.current.name

                def tell(lines: list[str]) -> None:
                    if name == "create":
                        self._go_to(arguments[0])  # its first record tells of it
                        return
                    if name == "leave":
                        model.forget_room(arguments[0] if arguments else room_name)
                    for line in lines:
                        model.tell(line)

                self._ask(lambda: carry_out(self._client, name, arguments, room_name), tell)

    def _msg(self, target: str, said: str) -> None:
        if not is_direct(target) and target not in self._model.rooms:
            raise UsageError(f"You are not in {text.name(target)}.", hint="A person is @NAME.")
        if is_direct(target):
            self._model.room(target)
        self.say(target, said)

    def _ignore(self, arguments: tuple[str, ...]) -> None:
        ignored = self._model.ignored
        if not arguments:
            self._model.tell(f"Hidden: {', '.join(map(text.name, sorted(ignored))) or 'nobody'}.")
            return
        name = arguments[0].removeprefix("@")
        is_new = name not in ignored
        (ignored.add if is_new else ignored.discard)(name)
        told = "is hidden" if is_new else "is shown again"
        self._model.tell(f"What {text.name(name)} says {told}, until you leave.")

    def _here(self) -> str:
        if not self._model.current.name:
            raise UsageError("You are in no room.", hint="Come into one with /join ROOM.")
        return self._model.current.name

    # --- rooms ------------------------------------------------------------------------------------------------

    def join(self, room: str, *, goes_there: bool) -> None:
        """Become a member, and have the room in sight; a direct room is there as soon as one looks at it."""
        if is_direct(room):
            self._go_to(room, goes_there=goes_there)
            return

        def enter(joined: Joined) -> None:
            entered = self._model.room(joined.room)
            entered.head = max(entered.head, joined.head)
            self._go_to(joined.room, goes_there=goes_there)

        self._ask(lambda: self._client.request(Join(room=room), Joined), enter)

    def _go_to(self, name: str, *, goes_there: bool = True) -> None:
        room = self._model.room(name)
        if goes_there:
            self._model.go_to(room)
        if not room.is_direct:
            self._ask(self._client.rooms, self._take_states, quiet=True)

    def _take_states(self, states: tuple[RoomState, ...]) -> None:
        for state in states:
            if state.room in self._model.rooms:
                room = self._model.rooms[state.room]
                room.topic, room.private = state.topic, state.private

    def _load_newest(self, room: Room) -> None:
        room.is_loading = True
        name = room.name
        has_live = room.scrollback.first if room.scrollback.reaches_head else 0

        def put(page: Page) -> None:
            room.is_loading = False
            if room.scrollback.reaches_head:
                room.scrollback.put_before(page.records, more=page.more)
            else:
                room.scrollback.begin_at(page.records, has_older=page.more)
                _look_ahead(room, page)
            room.spoken_before(page.records)

        self._ask(lambda: self._past(name, before=has_live or None), put, room=room)
        if not room.is_direct:
            self._ask(lambda: self._client.request(Members(room=name), MemberList), self._take_members, quiet=True)

    def _take_members(self, answer: MemberList) -> None:
        if answer.room in self._model.rooms:
            self._model.rooms[answer.room].members = answer.members
        for name in answer.members:
            self._model.online[name] = name in answer.online

    def _load(self, room: Room, *, older: bool) -> None:
        """Load the page before or behind what is loaded."""
        room.is_loading = True
        name, scrollback = room.name, room.scrollback
        first, last = scrollback.first, scrollback.last

        def put(page: Page) -> None:
            room.is_loading = False
            if older and scrollback.first == first:
                scrollback.put_before(page.records, more=page.more)
                room.spoken_before(page.records)
            elif not older and scrollback.last == last:
                scrollback.put_behind(page.records)
                _look_ahead(room, page)

        before, after = (first, None) if older else (None, last)
        self._ask(lambda: self._past(name, before=before, after=after), put, room=room)

    def jump(self, room: Room, seq: int) -> None:
        """Have this record in sight, with what is around it."""
        self._model.go_to(room)
        if room.scrollback.first <= seq <= room.scrollback.last:
            self._viewport.show(room, seq)
            return
        room.is_loading = room.is_loaded = True
        name = room.name

        def put(pages: tuple[Page, Page]) -> None:
            room.is_loading = False
            before, behind = pages
            records = (*before.records, *behind.records)
            room.scrollback.begin_at(records, has_older=before.more)
            _look_ahead(room, behind)
            self._viewport.show(room, seq)

        self._ask(lambda: (self._past(name, before=seq), self._past(name, after=seq - 1)), put, room=room)

    def newest(self) -> None:
        """Look at the newest lines of the room in sight."""
        room = self._model.current
        room.anchor = None
        if room.name and not room.scrollback.reaches_head and not room.is_loading:
            self._load_newest(room)

    def _past(self, room: str, *, before: int | None = None, after: int | None = None) -> Page:
        try:
            return self._client.history(room, before=before, after=after, limit=PAGE)
        except Refused as refused:
            if is_direct(room) and refused.code == Code.NO_SUCH_ROOM:
                return Page(room=room, records=(), more=False)  # nothing was said there yet
            raise

    def _fetch_quote(self, room: Room, seq: int) -> None:
        room.keep_quote(seq, None)
        name = room.name

        def put(page: Page) -> None:
            for record in page.records:
                if isinstance(record, Message) and record.seq == seq:
                    room.keep_quote(seq, record)

        self._ask(lambda: self._client.history(name, before=seq + 1, limit=1), put, quiet=True)

    def _count_unread(self) -> None:
        for room in [room for room in self._model.listed if room.unread and not room.is_exact][:COUNTED]:
            self._count_in(room)

    def _count_in(self, room: Room) -> None:
        name, read_up_to, head = room.name, room.read, room.head

        def put(page: Page) -> None:
            room.count_past(page.records, head, self._model.me, is_all=not page.more)

        self._ask(
            lambda: self._client.history(name, after=read_up_to, limit=PAGE_RECORDS),
            put,
            quiet=True,
        )

    # --- searching --------------------------------------------------------------------------------------------

    def search(self, looked_for: str) -> None:
        """Find what was said, and have the person choose among it."""
        model = self._model
        model.doing = Doing.TALKING
        if not looked_for.strip():
            return
        asked = looked_for[:SEARCH_LENGTH]

        def choose(found: Found) -> None:
            model.hits = tuple(hit for hit in found.hits if hit.record.sender not in model.ignored)
            model.hit, model.looked_for = 0, asked
            if model.hits:
                model.doing = Doing.CHOOSING
            else:
                model.tell(f'Nothing was found for "{text.line(asked)}".')

        self._ask(lambda: self._client.search(asked, limit=SEARCH_HITS), choose)

    def choose(self) -> None:
        """Go to what was chosen among what was found."""
        model = self._model
        model.doing = Doing.TALKING
        hit = model.hits[model.hit]
        record = hit.record
        self.jump(model.room(hit.room), getattr(record, "about", 0) or record.seq)

    # --- asking -----------------------------------------------------------------------------------------------

    def _ask(
        self,
        ask: Callable[[], T],
        then: Callable[[T], None] = lambda _: None,
        *,
        quiet: bool = False,
        room: Room | None = None,
    ) -> None:
        """Ask on the thread for it and take the answer on this one; a failure is told, unless it is `quiet`."""

        def act() -> None:
            try:
                answer = ask()
            except SecurechatError as error:
                told = text.line(str(error))
                self._post(lambda: self._tell_failure(told, quiet=quiet, room=room))
            else:
                self._post(lambda: then(answer))

        self._asker.ask(act)

    def _tell_failure(self, told: str, *, quiet: bool, room: Room | None) -> None:
        if room is not None:
            room.is_loading, room.is_stuck = False, True
        if not quiet:
            self._model.tell(told)


def _look_ahead(room: Room, page: Page) -> None:
    """Whether what was loaded goes up to the newest record: others may have come while the page was on its way."""
    scrollback = room.scrollback
    is_behind = scrollback.last < room.head and bool(page.records)
    scrollback.reaches_head = not page.more and not is_behind
