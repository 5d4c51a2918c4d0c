"""Another certificate under open chats: new connections get it, a bad one changes nothing, and the reason is told."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from securechat.certificates import CertificateFolder
from securechat.certificates.reading import fingerprint_of, read_certificates
from securechat.config import Config, load_config
from securechat.errors import CertificateError, ConfigError
from securechat.server.certificate import ServerCertificate
from securechat.server.server import Server
from tests.server.support import DEADLINE, authority, make_home, peer, running_server, trusting

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


class Heard(logging.Handler):
    """What the server logs of its certificate, for a test that waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.lines.append(record.getMessage())
            self._changed.notify_all()

    def wait_for(self, words: str) -> str:
        """The first line with these words in it, once it is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(words in line for line in self.lines), DEADLINE), self.lines
            return next(line for line in self.lines if words in line)


@pytest.fixture
def told() -> Iterator[Heard]:
    """The log of the certificate in force."""
    heard, source = Heard(), logging.getLogger("securechat.server.certificate")
    before = source.level
    source.addHandler(heard)
    source.setLevel(logging.INFO)
    yield heard
    source.removeHandler(heard)
    source.setLevel(before)


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
        assert "stays as it was:" in told.wait_for("server.pem expired on")
        assert shown(server.port) == new
        with pytest.raises(CertificateError, match="expired on"):
            server.services.certificate.reload()
        still_talk("after-a-bad-one")

        newer = put(home)
        assert server.services.certificate.reload().startswith("the certificate is a new one, for localhost, until")
        assert server.services.certificate.reload() == ""
        assert shown(server.port) == newer
        still_talk("after-another")
    assert sum("stays as it was" in line for line in told.lines) == 1


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
