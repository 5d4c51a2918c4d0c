"""`invite` and `join`: codes are issued, listed and revoked, and whoever has one comes in once."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from securechat.client import joining
from securechat.client.codes import read_code
from securechat.client.profiles import Profiles
from securechat.errors import Unreachable
from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.cli.terminal import OnTerminal
from tests.server.support import DEADLINE, make_home

OWN = "a sentence of frank's own"
CODE = re.compile(r"sc1\.[A-Za-z0-9_-]+\n")


@pytest.fixture
def place(commands: Commands, served: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server that the commands act on, and people connect to."""
    monkeypatch.setenv("SECURECHAT_HOME", str(commands.home))
    return f"localhost:{served.port}"


def test_an_invitation_is_one_word_on_stdout_and_says_the_rest_on_stderr(commands: Commands, place: str) -> None:
    code, out, err = commands("invite", "carla")
    assert code == 0
    assert CODE.fullmatch(out)
    assert re.fullmatch(
        rf"An invitation for carla \(member\) to {place}, until \d{{4}}-\d\d-\d\d \d\d:\d\d UTC:\n"
        r"Give it to carla alone, who types: securechat join CODE\n",
        err,
    )
    assert str(read_code(out).address) == place


def test_invitations_are_issued_listed_and_revoked(commands: Commands, place: str, served: Server) -> None:
    code, out, _ = commands(
        "invite", "frank", "--admin", "--room", "lobby", "--expires", "12h", "--host", place, "--json"
    )
    assert code == 0
    issued = json.loads(out)
    assert read_code(issued["code"]).fingerprint.hex(":").upper() == issued["ca_fingerprint"]
    shown = {"name": "frank", "role": "admin", "rooms": ["lobby"], "state": "open", "expires": issued["expires"]}
    assert issued.items() >= (shown | {"server": place}).items()
    assert json.loads(commands("invite", "list", "--json")[1]) == [shown]
    (kept,) = served.services.view.invitations.values()
    assert kept.expires - kept.created == 12 * 3_600_000
    assert commands("invite", "revoke", "frank")[0] == 0
    code, _, err = commands("invite", "revoke", "frank")
    assert (code, err) == (6, "securechat: No invitation of frank is open. See `securechat invite list`.\n")
    assert commands("invite", "list")[1] == f"frank  admin   revoked  {issued['expires']}  lobby\n"
    code, _, err = commands("join", issued["code"], "--generate")
    assert code == 4
    assert err.endswith("securechat: This invitation was revoked; ask for another.\n")


def test_whoever_has_the_code_is_in_and_talks(commands: Commands, place: str) -> None:
    invitation = json.loads(commands("invite", "frank", "--host", place, "--json")[1])["code"]
    code, out, err = commands("join", invitation, "--password-stdin", typed=f"{OWN}\n".encode())
    assert (code, out) == (0, "")
    assert err == (
        f"{place} is the server of your invitation. You will be frank there.\n"
        f"You are frank at {place}. Profile localhost is in use. Next: securechat connect\n"
    )
    assert commands("connect", typed=b"hello\n") == (0, "", "")
    assert commands("whoami")[1] == f"frank (member) at {place}\n"
    code, out, err = commands("join", invitation, "--generate")
    assert (code, out) == (4, "")
    assert err.endswith("there.\nsecurechat: This invitation was used already; ask for another.\n")
    # Whoever has the password that was chosen may paste the line again: something may have broken the first time.
    assert commands("logout")[0] == 0
    assert commands("join", invitation, "--password-stdin", typed=f"{OWN}\n".encode())[0] == 0
    assert commands("whoami")[1] == f"frank (member) at {place}\n"


def test_a_password_that_is_made_is_shown_once(commands: Commands, place: str) -> None:
    invitation = json.loads(commands("invite", "frank", "--host", place, "--json")[1])["code"]
    made = json.loads(commands("join", invitation, "--generate", "--profile", "work", "--json")[1])
    assert made.items() >= {"profile": "work", "username": "frank", "role": "member", "server": place}.items()
    typed = f"{made['password']}\n".encode()
    assert commands("login", "--password-stdin", typed=typed)[0] == 0
    assert commands("logout")[0] == 0


