"""A CA that is replaced under people who have profiles: who was there in time moves along, who was not is told."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.certificates import split_authorities
from securechat.client.profiles import Profiles
from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.server.support import running_server


@pytest.fixture
def own(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose CA is its own, and two people who have logged in."""
    monkeypatch.setenv("SECURECHAT_HOME", str(commands.home))
    for path in (commands.home / "certs").iterdir():
        path.unlink()
    assert commands("gen-certs")[0] == 0
    with running_server(commands.home) as server:
        commands.port = server.port
        for name in ("alice", "bob"):
            at = f"{name}@localhost:{server.port}"
            assert commands("login", at, "--profile", name, "--password-file", commands.password)[0] == 0
        yield server


def pinned(name: str) -> list[str]:
    return split_authorities(Profiles.of_person().get(name).ca)


def test_who_was_there_while_the_next_ca_was_announced_moves_along(commands: Commands, own: Server) -> None:
    certs = commands.home / "certs"
    old = (certs / "ca.pem").read_text()
    assert pinned("alice") == [old]
    code, out, err = commands("gen-certs", "--next-ca")
    assert (code, len(out.splitlines())) == (0, 2)
    assert err.endswith("When everybody was there once: securechat gen-certs --use-next-ca\n")
    new = (certs / "next-ca.pem").read_text()
    own.services.certificate.look()
    for _ in range(2):
        assert commands("whoami", "--profile", "alice")[0] == 0
        assert pinned("alice") == [old, new]
    code, _, err = commands("gen-certs", "--use-next-ca")
    assert code == 0
    assert err.startswith("Put the next CA in force and renewed the server certificate from it.\n")
    own.services.certificate.look()
    assert commands("whoami", "--profile", "alice")[0] == 0
    assert pinned("alice") == [new]
    assert commands("connect", "--profile", "alice", typed=b"hello\n")[0] == 0
    code, _, err = commands("whoami", "--profile", "bob")
    assert code == 5
    assert "not from the CA in" in err


def test_a_next_ca_that_nobody_signed_for_is_passed_over(commands: Commands, own: Server) -> None:
    commands("gen-certs", "--next-ca")
    (commands.home / "certs" / "next-ca.sig").write_text("AAAA\n")
    own.services.certificate.look()
    assert commands("whoami", "--profile", "alice")[0] == 0
    assert len(pinned("alice")) == 1


def test_the_options_are_for_one_thing_each(commands: Commands, own: Server, tmp_path: Path) -> None:
    for wrong in (["--next-ca", "--use-next-ca"], ["--next-ca", "--host", "a.example"], ["--use-next-ca", "--force"]):
        assert commands("gen-certs", *wrong)[0] == 2
    assert commands("gen-certs", "--use-next-ca")[0] == 6
    made = json.loads(commands("gen-certs", "--next-ca", "--json")[1])
    assert len(made["next_ca_fingerprint"]) == 95
    assert commands("gen-certs", "--next-ca")[0] == 7
