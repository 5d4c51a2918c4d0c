"""What the two contexts agree on, what they refuse, and what a server refuses to start with."""

import contextlib
import os
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from securechat.certificates import (
    CertificateFolder,
    client_context,
    generate,
    inspect_certificate,
    server_context,
)
from securechat.certificates.reading import is_authority, read_certificates, read_private_key
from securechat.errors import CertificateError, ConfigError
from tests.certificates.support import DEADLINE, bare_server, foreign, listening, meet


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    folder = CertificateFolder(tmp_path_factory.mktemp("home") / "certs")
    generate(folder)
    return folder


def server(certs: CertificateFolder, minimum: Literal["1.3", "1.2"] = "1.3", group: str = "X25519") -> ssl.SSLContext:
    return server_context(certs.server_certificate, certs.server_key, minimum=minimum, group=group)


def test_the_two_sides_speak_tls_1_3_and_our_protocol(certs: CertificateFolder) -> None:
    meeting = meet(server(certs), client_context(certs.authority))
    assert meeting.version == "TLSv1.3"
    assert meeting.protocol == "securechat/1"


def test_a_client_verifies_strictly_both_chain_and_name_and_knows_one_ca(certs: CertificateFolder) -> None:
    context = client_context(certs.authority)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.cert_store_stats()["x509_ca"] == 1
    assert context.cert_store_stats()["x509"] == 1
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def older_client(certs: CertificateFolder) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certs.authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def test_a_tls_1_2_client_gets_an_alert(certs: CertificateFolder) -> None:
    with pytest.raises(ssl.SSLError) as caught:
        meet(server(certs), older_client(certs))
    assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_tls_1_2_is_served_when_it_is_allowed_by_name(certs: CertificateFolder) -> None:
    context = server(certs, minimum="1.2")
    assert meet(context, older_client(certs)).version == "TLSv1.2"
    assert meet(context, client_context(certs.authority)).version == "TLSv1.3"


def test_tls_1_2_has_forward_secrecy_and_authenticated_encryption_only(certs: CertificateFolder) -> None:
    suites = [suite["name"] for suite in server(certs, minimum="1.2").get_ciphers()]
    older = [suite for suite in suites if not suite.startswith("TLS_")]
    assert older
    assert all(suite.startswith("ECDHE-") for suite in older)
    assert all("GCM" in suite or "CHACHA20" in suite for suite in older)


def test_nothing_older_than_tls_1_2_is_served_and_nobody_renegotiates(certs: CertificateFolder) -> None:
    context = server(certs, minimum="1.2")
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_a_plaintext_line_is_no_handshake(certs: CertificateFolder) -> None:
    with (
        listening(server(certs)) as listener,
        socket.create_connection(("127.0.0.1", listener.port), DEADLINE) as plain,
    ):
        plain.sendall(b'{"type":"login"}\n')
        with contextlib.suppress(ConnectionResetError):
            while plain.recv(100):
                pass
    assert len(listener.errors) == 1
    assert isinstance(listener.errors[0], ssl.SSLError)


def test_there_are_no_session_tickets_and_nothing_is_resumed(certs: CertificateFolder) -> None:
    context, client = server(certs), client_context(certs.authority)
    first = meet(context, client)
    assert first.session is not None
    assert not first.session.has_ticket
    assert not meet(context, client, session=first.session).resumed


def test_there_are_no_session_tickets_in_tls_1_2_either(certs: CertificateFolder) -> None:
    first = meet(server(certs, minimum="1.2"), older_client(certs))
    assert first.session is not None
    assert not first.session.has_ticket


