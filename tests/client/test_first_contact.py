"""Joining a server that is false, from its first byte on: what it is told (every byte is recorded), and what the person
is told. The true server is in the tests of the command.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from securechat.client.address import Address
from securechat.client.codes import Invited
from securechat.client.first_contact import HEARD_BYTES
from securechat.client.joining import join
from securechat.client.profiles import Profiles
from securechat.client.timeouts import Timeouts
from securechat.errors import SecurechatError, Unreachable, VerificationFailed
from tests.client.scripted import DEADLINE, HELLO, Peer, ScriptedServer, authority, scripted

QUESTION = b'{"type":"authority"}\n'
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXMzMmI"


def pem(ca: trustme.CA) -> str:
    return ca.cert_pem.bytes().decode()


def digest(ca: trustme.CA) -> bytes:
    return x509.load_pem_x509_certificate(ca.cert_pem.bytes()).fingerprint(SHA256())


class Person:
    """Who was invited, and whether they were asked for a password."""

    def __init__(self, folder: Path) -> None:
        self.profiles = Profiles(folder / "config", folder / "state")
        self.was_asked = False

    def choose(self) -> str:
        self.was_asked = True
        return "correct horse battery staple"

    def join(self, port: int, ca: trustme.CA | None = None, **timeouts: float) -> SecurechatError:
        """Join the server at this port, which should have this CA; returns what came of it."""
        invited = Invited(Address("carol", "localhost", port), digest(ca or authority()), SECRET)
        with pytest.raises(SecurechatError) as caught:
            join(self.profiles, "work", invited, self.choose, Timeouts(**timeouts))
        assert SECRET not in str(caught.value)
        return caught.value


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


def telling(*certificates: str) -> Any:
    """A script that answers the question with these certificates, then keeps what is sent behind it."""

    def script(peer: Peer) -> None:
        peer.send(HELLO)
        peer.expect("authority")
        peer.send({"type": "authority", "certificate": "".join(certificates)})
        with contextlib.suppress(EOFError, OSError):
            peer.receive()

    return script


def test_a_server_with_another_ca_gets_the_question_and_nothing_else(person: Person) -> None:
    false = trustme.CA()
    with scripted(telling(pem(false)), leaf=false.issue_cert("localhost")) as server:
        error = person.join(server.port)
    assert isinstance(error, VerificationFailed)
    for ca in (false, authority()):
        assert digest(ca).hex(":").upper() in str(error)
    assert error.exit_code == 5
    assert server.received == QUESTION
    assert not person.was_asked
    assert person.profiles.names() == []


def test_a_server_that_tells_the_true_ca_and_cannot_prove_it_gets_no_secret(person: Person) -> None:
    # Who stands in between can pass on the true server's answer, but has no certificate from its CA.
    false = trustme.CA().issue_cert("localhost")

    def script(peer: Peer) -> None:
        peer.send(HELLO)
        peer.receive()

    with scripted(telling(pem(authority())), script, leaf=false, stranger=false) as server:
        error = person.join(server.port)
    assert isinstance(error, VerificationFailed)
    assert str(error).startswith("The certificate of localhost is not from the CA in the invitation:")
    assert server.received == QUESTION
    assert person.profiles.names() == []


@pytest.mark.parametrize(
    "told",
    [
        "",
        "no certificate",
        pem(authority()) + pem(trustme.CA()),
        authority().issue_cert("localhost").cert_chain_pems[0].bytes().decode(),
        pem(authority()).replace("M", "N", 1),
    ],
    ids=["nothing", "nonsense", "the true one and another", "a server's", "damaged"],
)
def test_nothing_but_the_one_certificate_is_taken(person: Person, told: str) -> None:
    with scripted(telling(told)) as server:
        error = person.join(server.port)
    assert isinstance(error, VerificationFailed)
    assert "What the server says is its CA's certificate is none." in str(error)
    assert server.received == QUESTION
    assert not person.was_asked


def refusing(peer: Peer) -> None:
    peer.send(HELLO)
    peer.expect("authority")
    peer.send({"type": "error", "code": "forbidden", "message": "This server has no CA\u202e."})


def leaving(peer: Peer) -> None:
    peer.expect("authority")


def cutting(peer: Peer) -> None:
    peer.expect("authority")
    peer.cut()


def flooding(peer: Peer) -> None:
    peer.expect("authority")
    with contextlib.suppress(OSError):
        peer.send_bytes(b'{"type":"ping"}\n' * (HEARD_BYTES // 8))


def talking_nonsense(peer: Peer) -> None:
    peer.send_bytes(b"220 mail.example.org ESMTP\r\n")
    with contextlib.suppress(EOFError, OSError):
        peer.receive()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (refusing, "does not say which CA it has: This server has no CA\\u{202E}."),
        (leaving, "closed the connection."),
        (cutting, "closed the connection."),
        (flooding, "does not say which CA it has."),
        (talking_nonsense, "does not speak the securechat protocol."),
    ],
)
def test_a_server_that_does_not_answer_is_told_in_a_sentence(person: Person, script: Any, told: str) -> None:
    with scripted(script) as server:
        error = person.join(server.port)
    assert isinstance(error, Unreachable)
    assert told in str(error)
    assert bytes(server.received) in (QUESTION, b"")


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that accepts and says nothing, until the client has left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            with raw:
                raw.settimeout(DEADLINE)
                while raw.recv(65_536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(DEADLINE)


def test_a_silent_server_is_given_up(person: Person) -> None:
    with silent() as port:
        error = person.join(port, greet=0.2)
    assert isinstance(error, Unreachable)
    assert "does not answer." in str(error)


def test_a_server_that_speaks_no_tls_and_one_that_is_not_there(person: Person) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            raw, _ = listener.accept()
            with raw:
                raw.settimeout(DEADLINE)
                raw.recv(65_536)
                raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        assert isinstance(person.join(port), VerificationFailed)
        thread.join(DEADLINE)
    error = person.join(port)
    assert isinstance(error, Unreachable)
    assert "cannot be reached: connection refused." in str(error)


WELCOME = {"type": "welcome", "username": "carol", "role": "member", "session": "s", "version": "0", "rooms": []}
USED = {"type": "error", "code": "bad-invitation", "message": "This invitation was used already; ask for another."}


def test_after_any_break_behind_the_secret_the_same_line_and_password_lead_in(person: Person) -> None:
    def cut(peer: Peer) -> None:
        peer.send(HELLO)
        assert peer.expect("redeem")["secret"] == SECRET
        peer.cut()

    def used(peer: Peer) -> None:
        peer.send(HELLO)
        peer.expect("redeem")
        peer.send(USED)

    def login(peer: Peer) -> None:
        peer.send(HELLO)
        login = peer.expect("login")
        assert (login["username"], login["password"]) == ("carol", person.choose())
        peer.send({**WELCOME, "token": "a token"})
        peer.leave()

    def refuse(peer: Peer) -> None:
        peer.send(HELLO)
        peer.expect("login")
        peer.send({"type": "error", "code": "bad-credentials", "message": "No."})

    told = telling(pem(authority()))
    with scripted(told, cut, told, used, refuse, told, used, login, told, used, login) as server:
        lost = person.join(server.port)
        assert isinstance(lost, Unreachable)
        assert str(lost).endswith("Your account may be there by now: type the same line again, with the same password.")
        another = person.join(server.port)  # with another password than the first time
        assert (another.exit_code, another.message) == (4, USED["message"])
        # The account is there, and the profile cannot be written.
        folder = person.profiles.path("work").parent.parent
        folder.mkdir(parents=True)
        (folder / "profiles").write_text("in the way")
        kept = person.join(server.port)
        assert "cannot be used" in str(kept)
        assert str(kept).endswith(
            "Your account is there. When that is mended, type the same line again, with the same password."
        )
        (folder / "profiles").unlink()
        invited = Invited(Address("carol", "localhost", server.port), digest(authority()), SECRET)
        join(person.profiles, "work", invited, person.choose)
    assert person.profiles.token("work") == "a token"


def test_what_comes_of_it_is_a_profile_with_a_session(person: Person) -> None:
    def script(peer: Peer) -> None:
        peer.send(HELLO)
        redeem = peer.expect("redeem")
        assert (redeem["username"], redeem["password"]) == ("carol", person.choose())
        peer.send({**WELCOME, "token": "a token"})
        peer.leave()

    with scripted(telling(pem(authority())), script) as server:
        invited = Invited(Address("carol", "localhost", server.port), digest(authority()), SECRET)
        assert join(person.profiles, "work", invited, person.choose).username == "carol"
    assert isinstance(server, ScriptedServer)
    profile = person.profiles.get("work")
    assert profile.address == invited.address
    assert profile.ca.strip() == pem(authority()).strip()
    assert person.profiles.token("work") == "a token"
    assert SECRET not in person.profiles.path("work").read_text()
