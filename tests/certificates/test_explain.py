"""A handshake that fails is told to the person in a sentence, with what to do; each comes from a real handshake."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from securechat.certificates import CertificateFolder, client_context, explain
from securechat.certificates.issuing import (
    certificate_pem,
    issue_authority_certificate,
    issue_server_certificate,
    key_pem,
    new_key,
)
from securechat.errors import Refused, VerificationFailed
from tests.certificates.support import DEADLINE, bare_server, foreign, meet

ANEW = "Whoever runs the server makes a new one: securechat cert client NAME"


def failure(
    server: ssl.SSLContext, authority: Path | None, name: str = "localhost", client: ssl.SSLContext | None = None
) -> str:
    with pytest.raises(ssl.SSLError) as caught:
        meet(server, client or client_context(authority), name)
    explained = explain(caught.value, name, authority)
    assert isinstance(explained, VerificationFailed | Refused)
    assert explained.exit_code == (4 if "client certificate" in str(explained) or "client's" in str(explained) else 5)
    assert str(explained).isprintable()
    return str(explained)


def test_a_server_of_another_ca(tmp_path: Path) -> None:
    ours = tmp_path / "ours.pem"
    trustme.CA().cert_pem.write_to_path(str(ours))
    said = failure(bare_server(foreign(tmp_path)), ours)
    assert said.startswith(f"The certificate of localhost is not from the CA in {ours}: this is another server,")
    assert "compare fingerprints" in said


def test_a_server_whose_ca_has_our_cas_name_and_another_key(tmp_path: Path) -> None:
    certs = own(tmp_path, authority_days_ago=1, server_days_ago=1)
    mine, theirs = new_key(), x509.load_pem_x509_certificate(certs.authority.read_bytes())
    # The identifiers are left out, so that nothing but the signature tells the two apart.
    fake = (
        x509.CertificateBuilder()
        .subject_name(theirs.subject)
        .issuer_name(theirs.subject)
        .public_key(mine.public_key())
        .serial_number(theirs.serial_number)
        .not_valid_before(theirs.not_valid_before_utc)
        .not_valid_after(theirs.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(theirs.extensions.get_extension_for_class(x509.KeyUsage).value, critical=True)
        .add_extension(theirs.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value, critical=False)
        .sign(mine, SHA256())
    )
    ours = tmp_path / "ours.pem"
    ours.write_bytes(certificate_pem(fake))
    assert "is not from the CA in" in failure(bare_server(certs), ours)


def test_a_server_of_a_ca_that_the_system_does_not_know(tmp_path: Path) -> None:
    said = failure(bare_server(foreign(tmp_path)), None)
    assert said.startswith("The certificate of localhost is from a CA that this system does not know.")
    assert "--ca" in said


def test_the_servers_own_certificate_given_as_the_ca(tmp_path: Path) -> None:
    certs = foreign(tmp_path)
    said = failure(bare_server(certs), certs.server_certificate)
    assert said == (
        f"{certs.server_certificate} holds no CA's certificate, so localhost cannot be checked with it. "
        "It should be the ca.pem of the server."
    )


@pytest.mark.parametrize("name", ["other.example", "127.0.0.2"])
def test_a_certificate_for_another_name(tmp_path: Path, name: str) -> None:
    certs = foreign(tmp_path)
    said = failure(bare_server(certs), certs.authority, name)
    assert said.startswith(f"The server's certificate is not for {name}.")
    assert said.endswith(f"On the server: securechat gen-certs --host {name}")


def test_an_expired_certificate(tmp_path: Path) -> None:
    certs = foreign(tmp_path, begins_in=-9, ends_in=-1)
    said = failure(bare_server(certs), certs.authority)
    assert said.startswith("The certificate of localhost expired. Whoever runs the server renews it")


def own(folder: Path, *, authority_days_ago: int, server_days_ago: int) -> CertificateFolder:
    certs = foreign(folder)
    now = datetime.now(UTC)
    key, server_key = new_key(), new_key()
    authority = issue_authority_certificate(key, now - timedelta(days=authority_days_ago))
    begins = now - timedelta(days=server_days_ago)
    server = issue_server_certificate(server_key.public_key(), ["localhost"], authority, key, begins, 90)
    certs.authority.write_bytes(certificate_pem(authority))
    certs.server_certificate.write_bytes(certificate_pem(server))
    certs.server_key.write_bytes(key_pem(server_key))
    return certs


def test_an_expired_ca(tmp_path: Path) -> None:
    certs = own(tmp_path, authority_days_ago=3660, server_days_ago=10)
    said = failure(bare_server(certs), certs.authority)
    assert said == f"The CA certificate in {certs.authority} expired. Get the new ca.pem from whoever runs the server."


def test_an_expired_certificate_whose_ca_file_has_gone_since(tmp_path: Path) -> None:
    certs = foreign(tmp_path, begins_in=-9, ends_in=-1)
    client = client_context(certs.authority)
    certs.authority.unlink()
    assert failure(bare_server(certs), certs.authority, client=client).startswith(
        "The certificate of localhost expired."
    )


def test_a_certificate_of_the_future(tmp_path: Path) -> None:
    certs = foreign(tmp_path, begins_in=1)
    said = failure(bare_server(certs), certs.authority)
    assert said.startswith("The certificate of localhost is not valid yet. Look at the clocks")


def test_a_certificate_that_signed_itself(tmp_path: Path) -> None:
    certs, other = foreign(tmp_path), trustme.CA()
    key = new_key()
    certs.server_key.write_bytes(key_pem(key))
    certs.server_certificate.write_bytes(certificate_pem(issue_authority_certificate(key, datetime.now(UTC))))
    ours = tmp_path / "ours.pem"
    other.cert_pem.write_to_path(str(ours))
    assert "no CA has signed but itself" in failure(bare_server(certs), ours)


def test_a_certificate_for_another_purpose(tmp_path: Path) -> None:
    certs = own(tmp_path, authority_days_ago=1, server_days_ago=1)
    key = new_key()
    authority = issue_authority_certificate(key, datetime.now(UTC))
    good = x509.load_pem_x509_certificate(certs.server_certificate.read_bytes())
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    client_only = (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(authority.subject)
        .public_key(good.public_key())
        .serial_number(7)
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(good.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, SHA256())
    )
    certs.server_certificate.write_bytes(certificate_pem(client_only))
    certs.authority.write_bytes(certificate_pem(authority))
    said = failure(bare_server(certs), certs.authority)
    assert said.startswith("The certificate of localhost is not acceptable: unsuit")


def test_a_server_that_has_only_tls_1_2(tmp_path: Path) -> None:
    certs = foreign(tmp_path)
    context = bare_server(certs)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert failure(context, certs.authority).startswith("localhost does not offer TLS 1.3,")


def test_a_server_with_no_algorithm_in_common(tmp_path: Path) -> None:
    certs = foreign(tmp_path)
    context, client = bare_server(certs), client_context(certs.authority)
    context.set_ecdh_curve("prime256v1")
    client.set_ecdh_curve("secp521r1")
    assert "no TLS algorithm in common" in failure(context, certs.authority, client=client)


def test_a_server_that_asks_for_a_client_certificate(tmp_path: Path) -> None:
    certs = foreign(tmp_path)
    context = bare_server(certs)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certs.authority)
    assert failure(context, certs.authority).startswith("localhost asks for a client certificate.")


@pytest.mark.parametrize(
    ("begins_in", "ends_in", "ours", "said"),
    [
        (-1, 9, False, "localhost does not know the CA of this client's certificate."),
        (-9, -1, True, "This client's certificate has expired, says localhost."),
        (1, 9, True, "localhost does not take this client's certificate."),
    ],
)
def test_a_server_that_refuses_the_client_certificate(
    tmp_path: Path, begins_in: float, ends_in: float, ours: bool, said: str
) -> None:
    authority = trustme.CA()
    certs = foreign(tmp_path, authority=authority)
    context = bare_server(certs)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certs.authority)
    client = client_context(certs.authority)
    now = datetime.now(UTC)
    (authority if ours else trustme.CA()).issue_cert(
        "alice@example.org",
        not_before=now + timedelta(days=begins_in),
        not_after=now + timedelta(days=ends_in),
    ).configure_cert(client)
    assert failure(context, certs.authority, client=client).startswith(said)


def answer(data: bytes) -> str:
    """What is said when the server answers a client's first bytes with these, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(DEADLINE)
                connection.recv(65536)
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(server.getsockname(), DEADLINE) as plain,
                pytest.raises(ssl.SSLError) as caught,
            ):
                client_context(None).wrap_socket(plain, server_hostname="localhost")
        finally:
            thread.join(DEADLINE)
    return str(explain(caught.value, "localhost", None))


def test_a_server_that_speaks_no_tls() -> None:
    assert answer(b"SSH-2.0-OpenSSH_9.2\r\n") == "localhost answered, but not with TLS. Look at the port."
    assert answer(b"HTTP/1.1 400 Bad Request\r\n\r\n") == "localhost answered, but not with TLS. Look at the port."


def test_a_server_that_hangs_up() -> None:
    assert answer(b"").startswith("localhost ended the connection during the TLS handshake.")


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (120, "localhost speaks another protocol than securechat. Look at the port."),
        (80, "localhost failed during the TLS handshake. Its log may say why."),
        (44, f"This client's certificate is revoked, says localhost. {ANEW}"),
        (71, "TLS with localhost failed: tlsv1 alert insufficient security."),
    ],
)
def test_the_alerts_of_rfc_8446(alert: int, said: str) -> None:
    fatal = 2
    assert answer(bytes([21, 3, 3, 0, 2, fatal, alert])) == said


def test_an_error_without_a_reason_is_still_a_sentence() -> None:
    assert str(explain(ssl.SSLError(1, "x"), "localhost", None)) == "TLS with localhost failed: x."
