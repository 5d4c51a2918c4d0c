"""The full-screen application on a terminal: layout, drawing, and the way of what is heard into the model.

It runs on the main thread, which alone touches the model; other threads leave notes, and at most WAITING events wait.
On every way out prompt_toolkit puts the terminal's modes back. What is shown is decided elsewhere.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.input import Input
from prompt_toolkit.layout import BufferControl, Layout, Window
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.output.vt100 import Vt100_Output

from securechat.client import text
from securechat.client.client import Client
from securechat.client.hearing import Heard
from securechat.client.ignored import Ignored
from securechat.client.screen import panels
from securechat.client.screen.actions import Actions
from securechat.client.screen.canvas import Canvas
from securechat.client.screen.keys import bindings
from securechat.client.screen.model import Doing, Model
from securechat.client.screen.rendering import Renderer, Row
from securechat.client.screen.rooms import Room
from securechat.client.screen.viewport import Viewport
from securechat.client.terminal import hiding, size

WAITING: Final = 1_024
"""Events that were heard and are not shown yet; past it, whoever listens waits, and at last the server. A batch of
CLIENT_EVENTS may come on top."""

TURN: Final = 256
"""Events that are taken at a time, in some 5 ms: a key that is typed in a flood waits no longer for them."""

DRAW_SECONDS: Final = 0.04
"""Between two looks at what was heard: 25 a second are smooth, and a flood leaves time for keys, which are shown at
once."""

TICK_SECONDS: Final = 1.0
"""Between two looks at what is to be done without a key or a word from the server."""

INPUT_ROWS: Final = 8
"""The most that a long or pasted input takes of the screen; it scrolls within."""

TERMINATED: Final = 128 + signal.SIGTERM


class Screen:
    """One person's full screen, for one client."""

    def __init__(
        self, client: Client, ignored: Ignored, *, input: Input | None = None, output: Output | None = None
    ) -> None:
        self.model: Final = Model(client.welcome, str(client.address), text.line(client.proof), ignored)
        self.viewport: Final = Viewport(Renderer(self.model.me), ignored)
        self.actions: Final = Actions(client, self.model, self.viewport, ignored, self.post, self.stop)
        self._batches = client.batches()
        self._changed = threading.Condition()
        self._heard: deque[Heard] = deque()
        self._notes: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = False
        self._is_drawing = False
        self._drawn_at = 0.0
        self._is_stopped = False
        self._error: BaseException | None = None
        self._room: Room = self.model.current
        # No requests for the cursor's position: the answer would come as keyboard input. No bell from the editor.
        self._output = output or Vt100_Output(
            sys.stdout,
            size,
            term=os.environ.get("TERM"),
            default_color_depth=ColorDepth.from_env(),  # NO_COLOR
            enable_cpr=False,
            enable_bell=False,
        )
        self.buffer: Final = Buffer(multiline=True)
        self.app: Final[Application[None]] = Application(
            layout=self._layout(),
            key_bindings=bindings(self),
            input=input,
            output=self._output,
            full_screen=True,
            mouse_support=False,  # the terminal's own selection is left alone
        )
        # A single Esc is told from the beginning of a key's code by a pause.
        self.app.ttimeoutlen = 0.05
        self.app.timeoutlen = 0.2

    def run(self, rooms: list[str], warning: str = "") -> None:
        """Show the rooms and run until `stop`, or Ctrl-C (raises KeyboardInterrupt), or SIGTERM (raises SystemExit)."""
        asyncio.run(self._run(rooms, warning))

    def listen(self) -> None:
        """Hand over what is heard until the client is closed, on a thread of its own. Raises what else ended it."""
        for batch in self._batches:
            with self._changed:
                self._changed.wait_for(lambda: len(self._heard) < WAITING or self._is_over)
                self._heard.extend(batch)
                if self._loop is not None and not self._is_drawing:
                    self._is_drawing = True
                    self._loop.call_soon_threadsafe(self._plan)

    def post(self, act: Callable[[], None]) -> None:
        """Do this on the thread that owns the model, on any thread."""
        with self._changed:
            self._notes.append(act)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._take_notes)

    def stop(self, error: BaseException | None = None) -> None:
        """End `run`, on any thread, also before it began; with an error, `run` raises it. The first call counts."""
        with self._changed:
            if not self._is_stopped:
                self._is_stopped, self._error = True, error
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._exit)

    def left_behind(self) -> list[str]:
        """What was said and is not known to be stored, for after the end: nobody sees the screen any more."""
        columns = self._columns()
        return [text.system(f"{why} You said:", columns, said=said) for why, said in self.actions.saying.left_behind()]

    def changed(self) -> None:
        """Something was done: look at what follows from it, and draw."""
        self._follow_room()
        self.actions.settle(time.monotonic())
        self._follow_room()
        self.app.invalidate()

    async def _run(self, rooms: list[str], warning: str) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.stop(context.get("exception") or SystemExit(1)))
        if threading.current_thread() is threading.main_thread():
            loop.add_signal_handler(signal.SIGTERM, lambda: self.stop(SystemExit(TERMINATED)))

        def started() -> None:
            with self._changed:
                self._loop = loop
            self.actions.start(rooms, warning)
            self._take_notes()
            self._take_heard()
            if self._is_stopped:
                self._exit()

        ticking = loop.create_task(self._tick())
        try:
            await self.app.run_async(pre_run=started, set_exception_handler=False, handle_sigint=False)
        finally:
            ticking.cancel()
            with self._changed:
                self._loop = None
                self._is_over = True
                self._changed.notify_all()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.actions.settle(time.monotonic())

    # --- on the loop's thread -----------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Take what was heard now, or when the time between two looks has passed."""
        wait = self._drawn_at + DRAW_SECONDS - time.monotonic()
        if wait > 0 and self._loop is not None:
            self._loop.call_later(wait, self._take_heard)
        else:
            self._take_heard()

    def _take_heard(self) -> None:
        with self._changed:
            events = [self._heard.popleft() for _ in range(min(TURN, len(self._heard)))]
            self._is_drawing = bool(self._heard)
            self._changed.notify_all()
        self._drawn_at = time.monotonic()
        if self._is_drawing and self._loop is not None:
            self._loop.call_soon(self._take_heard)  # behind the keys that were typed meanwhile
        if events:
            if self.actions.hear(events, self._drawn_at):
                self._output.write_raw("\a")
            self.changed()

    def _take_notes(self) -> None:
        while self._notes:
            self._notes.popleft()()
        self.changed()

    def _exit(self) -> None:
        if self.app.is_running and not self.app.is_done:
            if self._error is None:
                self.app.exit()
            else:
                self.app.exit(exception=self._error)

    def _follow_room(self) -> None:
        """Each room has its own draft: put the one of the room in sight into the input."""
        room = self.model.current
        if room is not self._room and self.model.doing not in (Doing.SEARCHING, Doing.ANSWERING):
            left, self._room = self._room, room
            if left.name:
                left.draft.keep(self.buffer.text, self.buffer.cursor_position)
                self.buffer.reset(Document(room.draft.text, room.draft.cursor))

    # --- what is drawn ------------------------------------------------------------------------------------------

    def _layout(self) -> Layout:
        control = BufferControl(
            self.buffer,
            input_processors=[
                hiding(lambda: self.model.doing is Doing.ANSWERING),
                BeforeInput(lambda: [("bold", panels.before_input(self.model))]),
            ],
        )
        entered = Window(control, wrap_lines=True)
        return Layout(Canvas(self._rows, entered, INPUT_ROWS), focused_element=entered)

    def _columns(self) -> int:
        return self._output.get_size().columns

    def _rows(self, width: int, height: int) -> list[Row]:
        """All that is above the input."""
        across = panels.list_columns(width)
        talk = self._talk(width - across - 2 if across else width, height - 2)
        if across:
            rooms = panels.room_list(self.model, across, height - 2)
            talk = [panels.beside(rooms[y] if y < len(rooms) else [], across, row) for y, row in enumerate(talk)]
        return [panels.title(self.model, width), *talk, panels.state(self.model, self.viewport, width)]

    def _talk(self, width: int, height: int) -> list[Row]:
        self.viewport.width, self.viewport.height = max(20, width), max(1, height)
        if self.model.doing is Doing.CHOOSING:
            return panels.found(self.model, width, height)
        return self.viewport.rows(self.model.current)
