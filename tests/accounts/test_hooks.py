"""The file of the webhooks: read strictly, replaced whole, closed to others."""

from pathlib import Path

import pytest

from securechat.accounts.hooks import HEADER, HookFile, find_hook, parse_hooks
from securechat.accounts.tokens import hash_token
from securechat.chat.accounts import Hook
from securechat.errors import AlreadyExists, CredentialError, NotFound
from securechat.limits import HOOKS

BUILD = Hook("build", "builds", hash_token("one"))
ALARM = Hook("alarm", "ops", hash_token("two"))


@pytest.fixture
def file(tmp_path: Path) -> HookFile:
    return HookFile(tmp_path / "hooks")


def test_what_was_added_is_there_until_it_is_removed(file: HookFile) -> None:
    assert (file.load(), file.stamp()) == ({}, None)
    file.add(BUILD)
    before = file.stamp()
    file.add(ALARM)
    assert file.stamp() != before
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert HookFile(file.path).load() == {"build": BUILD, "alarm": ALARM}
    with pytest.raises(AlreadyExists):
        file.add(Hook("build", "ops", hash_token("three")))
    assert file.remove("build") == BUILD
    with pytest.raises(NotFound):
        file.remove("build")
    assert file.load() == {"alarm": ALARM}
    assert file.path.read_text().startswith(HEADER)


def test_a_hook_is_found_by_the_hash_of_its_token_alone() -> None:
    hooks = {"build": BUILD, "alarm": ALARM}
    assert find_hook(hooks, hash_token("two")) is ALARM
    assert find_hook(hooks, hash_token("three")) is None
    assert BUILD.token_hash.hex() not in repr(BUILD)


@pytest.mark.parametrize(
    "line",
    ["", "build", "build:builds", "Build:builds:" + "0" * 64, "build:@a:" + "0" * 64, "build:builds:" + "0" * 63,
     "build:builds:" + "0" * 64 + " ", "build:builds:" + "0" * 64 + "\nbuild:ops:" + "0" * 64],
)  # fmt: skip
def test_what_is_no_hook_refuses_the_whole_file(file: HookFile, line: str) -> None:
    file.path.touch(0o600)
    file.path.write_text(f"# a comment\n{line}\n")
    with pytest.raises(CredentialError, match=rf"hooks, line {line.count(chr(10)) + 2}: It is no hook"):
        file.load()


def test_a_file_that_cannot_be_used_is_told(file: HookFile, tmp_path: Path) -> None:
    file.path.touch(0o644)
    with pytest.raises(CredentialError, match="open to other users"):
        file.load()
    file.path.chmod(0o600)
    file.path.write_bytes(b"\xff\n")
    with pytest.raises(CredentialError, match="line 1: It is no hook"):
        file.load()
    with pytest.raises(CredentialError, match="cannot be changed: No such file"):
        HookFile(tmp_path / "nowhere" / "hooks").add(BUILD)


def test_there_is_a_limit(file: HookFile) -> None:
    file.path.touch(0o600)
    file.path.write_text("".join(f"h{number}:lobby:{number:064x}\n" for number in range(HOOKS)))
    with pytest.raises(CredentialError, match=f"There are {HOOKS} hooks already"):
        file.add(BUILD)


def test_a_file_that_is_a_copy_takes_over_what_it_is_given(file: HookFile) -> None:
    file.add(BUILD)
    held = file.take_over({"alarm": ALARM})
    assert held == file.path.read_bytes()
    assert parse_hooks(held, "hooks") == file.load() == {"alarm": ALARM}
    file.path.unlink()
    file.path.mkdir(0o700)
    with pytest.raises(CredentialError, match="cannot be read: IsADirectoryError"):
        file.load()
