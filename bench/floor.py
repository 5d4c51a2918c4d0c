"""The floor: what a program in Python pays for writing to many TLS connections in turn, with nothing else to do.

Run as `python -m bench.floor`. It has no protocol, no accounts and no queues: what a server in Python costs beyond this
is its own. The readers are processes that throw away what they read.
"""

import multiprocessing
import selectors
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench.measure import raise_descriptor_limit
from bench.subjects.certificates import made_certificates
from securechat.certificates import server_context

READERS: Final = 2
"""Processes."""

MESSAGE_BYTES: Final = 241
"""A message of the bench on the wire: 100 characters, and what the native protocol says of it."""

# Copies of this process, which has imported everything already, and has no threads.
_processes = multiprocessing.get_context("fork")


class Floor(NamedTuple):
    """So many messages in each write to so many connections, and a rest behind each round of writes, in seconds."""

    name: str
    connections: int
    messages: int
    rest: float
    rounds: int = 80


FLOORS: Final = (
    Floor("burst, one author", 1000, 64, 0.005),
    Floor("burst, ten authors", 1000, 640, 0.1, rounds=20),
    Floor("paced", 500, 1, 0.05),
)


def measure(floor: Floor) -> list[float]:
    """Write to all in turn, round by round; for each round, the CPU of one write in seconds."""
    certificates = made_certificates()
    context = server_context(certificates.server_certificate, certificates.server_key)
    data = bytes(MESSAGE_BYTES * floor.messages)
    times = []
    with ExitStack() as parts:
        listening = parts.enter_context(socket.create_server(("127.0.0.1", 0), backlog=floor.connections))
        parts.enter_context(_readers(listening.getsockname()[1], certificates.authority, floor.connections))
        connections = [parts.enter_context(_accepted(listening, context)) for _ in range(floor.connections)]
        for _ in range(floor.rounds):
            began = time.process_time()
            for connection in connections:
                connection.sendall(data)
            times.append((time.process_time() - began) / floor.connections)
            time.sleep(floor.rest)
    return times


def _accepted(listening: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    raw, _ = listening.accept()
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw, server_side=True)


@contextmanager
def _readers(port: int, authority: Path, connections: int) -> Iterator[None]:
    shares = [len(range(number, connections, READERS)) for number in range(READERS)]
    running = [_processes.Process(target=_read, args=(port, authority, share), daemon=True) for share in shares]
    for process in running:
        process.start()
    yield
    for process in running:
        process.join()


def _read(port: int, authority: Path, count: int) -> None:
    raise_descriptor_limit()
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(["securechat/1"])
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            raw = socket.create_connection(("127.0.0.1", port))
            connection = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=True)
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                if _has_ended(key.fileobj):
                    selector.unregister(key.fileobj)


def _has_ended(connection: object) -> bool:
    assert isinstance(connection, ssl.SSLSocket)
    try:
        while connection.recv(16_384):
            pass
    except ssl.SSLWantReadError:
        return False
    except OSError:
        pass
    connection.close()
    return True


def main(floors: Sequence[Floor] = FLOORS) -> None:
    """Measure, and print a line for each."""
    raise_descriptor_limit()
    for floor in floors:
        times = sorted(seconds * 1e6 for seconds in measure(floor))
        each = f", {median(times) / floor.messages:.2f} for each of {floor.messages} messages" * (floor.messages > 1)
        print(
            f"{floor.name}: {floor.connections:,} connections, {floor.messages * MESSAGE_BYTES:,} bytes a write: "
            f"{median(times):.1f} µs of CPU{each} (median of {floor.rounds} rounds; the least {times[0]:.1f})"
        )


if __name__ == "__main__":
    main()
