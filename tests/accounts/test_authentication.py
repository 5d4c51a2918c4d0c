import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securechat.accounts import authentication, passwords
from securechat.accounts.authentication import Authenticator
from securechat.accounts.changing import AccountChange
from securechat.accounts.credentials import CredentialFile
from securechat.accounts.roll import FileRoll
from securechat.chat.accounts import Account
from securechat.errors import AlreadyExists, CredentialError, LastAdmin, WeakPassword
from tests.accounts.support import (
    CHEAP,
    OTHER_CHEAP,
    OTHER_PASSWORD,
    PASSWORD,
    STRONG,
    HashCounter,
    account,
    file_of,
)


@pytest.fixture(autouse=True)
def cheap_decoy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests need no decoy that costs as much as a real hash, and count no hash that was made for one."""
    monkeypatch.setattr(authentication, "hash_password", lambda _: OTHER_CHEAP)
    monkeypatch.setattr(authentication, "needs_rehash", lambda _: False)


@pytest.fixture
def real_costs(monkeypatch: pytest.MonkeyPatch, cheap_decoy: None) -> None:
    monkeypatch.undo()


@pytest.fixture
def file(tmp_path: Path) -> CredentialFile:
    return file_of(tmp_path, account("alice", "admin"), account("bob"), account("carol", "member", "disabled"))


def test_the_right_password_of_an_active_account_lets_it_in(file: CredentialFile) -> None:
    assert Authenticator(FileRoll(file)).check("alice", PASSWORD) == account("alice", "admin")


def test_an_account_that_is_added_may_log_in_at_once_and_ends_no_session(file: CredentialFile) -> None:
    authenticator = Authenticator(FileRoll(file))
    authenticator.roll.add(account("dave"))
    assert authenticator.check("dave", PASSWORD) == account("dave")
    assert CredentialFile(file.path).get("dave") == account("dave")
    assert authenticator.roll.refresh() == frozenset()
    with pytest.raises(AlreadyExists, match="There is an account dave already"):
        authenticator.roll.add(account("dave", password=OTHER_CHEAP))
    assert authenticator.check("dave", PASSWORD) == account("dave")


@pytest.mark.parametrize(
    ("change", "after", "ended"),
    [
        (AccountChange("add", "dave", state="hook", password=CHEAP), account("dave", "member", "hook"), ()),
        (AccountChange("passwd", "bob", password=OTHER_CHEAP), account("bob", password=OTHER_CHEAP), ("bob",)),
        (AccountChange("disable", "bob"), account("bob", state="disabled"), ("bob",)),
        (AccountChange("enable", "carol"), account("carol"), ()),
        (AccountChange("admin", "bob"), account("bob", "admin"), ()),
        (AccountChange("member", "bob"), account("bob"), ()),
        (AccountChange("remove", "bob"), None, ("bob",)),
    ],
)
def test_a_change_is_in_the_file_and_in_force_and_names_whose_sessions_end(
    change: AccountChange, after: Account | None, ended: tuple[str, ...], file: CredentialFile
) -> None:
    authenticator = Authenticator(FileRoll(file))
    assert authenticator.roll.make(change) == frozenset(ended)
    assert authenticator.accounts.get(change.name) == file.load().get(change.name) == after
    assert authenticator.roll.refresh() == frozenset()
    assert change.ends_logins is bool(ended)
    assert "argon2id" not in repr(change)


def test_a_change_that_is_refused_changes_nothing(file: CredentialFile) -> None:
    authenticator = Authenticator(FileRoll(file))
    before = authenticator.accounts
    with pytest.raises(LastAdmin):
        authenticator.roll.make(AccountChange("remove", "alice"))
    assert authenticator.accounts is before


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("alice", OTHER_PASSWORD),
        ("nobody", PASSWORD),
        ("nobody", OTHER_PASSWORD),
        ("carol", PASSWORD),
        ("carol", OTHER_PASSWORD),
        ("alice", ""),
        ("", ""),
        ("alice\n", PASSWORD),
        ("Alice", PASSWORD),
    ],
)
def test_wrong_unknown_and_disabled_are_one_answer_for_one_hash(
    username: str, password: str, file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))
    counter = HashCounter(monkeypatch)
    assert authenticator.check(username, password) is None
    assert (len(counter.verified), counter.made) == (1, 0)


@pytest.mark.parametrize("username", ["alice", "nobody", "carol"])
def test_an_over_long_password_is_one_answer_for_no_hash(
    username: str, file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))
    counter = HashCounter(monkeypatch)
    assert authenticator.check(username, "a" * 1025) is None
    assert (counter.verified, counter.made) == ([], 0)


@pytest.mark.usefixtures("real_costs")
def test_the_decoy_for_unknown_names_costs_what_a_new_hash_costs(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))
    counter = HashCounter(monkeypatch)
    assert authenticator.check("nobody", PASSWORD) is None
    assert [each.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for each in counter.verified] == [True]


def test_hashing_that_fails_is_no_wrong_password(file: CredentialFile, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = Authenticator(FileRoll(file))

    def fail(stored: str, password: str) -> bool:
        raise CredentialError("A password could not be checked.")

    monkeypatch.setattr(authentication, "verify", fail)
    with pytest.raises(CredentialError):
        authenticator.check("alice", PASSWORD)


class ChangedMeanwhile:
    """Verifies as usual, and lets something happen to the file just before the first answer is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
        self.happens: list[Callable[[], object]] = [happens]
        self.verify = passwords.verify
        monkeypatch.setattr(authentication, "verify", self)

    def __call__(self, stored: str, password: str) -> bool:
        right = self.verify(stored, password)
        while self.happens:
            self.happens.pop()()
        return right


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.remove("bob"),
        lambda file: file.set_state("bob", "disabled"),
        lambda file: file.set_password("bob", OTHER_CHEAP),
    ],
)
def test_an_account_that_changes_while_its_password_is_checked_does_not_come_in(
    change: Callable[[CredentialFile], None], file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))

    def happens() -> None:
        change(file)
        assert authenticator.roll.refresh() == {"bob"}

    ChangedMeanwhile(monkeypatch, happens)
    assert authenticator.check("bob", PASSWORD) is None


