"""A network on this machine that can be cut: each NATS server in a network namespace of its own, on a bridge.

All of it is within one more namespace, which has no way out and is gone with the process. A way is cut by an address of
the hardware that nobody has: what is sent there gets lost without a word, in one direction, as by a broken switch.
It knows nodes and servers by their numbers, from 1, and nothing of what they do.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

NOBODY: Final = "02:00:00:00:00:99"

PORT: Final = 4222
ROUTE: Final = 6222


def missing() -> str:
    """What this machine lacks for it; empty where nothing."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    tools = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if tools:
        return f"{' and '.join(tools)} are not installed"
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip()


def move_in(arguments: Sequence[str]) -> None:
    """Run this program again, with these arguments, where there is no network but what `Network` makes."""
    os.execvp("unshare", ["unshare", "-n", sys.executable, *arguments])


def address(network: int, server: int) -> str:
    """Where a server is reached: in the network of its own kind (0), or in that of a node."""
    return f"10.77.{network}.{server}"


class Network:
    """Three servers and three nodes, each node with an address of its own in the space where all nodes are."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._holders: list[subprocess.Popen[bytes]] = []

    def wrapper(self, server: int) -> list[str]:
        """The words of a command that runs something where this server is."""
        return ["nsenter", "-t", str(self._holders[server - 1].pid), "-n"]

    def ways(self, sources: Sequence[str], targets: Sequence[str]) -> list[tuple[str, str]]:
        """The ways between all of these, those to itself left out: `server-2` or `node-3`."""
        return [(one, other) for one in sources for other in targets if one != other]

    def cut(self, ways: Sequence[tuple[str, str]]) -> None:
        """Lose what is sent on these ways, from the first to the second."""
        for source, target in ways:
            for far in self._addresses(source, target):
                self._at(source, "neigh", "replace", far, "lladdr", NOBODY, "dev", _device(source), "nud", "permanent")

    def mend(self, ways: Sequence[tuple[str, str]]) -> None:
        """Let it through again."""
        for source, target in ways:
            for far in self._addresses(source, target):
                self._at(source, "neigh", "del", far, "dev", _device(source))

    def _addresses(self, source: str, target: str) -> list[str]:
        (_, _, number), (kind, _, other) = source.partition("-"), target.partition("-")
        if kind == "node":
            return [address(int(other), 254)]
        return [address(0 if source.startswith("server") else int(number), int(other))]

    def _at(self, where: str, *words: str) -> None:
        kind, _, number = where.partition("-")
        _run(*(self.wrapper(int(number)) if kind == "server" else ()), "ip", *words)

    def _build(self) -> None:
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "br0", "type", "bridge")
        _run("ip", "link", "set", "br0", "up")
        for network in range(self._count + 1):
            _run("ip", "addr", "add", f"{address(network, 254)}/24", "dev", "br0")
        for server in range(1, self._count + 1):
            # It says so when it is in its namespace, and stays until its input ends: with this process.
            words = ["unshare", "-n", "sh", "-c", "echo; exec cat"]
            holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._holders.append(holder)
            assert holder.stdout is not None
            holder.stdout.readline()
            near = f"veth{server}"
            _run("ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
            _run("ip", "link", "set", near, "master", "br0", "up")
            for words in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"]):
                self._at(f"server-{server}", *words)
            for network in range(self._count + 1):
                self._at(f"server-{server}", "addr", "add", f"{address(network, server)}/24", "dev", "eth0")

    def _close(self) -> None:
        for holder in self._holders:
            holder.kill()
            holder.communicate()


@contextmanager
def network(count: int) -> Iterator[Network]:
    """The network, in the namespace that this process has moved into; away at the end."""
    made = Network(count)
    try:
        made._build()
        yield made
    finally:
        made._close()


def _device(source: str) -> str:
    return "eth0" if source.startswith("server") else "br0"


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
