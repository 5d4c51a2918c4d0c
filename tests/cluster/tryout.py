"""A cluster for trying out, on this machine: three NATS servers with what packaging/nats ships, and three nodes.

`make cluster` runs it in a folder that goes away with it, and prints how to connect to each node.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final, NamedTuple

from securechat.accounts.credentials import CredentialFile
from securechat.certificates import CertificateFolder, KeyPair, generate
from securechat.certificates.clients import make_client
from securechat.chat.accounts import Account
from tests.cluster.servers import PATIENCE, SERVER, free_ports
from tests.project.tree import ROOT

SHIPPED: Final = ROOT / "packaging" / "nats"
HOST: Final = "127.0.0.1"
ACCOUNTS: Final = ("alice", "bob", "carol")


class Shipped(NamedTuple):
    """Three NATS servers that run with what is shipped."""

    ports: list[int]
    configurations: list[Path]
    authority: Path
    certs: CertificateFolder

    def shown_by(self, account: str) -> KeyPair:
        """The certificate that the chat's CA makes for this account, a node's or a person's."""
        made = make_client(self.certs, account)
        return KeyPair(made.facts.path, made.key)


class Node(NamedTuple):
    """One node that runs."""

    name: str
    home: Path
    port: int
    process: "subprocess.Popen[str]"


@contextmanager
def shipped_servers(folder: Path) -> Iterator[Shipped]:
    """Run the NATS servers, ready for connections."""
    certs = CertificateFolder(folder / "certs")
    generate(certs, [])
    subprocess.run([SHIPPED / "make-certs", folder / "made", HOST], check=True, capture_output=True)
    ports = free_ports(6)
    text = (SHIPPED / "nats-server.conf").read_text("utf-8")
    configurations = [folder / f"nats-{number}.conf" for number in (1, 2, 3)]
    with ExitStack() as running:
        ready = []
        for number, mine in enumerate(configurations, start=1):
            mine.write_text(_on_loopback(text, folder, number, ports))
            environ = {**os.environ, "NATS_NAME": f"nats-{number}"}
            process = subprocess.Popen([SERVER, "-c", mine], env=environ, stderr=subprocess.PIPE, text=True)
            assert process.stderr is not None
            ready.append(Event())
            listener = Thread(target=_listen, args=(running.enter_context(process.stderr), ready[-1]))
            listener.start()
            for end in (listener.join, process.wait, process.kill):
                running.callback(end)
        assert all(event.wait(PATIENCE) for event in ready)
        yield Shipped(ports[:3], configurations, folder / "made" / "nats-ca.pem", certs)


def _listen(log: Iterable[str], ready: Event) -> None:
    for line in log:
        if "Server is ready" in line:
            ready.set()


def _on_loopback(text: str, folder: Path, number: int, ports: list[int]) -> str:
    """The shipped file with ports and paths of this machine's, and nothing else changed."""
    for old, new in (
        ("0.0.0.0:4222", f"{HOST}:{ports[number - 1]}"),
        ("0.0.0.0:6222", f"{HOST}:{ports[number + 2]}"),
        ("127.0.0.1:8222", "127.0.0.1:0"),
        ("/var/lib/nats", f"{folder}/store-{number}"),
        ("/etc/nats/server.", f"{folder}/made/{HOST}."),
        ("/etc/nats/chat-ca.pem", f"{folder}/certs/ca.pem"),
        ("/etc/nats/nats-ca.pem", f"{folder}/made/nats-ca.pem"),
    ):
        assert old in text
        text = text.replace(old, new)
    routes = iter(ports[3:])
    return re.sub(r"nats-\d\.example\.org:6222", lambda _: f"{HOST}:{next(routes)}", text)


@contextmanager
def nodes(folder: Path, nats: Shipped, password: str, count: int = 3) -> Iterator[list[Node]]:
    """So many nodes of one chat, with the accounts of ACCOUNTS; ended at the end."""
    ports = free_ports(count)
    homes = [_make_home(folder / f"node-{number}", nats, ports, number) for number in range(1, count + 1)]
    # Not in this process: a test makes hashes that cost less, and a node would make them anew, each its own.
    script = (
        "import sys; from securechat.accounts.passwords import hash_password; print(hash_password(sys.stdin.read()))"
    )
    hashed = subprocess.check_output([sys.executable, "-c", script], input=password, text=True).strip()
    for home in homes:
        for account in ACCOUNTS:
            CredentialFile(home / "credentials").add(Account(account, "member", "active", hashed))
    with ExitStack() as running:
        started = []
        for number, (home, port) in enumerate(zip(homes, ports, strict=True), start=1):
            log = running.enter_context((home / "log").open("wb"))
            command = [sys.executable, "-m", "securechat", "serve", "--home", str(home)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            running.callback(process.wait)
            running.callback(process.send_signal, signal.SIGTERM)
            started.append(Node(f"node-{number}", home, port, process))
            running.callback(process.stdout.close if process.stdout else print)
        for node in started:
            assert node.process.stdout is not None
            assert "is listening" in node.process.stdout.readline(), (node.home / "log").read_text()
        yield started


def _make_home(home: Path, nats: Shipped, ports: list[int], number: int) -> Path:
    certs = home / "certs"
    certs.mkdir(parents=True)
    for name in ("ca.pem", "server.pem", "server.key"):
        shutil.copy(nats.certs.path / name, certs)
    shown = nats.shown_by(f"node-{number}")
    shutil.copy(shown.certificate, certs / "nats.pem")
    shutil.copy(shown.key, certs / "nats.key")
    shutil.copy(nats.authority, certs / "nats-ca.pem")
    servers = [f"tls://{HOST}:{port}" for port in nats.ports]
    addresses = [f"localhost:{port}" for port in ports]
    (home / "securechat.toml").write_text(
        f'port = {ports[number - 1]}\n[cluster]\nnode = "node-{number}"\nservers = {servers}\nnodes = {addresses}\n'
        'ca = "certs/nats-ca.pem"\ncertificate = "certs/nats.pem"\nkey = "certs/nats.key"\n'
    )
    return home


def main() -> None:
    """Run it until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="securechat-cluster-") as name:
        folder, password = Path(name), secrets.token_urlsafe(15)
        (folder / "password").touch(0o600)
        (folder / "password").write_text(f"{password}\n")
        with shipped_servers(folder) as nats, nodes(folder, nats, password) as running:
            print("Three nodes of one chat, on three NATS servers. To talk, each in a terminal of its own:\n")
            for node, account in zip(running, ACCOUNTS, strict=True):
                print(
                    f"  {Path(sys.executable).parent / 'securechat'} connect {account}@localhost:{node.port} "
                    f"--ca {nats.certs.authority} --password-file {folder / 'password'}"
                )
            print("\nTo see a client go to another node, end its own:\n")
            for node in running:
                print(f"  kill -9 {node.process.pid}    # {node.name}, which logs to {node.home / 'log'}")
            print("\nCtrl-C ends all of it, and deletes what was said.", flush=True)
            signal.pause()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
