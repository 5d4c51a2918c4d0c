"""Start a server's program on a free port of the loopback, and end it. It knows no protocol."""

import contextlib
import random
import resource
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 20.0

PORTS: Final = range(20_000, 32_000)
"""Below those that Linux gives to whoever takes any (`net.ipv4.ip_local_port_range`, from 32,768 on)."""


def free_port() -> int:
    """A port that nobody listens on now, and that the system gives to nobody who takes any.

    Of those it could be another program's before the server has it; that would be taken for the server.
    """
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


@contextmanager
def running(arguments: Sequence[str | Path], port: int, folder: Path) -> Iterator[int]:
    """Run a program in `folder`, which gets its output too, until it listens; its process id, until the end.

    Raises RuntimeError with the last of its output where it ends by itself or does not listen within 20 seconds.
    """
    output = folder / "output"
    with output.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    # InspIRCd falls over its own modules when it ends, and would leave a core file each time.
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{arguments[0]} does not listen: {output.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
