"""A conversation in lines: what is heard goes above, what is typed is said or carried out, and each own line is pending
until the log has it. It knows the client and the words, and of the terminal only a face to show them on.
"""

import threading
from typing import Final, Protocol

from securechat.chat.names import is_direct
from securechat.client import text
from securechat.client.client import Client
from securechat.client.commands import COMMANDS, Do, Say, read, read_count, read_number
from securechat.client.deeds import carry_out, count_lines, count_members, found_lines, ignore
from securechat.client.hearing import Back, Heard, Lost
from securechat.client.ignored import Ignored
from securechat.client.password_change import PasswordChange
from securechat.client.pending import Pending
from securechat.errors import Code, Refused, SecurechatError, UsageError
from securechat.protocols.frames import (
    AnyRecord,
    Broadcast,
    Error,
    History,
    Join,
    Joined,
    Leave,
    LeaveRecord,
    Left,
    Message,
    Page,
    RecordEvent,
    Sync,
    Synced,
)

HISTORY: Final = 20
"""Records of a room that are shown to who comes in: what fits on a small terminal."""

PENDING_SHOWN: Final = 5
"""Pending lines that are shown; of more, how many there are."""


class Face(Protocol):
    """What a conversation is shown on. Its methods are called from several threads, and may wait."""

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        ...

    def show(self, block: str) -> None:
        """Show these lines below what was shown before; they are safe."""
        ...

    def refresh(self) -> None:
        """The room or the pending lines are others now."""
        ...

    def ask(self, question: str) -> None:
        """What is typed next answers this, and nobody is to see it; an empty question: it is a line again."""
        ...


