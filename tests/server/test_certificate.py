"""Another certificate under open chats: new connections get it, a bad one changes nothing, and the reason is told."""

import contextlib
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from securechat.certificates import CertificateFolder, generate, inspect_certificate
from securechat.certificates.authority import open_authority
from securechat.certificates.issuing import certificate_pem, issue_server_certificate, key_pem, new_key
from securechat.certificates.reading import fingerprint_of, read_certificates
from securechat.config import Config, load_config
from securechat.errors import CertificateError, ConfigError
from securechat.server.certificate import ServerCertificate
from securechat.server.server import Server
from tests.server.support import DEADLINE, Heard, authority, make_home, peer, running_server, trusting

CHATS = 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


def put(home: Path, *names: str, ends_in: float = 30, key: bool = True, at: str = "certs/server") -> str:
    """Put a certificate of the tests' CA in the home; returns its fingerprint."""
    now = datetime.now(UTC)
    leaf = authority().issue_cert(
        *(names or ("localhost",)), not_before=now - timedelta(days=40), not_after=now + timedelta(days=ends_in)
    )
    certificate, private = home / f"{at}.pem", home / f"{at}.key"
    if key:
        private.touch(0o600)
        private.write_bytes(leaf.private_key_pem.bytes())
    certificate.write_bytes(leaf.cert_chain_pems[0].bytes())
    return fingerprint_of(read_certificates(certificate)[0])


