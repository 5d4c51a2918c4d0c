"""A terminal with keys and a cursor: talk above, pending lines and the input below, in the terminal's own scrollback.

The application runs on the main thread; what others show is handed to it, at most WAITING blocks at a time, and drawn
together. It knows nothing of what is shown. On every way out prompt_toolkit puts the terminal's modes back.
"""

import asyncio
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.data_structures import Size
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.processors import BeforeInput, ConditionalProcessor, PasswordProcessor, Processor
from prompt_toolkit.output.vt100 import Vt100_Output

WAITING: Final = 256
"""Blocks that wait to be drawn; past it, who has the next one to show waits."""

TYPED: Final = 16
"""Lines that were entered and are not carried out yet; past it, the next one stays in the input."""

INPUT_ROWS: Final = 8
"""The most that a long or pasted input takes of the screen; it scrolls within."""

REDRAW_SECONDS: Final = 0.02
"""Between two redraws of the lower part: typing stays quick when a flood is heard."""

TERMINATED: Final = 128 + signal.SIGTERM


class Terminal:
    """One terminal, for one conversation."""

    def __init__(self, prompt: Callable[[], str], pending: Callable[[], list[str]]) -> None:
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = False
        self._entered: deque[str] = deque()
        self._has_ended = False
        self._is_stopped = False
        self._error: BaseException | None = None
        self._is_hidden = False
        # No requests for the cursor's position: the answer would come as keyboard input. No bell from the editor.
        self._output = Vt100_Output(sys.stdout, size, term=os.environ.get("TERM"), enable_cpr=False, enable_bell=False)
        self._input = Buffer(history=InMemoryHistory(), multiline=False, accept_handler=self._accept)
        self._app: Application[None] = Application(
            layout=_layout(self._input, prompt, pending, lambda: self._is_hidden),
            key_bindings=self._keys(),
            output=self._output,
            erase_when_done=True,
            min_redraw_interval=REDRAW_SECONDS,
        )

    @property
    def width(self) -> int:
        """Columns of the terminal now."""
        return self._output.get_size().columns

    def show(self, block: str) -> None:
        """Show a block of lines above the input, on any thread; waits while WAITING blocks wait to be drawn."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < WAITING or self._is_over)
            self._waiting.append(block)
            if self._is_over:
                self._write()
            else:
                self._post(self._draw)

    def refresh(self) -> None:
        """Draw prompt and pending lines anew, on any thread."""
        with self._changed:
            self._post(self._app.invalidate)

    def ask(self, question: str) -> None:
        """Show stars for what is typed, on any thread, until the question is empty; the prompt has the question."""
        self._is_hidden = bool(question)
        self.refresh()

    def typed(self) -> str | None:
        """Wait for the next line that the person enters; None when there is no other."""
        with self._changed:
            self._changed.wait_for(lambda: self._entered or self._has_ended or self._is_over)
            return self._entered.popleft() if self._entered and not self._is_over else None

    def run(self) -> None:
        """Run until `stop`, or Ctrl-C (raises KeyboardInterrupt), or SIGTERM (raises SystemExit)."""
        asyncio.run(self._run())

    def stop(self, error: BaseException | None = None) -> None:
        """End `run`, on any thread, also before it began; with an error, `run` raises it. The first call counts."""
        with self._changed:
            if not self._is_stopped:
                self._is_stopped = True
                self._error = error
            self._post(self._exit)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.stop(context.get("exception") or SystemExit(1)))
        loop.add_signal_handler(signal.SIGTERM, lambda: self.stop(SystemExit(TERMINATED)))

        def started() -> None:
            with self._changed:
                self._loop = loop
                self._post(self._draw)
                if self._is_stopped:
                    self._post(self._exit)

        try:
            await self._app.run_async(pre_run=started, set_exception_handler=False)
        finally:
            with self._changed:
                self._loop = None
                self._is_over = True
                self._write()
                self._changed.notify_all()

    # --- on the loop's thread -----------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self._waiting:
            self._app.renderer.erase()
            with self._changed:
                self._write()
                self._changed.notify_all()
            self._app.invalidate()

    def _exit(self) -> None:
        if not self._app.is_done:
            if self._error is None:
                self._app.exit()
            else:
                self._app.exit(exception=self._error)

    def _accept(self, entered: Buffer) -> bool:
        with self._changed:
            if len(self._entered) >= TYPED:
                return True  # it stays in the input
            self._entered.append(entered.text)
            self._changed.notify_all()
        if self._is_hidden:
            entered.reset()  # before it is put in the history of what was entered
        return False

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("<sigint>")
        def _(event: KeyPressEvent) -> None:
            self.stop(KeyboardInterrupt())

        @keys.add("c-d", filter=Condition(lambda: not self._input.text))
        def _(event: KeyPressEvent) -> None:
            with self._changed:  # what was entered before is still carried out
                self._has_ended = True
                self._changed.notify_all()

        return keys

    # --- anywhere, with the lock held ---------------------------------------------------------------------------

    def _post(self, act: Callable[[], Any]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(act)

    def _write(self) -> None:
        # `write` lets no escape character through: a second lock on the door.
        for block in self._waiting:
            self._output.write(f"{block}\n")
        self._output.flush()
        self._waiting.clear()


def hiding(is_hidden: Callable[[], bool]) -> Processor:
    """What shows stars in the place of an input that nobody is to see."""
    return ConditionalProcessor(PasswordProcessor(), Condition(is_hidden))


def size() -> Size:
    """Rows and columns of the terminal now."""
    known = os.get_terminal_size(sys.stdout.fileno())
    return Size(rows=known.lines or 24, columns=known.columns or 80)  # a serial line does not know its size


def _layout(
    entered: Buffer, prompt: Callable[[], str], pending: Callable[[], list[str]], is_hidden: Callable[[], bool]
) -> Layout:
    above = Window(FormattedTextControl(lambda: "\n".join(pending())), dont_extend_height=True)
    control = BufferControl(entered, input_processors=[hiding(is_hidden), BeforeInput(prompt)])
    below = Window(control, height=Dimension(min=1, max=INPUT_ROWS), wrap_lines=True, dont_extend_height=True)
    return Layout(
        HSplit([ConditionalContainer(above, Condition(lambda: bool(pending()))), below]), focused_element=below
    )