def test_an_account_whose_password_was_hashed_again_while_it_is_checked_comes_in(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))

    def happens() -> None:
        file.set_password("bob", STRONG)
        authenticator.roll.refresh()

    ChangedMeanwhile(monkeypatch, happens)
    assert authenticator.check("bob", PASSWORD) == account("bob", password=STRONG)


def test_a_role_that_changes_while_a_password_is_checked_is_the_one_that_holds(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))

    def happens() -> None:
        file.set_role("bob", "admin")
        assert authenticator.roll.refresh() == frozenset()

    ChangedMeanwhile(monkeypatch, happens)
    assert authenticator.check("bob", PASSWORD) == account("bob", "admin")


@pytest.mark.usefixtures("real_costs")
def test_a_good_login_with_weaker_costs_is_hashed_again_once_and_ends_no_session(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))
    counter = HashCounter(monkeypatch)
    came_in = authenticator.check("bob", PASSWORD)
    stored = file.load()["bob"].password
    assert counter.made == 1
    assert came_in == account("bob", password=stored)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert authenticator.roll.refresh() == frozenset()
    assert authenticator.check("bob", PASSWORD) == came_in
    assert counter.made == 1
    assert file.load()["alice"].password == CHEAP


@pytest.mark.usefixtures("real_costs")
@pytest.mark.parametrize(("username", "password"), [("bob", OTHER_PASSWORD), ("carol", PASSWORD), ("nobody", PASSWORD)])
def test_a_failed_login_is_never_hashed_again(
    username: str, password: str, file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))
    before = file.path.read_bytes()
    counter = HashCounter(monkeypatch)
    assert authenticator.check(username, password) is None
    assert counter.made == 0
    assert file.path.read_bytes() == before


def weak(monkeypatch: pytest.MonkeyPatch, new_hash: Callable[[str], str]) -> None:
    monkeypatch.setattr(authentication, "needs_rehash", lambda stored: stored == CHEAP)
    monkeypatch.setattr(authentication, "hash_password", new_hash)


def test_a_rehash_never_replaces_a_password_that_was_changed_meanwhile(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))

    def hash_while_an_admin_changes_it(password: str) -> str:
        file.set_password("bob", OTHER_CHEAP)
        return STRONG

    weak(monkeypatch, hash_while_an_admin_changes_it)
    assert authenticator.check("bob", PASSWORD) is not None
    assert file.load()["bob"].password == OTHER_CHEAP
    assert authenticator.roll.refresh() == {"bob"}


