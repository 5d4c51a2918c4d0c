"""`login`, `whoami`, `logout`, `profile …` and `connect` by a profile, in this process, against a real server."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from securechat.cli import main
from securechat.client.profiles import Profiles
from securechat.server.server import Server
from tests.server.support import PASSWORD, make_home, running_server

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("server") / "home")


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with running_server(home) as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command as a person with folders of their own, and nothing but a file as stdin."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: str | Path, typed: str = "") -> tuple[int, str, str]:
        (tmp_path / "input").write_text(typed)
        with (tmp_path / "input").open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            monkeypatch.setattr(sys, "argv", ["securechat", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = capfd.readouterr()
        assert PASSWORD not in out + err
        return int(ended.value.code or 0), out, err

    return run_command


def test_one_login_is_enough_until_the_logout(server: Server, home: Path, run: Run) -> None:
    at, ca = f"carol@localhost:{server.port}", home / "certs" / "ca.pem"
    code, out, err = run("login", at, "--ca", ca, "--password-stdin", typed=f"{PASSWORD}\n")
    assert (code, out) == (0, "")
    assert (
        err == f"Logged in as carol at localhost:{server.port}. Profile localhost is in use. Next: securechat connect\n"
    )
    assert run("whoami") == (0, f"carol (member) at localhost:{server.port}\n", "")
    code, out, _ = run("whoami", "--json")
    session = json.loads(out)["session"]
    assert code == 0
    assert session == server.services.tokens_of("carol")[0][0].hex()[:16]
    assert run("connect", typed="hello by the profile\n") == (0, "", "")
    assert run("connect", "--profile", "localhost", typed="again\n") == (0, "", "")
    assert len(server.services.tokens_of("carol")) == 1

    assert run("logout") == (0, "", "The session of profile localhost is ended.\n")
    assert server.services.tokens_of("carol") == []
    code, out, err = run("whoami")
    assert (code, out) == (2, "")
    assert "to ask for the password of carol@localhost" in err
    assert run("logout") == (0, "", "Profile localhost has no session that is in force.\n")
    assert run("login", "--password-stdin", typed=f"{PASSWORD}\n")[0] == 0
    assert run("whoami")[0] == 0


def test_a_session_that_was_ended_elsewhere_asks_the_password_manager(
    server: Server, home: Path, run: Run, tmp_path: Path
) -> None:
    at, ca = f"dave@localhost:{server.port}", home / "certs" / "ca.pem"
    assert run("login", at, "--profile", "work", "--ca", ca, "--password-stdin", typed=f"{PASSWORD}\n")[0] == 0
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\n")
    profiles = Profiles.of_person()
    with profiles.path("work").open("a") as file:
        file.write(f'password_command = "cat {secret}"\n')
    before = profiles.token("work")
    assert run("login", "--password-stdin", typed="wrong password\n")[0] == 4
    assert profiles.token("work") == before
    profiles.keep_token("work", "no token that the server knows")
    assert run("whoami")[0] == 0
    assert profiles.token("work") not in (before, "no token that the server knows")
    # A password that is given makes a new session, whatever token there is, and is not said in the room.
    assert run("connect", "--password-stdin", typed=f"{PASSWORD}\n") == (0, "", "")
    assert len(server.services.tokens_of("dave")) == 3


def test_a_pinned_ca_is_the_only_one(server: Server, home: Path, run: Run, tmp_path: Path) -> None:
    at, ca = f"alice@localhost:{server.port}", home / "certs" / "ca.pem"
    assert run("login", at, "--ca", ca, "--password-stdin", typed=f"{PASSWORD}\n")[0] == 0
    profiles = Profiles.of_person()
    path = profiles.path("localhost")
    mine = path.read_text()
    other = trustme.CA().cert_pem.bytes().decode()
    path.write_text(f'{mine[: mine.index("ca = ")]}ca = """\n{other}"""\n')
    code, _, err = run("whoami")
    assert code == 5
    assert f"not from the CA in {path}" in err


def test_profiles_are_listed_shown_used_and_removed(run: Run, home: Path, server: Server) -> None:
    ca = home / "certs" / "ca.pem"
    for name in ("alice", "bob"):
        at = f"{name}@localhost:{server.port}"
        assert run("login", at, "--profile", name, "--ca", ca, "--password-stdin", typed=f"{PASSWORD}\n")[0] == 0
    place = f"localhost:{server.port}"
    assert run("profile", "list")[1] == f"  alice  alice@{place}\n* bob    bob@{place}\n"
    assert run("profile", "use", "alice")[0] == 0
    listed = json.loads(run("profile", "list", "--json")[1])
    assert [(one["name"], one["in_use"], one["session"]) for one in listed] == [
        ("alice", True, True),
        ("bob", False, True),
    ]
    shown = run("profile", "show")[1].splitlines()
    assert shown[:3] == ["name              alice", "username          alice", f"server            {place}"]
    assert shown[4:6] == ["in use            yes", "session kept      yes"]
    assert json.loads(run("profile", "show", "bob", "--json")[1]) == listed[1]
    assert len(listed[1]["ca_fingerprint"]) == 95
    assert run("profile", "remove", "alice") == (0, "", "Profile alice is removed.\n")
    assert run("whoami")[0] == 2
    assert run("whoami", "--profile", "bob")[0] == 0
    assert run("profile", "show", "alice")[0] == 6


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["connect"], 2, "No server is named, and no profile is in use."),
        (["login"], 2, "securechat join CODE, or securechat login"),
        (["whoami", "--profile", "nowhere"], 6, "There is no profile nowhere."),
        (["whoami", "alice@localhost", "--profile", "work"], 2, "A server and a profile were named."),
        (["whoami", "--ca", "ca.pem"], 2, "A profile has its own CA and client certificate."),
        (["profile", "use", "../x"], 2, "No profile can be called '../x'."),
    ],
)
def test_what_cannot_work_is_told_in_one_line(run: Run, arguments: list[str], code: int, told: str) -> None:
    ended, out, err = run(*arguments)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert told in err
