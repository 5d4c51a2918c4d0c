"""What the full screen costs: `securechat connect` in a process of its own, on a pseudo-terminal, with a real server.

Run as `python -m bench.screen`. An author fills the room with a flood, in which somebody types; then all is quiet, and
keys and redraws are measured with that much in the room. What a key or a redraw costs is the CPU time of the client;
how long it took to be seen depends on what else the machine does.
"""

import argparse
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Final, NamedTuple

from bench.load.crew import Crew
from bench.load.orders import Enter, Entered, Member, Say, Spoken
from bench.measure import cpu_seconds, pss_bytes, quantile
from bench.scenarios.members import Figures
from bench.subjects import Serving
from bench.subjects.securechat import Securechat, token_of
from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.profiles import Profile, Profiles

ROOM: Final = "room"
SHOWN_SECONDS: Final = 120.0
"""Until what was said is on the screen; past it, the run has failed."""

MARKS: Final = "§¶¤¿¡"
"""Keys that stand in nothing that anybody says: where one comes out of the terminal, it is the one that was typed."""

PAGE_UP, PAGE_DOWN, END, KILL_LINE = b"\x1b[5~", b"\x1b[6~", b"\x1b[F", b"\x15"


class Asked(NamedTuple):
    """What is measured: a room with so many records, said at this rate a second, on a terminal of this size."""

    records: int
    rate: float
    columns: int
    rows: int
    keys: int = 150
    """Typed in the flood and after it; half as many pages are looked at."""