def test_no_session_keys_are_written_by_either_side(
    certs: CertificateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    # The temptation is real: what Python offers first does write them.
    assert ssl.create_default_context().keylog_filename == str(log)
    log.unlink()
    meet(server(certs), client_context(certs.authority))
    meet(server(certs, minimum="1.2"), older_client(certs))
    assert not log.exists()


def test_the_group_is_the_one_that_was_set(certs: CertificateFolder) -> None:
    client = client_context(certs.authority)
    client.set_ecdh_curve("secp384r1")
    assert meet(server(certs, group="secp384r1"), client).version == "TLSv1.3"
    assert meet(server(certs, group=""), client).version == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        meet(server(certs, group="prime256v1"), client)


def test_a_client_as_they_come_is_not_asked_to_begin_again(certs: CertificateFolder) -> None:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = server_context(certs.server_certificate, certs.server_key)
    accepting = context.wrap_bio(to_server, to_client, server_side=True)
    coming = client_context(certs.authority).wrap_bio(to_client, to_server, server_hostname="localhost")
    for side in (coming, accepting):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    coming.do_handshake()
    accepting.do_handshake()


def test_an_unknown_group_is_a_mistake_in_the_settings(certs: CertificateFolder) -> None:
    with pytest.raises(ConfigError, match="tls_group = 'curve9' is no group of OpenSSL"):
        server(certs, group="curve9")


def test_without_a_ca_file_the_systems_cas_count(
    certs: CertificateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = foreign(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(other.authority))
    assert meet(bare_server(other), client_context(None)).version == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        meet(server(certs), client_context(None))


def test_with_a_ca_file_the_systems_cas_do_not_count(
    certs: CertificateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = foreign(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(other.authority))
    with pytest.raises(ssl.SSLCertVerificationError):
        meet(bare_server(other), client_context(certs.authority))


def test_a_name_in_the_subject_alone_is_no_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("elsewhere.example", common_name="localhost")
    certs = foreign(tmp_path, authority=authority)
    certs.server_certificate.write_bytes(leaf.cert_chain_pems[0].bytes())
    certs.server_key.write_bytes(leaf.private_key_pem.bytes())
    with pytest.raises(ssl.SSLCertVerificationError):
        meet(bare_server(certs), client_context(certs.authority))


def test_a_ca_file_that_is_missing_or_none_is_one_sentence(certs: CertificateFolder, tmp_path: Path) -> None:
    hint = "It should be the ca.pem of the server."
    with pytest.raises(CertificateError, match=rf"ca\.pem does not exist\. {hint}"):
        client_context(tmp_path / "ca.pem")
    with pytest.raises(CertificateError, match=rf"ca\.key holds no certificate in PEM form\. {hint}"):
        client_context(certs.authority_key)
    with pytest.raises(CertificateError, match="cannot be read: Is a directory"):
        client_context(tmp_path)


def test_a_server_refuses_files_that_are_missing_or_none(certs: CertificateFolder, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for certificate, key in ((missing, certs.server_key), (certs.server_certificate, missing)):
        with pytest.raises(CertificateError, match=r"missing does not exist\. `securechat gen-certs` makes one\."):
            server_context(certificate, key)
    with pytest.raises(CertificateError, match="holds no certificate in PEM form"):
        server_context(certs.server_key, certs.server_key)
    with pytest.raises(CertificateError, match="cannot be read: Is a directory"):
        server_context(tmp_path, certs.server_key)


def test_a_server_refuses_a_folder_as_its_key(certs: CertificateFolder, tmp_path: Path) -> None:
    folder = tmp_path / "key"
    folder.mkdir(0o700)
    with pytest.raises(CertificateError, match="cannot be read: Is a directory"):
        server_context(certs.server_certificate, folder)


def test_a_server_refuses_a_key_that_others_can_read(tmp_path: Path) -> None:
    certs = foreign(tmp_path)
    certs.server_key.chmod(0o640)
    with pytest.raises(CertificateError, match=r"open to other users \(mode 0640\)\. Close it: chmod go= "):
        server(certs)


def test_a_server_refuses_a_key_of_another_user(certs: CertificateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(CertificateError, match="belongs to another user"):
        server(certs)


def test_a_server_refuses_a_key_of_another_certificate(certs: CertificateFolder, tmp_path: Path) -> None:
    other = foreign(tmp_path)
    with pytest.raises(CertificateError, match=r"server\.key is not the key of .*server\.pem"):
        server_context(certs.server_certificate, other.server_key)


def test_a_server_refuses_an_expired_certificate_and_says_how_to_renew_it(tmp_path: Path) -> None:
    with pytest.raises(
        CertificateError, match=r"server\.pem expired on \d{4}-\d\d-\d\d\. `securechat gen-certs` renews it\."
    ):
        server(foreign(tmp_path, begins_in=-9, ends_in=-1))


def test_a_server_refuses_a_certificate_of_the_future(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"is not valid before .* UTC\. Look at this machine's clock\."):
        server(foreign(tmp_path, begins_in=1))


def test_a_server_refuses_an_encrypted_key_instead_of_asking_for_its_passphrase(tmp_path: Path) -> None:
    certs = foreign(tmp_path)
    key = load_pem_private_key(certs.server_key.read_bytes(), None)
    certs.server_key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(CertificateError, match="is encrypted, and nobody is asked for a passphrase"):
        server(certs)


def test_a_server_refuses_what_is_no_servers_certificate(certs: CertificateFolder, tmp_path: Path) -> None:
    good, key = read_certificates(certs.server_certificate)[0], read_private_key(certs.server_key)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    bare = (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(good.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
    )
    named = bare.add_extension(
        good.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=False
    )
    for builder, reason in (
        (bare, "is for no name"),
        (
            named.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False),
            "is for no server",
        ),
    ):
        wrong = tmp_path / "wrong.pem"
        wrong.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
        with pytest.raises(CertificateError, match=reason):
            server_context(wrong, certs.server_key)


def test_a_server_refuses_a_key_that_openssl_finds_too_weak(tmp_path: Path) -> None:
    certs = foreign(tmp_path)
    key = rsa.generate_private_key(65537, 1024)
    good = x509.load_pem_x509_certificate(certs.server_certificate.read_bytes())
    weak = (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(good.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
        .add_extension(good.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=False)
        .sign(key, SHA256())
    )
    certs.server_certificate.write_bytes(weak.public_bytes(Encoding.PEM))
    certs.server_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(CertificateError, match=r"OpenSSL does not accept .*: ee key too small\."):
        server(certs)


def test_a_certificate_is_read_for_people(certs: CertificateFolder, tmp_path: Path) -> None:
    facts = inspect_certificate(certs.server_certificate)
    assert facts.names[:3] == ("localhost", "127.0.0.1", "::1")
    assert facts.begins < datetime.now(UTC) < facts.expires
    presented = meet(server(certs), client_context(certs.authority)).certificate
    assert presented is not None
    (shown,) = [x509.load_der_x509_certificate(presented).fingerprint(SHA256())]
    assert facts.fingerprint == ":".join(f"{byte:02X}" for byte in shown)
    assert inspect_certificate(foreign(tmp_path).authority).names == ()


def malformed(authority: trustme.CA, oid: x509.ObjectIdentifier) -> bytes:
    """A certificate with an extension that is not what it says it is."""
    good = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = rsa.generate_private_key(65537, 2048)
    return (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(good.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
        .add_extension(x509.UnrecognizedExtension(oid, b"nonsense"), critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def test_a_malformed_certificate_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "odd.pem"
    path.write_bytes(malformed(trustme.CA(), x509.SubjectAlternativeName.oid))
    with pytest.raises(CertificateError, match=r"odd\.pem holds a malformed certificate: "):
        inspect_certificate(path)


def test_a_malformed_certificate_is_no_authority(tmp_path: Path) -> None:
    odd = malformed(trustme.CA(), x509.BasicConstraints.oid)
    assert not is_authority(x509.load_pem_x509_certificate(odd))


def test_a_certificate_for_an_unknown_kind_of_key_has_no_key_of_ours(certs: CertificateFolder, tmp_path: Path) -> None:
    p256 = bytes.fromhex("06082a8648ce3d030107")
    der = x509.load_pem_x509_certificate(certs.server_certificate.read_bytes()).public_bytes(Encoding.DER)
    unknown = tmp_path / "unknown.pem"
    unknown.write_text(ssl.DER_cert_to_PEM_cert(der.replace(p256, p256[:-1] + b"\x77")))
    with pytest.raises(CertificateError, match=r"server\.key is not the key of .*unknown\.pem"):
        server_context(unknown, certs.server_key)
