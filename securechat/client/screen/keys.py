"""What each key does on the full screen; all others edit the line as in readline, which prompt_toolkit knows how to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prompt_toolkit.clipboard import InMemoryClipboard
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from securechat.client.screen.completion import Completion
from securechat.client.screen.model import Doing
from securechat.protocols.frames import EditRecord, Message

if TYPE_CHECKING:
    from securechat.client.screen.application import Screen

PASTED_LINES: Final = 5
"""Lines that may be pasted without being asked."""


def bindings(screen: Screen) -> KeyBindings:
    """The keys of one screen."""
    keys = KeyBindings()
    _bind_input(screen, keys)
    _bind_rooms(screen, keys)
    _bind_search(screen, keys)
    _bind_paste(screen, keys)
    _bind_messages(screen, keys)
    return keys


def _doing(screen: Screen, *doings: Doing) -> Condition:
    return Condition(lambda: screen.model.doing in doings)


def _bind_input(screen: Screen, keys: KeyBindings) -> None:
    model, buffer = screen.model, screen.buffer
    talking = _doing(screen, Doing.TALKING)
    typing = _doing(screen, Doing.TALKING, Doing.SEARCHING, Doing.ANSWERING)
    completion = Completion()

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        screen.stop(KeyboardInterrupt())

    @keys.add("c-d", filter=Condition(lambda: not buffer.text))
    def _(event: KeyPressEvent) -> None:
        screen.stop()

    @keys.add("enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        typed = buffer.text
        if model.doing is Doing.SEARCHING:
            _put(screen, model.current.draft.text)
            screen.actions.past.search(typed)
        elif model.doing is Doing.ANSWERING:
            buffer.reset()
            event.app.clipboard = InMemoryClipboard()  # what was cut from a secret is not to be pasted anywhere
            screen.actions.answer(typed)
        else:
            model.current.draft.enter(typed)
            buffer.reset()
            if typed.strip():
                screen.actions.past.newest()
            if not screen.actions.enter(typed):
                screen.stop()
        screen.changed()

    @keys.add("escape", "enter", filter=talking)
    def _(event: KeyPressEvent) -> None:
        buffer.newline(copy_margin=False)

    @keys.add("tab", filter=talking)
    def _(event: KeyPressEvent) -> None:
        _complete(screen, completion, 1)

    @keys.add("s-tab", filter=talking)
    def _(event: KeyPressEvent) -> None:
        _complete(screen, completion, -1)

    @keys.add("up", filter=talking)
    def _(event: KeyPressEvent) -> None:
        if buffer.document.cursor_position_row:
            buffer.cursor_up()
        elif (older := model.current.draft.older(buffer.text)) is not None:
            _put(screen, older)

    @keys.add("down", filter=talking)
    def _(event: KeyPressEvent) -> None:
        if buffer.document.cursor_position_row < buffer.document.line_count - 1:
            buffer.cursor_down()
        elif (newer := model.current.draft.newer()) is not None:
            _put(screen, newer)


def _bind_rooms(screen: Screen, keys: KeyBindings) -> None:
    model, viewport = screen.model, screen.viewport
    talking = _doing(screen, Doing.TALKING)

    for number in range(1, 10):

        @keys.add("escape", str(number), filter=talking)
        def _(event: KeyPressEvent, number: int = number) -> None:
            if number <= len(model.listed):
                model.go_to(model.listed[number - 1])
                screen.changed()

    @keys.add("escape", "a", filter=talking)
    def _(event: KeyPressEvent) -> None:
        if (room := model.next_unread()) is not None:
            model.go_to(room)
            screen.changed()

    for key, step in (("c-n", 1), ("c-p", -1)):

        @keys.add(key, filter=talking)
        def _(event: KeyPressEvent, step: int = step) -> None:
            model.go_to(model.neighbour(step))
            screen.changed()

    def scroll(rows: int) -> None:
        viewport.scroll(model.current, rows)
        screen.changed()

    @keys.add("pageup", filter=talking)
    def _(event: KeyPressEvent) -> None:
        scroll(max(1, viewport.height - 2))

    @keys.add("pagedown", filter=talking)
    def _(event: KeyPressEvent) -> None:
        scroll(-max(1, viewport.height - 2))

    @keys.add("escape", "up", filter=talking)
    def _(event: KeyPressEvent) -> None:
        scroll(1)

    @keys.add("escape", "down", filter=talking)
    def _(event: KeyPressEvent) -> None:
        scroll(-1)

    @keys.add("end", filter=talking & Condition(lambda: not screen.buffer.text))
    @keys.add("c-end", filter=talking)
    def _(event: KeyPressEvent) -> None:
        screen.actions.past.newest()
        screen.changed()


def _bind_search(screen: Screen, keys: KeyBindings) -> None:
    model, buffer = screen.model, screen.buffer
    choosing = _doing(screen, Doing.CHOOSING)

    @keys.add("c-r", filter=_doing(screen, Doing.TALKING))
    def _(event: KeyPressEvent) -> None:
        model.current.draft.keep(buffer.text, buffer.cursor_position)
        model.doing = Doing.SEARCHING
        buffer.reset()
        screen.changed()

    @keys.add("escape", filter=_doing(screen, Doing.SEARCHING))
    @keys.add("c-g", filter=_doing(screen, Doing.SEARCHING))
    def _(event: KeyPressEvent) -> None:
        model.doing = Doing.TALKING
        _put(screen, model.current.draft.text)
        screen.changed()

    @keys.add("escape", filter=_doing(screen, Doing.ANSWERING))
    @keys.add("c-g", filter=_doing(screen, Doing.ANSWERING))
    def _(event: KeyPressEvent) -> None:
        buffer.reset()
        screen.actions.answer("")
        screen.changed()

    @keys.add("escape", filter=choosing)
    @keys.add("c-g", filter=choosing)
    def _(event: KeyPressEvent) -> None:
        model.doing = Doing.TALKING
        screen.changed()

    for key, step in (("up", -1), ("c-p", -1), ("down", 1), ("c-n", 1), ("pageup", -10), ("pagedown", 10)):

        @keys.add(key, filter=choosing)
        def _(event: KeyPressEvent, step: int = step) -> None:
            model.hit = max(0, min(len(model.hits) - 1, model.hit + step))
            screen.changed()

    @keys.add("enter", filter=choosing)
    def _(event: KeyPressEvent) -> None:
        screen.actions.past.choose()
        screen.changed()

    @keys.add("<any>", filter=choosing)
    def _(event: KeyPressEvent) -> None:
        pass


def _bind_paste(screen: Screen, keys: KeyBindings) -> None:
    model, buffer = screen.model, screen.buffer
    asked = _doing(screen, Doing.PASTING)

    @keys.add("<bracketed-paste>")
    def _(event: KeyPressEvent) -> None:
        pasted = event.data.replace("\r\n", "\n").replace("\r", "\n")
        if model.doing is Doing.SEARCHING:
            buffer.insert_text(" ".join(pasted.split()))
        elif model.doing is Doing.ANSWERING:
            buffer.insert_text(pasted.partition("\n")[0])
        elif model.doing is Doing.TALKING:
            if len(pasted.splitlines()) > PASTED_LINES:
                model.pasted = pasted
                model.doing = Doing.PASTING
            else:
                buffer.insert_text(pasted)
        screen.changed()

    @keys.add("y", filter=asked)
    def _(event: KeyPressEvent) -> None:
        buffer.insert_text(model.pasted.rstrip("\n"))
        model.pasted, model.doing = "", Doing.TALKING
        screen.changed()

    @keys.add("<any>", filter=asked)
    @keys.add("enter", filter=asked)
    @keys.add("escape", filter=asked)
    def _(event: KeyPressEvent) -> None:
        model.pasted, model.doing = "", Doing.TALKING
        screen.changed()


def _bind_messages(screen: Screen, keys: KeyBindings) -> None:
    model = screen.model
    talking = _doing(screen, Doing.TALKING)

    @keys.add("c-t", filter=talking)
    def _(event: KeyPressEvent) -> None:
        screen.actions.saying.resend()
        screen.changed()

    @keys.add("c-x", filter=talking)
    def _(event: KeyPressEvent) -> None:
        screen.actions.saying.drop_failed()
        screen.changed()

    @keys.add("escape", "r", filter=talking)
    def _(event: KeyPressEvent) -> None:
        if (message := _before(screen, "/reply ", own=False)) is not None:
            _put(screen, f"/reply {message.seq} ")

    @keys.add("escape", "e", filter=talking)
    def _(event: KeyPressEvent) -> None:
        if (message := _before(screen, "/edit ", own=True)) is not None:
            amendment = model.current.scrollback.amendment(message.seq)
            said = amendment.text if isinstance(amendment, EditRecord) else message.text
            _put(screen, f"/edit {message.seq} {said}")


def _before(screen: Screen, command: str, *, own: bool) -> Message | None:
    """The newest message that the key is about, or the one before that which stands in the input."""
    model = screen.model
    typed = screen.buffer.text
    number = typed.removeprefix(command).partition(" ")[0] if typed.startswith(command) else ""
    below = int(number) if number.isdigit() else model.current.scrollback.last + 1
    for item in reversed(model.current.scrollback.items):
        if isinstance(item, Message) and item.seq < below and (item.sender == model.me) is own and not item.erased:
            return item
    return None


def _put(screen: Screen, text: str) -> None:
    screen.buffer.document = Document(text, len(text))


def _complete(screen: Screen, completion: Completion, step: int) -> None:
    text, cursor = completion.next(screen.model, screen.buffer.text, screen.buffer.cursor_position, step)
    screen.buffer.document = Document(text, cursor)
