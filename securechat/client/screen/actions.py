"""What the person does, and what follows from what is heard; the server is asked on lanes, so that no key waits for an
answer. It knows the client and the model, and nothing of terminals.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from securechat.chat.names import is_direct
from securechat.client import text
from securechat.client.client import Client
from securechat.client.commands import COMMANDS, Do, Say, read, read_count, read_number
from securechat.client.deeds import carry_out, ignore
from securechat.client.hearing import Back, Heard
from securechat.client.ignored import Ignored
from securechat.client.password_change import PasswordChange
from securechat.client.screen.lanes import Asker
from securechat.client.screen.model import Doing, Model
from securechat.client.screen.past import Past
from securechat.client.screen.saying import Saying
from securechat.client.screen.viewport import Viewport
from securechat.errors import SecurechatError, UsageError
from securechat.protocols.frames import Ack, InviteRecord, Join, Joined, Read, ReadMarker, RoomState, Sync, Synced

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


class Actions:
    """To be called on the thread that owns the model; `post` has something done there."""

    def __init__(
        self,
        client: Client,
        model: Model,
        viewport: Viewport,
        ignored: Ignored,
        post: Callable[[Callable[[], None]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._client = client
        self._model = model
        self._viewport = viewport
        self._ignored = ignored
        self._change: PasswordChange | None = None
        self._unmarked: dict[str, int] = {}  # up to where a room was read, which the server has not been told
        self._marked_at = 0.0
        self._asker = Asker(model, post, fail)
        self.past: Final = Past(client, model, viewport, self._asker)
        self.saying: Final = Saying(client, model, post, fail)

    def start(self, rooms: list[str], warning: str) -> None:
        """Come into these rooms, the first in sight, and hear all others of the account too."""
        self._model.tell(f"Welcome, {text.name(self._model.me)}. /help lists keys and commands.")
        if warning:
            self._model.tell(text.line(warning))
        for room in rooms:
            self.join(room, goes_there=room == rooms[0])
        self._asker.ask(lambda: self._client.request(Sync(), Synced), lambda _: self.past.count_unread())

    def close(self) -> None:
        """End the threads; the client is closed already."""
        self.saying.close()
        self._asker.close()

    # --- what is heard ----------------------------------------------------------------------------------------

    def hear(self, events: list[Heard], now: float) -> bool:
        """Take what was heard; whether to ring the bell."""
        rings = False
        for event in events:
            rings |= self._model.hear(event, now)
            if isinstance(event, Ack):
                self.saying.stored(event, now)
            elif isinstance(event, InviteRecord) and event.target == self._model.me:
                self._asker.ask(self._client.rooms, self._take_states, quiet=True)
            elif isinstance(event, Back):
                self._model.come_back(self._client.welcome)
        return rings

    def settle(self, now: float) -> None:
        """After what was heard or done: what is in sight is read, and what is missing there is loaded."""
        self.saying.note()
        room = self._model.current
        if room.name and not room.is_loading and not room.is_stuck:
            self.past.settle(room)
        if room.name and (seq := self._model.seen()):
            self._unmarked[room.name] = seq
        if self._unmarked and self._model.is_connected and now - self._marked_at >= READ_SECONDS:
            self._marked_at = now
            self._mark_read()

    def _mark_read(self) -> None:
        for name, seq in self._unmarked.items():
            read_marker = Read(room=name, seq=seq)
            self._asker.ask(partial(self._client.request, read_marker, ReadMarker), quiet=True)
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
            self._asker.ask(change.make, model.tell)

    def say(self, room: str, said: str, reply_to: int | None = None) -> None:
        """Say something, with the newest lines of the room in sight."""
        self.saying.say(room, said, reply_to)
        here = self._model.rooms[room]
        if not here.scrollback.reaches_head:
            self.past.load_newest(here)

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
                self.past.search(arguments[0])
            case "history":
                room = model.current
                self._viewport.scroll(room, read_count(arguments, 20))
            case "ignore":
                model.tell(ignore(self._ignored, arguments))
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
                for line in (*KEYS, *(command.explained for command in COMMANDS.values())):
                    model.tell(line)
                model.tell("PgUp shows what is above: the keys.")
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

                self._asker.ask(lambda: carry_out(self._client, name, arguments, room_name), tell)

    def _msg(self, target: str, said: str) -> None:
        if not is_direct(target) and target not in self._model.rooms:
            raise UsageError(f"You are not in {text.name(target)}.", hint="A person is @NAME.")
        if is_direct(target):
            self._model.room(target)
        self.say(target, said)

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

        self._asker.ask(lambda: self._client.request(Join(room=room), Joined), enter)

    def _go_to(self, name: str, *, goes_there: bool = True) -> None:
        room = self._model.room(name)
        if goes_there:
            self._model.go_to(room)
        if not room.is_direct:
            self._asker.ask(self._client.rooms, self._take_states, quiet=True)

    def _take_states(self, states: tuple[RoomState, ...]) -> None:
        for state in states:
            if state.room in self._model.rooms:
                room = self._model.rooms[state.room]
                room.topic, room.private = state.topic, state.private
