"""What a shell completes: commands, and the profiles and rooms that this machine knows, with nobody asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from securechat.server.server import Server
from tests.cli.commands import Commands
from tests.server.support import DEADLINE, peer


def completed(*words: str) -> set[str]:
    """What bash would offer for the last of these words."""
    done = subprocess.run(
        [Path(sys.executable).with_name("securechat")],
        env=os.environ
        | {
            "_SECURECHAT_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(("securechat", *words)),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    return set(done.stdout.split())


def test_rooms_and_profiles_are_completed_from_what_is_known_here(
    served: Server, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECURECHAT_HOME", raising=False)
    monkeypatch.chdir(commands.state.parent)
    assert {"history", "hook"} <= completed("h")
    assert completed("tail", "l") == set()
    with peer(served, "alice") as alice, peer(served, "bob") as bob:
        alice.send({"type": "create", "room": "kitchen"})
        alice.expect("created")
        bob.say("psst", id="1", room="@alice")
    at = commands.way_in()
    assert commands("login", at[1], *at[2:], "--profile", "work")[0] == 0
    assert commands("rooms")[0] == 0
    assert (commands.state / "securechat" / "rooms").stat().st_mode & 0o777 == 0o600
    served.stop()
    assert completed("send", "") == {"kitchen", "@bob"}
    assert completed("tail", "kitchen", "@") == {"@bob"}
    assert completed("send", "--profile", "w") == {"work"}
    monkeypatch.setenv("SECURECHAT_HOME", str(commands.home))
    assert completed("history", "l") == {"lobby"}


def test_what_cannot_be_read_completes_nothing(commands: Commands) -> None:
    (commands.state / "securechat" / "rooms").mkdir(parents=True)
    assert completed("send", "") == set()