class Talk:
    """One person's conversation: `open` it and `enter` lines on one thread while another one `listen`s."""

    def __init__(self, client: Client, face: Face, ignored: Ignored) -> None:
        self.room = ""
        """Where a line is said that is no command; empty in no room."""
        self._client = client
        self._face = face
        self._events = client.events()
        self._me = client.welcome.username
        # Held while something is shown, so never by who draws: `room` and `_said` are values that are replaced.
        self._lock = threading.Lock()
        self._rooms = {state.room for state in client.welcome.rooms}
        self._left_over = client.left_over
        self._said = self._left_over
        self._ignored = ignored
        self._change: PasswordChange | None = None
        self._shown: dict[str, int] = {}
        self._held: dict[str, list[AnyRecord]] = {}

    def open(self, rooms: list[str], warning: str = "") -> None:
        """Come into these rooms, and hear all others of the account too; lines are said in the first of them.

        A room that one cannot join is told and left out. Raises Unreachable when the connection ends.
        """
        self._tell(f"Connected to {self._client.address} as {text.name(self._me)}. /help lists the commands.")
        if warning:
            self._tell(text.line(warning))
        if waiting := sum(line.state != "failed" for line in self._left_over):
            self._tell(f"Of what you said before, {count_lines(waiting)} sent again now.")
        self._show_settled()
        for room in rooms:
            try:
                self._come_into(room)
            except Refused as refused:
                self._tell(f"{text.name(room)}: {text.line(str(refused))}")
        self.room = next((room for room in rooms if room in self._rooms), "")
        self._client.request(Sync(), Synced)
        self._face.refresh()

    def listen(self) -> None:
        """Show what is heard until the client is closed. Raises what else ended the connection."""
        try:
            for event in self._events:
                self._hear(event)
        finally:
            self._show_settled()

    def enter(self, typed: str) -> bool:
        """Say a typed line or carry out the command; what goes wrong is shown. False when the person wants to leave."""
        if self._change is not None:
            self._answer(self._change, typed)
            return True
        try:
            meant = read(typed)
            if isinstance(meant, Say):
                self._say(self.room, meant.text)
            elif isinstance(meant, Do):
                if meant.name == "quit":
                    return False
                self._do(meant.name, meant.arguments)
        except SecurechatError as error:
            self._tell(text.line(str(error)))
        return True

    def prompt(self) -> str:
        """What stands before the input."""
        change = self._change
        if change is not None and change.question:
            return change.question
        return f"{text.name(self.room) if self.room else 'no room'}> "

    def pending(self) -> list[str]:
        """The own lines that are on their way, as they are shown; the oldest first."""
        said = self._said
        shown = [
            text.shorten(f"{self._state(line)} {text.line(line.text)}", self._face.width - 1)
            for line in said[:PENDING_SHOWN]
        ]
        if len(said) > PENDING_SHOWN:
            shown.append(f"... and {len(said) - PENDING_SHOWN} more")
        return shown

    # --- what is heard ----------------------------------------------------------------------------------------

    def _hear(self, event: Heard) -> None:
        if isinstance(event, RecordEvent):
            with self._lock:
                if event.room in self._held:
                    self._held[event.room].append(event)
                else:
                    self._show_record(event)
        elif isinstance(event, Error) and event.ref is None:
            self._tell(text.line(event.message))
        elif isinstance(event, Broadcast):
            self._tell(f"The operator says: {text.line(event.text)}")
        elif isinstance(event, Lost):
            self._tell(f"{event.reason} Trying again.")
        elif isinstance(event, Back):
            with self._lock:
                self._rooms = {state.room for state in self._client.welcome.rooms}
            self._tell("Connected again.")
        self._show_settled()
        self._face.refresh()

    def _show_record(self, event: AnyRecord) -> None:
        """Show a record once; the page of history and what is heard may both have it. Called with the lock held."""
        if event.seq <= self._shown.get(event.room, 0):
            return
        self._shown[event.room] = event.seq
        if event.sender == self._me:
            if isinstance(event, LeaveRecord):
                self._leave(event.room)
            else:
                self._rooms.add(event.room)
            self._said = tuple(line for line in self._said if line.id != event.id)
        elif is_direct(event.room):
            self._rooms.add(event.room)
        self._show(event)

    def _show(self, event: AnyRecord, *, number: bool = False) -> None:
        if isinstance(event, Message) and event.sender in self._ignored:
            return
        names_room = event.room != self.room or len(self._rooms) > 1
        numbered = isinstance(event, Message) and (event.sender == self._me or number)
        self._face.show(text.record(event, room=names_room, number=numbered, width=self._face.width))

    def _show_settled(self) -> None:
        """Show the own lines that failed, with the reason and the text, so that it can be sent again.

        What an earlier run left is told when it is stored: its record may have come before anybody listened.
        """
        with self._lock:
            failed = [line for line in self._said if line.state == "failed"]
            stored = [line for line in self._left_over if line.state == "stored"]
            self._left_over = tuple(line for line in self._left_over if line.state == "pending")
            self._said = tuple(line for line in self._said if line not in (*failed, *stored))
            for line in stored:
                self._tell(f"Stored: {text.name(line.room)} #{line.seq}.")
            for line in failed:
                what = "Not stored" if isinstance(line.failure, Refused) else "Not acknowledged"
                sentence = f"{what}: {text.line(str(line.failure))} You said:"
                self._face.show(text.system(sentence, self._face.width, said=line.text))
                if isinstance(line.failure, Refused):
                    self._client.forget(line)  # it was seen

    def _state(self, line: Pending) -> str:
        state = f"#{line.seq}" if line.state == "stored" else "..."
        return state if line.room == self.room else f"{state} [{text.name(line.room)}]"

    # --- what is typed ----------------------------------------------------------------------------------------

    def _do(self, name: str, arguments: tuple[str, ...]) -> None:
        match name:
            case "join":
                self._come_into(arguments[0])
            case "leave":
                self._go_out_of(arguments[0] if arguments else self._current())
            case "msg":
                self._say(arguments[0], arguments[1])
            case "history":
                self._show_history(self._current(), read_count(arguments, HISTORY))
            case "reply":
                self._say(self.room, arguments[1], read_number(arguments[0]))
            case "search":
                for line in found_lines(self._client.search(arguments[0]), self._ignored):
                    self._tell(line)
            case "ignore":
                self._tell(ignore(self._ignored, arguments))
            case "password":
                change = PasswordChange(self._client)
                self._face.ask(change.question)
                self._change = change  # what is typed is hidden before the prompt asks for it
                self._face.refresh()
            case "help":
                for command in COMMANDS.values():
                    if not command.screen:
                        self._tell(command.explained)
            case "create":
                self._create(arguments)
            case _:
                for line in carry_out(self._client, name, arguments, self.room):
                    self._tell(line)

    def _create(self, arguments: tuple[str, ...]) -> None:
        told = carry_out(self._client, "create", arguments, self.room)
        with self._lock:
            self.room = arguments[0]
            self._rooms.add(self.room)
        self._tell(*told)
        self._face.refresh()

    def _answer(self, change: PasswordChange, typed: str) -> None:
        kept = change.answer(typed)
        if kept is None and change.question:
            self._face.ask(change.question)
            return
        self._change = None
        self._face.ask("")
        self._tell(kept or change.make())

    def _say(self, room: str, said: str, reply_to: int | None = None) -> None:
        line = self._client.send(room or self._current(), said, reply_to=reply_to)
        with self._lock:
            is_shown = line.state == "stored" and self._shown.get(line.room, 0) >= line.seq
            if not is_shown:
                self._said = (*self._said, line)
        self._show_settled()
        self._face.refresh()

    def _come_into(self, room: str) -> None:
        # What is heard of the room meanwhile is newer than its history, and is shown behind it.
        with self._lock:
            self._held[room] = []
        entered = ""
        past: tuple[AnyRecord, ...] = ()
        try:
            entered = self._enter_room(room)
            past = self._past(room, HISTORY)
        finally:
            with self._lock:
                if entered:
                    self.room = room
                    self._rooms.add(room)
                    self._tell(entered)
                for event in (*past, *self._held.pop(room)):
                    self._show_record(event)
            self._face.refresh()

    def _enter_room(self, room: str) -> str:
        """Become a member; returns what to tell. A direct room is there as soon as somebody says something in it."""
        if is_direct(room):
            return f"You talk to {text.name(room)} alone."
        joined = self._client.request(Join(room=room), Joined)
        return f"You are in {text.name(room)}: {count_members(joined.members)}."

    def _past(self, room: str, count: int) -> tuple[AnyRecord, ...]:
        try:
            return self._client.request(History(room=room, limit=count), Page).records
        except Refused as refused:
            if is_direct(room) and refused.code == Code.NO_SUCH_ROOM:
                return ()
            raise

    def _go_out_of(self, room: str) -> None:
        self._client.request(Leave(room=room), Left)
        with self._lock:
            self._leave(room)
        self._tell(f"You left {text.name(room)}.")

    def _leave(self, room: str) -> None:
        self._rooms.discard(room)
        if self.room == room:
            self.room = next(iter(sorted(one for one in self._rooms if not one.startswith("@"))), "")
        self._face.refresh()

    def _show_history(self, room: str, count: int) -> None:
        past = self._past(room, count)
        with self._lock:
            self._tell(f"The last {len(past)} records of {text.name(room)}:" if past else "There is nothing yet.")
            for event in past:
                self._show(event, number=True)
            if past:
                self._tell("What follows is new.")

    def _current(self) -> str:
        if not self.room:
            raise UsageError("You are in no room.", hint="Come into one with /join ROOM.")
        return self.room

    def _tell(self, sentence: str) -> None:
        self._face.show(text.system(sentence, self._face.width))