def test_a_rehash_brings_no_removed_account_back(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authenticator = Authenticator(FileRoll(file))

    def hash_while_an_admin_removes_it(password: str) -> str:
        file.remove("bob")
        assert authenticator.roll.refresh() == {"bob"}
        return STRONG

    weak(monkeypatch, hash_while_an_admin_removes_it)
    assert authenticator.check("bob", PASSWORD) is None
    assert "bob" not in file.load()
    assert "bob" not in authenticator.accounts
    assert "could not be hashed again" in caplog.text


def test_a_rehash_of_an_account_that_left_and_came_back_waits_for_the_next_refresh(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))

    def hash_while_an_admin_removes_it_and_restores_it(password: str) -> str:
        file.remove("bob")
        authenticator.roll.refresh()
        file.add(account("bob"))
        return STRONG

    weak(monkeypatch, hash_while_an_admin_removes_it_and_restores_it)
    assert authenticator.check("bob", PASSWORD) is None
    authenticator.roll.refresh()
    assert authenticator.check("bob", PASSWORD) == account("bob", password=STRONG)


def test_many_logins_at_once_with_weaker_costs_all_succeed(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))
    all_hash = threading.Barrier(4, timeout=30)

    def hash_together(password: str) -> str:
        all_hash.wait()
        return STRONG

    weak(monkeypatch, hash_together)
    came_in: list[Account | None] = []
    threads = [threading.Thread(target=lambda: came_in.append(authenticator.check("bob", PASSWORD))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert came_in == [account("bob", password=STRONG)] * 4
    assert authenticator.roll.refresh() == frozenset()


def test_a_refresh_during_a_rehash_does_not_take_it_for_a_new_password(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))
    weak(monkeypatch, lambda _: STRONG)
    ended: list[frozenset[str]] = []
    keeper = threading.Thread(target=lambda: ended.append(authenticator.roll.refresh()))
    rehash = CredentialFile.replace_hash

    def rehash_and_refresh(self: CredentialFile, name: str, verified: str, stored: str, **how: Any) -> bool:
        replaced = rehash(self, name, verified, stored, **how)
        keeper.start()
        keeper.join(0.2)  # It gets to its end here only if nothing keeps it from seeing half of the change.
        return replaced

    monkeypatch.setattr(CredentialFile, "replace_hash", rehash_and_refresh)
    assert authenticator.check("bob", PASSWORD) == account("bob", password=STRONG)
    keeper.join(30)
    assert ended == [frozenset()]


def test_a_rehash_that_cannot_be_written_is_logged_without_a_secret_and_the_login_succeeds(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authenticator = Authenticator(FileRoll(file))
    weak(monkeypatch, lambda _: STRONG)

    def fail(path: Path, data: bytes, mode: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("securechat.accounts.credentials.replace_file", fail)
    with caplog.at_level(logging.DEBUG):
        assert authenticator.check("bob", PASSWORD) == account("bob")
    [record] = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "securechat.accounts.authentication")
    assert "bob" in record.getMessage()
    assert "No space left on device" in record.getMessage()
    for secret in (PASSWORD, CHEAP, STRONG):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.remove("bob"),
        lambda file: file.set_state("bob", "disabled"),
        lambda file: file.set_password("bob", OTHER_CHEAP),
    ],
)
def test_the_sessions_of_an_account_that_was_removed_disabled_or_got_another_password_must_end(
    change: Callable[[CredentialFile], None], file: CredentialFile
) -> None:
    authenticator = Authenticator(FileRoll(file))
    assert authenticator.roll.refresh() == frozenset()
    change(file)
    assert authenticator.roll.refresh() == {"bob"}
    assert authenticator.roll.refresh() == frozenset()
    assert authenticator.check("bob", PASSWORD) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.add(account("dave")),
        lambda file: file.set_role("bob", "admin"),
        lambda file: file.set_state("carol", "active"),
        lambda file: file.path.write_bytes(b"# new\n" + file.path.read_bytes()),
    ],
)
def test_other_changes_take_effect_and_end_no_session(
    change: Callable[[CredentialFile], object], file: CredentialFile
) -> None:
    authenticator = Authenticator(FileRoll(file))
    change(file)
    assert authenticator.roll.refresh() == frozenset()
    assert authenticator.accounts == file.load()


def test_a_set_of_accounts_that_was_handed_out_does_not_change(file: CredentialFile) -> None:
    authenticator = Authenticator(FileRoll(file))
    handed_out = authenticator.accounts
    file.remove("bob")
    authenticator.roll.refresh()
    assert "bob" in handed_out
    assert "bob" not in authenticator.accounts


def test_a_file_is_looked_at_and_not_taken(file: CredentialFile) -> None:
    authenticator = Authenticator(FileRoll(file))
    file.remove("bob")
    authenticator.roll.check_file()
    assert "bob" in authenticator.accounts
    file.path.write_bytes(b"nonsense\n")
    with pytest.raises(CredentialError, match="line 1"):
        authenticator.roll.check_file()