class Terminal:
    """A client on a terminal that nobody looks at; a thread takes what comes out of it, as a terminal does."""

    def __init__(self, environment: dict[str, str], columns: int, rows: int) -> None:
        self._master, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        command = [sys.executable, "-m", "securechat", "connect", "--room", ROOM]
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **environment}
        )
        os.close(theirs)
        self.pid: Final = self._process.pid
        self._changed = threading.Condition()
        self._written = bytearray()
        self.bytes = 0
        """That came out of it."""
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def type(self, keys: bytes) -> None:
        """Type keys."""
        with self._changed:
            self._written.clear()
        os.write(self._master, keys)

    def see(self, *some: bytes) -> float:
        """Wait until one of these has come out, since something was typed; the moment. Raises RuntimeError."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(one in self._written for one in some), SHOWN_SECONDS):
                raise RuntimeError(f"{some!r} never came out of the terminal, but {bytes(self._written[-2000:])!r}")
        return time.perf_counter()

    def rest(self) -> None:
        """Wait until nothing has come out for a while."""
        before = -1
        while before != self.bytes:
            before = self.bytes
            time.sleep(0.25)

    def close(self) -> None:
        """End the client."""
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        os.close(self._master)

    def _take(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:
                return
            with self._changed:
                self.bytes += len(data)
                self._written += data
                del self._written[:-200_000]
                self._changed.notify_all()


def measure(folder: Path, asked: Asked) -> Figures:
    """Run all of it, and give the figures. Raises RuntimeError where something never came."""
    home = folder / "home"
    home.mkdir()
    with (
        Securechat().serve(home, {ROOM: ["author", "reader"]}, ["author", "reader"]) as serving,
        _sitting(folder, serving, asked) as terminal,
        _author(serving) as author,
        Crew(1) as crew,
    ):
        crew.all(Enter(serving, [Member("author", [ROOM], "127.0.0.1", says=True, deaf=True)]), Entered)
        terminal.see(b"Welcome")
        terminal.rest()
        flood = _flood(terminal, crew, author, asked, asked.records)
        memory = pss_bytes(terminal.pid)
        again = _flood(terminal, crew, author, asked, asked.records // 4)
        quiet = _keys(terminal, "key", asked.keys)
        return {
            **flood,
            "PSS MiB": memory / 2**20,
            "PSS MiB, a quarter more said": pss_bytes(terminal.pid) / 2**20,
            "CPU µs/message, a quarter more": again["CPU µs/message"],
            **quiet,
            **_redraws(terminal, asked.keys // 2),
        }


@contextmanager
def _sitting(folder: Path, serving: Serving, asked: Asked) -> Iterator[Terminal]:
    config, state = folder / "config", folder / "state"
    profiles = Profiles(config / "securechat", state / "securechat")
    profiles.save(
        "bench", Profile(username="reader", host="localhost", port=serving.port, ca=serving.ca_file.read_text())
    )
    profiles.keep_token("bench", token_of("reader"))
    names = {"XDG_CONFIG_HOME": str(config), "XDG_STATE_HOME": str(state), "TERM": "xterm-256color"}
    terminal = Terminal(names, asked.columns, asked.rows)
    try:
        yield terminal
    finally:
        terminal.close()


@contextmanager
def _author(serving: Serving) -> Iterator[Client]:
    context = client_context(serving.ca_file)
    with Client.resume("localhost", serving.port, context, "author", token_of("author")) as client:
        yield client


def _flood(terminal: Terminal, crew: Crew, author: Client, asked: Asked, records: int) -> Figures:
    """Many say something at once, and somebody types in it."""
    cpu, began = cpu_seconds(terminal.pid), time.perf_counter()
    crew.tell({0: Say(64, 1e6, records, asked.rate)})
    keys = _keys(terminal, "key in the flood", asked.keys)
    crew.answers([0], Spoken)
    said = time.perf_counter() - began
    terminal.type(END)
    author.say(ROOM, "¦¦¦")
    shown = terminal.see("¦¦¦".encode()) - began
    terminal.rest()
    return {
        "said/s": records / said,
        "shown/s": records / shown,
        "CPU µs/message": (cpu_seconds(terminal.pid) - cpu) / records * 1e6,
        "CPU of the client in it": (cpu_seconds(terminal.pid) - cpu) / shown,
        **keys,
    }


def _keys(terminal: Terminal, what: str, keys: int) -> Figures:
    waits = []
    cpu = cpu_seconds(terminal.pid)
    for number in range(keys):
        mark = MARKS[number % len(MARKS)].encode()
        began = time.perf_counter()
        terminal.type(mark)
        waits.append(terminal.see(mark) - began)
        if number % 20 == 19:
            terminal.type(KILL_LINE)
            terminal.see(b"\x1b[K", b"\x1b[0K")
        time.sleep(0.01)
    waits.sort()
    return {
        f"{what} seen p50 ms": quantile(waits, 0.5) * 1e3,
        f"{what} seen p99 ms": quantile(waits, 0.99) * 1e3,
        f"CPU ms/{what}": (cpu_seconds(terminal.pid) - cpu) / (keys + keys // 20) * 1e3,
    }


def _redraws(terminal: Terminal, redraws: int) -> Figures:
    """A page up or down: every line of the talk is another one."""
    cpu = cpu_seconds(terminal.pid)
    waits = []
    for number in range(redraws):
        began = time.perf_counter()
        terminal.type(PAGE_UP if number < redraws // 2 else PAGE_DOWN)
        waits.append(terminal.see(b"\x1b[?25h") - began)  # the cursor is shown again: the redraw is done
        time.sleep(0.02)
    waits.sort()
    return {
        "redraw seen p50 ms": quantile(waits, 0.5) * 1e3,
        "redraw seen p99 ms": quantile(waits, 0.99) * 1e3,
        "CPU ms/redraw": (cpu_seconds(terminal.pid) - cpu) / redraws * 1e3,
    }


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; the exit code."""
    asking = argparse.ArgumentParser(prog="python -m bench.screen", description="Measure what the full screen costs.")
    asking.add_argument("--records", type=int, default=50_000, help="said in the room (default %(default)s)")
    asking.add_argument("--rate", type=float, default=2_000.0, help="said a second (default %(default)s)")
    asking.add_argument("--columns", type=int, default=120)
    asking.add_argument("--rows", type=int, default=40)
    asking.add_argument("--json", action="store_true", help="print JSON")
    asked = asking.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="securechat-bench-") as folder:
        figures = measure(Path(folder), Asked(asked.records, asked.rate, asked.columns, asked.rows))
    if asked.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, figure in figures.items():
            print(f"{name:<32} {figure:>10,.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
