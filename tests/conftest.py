"""What holds for every test: the machine is not left, and nothing a test started outlives it.

Fixtures of one part live with the tests of that part.
"""

import contextlib
import functools
import ipaddress
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from securechat.accounts import passwords

if TYPE_CHECKING:
    from tests.cluster.servers import NatsServer

LEFTOVER_SECONDS = 5.0
"""How long what a test started may take to end after it: a busy machine is slow to end a thread, a leak never ends."""

# Deadlines and slowness say something about the machine, which is shared, and nothing about the code.
settings.register_profile(
    "securechat",
    deadline=None,
    derandomize=False,
    max_examples=25,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# For `make fuzz`, which has the time. What it finds is to stay as an example.
settings.register_profile("deep", settings.get_profile("securechat"), max_examples=300)
settings.load_profile("securechat")


def is_loopback(host: str) -> bool:
    """Whether connecting to `host` stays on this machine; only literal addresses and `localhost` can be trusted to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


PERSONS = itertools.count()

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _on_this_machine(call: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`call` on a socket, as long as the address, its last argument, is on this machine."""

    @functools.wraps(call)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        address = args[-1]
        # An address that is no tuple is a path: a socket of this machine.
        if isinstance(address, tuple) and not is_loopback(str(address[0])):
            raise AssertionError(f"a test may talk to this machine only, not to {address[0]}")
        return call(*args, **kwargs)

    return guarded


# Not an audit hook: Python calls one for every event of every thread, and with it in place the tracing of a thread that
# starts can fail where two start at once ("another trace function is being installed").
for _name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, _name, _on_this_machine(getattr(socket.socket, _name)))


def children() -> set[int]:
    """The processes that this one has started and not yet waited for; empty where there is no /proc to tell."""
    found: set[int] = set()
    # Of each thread its own: looking through all processes of the machine took longer than most tests.
    for thread in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended, and its children are another's
            found.update(map(int, thread.read_text().split()))
    return found


def leftovers(threads: set[threading.Thread], processes: set[int], seconds: float) -> list[str]:
    """The threads and child processes that are neither among those given nor, for threads, end within `seconds`."""
    deadline = time.monotonic() + seconds
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [f"thread {thread.name}" for thread in set(threading.enumerate()) - threads]
    return left + [f"process {process}" for process in sorted(children() - processes)]


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["NatsServer"]:
    """One NATS server for all tests that want one: each has a stream of its own there."""
    from securechat.journal.jetstream import order
    from tests.cluster.servers import PATIENCE, nats_servers

    with nats_servers(tmp_path_factory.mktemp("nats"), 1) as (server,), pytest.MonkeyPatch.context() as longer:
        # A busy machine is no lost quorum; tests of that say how long they wait.
        longer.setattr(order, "PATIENCE_SECONDS", PATIENCE)
        yield server


@pytest.fixture(autouse=True)
def nobodys_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a client keeps for its person out of the folders of who runs the tests; each test has its own."""
    person = tmp_path_factory.getbasetemp() / "persons" / str(next(PERSONS))
    for kind in ("config", "state"):
        monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", str(person / kind))


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have hashes cost next to nothing in this process: they are slow on purpose, and hundreds of tests log in.

    The tests of the hashing do without it.
    """
    monkeypatch.setattr(passwords, "_POLICY", passwords._POLICY._replace(memory=8, passes=1))


@pytest.fixture(autouse=True)
def nothing_outlives_its_test() -> Iterator[None]:
    """Fail the test that leaves a thread or a child process behind."""
    threads, processes = set(threading.enumerate()), children()
    yield
    left = leftovers(threads, processes, LEFTOVER_SECONDS)
    assert not left, f"the test left behind: {', '.join(left)}"