def test_a_broken_file_is_reported_once_for_each_version_and_the_last_good_set_stays(file: CredentialFile) -> None:
    authenticator = Authenticator(FileRoll(file))
    good = file.path.read_bytes()
    file.path.write_bytes(good + b"\n")
    with pytest.raises(CredentialError, match="line 6"):
        authenticator.roll.refresh()
    assert authenticator.roll.refresh() == frozenset()
    assert authenticator.check("alice", PASSWORD) is not None
    file.path.write_bytes(good + b"#\n\n")
    with pytest.raises(CredentialError, match="line 7"):
        authenticator.roll.refresh()
    assert authenticator.roll.refresh() == frozenset()
    file.path.write_bytes(good)
    file.remove("bob")
    assert authenticator.roll.refresh() == {"bob"}


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_missing_file_is_an_error_each_time_and_keeps_the_last_good_set(what: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file = file_of(home, account("alice", "admin"))
    authenticator = Authenticator(FileRoll(file))
    there, away = (file.path, home / "away") if what == "file" else (home, tmp_path / "away")
    for _ in range(2):
        there.rename(away)
        with pytest.raises(CredentialError, match="does not exist"):
            authenticator.roll.refresh()
        assert authenticator.roll.refresh() == frozenset()
        assert authenticator.check("alice", PASSWORD) is not None
        away.rename(there)
        assert authenticator.roll.refresh() == frozenset()


def test_a_file_that_others_can_read_is_reported_and_taken_up_again_when_it_is_closed_to_them(
    file: CredentialFile,
) -> None:
    authenticator = Authenticator(FileRoll(file))
    file.remove("bob")
    file.path.chmod(0o644)
    with pytest.raises(CredentialError, match="chmod"):
        authenticator.roll.refresh()
    assert "bob" in authenticator.accounts
    file.path.chmod(0o600)
    assert authenticator.roll.refresh() == {"bob"}


def test_a_file_that_could_not_be_read_for_a_moment_is_read_at_the_next_call(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))
    file.remove("bob")
    with monkeypatch.context() as moment:

        def fail(path: Path) -> bytes:
            raise OSError(24, os.strerror(24))

        moment.setattr(Path, "read_bytes", fail)
        with pytest.raises(CredentialError, match="Too many open files"):
            authenticator.roll.refresh()
    assert authenticator.roll.refresh() == {"bob"}


@pytest.mark.parametrize("content", [None, b"", b"alice\n", b"\n"])
def test_a_start_without_a_good_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = CredentialFile(tmp_path / "credentials")
    if content is not None:
        file.path.write_bytes(content)
        file.path.chmod(0o600)
    with pytest.raises(CredentialError) as caught:
        Authenticator(FileRoll(file))
    assert content is not None or "securechat adduser" in caught.value.hint


def test_a_person_changes_the_own_password_with_the_old_one_and_no_session_is_reported(
    file: CredentialFile, real_costs: None
) -> None:
    authenticator = Authenticator(FileRoll(file))
    assert authenticator.change_password("alice", PASSWORD, "a quite new password")
    assert authenticator.check("alice", "a quite new password") is not None
    assert authenticator.check("alice", PASSWORD) is None
    assert authenticator.roll.refresh() == frozenset()
    assert Authenticator(FileRoll(file)).check("alice", "a quite new password") is not None


@pytest.mark.parametrize(("username", "old"), [("alice", OTHER_PASSWORD), ("nobody", PASSWORD)])
def test_a_password_is_not_changed_without_the_old_one(file: CredentialFile, username: str, old: str) -> None:
    before = file.path.read_bytes()
    assert not Authenticator(FileRoll(file)).change_password(username, old, "a quite new password")
    assert file.path.read_bytes() == before


def test_a_weak_new_password_is_refused(file: CredentialFile) -> None:
    with pytest.raises(WeakPassword):
        Authenticator(FileRoll(file)).change_password("alice", PASSWORD, "short")


def test_a_password_is_not_changed_over_one_that_an_admin_has_just_set(
    file: CredentialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(FileRoll(file))

    def hash_while_an_admin_changes_it(password: str) -> str:
        file.set_password("alice", STRONG)
        return OTHER_CHEAP

    monkeypatch.setattr(authentication, "hash_password", hash_while_an_admin_changes_it)
    assert not authenticator.change_password("alice", PASSWORD, "a quite new password")
    assert file.get("alice").password == STRONG
