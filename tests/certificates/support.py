"""Two contexts that meet over a real socket, and certificates that `gen-certs` would never make."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from securechat.certificates import CertificateFolder

DEADLINE = 20.0
GREETING = b"hello"


@dataclass
class Listener:
    """Where a server waits for one client, and what became of it."""

    port: int
    errors: list[OSError] = field(default_factory=list)


@dataclass(frozen=True)
class Meeting:
    """What the client saw of a handshake that succeeded, the server's first bytes included."""

    version: str | None
    protocol: str | None
    certificate: bytes | None
    session: ssl.SSLSession | None
    resumed: bool | None


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[Listener]:
    """A server that greets one client and hears it out."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        listener = Listener(server.getsockname()[1])

        def serve() -> None:
            try:
                plain, _ = server.accept()
                plain.settimeout(DEADLINE)
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.sendall(GREETING)
                    connection.recv(1)
                    connection.unwrap()
            except OSError as error:
                listener.errors.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener
        finally:
            thread.join(DEADLINE)


def meet(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost", session: ssl.SSLSession | None = None
) -> Meeting:
    """Connect, read the greeting and part in order; raises what the client would see."""
    with listening(server) as listener:
        plain = socket.create_connection(("127.0.0.1", listener.port), DEADLINE)
        with client.wrap_socket(plain, server_hostname=name, session=session) as connection:
            assert connection.recv(len(GREETING)) == GREETING
            meeting = Meeting(
                connection.version(),
                connection.selected_alpn_protocol(),
                connection.getpeercert(binary_form=True),
                connection.session,
                connection.session_reused,
            )
            connection.unwrap()
    return meeting


def foreign(
    folder: Path, *names: str, authority: trustme.CA | None = None, begins_in: float = -1, ends_in: float = 30
) -> CertificateFolder:
    """A folder with a certificate of another CA; times in days from now."""
    authority = authority or trustme.CA()
    now = datetime.now(UTC)
    leaf = authority.issue_cert(
        *(names or ("localhost", "127.0.0.1")),
        not_before=now + timedelta(days=begins_in),
        not_after=now + timedelta(days=ends_in),
    )
    certs = CertificateFolder(folder / "foreign")
    certs.path.mkdir(exist_ok=True)
    certs.server_certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    certs.server_key.touch(0o600)
    certs.server_key.write_bytes(leaf.private_key_pem.bytes())
    certs.authority.write_bytes(authority.cert_pem.bytes())
    return certs


def bare_server(certs: CertificateFolder) -> ssl.SSLContext:
    """A server that looks at nothing: what a client may meet elsewhere."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs.server_certificate, certs.server_key)
    return context
