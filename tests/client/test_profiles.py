"""Saved servers on disk: what is in their files, who may read them, and which one is used."""

import stat
import sys
from pathlib import Path

import pytest

from securechat.certificates import client_context
from securechat.client.entrance import pin
from securechat.client.profiles import Profile, Profiles
from securechat.errors import AlreadyExists, NotFound, SecurechatError, UsageError
from tests.client.scripted import authority_file

SECRET = "kq3mN0p_7vRzUO2-dG5yXb1LhTfCwEaS4iJ8oMtVr6Q"


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    return Profiles.of_person({"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_STATE_HOME": str(tmp_path / "state")})


def profile(username: str = "alice", host: str = "chat.example.org", **more: object) -> Profile:
    return Profile(username=username, host=host, port=7443, **more)  # type: ignore[arg-type] # ca, password_command


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_profile_is_one_file_of_its_owner_and_holds_no_secret(profiles: Profiles, tmp_path: Path) -> None:
    saved = profile(ca=pin(authority_file(tmp_path)), password_command='pass show "chat \\ ü\x7f"')
    profiles.save("work", saved)
    profiles.keep_token("work", SECRET)
    assert profiles.get("work") == saved
    path = tmp_path / "config/securechat/profiles/work.toml"
    assert profiles.path("work") == path
    assert mode(path) == 0o600
    assert SECRET not in path.read_text()
    assert profiles.token("work") == SECRET
    token = tmp_path / "state/securechat/tokens/work"
    assert (mode(token), mode(token.parent)) == (0o600, 0o700)


def test_the_pinned_ca_is_read_from_the_profile_itself(profiles: Profiles, tmp_path: Path) -> None:
    authority = authority_file(tmp_path)
    profiles.save("work", profile(ca=pin(authority)))
    pinned, given = client_context(profiles.path("work")), client_context(authority)
    assert pinned.get_ca_certs() == given.get_ca_certs()
    assert len(pinned.get_ca_certs()) == 1


def test_folders_that_are_not_absolute_are_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = Profiles.of_person({"XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": ""})
    assert found.path("work") == tmp_path / ".config/securechat/profiles/work.toml"
    found.keep_token("work", SECRET)
    assert (tmp_path / ".local/state/securechat/tokens/work").read_text() == f"{SECRET}\n"


def test_the_last_one_saved_is_in_use_until_another_is_chosen(profiles: Profiles) -> None:
    assert profiles.in_use() is None
    with pytest.raises(UsageError, match="no profile is in use"):
        profiles.chosen()
    profiles.save("one", profile())
    profiles.save("two", profile("bob"))
    assert (profiles.names(), profiles.chosen(), profiles.chosen("one")) == (["one", "two"], "two", "one")
    profiles.use("one")
    assert profiles.chosen() == "one"
    profiles.keep_token("one", SECRET)
    assert profiles.remove("one")
    assert (profiles.names(), profiles.in_use(), profiles.token("one")) == (["two"], None, "")
    assert not profiles.remove("two")
    for act in (profiles.remove, profiles.use, profiles.get):
        with pytest.raises(NotFound, match="There is no profile two"):
            act("two")


def test_a_new_profile_is_named_after_its_host(profiles: Profiles) -> None:
    def save(username: str, host: str) -> str:
        saved = profile(username, host)
        name = profiles.name_for(saved.address)
        profiles.save(name, saved)
        return name

    assert save("alice", "chat.example.org") == "chat.example.org"
    assert save("alice", "chat.example.org") == "chat.example.org"
    assert save("bob", "Chat.example.org") == "bob.chat.example.org"
    assert save("alice", "::1") == "1"
    assert save("alice", "-") == "server"
    assert save("alice", "a" * 80) == "a" * 64
    with pytest.raises(AlreadyExists, match="--profile NAME"):
        for number in range(9):
            save("x" * 32, f"{'b' * 70}{number}")


def test_a_password_command_outlives_the_next_login(profiles: Profiles) -> None:
    profiles.save("work", profile(password_command="pass show chat"))
    profiles.save("work", profile(ca="-----BEGIN CERTIFICATE-----"))
    assert profiles.get("work").password_command == "pass show chat"
    assert profiles.get("work").ca


@pytest.mark.parametrize("opened", ["tokens", "tokens/work"])
def test_a_token_that_others_can_read_is_refused(profiles: Profiles, tmp_path: Path, opened: str) -> None:
    profiles.keep_token("work", SECRET)
    path = tmp_path / "state/securechat" / opened
    path.chmod(mode(path) | 0o004)
    with pytest.raises(SecurechatError, match=r"open to other users.*chmod go=") as refused:
        profiles.token("work")
    assert SECRET not in str(refused.value)
    if opened == "tokens":
        with pytest.raises(SecurechatError, match="open to other users"):
            profiles.keep_token("other", SECRET)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Work", "x" * 65, ".hidden"])
def test_what_cannot_be_a_profiles_name_is_no_path(profiles: Profiles, name: str) -> None:
    for act in (profiles.get, profiles.token, profiles.use, profiles.remove):
        with pytest.raises(UsageError, match="No profile can be called"):
            act(name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('username = "alice', "is no profile"),
        ('username = "alice"\nhost = "h"\nport = 0\n', "is no profile"),
        ('username = "Alice"\nhost = "h"\nport = 1\n', "cannot be a username"),
        ('username = "alice"\nhost = "h"\nport = 1\npassword = "x"\n', "unknown field"),
    ],
)
def test_a_file_that_is_no_profile_is_told(profiles: Profiles, content: str, told: str) -> None:
    profiles.save("work", profile())
    profiles.path("work").write_text(content)
    with pytest.raises(SecurechatError, match=told):
        profiles.get("work")


def test_a_password_manager_is_asked(tmp_path: Path) -> None:
    script = tmp_path / "manager.py"
    script.write_text("import sys\nprint('a secret ü\\nmore')\nsys.exit(len(sys.argv) - 1)\n")
    command = f"{sys.executable} {script}"
    assert profile().ask_manager() is None
    assert profile(password_command=command).ask_manager() == "a secret ü"
    for failing, told in (
        (f"{command} x", "it ended with 1"),
        ("true", "it printed nothing"),
        ("/nonexistent/pass", "FileNotFoundError"),
        ('pass "', "ValueError"),
    ):
        with pytest.raises(SecurechatError, match=told) as failed:
            profile(password_command=failing).ask_manager()
        assert "secret" not in str(failed.value)
