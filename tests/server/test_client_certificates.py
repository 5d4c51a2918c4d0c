"""Client certificates on a real server: who is let in, as whom, what the refused are told, and how a list ends it."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.certificates import CertificateFolder, KeyPair, client_context, generate, read_peer
from securechat.certificates.authority import open_authority
from securechat.certificates.clients import make_client, revoke
from securechat.certificates.issuing import certificate_pem, issue_client_certificate, key_pem, new_key
from securechat.certificates.reading import read_certificates
from securechat.certificates.revocations import write_revocations
from securechat.client.client import Client
from securechat.config import Config
from securechat.errors import CertificateError, Refused
from securechat.server.server import Server
from tests.server.support import DEADLINE, PASSWORD, Heard, write_accounts


@pytest.fixture
def home(tmp_path: Path) -> Path:
    generate(CertificateFolder(tmp_path / "certs"))
    write_accounts(tmp_path, "alice bob")
    return tmp_path


@contextlib.contextmanager
def serving(home: Path, mode: str, **settings: Any) -> Iterator[Server]:
    server = Server(home, Config(port=0, client_certificates=mode, **settings))  # type: ignore[arg-type] # one of three
    server.start()
    try:
        yield server
    finally:
        server.stop()


def made(home: Path, account: str) -> KeyPair:
    """A new client certificate of this home's CA."""
    client = make_client(CertificateFolder(home / "certs"), account)
    return KeyPair(client.facts.path, client.key)


def context(home: Path, pair: KeyPair | None) -> ssl.SSLContext:
    """A client's context that shows this, whatever it is: the checks of our own client are left out."""
    made = client_context(home / "certs" / "ca.pem")
    if pair:
        made.load_cert_chain(*pair)
    return made


def log_in(server: Server, shown: ssl.SSLContext, username: str) -> Client:
    return Client.connect("localhost", server.port, shown, username, PASSWORD, authority=None)


def refused(server: Server, shown: ssl.SSLContext, username: str = "alice") -> str:
    """What a person is told who is not let in."""
    with pytest.raises(Refused) as caught:
        log_in(server, shown, username)
    assert caught.value.exit_code == 4
    return str(caught.value)


def stored(folder: Path, name: str, certificate: bytes, key: bytes) -> KeyPair:
    pair = KeyPair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.certificate.write_bytes(certificate)
    pair.key.touch(0o600)
    pair.key.write_bytes(key)
    return pair


def expired(home: Path, account: str) -> KeyPair:
    folder, then = CertificateFolder(home / "certs"), datetime.now(UTC) - timedelta(days=40)
    authority, key = open_authority(folder, datetime.now(UTC), None), new_key()
    old = issue_client_certificate(key.public_key(), account, authority.certificate, authority.key, then, 30)
    return stored(home, "expired", certificate_pem(old), key_pem(key))


def foreign(home: Path) -> KeyPair:
    leaf = trustme.CA().issue_cert("alice")
    return stored(home, "foreign", leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())


def test_where_one_is_required_only_a_good_one_comes_in_as_its_account(home: Path, told: Heard) -> None:
    folder = CertificateFolder(home / "certs")
    alice, bob = made(home, "alice"), made(home, "bob")
    gone = made(home, "alice")
    revoke(folder, str(gone.certificate))
    of_server = KeyPair(folder.server_certificate, folder.server_key)
    with serving(home, "required") as server:
        for shown, words in (
            (None, "localhost asks for a client certificate. Give --cert and --key."),
            (foreign(home), "localhost does not know the CA of this client's certificate."),
            (expired(home, "alice"), "This client's certificate has expired, says localhost."),
            (of_server, "localhost does not take this client's certificate."),
            (gone, "This client's certificate is revoked, says localhost."),
        ):
            assert refused(server, context(home, shown)).startswith(words)
        assert "not this account's" in refused(server, context(home, bob))
        with log_in(server, context(home, alice), "alice") as client:
            token = client.welcome.token
        with Client.resume("localhost", server.port, context(home, alice), "alice", token, authority=None):
            pass
        with pytest.raises(Refused, match="not this account's"):
            Client.resume("localhost", server.port, context(home, bob), "alice", token, authority=None)
    log = "\n".join(told.lines)
    for reason in ("did not return a certificate", "expired", "unsuitable", "revoked", "get local issuer"):
        assert reason in log.replace("unsupported", "unsuitable"), reason


