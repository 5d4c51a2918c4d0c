import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.accounts.credentials import HEADER, CredentialFile, format_accounts, parse_accounts
from securechat.chat.accounts import Account
from securechat.errors import AlreadyExists, CredentialError, LastAdmin, NotFound
from tests.accounts.support import CHEAP, OTHER_CHEAP, STRONG, account, cheap_hash, file_of

LINE = f"alice:admin:active:{CHEAP}"

accounts_strategy = st.lists(
    st.builds(
        Account,
        name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,31}", fullmatch=True),
        role=st.sampled_from(["admin", "member"]),
        state=st.sampled_from(["active", "disabled"]),
        password=st.sampled_from([CHEAP, OTHER_CHEAP, STRONG, cheap_hash("x", salt=b"s" * 64, tag=64)]),
    ),
    unique_by=lambda each: each.name,
    max_size=8,
)


def parse(text: str | bytes) -> dict[str, Account]:
    return parse_accounts(text if isinstance(text, bytes) else text.encode(), "credentials")


def test_an_account_shows_everything_but_its_password() -> None:
    shown = repr(account("alice", "admin"))
    assert "alice" in shown
    assert "admin" in shown
    assert "argon2" not in shown
    assert CHEAP not in f"{account('alice')!s} {account('alice')} {[account('alice')]}"


def test_a_file_is_read_as_accounts_by_name_in_its_order() -> None:
    read = parse(f"# a comment\nzoe:member:disabled:{OTHER_CHEAP}\n#\n{LINE}\n")
    assert list(read.values()) == [account("zoe", "member", "disabled", OTHER_CHEAP), account("alice", "admin")]
    assert list(read) == ["zoe", "alice"]
    assert [each.active for each in read.values()] == [False, True]


def test_a_new_file_says_at_its_top_what_its_lines_are() -> None:
    assert format_accounts([]).startswith(b"#")
    assert b"name:role:state:argon2id-PHC-string" in format_accounts([])
    assert parse(format_accounts([])) == {}


@given(accounts_strategy)
def test_what_was_written_is_read_as_the_same_accounts(accounts: list[Account]) -> None:
    assert list(parse(format_accounts(accounts)).values()) == accounts


@pytest.mark.parametrize(
    ("bad", "flaw"),
    [
        ("", "empty"),
        (" ", "four fields|space"),
        ("alice", "four fields"),
        (":::", "name"),
        ("alice:admin:active:", "not an Argon2id hash"),
        ("alice:admin:active", "four fields"),
        (LINE + ":", "four fields"),
        (LINE + " ", "space"),
        (" " + LINE, "space"),
        ("\u00a0" + LINE, "space"),
        (" # a comment", "space"),
        ("\ufeff" + LINE, "name"),
        (LINE + "\r", "control character"),
        (LINE + "\x00", "control character"),
        (LINE.replace(":", "\t", 1), "control character"),
        ("# a comment\r", "control character"),
        ("# \x1b[2J", "control character"),
        ("# \u0085", "control character"),
        (LINE.replace("alice", "Alice"), "name"),
        (LINE.replace("alice", ""), "name"),
        (LINE.replace("alice", "@alice"), "name"),
        (LINE.replace("alice", "а" * 3), "name"),  # noqa: RUF001 - the Cyrillic letter is the point
        (LINE.replace("alice", "a" * 33), "name"),
        (LINE.replace("admin", "Admin"), "role"),
        (LINE.replace("admin", ""), "role"),
        (LINE.replace("admin", "owner"), "role"),
        (LINE.replace("active", "on"), "state"),
        (LINE.replace("active", ""), "state"),
        (LINE.replace("$m=8", "$m=4194304"), "costs"),
        (LINE.replace("$v=19", "$v=16"), "not an Argon2id hash"),
        (LINE[:-1], "damaged|not an Argon2id hash"),
        ("alice:admin:active:plum tree under moon", "not an Argon2id hash"),
        ("#" + "a" * 512, "more than 512 bytes"),
        (LINE.replace("alice", "alice" * 200), "more than 512 bytes"),
    ],
)
def test_one_bad_line_refuses_the_whole_file_by_its_number_and_not_its_content(bad: str, flaw: str) -> None:
    with pytest.raises(CredentialError, match=flaw) as caught:
        parse(f"# the top\nbob:member:active:{CHEAP}\n{bad}\nzoe:member:active:{CHEAP}\n")
    assert caught.value.message.startswith("credentials, line 3: ")
    assert caught.value.hint
    for piece in (CHEAP, "plum tree", "owner", "\x1b"):
        assert piece not in str(caught.value)