def shown(port: int) -> str:
    """The fingerprint of what a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", port), DEADLINE) as plain,
        trusting().wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return fingerprint_of(x509.load_der_x509_certificate(der))


def test_a_new_certificate_under_twenty_chats(home: Path, told: Heard) -> None:
    with running_server(home) as server, contextlib.ExitStack() as stack:
        chats = [
            stack.enter_context(peer(server, ["alice", "bob", "carol"][n % 3], room="lobby")) for n in range(CHATS)
        ]
        old = shown(server.port)

        def still_talk(text: str) -> None:
            assert chats[0].say(text, id=text)["type"] == "ack"
            assert {chat.messages(1)[0]["text"] for chat in chats} == {text}

        new = put(home, "localhost", "chat.example")
        said = told.wait_for("the certificate is a new one")
        assert "for localhost, chat.example, until" in said
        assert shown(server.port) == new != old
        still_talk("after")

        put(home, ends_in=-1)
        assert "stay as they were:" in told.wait_for("server.pem expired on")
        assert shown(server.port) == new
        with pytest.raises(CertificateError, match="expired on"):
            server.services.certificate.reload()
        still_talk("after-a-bad-one")

        newer = put(home)
        assert server.services.certificate.reload().startswith("the certificate is a new one, for localhost, until")
        assert server.services.certificate.reload() == ""
        assert shown(server.port) == newer
        still_talk("after-another")
    assert sum("stay as they were" in line for line in told.lines) == 1


def test_what_cannot_be_shown_is_refused_with_its_reason_and_changes_nothing(home: Path) -> None:
    certificate = ServerCertificate(home, Config())
    context = certificate.context
    path, key = home / "certs" / "server.pem", home / "certs" / "server.key"
    good = path.read_bytes()
    foreign = authority().issue_cert("localhost").cert_chain_pems[0].bytes()
    for wrong, reason in (
        (b"", "holds no certificate in PEM form"),
        (foreign, "is not the key of"),
        (good + foreign, "are no chain"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(CertificateError, match=reason):
            certificate.reload()
        assert certificate.context is context
    path.write_bytes(good)
    key.chmod(0o640)
    with pytest.raises(CertificateError, match="is open to other users"):
        certificate.reload()
    key.unlink()
    with pytest.raises(CertificateError, match="does not exist"):
        certificate.reload()
    assert certificate.context is context


def test_it_tells_how_long_it_lasts_by_the_clock_it_was_given(home: Path) -> None:
    put(home, ends_in=20)
    now = datetime.now(UTC) + timedelta(days=19)
    certificate = ServerCertificate(home, Config(), lambda: now)
    assert certificate.expires == read_certificates(home / "certs" / "server.pem")[0].not_valid_after_utc
    assert certificate.seconds_left() == pytest.approx(86_400, abs=60)


def old_home(folder: Path, days: int, days_ago: int, passphrase: str = "") -> CertificateFolder:
    """A home whose certificate, for so many days, was made so long ago."""
    certs = CertificateFolder(folder / "certs")
    generate(certs, new_passphrase=passphrase)
    authority = open_authority(certs, datetime.now(UTC), lambda: passphrase)
    key, then = new_key(), datetime.now(UTC) - timedelta(days=days_ago)
    old = issue_server_certificate(
        key.public_key(), ["localhost", "chat.example"], authority.certificate, authority.key, then, days
    )
    certs.server_certificate.write_bytes(certificate_pem(old))
    certs.server_key.write_bytes(key_pem(key))
    return certs


@pytest.mark.parametrize(("days", "days_ago", "renews"), [(90, 61, True), (90, 59, False), (9, 7, True), (9, 5, False)])
def test_a_server_renews_its_own_certificate_in_time(tmp_path: Path, days: int, days_ago: int, renews: bool) -> None:
    certs = old_home(tmp_path, days, days_ago)
    certificate = ServerCertificate(tmp_path, Config())
    before, context = certificate.expires, certificate.context
    certificate.look()
    certificate.look()
    assert (certificate.expires > before) is (certificate.context is not context) is renews
    if renews:
        facts = inspect_certificate(certs.server_certificate)
        assert facts.expires == certificate.expires
        assert {"localhost", "chat.example"} <= set(facts.names)
        assert timedelta(days=days - 1) < facts.expires - facts.begins < timedelta(days=days)


@pytest.mark.parametrize(
    ("config", "passphrase", "has_key", "why"),
    [
        (Config(renew_certificate=False), "", True, "The setting renew_certificate is off."),
        (Config(), "a passphrase", True, "The CA's key has a passphrase, so the server cannot renew it."),
        (Config(), "", False, "The CA's key is not here, so the server cannot renew it."),
        (
            Config(certificate="certs/server.pem", key="certs/server.key"),
            "",
            True,
            "It is not from the CA of this home: renew it where it came from.",
        ),
    ],
)
def test_what_is_left_to_a_person_is_told_30_and_7_days_and_1_day_before_the_end(
    tmp_path: Path, told: Heard, config: Config, passphrase: str, has_key: bool, why: str
) -> None:
    certs = old_home(tmp_path, 90, 30, passphrase)
    if not has_key:
        certs.authority_key.unlink()
    now = datetime.now(UTC)
    certificate = ServerCertificate(tmp_path, config, lambda: now)
    context, expires, said = certificate.context, certificate.expires, []
    for left in (31, 30, 29, 8, 7, 6, 1, 0.5, 0, -1):
        now = expires - timedelta(days=left)
        certificate.look()
        certificate.look()
        if told.lines:
            said.append((left, told.lines.pop()))
        assert not told.lines
    assert [left for left, _ in said] == [30, 7, 1, 0]
    assert all(why in line for _, line in said)
    assert "in 30 days" in said[0][1]
    assert "in 24 hours" in said[2][1]
    assert "no client takes it" in said[3][1]
    assert certificate.context is context


def test_a_renewal_that_fails_is_told_and_the_old_certificate_stays(tmp_path: Path, told: Heard) -> None:
    certs = old_home(tmp_path, 90, 61)
    certs.authority_key.chmod(0o600)
    certs.authority_key.write_text("no key")
    certificate = ServerCertificate(tmp_path, Config())
    context = certificate.context
    certificate.look()
    certificate.look()
    assert sum("the certificate could not be renewed" in line for line in told.lines) == 1
    assert sum("expires on" in line for line in told.lines) == 1
    assert certificate.context is context


def test_a_certificate_of_ones_own_is_two_lines_of_configuration(home: Path) -> None:
    (home / "public").mkdir()
    mine = put(home, "localhost", at="public/fullchain")
    CertificateFolder(home / "certs").server_certificate.unlink()
    (home / "securechat.toml").write_text(
        f'certificate = "public/fullchain.pem"\nkey = "{home / "public" / "fullchain.key"}"\nport = 0\n'
    )
    server = Server(home, load_config(home, {}, {}))
    server.start()
    try:
        assert shown(server.port) == mine
    finally:
        server.stop()


def test_a_certificate_without_its_key_is_half_a_setting(home: Path) -> None:
    with pytest.raises(ConfigError, match="certificate and key"):
        ServerCertificate(home, Config(key="other.key"))