def test_where_one_is_optional_it_is_not_needed_and_counts_if_shown(home: Path) -> None:
    alice = made(home, "alice")
    with serving(home, "optional") as server:
        with log_in(server, context(home, None), "bob"):
            pass
        assert "not this account's" in refused(server, context(home, alice), "bob")
        with log_in(server, context(home, alice), "alice"):
            pass
        assert "expired" in refused(server, context(home, expired(home, "alice")))


def test_a_revoked_certificate_ends_its_sessions_and_is_not_resumed(home: Path, told: Heard) -> None:
    alice = made(home, "alice")
    with serving(home, "required") as server:
        shown = context(home, alice)
        raw = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        with shown.wrap_socket(raw, server_hostname="localhost") as tls:
            assert tls.recv(100)
            before = tls.session
        with log_in(server, shown, "alice") as client:
            revoke(CertificateFolder(home / "certs"), "alice")
            with pytest.raises(Refused, match=r"The client certificate is revoked\.") as caught:
                for _ in client.events():
                    pass
        assert caught.value.code == "revoked"
        told.wait_for("the revocation list is a new one: 1 revoked")
        raw = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        with (
            shown.wrap_socket(raw, server_hostname="localhost", session=before) as tls,
            pytest.raises(ssl.SSLError, match="REVOKED"),
        ):
            tls.recv(100)


def test_a_tls_1_2_session_is_not_resumed_where_clients_show_certificates(home: Path) -> None:
    with serving(home, "required", tls_minimum="1.2") as server:
        older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        older.load_verify_locations(home / "certs" / "ca.pem")
        older.load_cert_chain(*made(home, "alice"))
        older.maximum_version = ssl.TLSVersion.TLSv1_2
        server.services.certificate.reload()

        def greeting(session: ssl.SSLSession | None) -> tuple[bytes, bool | None, ssl.SSLSession | None]:
            raw = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
            with older.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
                try:
                    said = tls.recv(100)
                except OSError:
                    said = b""
                found = tls.session_reused, tls.session
                with contextlib.suppress(OSError):
                    tls.unwrap()  # without a goodbye OpenSSL forgets the session by itself
            return said, *found

        said, _, session = greeting(None)
        assert said.startswith(b'{"type":"hello"')
        assert greeting(session)[:2] == (b"", True)


@pytest.mark.parametrize("state", ["missing", "expired"])
def test_without_a_list_in_force_the_door_is_closed_and_the_log_says_so(home: Path, told: Heard, state: str) -> None:
    folder, alice = CertificateFolder(home / "certs"), made(home, "alice")
    with serving(home, "optional", renew_certificate=False) as server:
        shown = context(home, alice)
        with log_in(server, shown, "alice"):
            pass
        if state == "missing":
            folder.revocations.unlink()
        else:
            now = datetime.now(UTC)
            authority = open_authority(folder, now, None)
            write_revocations(folder, authority, {}, 2**40, now - timedelta(days=91))
        told.wait_for(f"crl.pem {'is missing' if state == 'missing' else 'expired on'}")
        assert "nobody who shows a client certificate is let in" in "\n".join(told.lines)
        assert "client's certificate" in refused(server, shown)
        with log_in(server, context(home, None), "alice"):
            pass


def test_a_list_of_another_ca_is_refused_and_the_one_in_force_stays(home: Path, tmp_path: Path, told: Heard) -> None:
    other = CertificateFolder(tmp_path / "other" / "certs")
    generate(other)
    make_client(other, "mallory")
    gone = made(home, "alice")
    folder = CertificateFolder(home / "certs")
    revoke(folder, "alice")
    with serving(home, "required") as server:
        folder.revocations.write_bytes(other.revocations.read_bytes())
        told.wait_for("crl.pem is not signed by this CA")
        with pytest.raises(CertificateError, match="is not signed by this CA"):
            server.services.certificate.reload()
        assert "is revoked" in refused(server, context(home, gone))
    with pytest.raises(CertificateError, match="is not signed by this CA"):
        Server(home, Config(port=0, client_certificates="required")).start()


def test_a_certificate_that_names_no_account_is_nobodys(home: Path) -> None:
    of_server = read_certificates(CertificateFolder(home / "certs").server_certificate)[0]
    assert read_peer(of_server.public_bytes(Encoding.DER)).account == ""
    assert read_peer(b"no certificate").account == ""