def test_a_password_that_was_made_is_shown_though_the_answer_was_lost(
    commands: Commands, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_profiles: object, _name: str, _invited: object, choose: Callable[[], str]) -> None:
        chosen.append(choose())
        raise Unreachable("The connection was lost.")

    chosen: list[str] = []
    monkeypatch.setattr(joining, "join", lost)
    invitation = json.loads(commands("invite", "frank", "--host", place, "--json")[1])["code"]
    code, out, err = commands("join", invitation, "--generate")
    assert (code, out) == (3, "")
    assert f"The password that was made for frank, shown only now: {chosen[0]}\n" in err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["invite", "Carol"], 2, "No account can be called 'Carol'."),
        (["invite", "alice"], 7, "There is an account alice already."),
        (["invite", "frank", "--room", "nowhere"], 6, "There is no room 'nowhere'."),
        (["invite", "frank", "--expires", "0d"], 2, "'0d' is no time. Type a number and m, h or d, up to 365d."),
        (["invite", "frank", "--expires", "366d"], 2, "'366d' is no time."),
        (["invite", "frank", "--host", "[::1"], 2, "'[::1' is not an address."),
        (["join", "sc1.AAAA", "--generate"], 2, "This invitation code is mistyped or cut short."),
        (["join", "--generate"], 2, "No invitation code was given."),
        (["join", "hello", "--generate"], 2, "This is no invitation code."),
    ],
)
def test_what_cannot_work_is_told_in_one_line(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str
) -> None:
    monkeypatch.setenv("SECURECHAT_HOME", str(commands.home))
    ended, out, err = commands(*arguments)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert told in err


def test_the_address_is_that_of_the_certificate_and_the_settings(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECURECHAT_HOME", str(commands.home))
    assert commands("gen-certs", "--host", "chat.example.org", "--force")[0] == 1  # its CA is another's
    for name in ("server.pem", "server.key", "ca.pem"):
        (commands.home / "certs" / name).unlink()
    assert commands("gen-certs", "--host", "chat.example.org")[0] == 0

    def place(*more: str) -> tuple[str, str]:
        code, out, err = commands("invite", "frank", *more)
        assert code == 0
        return str(read_code(out).address), err

    assert place()[0] == "localhost:7443"
    monkeypatch.setenv("SECURECHAT_HOST", "")
    monkeypatch.setenv("SECURECHAT_PORT", "7444")
    assert place()[0] == "chat.example.org:7444"
    assert place("--host", "[::1]")[0] == "[::1]:7444"
    where, err = place("--host", "192.0.2.7:99")
    assert where == "192.0.2.7:99"
    assert "Warning: the certificate is not for 192.0.2.7; securechat gen-certs --host adds it." in err
    monkeypatch.setenv("SECURECHAT_PORT", "0")
    assert commands("invite", "frank")[0] == 2


def test_a_new_person_is_talking_on_a_terminal_after_pasting_one_line(
    commands: Commands, served: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    invited = subprocess.run(
        [sys.executable, "-m", "securechat", "invite", "frank", "--host", f"localhost:{served.port}"],
        cwd=commands.home, capture_output=True, text=True, timeout=DEADLINE, check=True,
    )  # fmt: skip
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.chdir(tmp_path)
    with OnTerminal("join", invited.stdout.strip(), data_to_terminal=True) as screen:
        screen.read_until("Password for frank")
        screen.answer(OWN)
        screen.read_until("The same again")
        screen.answer(OWN)
        screen.read_until("You are in lobby: 1 member.")
        screen.answer("hello from a new person")
        screen.read_until("frank #2: hello from a new person")
        screen.answer("/quit")
        assert screen.end()[0] == 0
        assert OWN not in screen.seen
    assert Profiles.of_person().chosen() == "localhost"


def test_a_false_server_is_told_apart(commands: Commands, place: str, tmp_path: Path) -> None:
    other = make_home(tmp_path / "other")
    for name in ("ca.pem", "server.pem", "server.key"):
        (other / "certs" / name).unlink()
    commands("gen-certs", "--home", other)
    code, out, _ = commands("invite", "frank", "--host", place, "--home", other)
    assert code == 0
    code, out, err = commands("join", out.strip(), "--generate")
    assert (code, out) == (5, "")
    assert re.search(r"SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}, and the invitation is for ([0-9A-F]{2}:){31}", err)