def test_bad_utf_8_is_refused_by_the_number_of_its_line() -> None:
    with pytest.raises(CredentialError, match="line 2: It is not UTF-8"):
        parse(b"# a\n# \xff\n")


def test_a_second_entry_of_one_name_is_refused_by_its_line() -> None:
    with pytest.raises(CredentialError, match=r"line 3: .* already"):
        parse(f"{LINE}\n#\nalice:member:disabled:{OTHER_CHEAP}\n")


@pytest.mark.parametrize(("text", "line"), [("", 1), (LINE, 1), (f"{LINE}\n# cut", 2), (f"#\n{LINE[:-10]}", 2)])
def test_a_file_without_its_last_newline_may_have_been_cut_and_is_refused(text: str, line: int) -> None:
    with pytest.raises(CredentialError, match=f"line {line}: .*cut short"):
        parse(text)


@given(accounts_strategy, st.data())
def test_damage_gives_a_credential_error_or_a_valid_set_and_nothing_else(
    accounts: list[Account], data: st.DataObject
) -> None:
    content = bytearray(format_accounts(accounts))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["set", "cut", "insert", "drop", "repeat"])):
            case "set":
                content[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del content[at:]
            case "insert":
                content[at:at] = data.draw(st.sampled_from([b"\n", b":", b"#", b"\r", b"\0", b" ", b"\xff", b"$"]))
            case "drop":
                del content[at : at + data.draw(st.integers(1, 60))]
            case _:
                content[at:at] = content[at : at + data.draw(st.integers(1, 200))]
    try:
        read = parse(bytes(content))
    except CredentialError as error:
        assert "line " in error.message
        return
    # Formatting and reading what was accepted changes nothing: there is no second way to read it.
    assert parse(format_accounts(read.values())) == read


def test_the_first_account_makes_a_file_that_only_its_owner_can_read_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = file_of(tmp_path, account("alice", "admin"))
    finally:
        os.umask(before)
    assert file.path.stat().st_mode & 0o7777 == 0o600
    assert file.path.read_bytes() == HEADER + LINE.encode() + b"\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["credentials", "credentials.lock"]


def test_accounts_can_be_added_changed_and_removed(tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"), account("bob"), account("carol"))
    file.set_password("bob", OTHER_CHEAP)
    file.set_role("bob", "admin")
    file.set_state("alice", "disabled")
    file.remove("carol")
    assert file.load() == {
        "alice": account("alice", "admin", "disabled"),
        "bob": account("bob", "admin", "active", OTHER_CHEAP),
    }
    file.set_state("alice", "active")
    file.set_role("bob", "member")
    assert [each.role for each in file.load().values() if each.active] == ["admin", "member"]


def test_comments_and_the_order_of_lines_outlast_changes(tmp_path: Path) -> None:
    file = CredentialFile(tmp_path / "credentials")
    lines = [f"#{LINE}", LINE, "# who left:", f"malice:member:active:{CHEAP}", f"zoe:member:disabled:{CHEAP}", ""]
    file.path.write_text("\n".join(lines))
    file.path.chmod(0o600)
    file.add(account("bob"))
    file.set_password("alice", OTHER_CHEAP)
    file.remove("zoe")
    lines[1] = f"alice:admin:active:{OTHER_CHEAP}"
    assert file.path.read_text().splitlines() == [*lines[:4], f"bob:member:active:{CHEAP}"]


def test_a_change_that_changes_nothing_leaves_the_file_alone(tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    before = file.stamp()
    file.set_role("alice", "admin")
    file.set_state("alice", "active")
    assert file.stamp() == before


CHANGES: list[Callable[[CredentialFile, str], None]] = [
    lambda file, name: file.set_password(name, OTHER_CHEAP),
    lambda file, name: file.set_role(name, "member"),
    lambda file, name: file.set_state(name, "disabled"),
    lambda file, name: file.remove(name),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_name_that_is_not_there_is_not_found(change: Callable[[CredentialFile, str], None], tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    with pytest.raises(NotFound, match="no account bob"):
        change(file, "bob")
    with pytest.raises(NotFound, match="no account bob"):
        file.get("bob")
    assert file.get("alice") == account("alice", "admin")


def test_a_name_is_given_once(tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    with pytest.raises(AlreadyExists, match="alice"):
        file.add(account("alice", "member", "active", OTHER_CHEAP))
    assert file.load() == {"alice": account("alice", "admin")}


@pytest.mark.parametrize("change", CHANGES[1:])
def test_the_last_active_admin_stays(change: Callable[[CredentialFile, str], None], tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"), account("bob"), account("carol", "admin", "disabled"))
    before = file.path.read_bytes()
    with pytest.raises(LastAdmin, match="without an active admin"):
        change(file, "alice")
    assert file.path.read_bytes() == before


@pytest.mark.parametrize("change", CHANGES[1:])
def test_one_of_two_admins_may_go(change: Callable[[CredentialFile, str], None], tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"), account("bob", "admin"))
    change(file, "alice")
    assert file.load()["bob"] == account("bob", "admin")


def test_where_there_is_no_admin_members_can_still_be_removed(tmp_path: Path) -> None:
    file = file_of(tmp_path, account("bob"))
    file.remove("bob")
    assert file.load() == {}


@pytest.mark.parametrize(
    "bad",
    [account("a:b"), account("a\nb"), account(""), account("bob", password="plain"), account("bob", password=LINE)],
)
def test_an_account_that_could_not_be_read_again_is_never_written(bad: Account, tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    with pytest.raises(CredentialError):
        file.add(bad)
    assert file.load() == {"alice": account("alice", "admin")}


def test_a_hash_is_replaced_by_a_new_one_of_the_same_password_only_while_it_is_the_one_that_was_verified(
    tmp_path: Path,
) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    assert file.replace_hash("alice", CHEAP, STRONG) is True
    assert file.replace_hash("alice", CHEAP, OTHER_CHEAP) is False
    assert file.load()["alice"].password == STRONG
    with pytest.raises(NotFound):
        file.replace_hash("bob", CHEAP, STRONG)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o601])
def test_a_file_that_others_can_open_is_refused(mode: int, tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    file.path.chmod(mode)
    with pytest.raises(CredentialError, match="chmod"):
        file.load()
    with pytest.raises(CredentialError, match="chmod"):
        file.add(account("bob"))


def test_a_file_of_another_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    monkeypatch.setattr(os, "geteuid", lambda: file.path.stat().st_uid + 1)
    with pytest.raises(CredentialError, match="another user"):
        file.load()


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    file = CredentialFile(tmp_path / "credentials")
    with pytest.raises(CredentialError, match="does not exist") as caught:
        file.load()
    assert "securechat adduser" in caught.value.hint
    with pytest.raises(CredentialError, match="does not exist"):
        file.remove("alice")


def test_a_file_that_cannot_be_read_or_changed_says_why(tmp_path: Path) -> None:
    folder = CredentialFile(tmp_path)
    tmp_path.chmod(0o700)
    with pytest.raises(CredentialError, match="cannot be read: Is a directory"):
        folder.load()
    with pytest.raises(CredentialError, match="the folder is not there") as caught:
        CredentialFile(tmp_path / "absent" / "credentials").add(account("alice"))
    assert caught.value.hint == f"Make it first: mkdir {tmp_path / 'absent'}"
    (tmp_path / "credentials.lock").symlink_to("elsewhere")
    with pytest.raises(CredentialError, match="cannot be changed: Too many levels of symbolic links"):
        CredentialFile(tmp_path / "credentials").add(account("alice"))


def test_a_malformed_file_is_never_changed(tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    file.path.write_bytes(file.path.read_bytes() + b"\n")
    before = file.path.read_bytes()
    for change in CHANGES:
        with pytest.raises(CredentialError, match="line 4: It is empty"):
            change(file, "alice")
    with pytest.raises(CredentialError, match="line 4: It is empty"):
        file.add(account("bob"))
    assert file.path.read_bytes() == before


def test_the_stamp_tells_of_a_new_file_another_content_and_another_mode(tmp_path: Path) -> None:
    file = CredentialFile(tmp_path / "credentials")
    seen = [file.stamp()]
    assert seen == [None]
    file.add(account("alice", "admin"))
    seen.append(file.stamp())
    file.add(account("bob"))
    seen.append(file.stamp())
    file.path.chmod(0o640)
    seen.append(file.stamp())
    assert len(set(seen)) == 4
    assert file.stamp() == seen[-1]


ADD_MANY = """
import sys
from pathlib import Path
from securechat.accounts.credentials import CredentialFile
from securechat.chat.accounts import Account
path, prefix, password = sys.argv[1:]
file = CredentialFile(Path(path))
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    file.add(Account(f"{prefix}{number}", "member", "active", password))
"""


def test_processes_that_add_accounts_at_once_lose_none(tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"))
    adders = [
        subprocess.Popen(
            [sys.executable, "-c", ADD_MANY, file.path, prefix, CHEAP], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for prefix in ("x", "y", "z")
    ]
    for adder in adders:
        assert adder.stdout is not None
        assert adder.stdout.readline() == b"ready\n"
    for adder in adders:
        assert adder.stdin is not None
        adder.stdin.write(b"go\n")
        adder.stdin.flush()
    for adder in adders:
        adder.communicate(timeout=30)
    assert [adder.returncode for adder in adders] == [0, 0, 0]
    assert set(file.load()) == {"alice", *(f"{prefix}{number}" for prefix in "xyz" for number in range(20))}


CHANGE_FOR_EVER = """
import sys
from itertools import cycle
from pathlib import Path
from securechat.accounts.credentials import CredentialFile
file = CredentialFile(Path(sys.argv[1]))
print("ready", flush=True)
for password in cycle(sys.argv[2:]):
    file.set_password("bob", password)
    print(password, flush=True)
"""


def test_a_change_that_is_killed_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    file = file_of(tmp_path, account("alice", "admin"), account("bob"))
    whole = {
        state: {"alice": account("alice", "admin"), "bob": account("bob", password=state)}
        for state in (CHEAP, OTHER_CHEAP)
    }
    chance = random.Random(7)
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", CHANGE_FOR_EVER, file.path, OTHER_CHEAP, CHEAP], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(chance.randint(1, 12)):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait(30)
        writer.stdout.close()
        assert file.load() in whole.values()
    file.set_password("bob", STRONG)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["credentials", "credentials.lock"]


def test_a_file_that_is_a_copy_takes_over_what_it_is_given_and_keeps_comments_and_order(tmp_path: Path) -> None:
    file = CredentialFile(tmp_path / "credentials")
    mia, tim, ann = account("mia", "admin"), account("tim"), account("ann")
    assert file.take_over({}) == HEADER
    file.add(mia)
    file.path.write_bytes(file.path.read_bytes() + b"# the new ones\n")
    file.add(tim)
    held = file.take_over({"ann": ann, "mia": account("mia")})  # without an admin, if that is what it is a copy of
    assert held == file.path.read_bytes()
    assert list(file.load().values()) == [account("mia"), ann]
    assert held.splitlines()[3] == b"# the new ones"
    assert file.take_over({"ann": ann, "mia": mia}).splitlines()[4:] == held.splitlines()[4:], "ann is what she was"
    file.path.write_bytes(b"nonsense\n")
    with pytest.raises(CredentialError, match="line 1"):
        file.take_over({"ann": ann})
    assert file.path.read_bytes() == b"nonsense\n"
