"""The chat server of the tutorials, with TLS 1.3, logins and rooms added: blocking sockets and a thread a client.

Lines of text, nothing stored. It is here to be compared with, so it knows nothing of securechat.

    C LOGIN alice secret        S Welcome alice
    C JOIN lobby                S Joined lobby
    C hello                     S alice: hello, to everybody in the room; then "Server received your message"
"""

import argparse
import hashlib
import hmac
import select
import socket
import ssl
import sys
import threading
from collections import defaultdict
from pathlib import Path

LINE_BYTES = 16 * 1024
"""The longest line; one record of TLS holds it."""
LOGIN_SECONDS = 60.0
"""For handshake, login and joining; generous, because a thousand threads may be at it at once."""


class Room:
    """Who is in a room, and the one lock under which any of their connections is read or written."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.members: list[ssl.SSLSocket] = []

    def broadcast(self, line: bytes) -> None:
        """Send a line to everybody, the author too. The lock must be held."""
        for member in self.members:
            try:
                member.sendall(line)
            except OSError:  # it left; its own thread finds out and takes it off the list
                continue


class Rooms:
    """All rooms, by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rooms: defaultdict[str, Room] = defaultdict(Room)

    def find(self, name: str) -> Room:
        """The room of this name, made if there is none."""
        with self._lock:
            return self._rooms[name]


def hashed(salt: str, password: str) -> str:
    """A salted SHA-256: the tutorials' way, cheap, and much too fast to guess for real use."""
    return hashlib.sha256(f"{salt}:{password}".encode()).hexdigest()


def read_accounts(path: Path) -> dict[str, tuple[str, str]]:
    """Salt and hash by username, from lines of `username:salt:hash`."""
    lines = (line.split(":") for line in path.read_text().splitlines())
    return {username: (salt, digest) for username, salt, digest in lines}


class Client:
    """One client, from the handshake to its end; its thread does nothing else."""

    def __init__(self, client: ssl.SSLSocket, accounts: dict[str, tuple[str, str]], rooms: Rooms) -> None:
        self._socket = client
        self._accounts = accounts
        self._rooms = rooms
        self._prefix = b""
        self._room = Room()  # its own, until it joins one
        self._patience: float | None = LOGIN_SECONDS * 1000

    def run(self) -> None:
        """Read lines until the client leaves or breaks the rules."""
        # Two threads may not be in one SSL object at once, so none waits inside: first for bytes, then for the lock.
        arrived = select.poll()
        arrived.register(self._socket, select.POLLIN)
        begun = b""
        try:
            while arrived.poll(self._patience):
                with self._room.lock:
                    data = self._socket.recv(LINE_BYTES)
                *lines, begun = (begun + data).split(b"\n")
                if not data or len(begun) > LINE_BYTES or not all(map(self._take, lines)):
                    return
        finally:
            self._leave()

    def _take(self, line: bytes) -> bool:
        if self._patience:
            command, _, rest = line.decode().strip().partition(" ")
            if not self._prefix:
                return command == "LOGIN" and self._login(*rest.partition(" ")[::2])
            return command == "JOIN" and self._join(rest)
        with self._room.lock:
            self._room.broadcast(self._prefix + line + b"\n")
            self._socket.sendall(b"Server received your message\n")
        return True

    def _login(self, username: str, password: str) -> bool:
        salt, digest = self._accounts.get(username, ("", ""))
        if not hmac.compare_digest(hashed(salt, password), digest):
            self._socket.sendall(b"Wrong username or password\n")
            return False
        self._prefix = f"{username}: ".encode()
        self._socket.sendall(f"Welcome {username}\n".encode())
        return True

    def _join(self, name: str) -> bool:
        self._patience = None
        self._socket.settimeout(None)
        self._room = self._rooms.find(name)
        with self._room.lock:
            self._room.members.append(self._socket)
            self._socket.sendall(f"Joined {name}\n".encode())
        return True

    def _leave(self) -> None:
        with self._room.lock:
            if self._socket in self._room.members:
                self._room.members.remove(self._socket)


def serve(accepted: socket.socket, context: ssl.SSLContext, accounts: dict[str, tuple[str, str]], rooms: Rooms) -> None:
    """Serve one client; what goes wrong with it ends its thread alone."""
    try:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.settimeout(LOGIN_SECONDS)
        with context.wrap_socket(accepted, server_side=True) as client:
            Client(client, accounts, rooms).run()
    except (OSError, ValueError) as error:
        print(f"A client is gone: {error}", file=sys.stderr)


def main() -> None:
    """Listen on the loopback and start a thread a client, until the process is ended."""
    parser = argparse.ArgumentParser(description="The tutorials' chat server: a thread a client, nothing stored.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--accounts", type=Path, required=True, help="lines of username:salt:hash")
    arguments = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(arguments.certificate, arguments.key)
    accounts = read_accounts(arguments.accounts)
    rooms = Rooms()
    with socket.create_server(("127.0.0.1", arguments.port), backlog=4096) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, context, accounts, rooms), daemon=True).start()


if __name__ == "__main__":
    main()
