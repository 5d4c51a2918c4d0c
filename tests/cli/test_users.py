import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from securechat.accounts.credentials import CredentialFile
from securechat.accounts.passwords import verify
from securechat.chat.names import NAME_RULE
from securechat.cli import app, commands, password_options
from securechat.errors import UsageError
from tests.cli.terminal import OnTerminal
from tests.server.support import Peer, make_home, running_server

CANARY = "canary bird over nine hills"
OTHER = "grey owl over the river"
GENERATED = re.compile(r"[2-9a-z]{4}(-[2-9a-z]{4}){4}")

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> CredentialFile:
    return CredentialFile(tmp_path / "credentials")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command on the home in `tmp_path`, with no terminal."""
    assert commands

    def run_command(*arguments: str | Path, stdin: str | bytes | None = None, name: str | None = None) -> Result:
        last = [] if name is None else ["--", name]
        result = CliRunner().invoke(app, [*map(str, arguments), "--home", str(tmp_path), *last], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run_command


def add(run: Run, name: str, *flags: str) -> None:
    assert run("adduser", name, "--password-stdin", *flags, stdin=f"{CANARY}\n").exit_code == 0


def test_adduser_makes_an_account_and_says_so_and_what_comes_next(
    run: Run, file: CredentialFile, tmp_path: Path
) -> None:
    result = run("adduser", "alice", "--admin", "--password-stdin", stdin=f"{CANARY}\nmore\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"alice has an account now (admin). Next: securechat serve --home {tmp_path}\n"
    assert verify(file.get("alice").password, CANARY)
    assert repr(file.get("alice")) == "Account(name='alice', role='admin', state='active')"


def test_adduser_makes_a_member_unless_told_otherwise(run: Run, file: CredentialFile) -> None:
    add(run, "bob")
    assert file.get("bob").role == "member"


def test_adduser_json_describes_the_account_and_holds_no_given_password(run: Run) -> None:
    result = run("adduser", "alice", "--password-stdin", "--json", stdin=f"{CANARY}\n")
    assert json.loads(result.stdout) == {"name": "alice", "role": "member", "state": "active", "created": True}


def test_a_generated_password_is_shown_once_alone_on_stdout(run: Run, file: CredentialFile) -> None:
    result = run("adduser", "alice", "--generate")
    assert result.exit_code == 0
    shown = result.stdout.removesuffix("\n")
    assert GENERATED.fullmatch(shown)
    assert shown not in result.stderr
    assert "shown only now" in result.stderr
    assert verify(file.get("alice").password, shown)


def test_a_generated_password_is_in_the_json_object(run: Run, file: CredentialFile) -> None:
    made = json.loads(run("adduser", "alice", "--generate", "--json").stdout)
    assert made.keys() == {"name", "role", "state", "created", "password"}
    assert verify(file.get("alice").password, made["password"])


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nsecond line\n"])
@pytest.mark.parametrize("source", ["stdin", "file"])
def test_a_password_is_the_first_line_without_its_end(
    source: str, ending: str, run: Run, file: CredentialFile, tmp_path: Path
) -> None:
    content = f"{CANARY}{ending}".encode()
    if source == "stdin":
        result = run("adduser", "alice", "--password-stdin", stdin=content)
    else:
        (tmp_path / "password").write_bytes(content)
        (tmp_path / "password").chmod(0o600)
        result = run("adduser", "alice", "--password-file", tmp_path / "password")
    assert result.exit_code == 0
    assert "Warning" not in result.stderr
    assert verify(file.get("alice").password, CANARY)


def test_a_password_file_that_others_can_read_is_used_with_a_warning(
    run: Run, file: CredentialFile, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(CANARY)
    (tmp_path / "password").chmod(0o644)
    result = run("adduser", "alice", "--password-file", tmp_path / "password")
    assert result.exit_code == 0
    assert f"chmod go= {tmp_path / 'password'}" in result.stderr
    assert verify(file.get("alice").password, CANARY)


def test_a_password_file_that_is_missing_or_no_file_says_so(run: Run, tmp_path: Path) -> None:
    missing = run("adduser", "alice", "--password-file", tmp_path / "absent")
    assert (missing.exit_code, missing.stdout) == (6, "")
    assert "does not exist" in missing.stderr
    folder = run("adduser", "alice", "--password-file", tmp_path)
    assert (folder.exit_code, folder.stdout) == (1, "")
    assert "Is a directory" in folder.stderr


@pytest.mark.parametrize(
    ("content", "exit_code", "reason"),
    [
        (b"", 2, "is empty"),
        (b"\nplum tree under moon\n", 2, "is empty"),
        (b"\xff" * 20, 2, "is not UTF-8"),
        (b"plum tree\n", 1, "too short"),
        (b"passwordpassword\n", 1, "repeats"),
        (b"correct horse battery staple\n", 1, "everybody"),
        (b"harriet.gardener\n", 1, "username"),
        (b"plum tree under moon " * 50 + b"\n", 1, "at most 1,024 bytes"),
        (b"plum tree under moon " * 5000, 1, "at most 1,024 bytes"),
    ],
)
def test_a_password_that_cannot_be_used_is_refused_with_the_reason_and_no_account_is_made(
    content: bytes, exit_code: int, reason: str, run: Run, file: CredentialFile
) -> None:
    result = run("adduser", "harriet.gardener", "--password-stdin", stdin=content)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert "plum tree" not in result.stderr
    assert not file.path.exists()


def test_without_a_terminal_and_a_source_adduser_names_the_options(run: Run, file: CredentialFile) -> None:
    result = run("adduser", "alice")
    assert (result.exit_code, result.stdout) == (2, "")
    for option in ("--password-stdin", "--password-file", "--generate"):
        assert option in result.stderr
    assert not file.path.exists()


@pytest.mark.parametrize(
    "flags",
    [
        ("--password-stdin", "--generate"),
        ("--password-file", "x", "--generate"),
        ("--password-stdin", "--password-file", "x"),
    ],
)
@pytest.mark.parametrize("command", [("adduser", "bob"), ("user", "passwd", "alice")])
def test_a_password_comes_from_one_place(command: tuple[str, ...], flags: tuple[str, ...], run: Run) -> None:
    add(run, "alice")
    result = run(*command, *flags, stdin=f"{CANARY}\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "one place" in result.stderr


@pytest.mark.parametrize("name", ["Alice", "", "a b", "a:b", "@bob", "a" * 33, "a\n", "\x1b[2Jalice", "аlice"])  # noqa: RUF001 - the Cyrillic letter is the point
@pytest.mark.parametrize(
    "command",
    [("adduser", "--generate"), *(("user", verb) for verb in ("passwd", "disable", "enable", "promote", "demote"))],
)
def test_a_name_that_no_account_can_have_is_a_usage_error_with_the_rule(
    command: tuple[str, ...], name: str, run: Run, file: CredentialFile
) -> None:
    result = run(*command, name=name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert NAME_RULE in result.stderr
    assert result.stderr.isascii()
    assert "\x1b" not in result.stderr
    assert not file.path.exists()


def test_a_name_that_is_taken_is_left_alone(run: Run, file: CredentialFile) -> None:
    add(run, "alice", "--admin")
    before = file.path.read_bytes()
    again = run("adduser", "alice", "--generate")
    assert (again.exit_code, again.stdout) == (7, "")
    assert "already" in again.stderr
    content = run("adduser", "alice", "--generate", "--exists-ok")
    assert (content.exit_code, content.stdout) == (0, "")
    assert content.stderr == "There is an account alice (admin, active) already; it was left as it is.\n"
    described = run("adduser", "alice", "--exists-ok", "--json")
    assert json.loads(described.stdout) == {"name": "alice", "role": "admin", "state": "active", "created": False}
    assert file.path.read_bytes() == before


def test_exists_ok_makes_an_account_that_is_not_there(run: Run, file: CredentialFile) -> None:
    add(run, "alice", "--exists-ok")
    assert set(file.load()) == {"alice"}


def test_list_shows_an_aligned_table_or_json(run: Run) -> None:
    add(run, "harriet", "--admin")
    add(run, "bob")
    run("user", "disable", "bob")
    assert run("user", "list").stdout.splitlines() == [
        "NAME     ROLE    STATE",
        "harriet  admin   active",
        "bob      member  disabled",
    ]
    assert json.loads(run("user", "list", "--json").stdout) == [
        {"name": "harriet", "role": "admin", "state": "active"},
        {"name": "bob", "role": "member", "state": "disabled"},
    ]


def test_list_without_a_file_says_how_to_make_the_first_account(run: Run) -> None:
    result = run("user", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "securechat adduser" in result.stderr


def test_list_of_a_home_without_accounts_is_empty(run: Run) -> None:
    add(run, "bob")
    run("user", "remove", "bob", "--yes")
    assert run("user", "list").stdout == "NAME  ROLE    STATE\n"
    assert json.loads(run("user", "list", "--json").stdout) == []


def test_passwd_gives_another_password(run: Run, file: CredentialFile) -> None:
    add(run, "alice")
    result = run("user", "passwd", "alice", "--password-stdin", stdin=OTHER)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "another password" in result.stderr
    assert verify(file.get("alice").password, OTHER)
    made = run("user", "passwd", "alice", "--generate", "--json")
    assert verify(file.get("alice").password, json.loads(made.stdout)["password"])


def test_passwd_refuses_what_adduser_refuses_and_keeps_the_old_one(run: Run, file: CredentialFile) -> None:
    add(run, "alice")
    assert run("user", "passwd", "alice", "--password-stdin", stdin="plum tree").exit_code == 1
    assert run("user", "passwd", "alice").exit_code == 2
    assert verify(file.get("alice").password, CANARY)


def test_accounts_are_disabled_enabled_promoted_demoted_and_removed(run: Run, file: CredentialFile) -> None:
    add(run, "alice", "--admin")
    add(run, "bob")
    for verb, expected in (
        ("disable", ("member", "disabled")),
        ("enable", ("member", "active")),
        ("promote", ("admin", "active")),
        ("demote", ("member", "active")),
    ):
        result = run("user", verb, "bob")
        assert (result.exit_code, result.stdout) == (0, "")
        assert re.fullmatch(r"bob is .* now(, and its sessions are over)?\.\n", result.stderr)
        assert (file.get("bob").role, file.get("bob").state) == expected
    result = run("user", "remove", "bob", "--yes")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "bob has no account any more" in result.stderr
    assert set(file.load()) == {"alice"}


@pytest.mark.parametrize(
    "steps",
    [
        [("user", "passwd", "alice", "--password-stdin")],
        [("user", "disable", "alice"), ("user", "enable", "alice")],
        [("user", "remove", "alice", "--yes"), ("adduser", "alice", "--password-stdin")],
    ],
    ids=lambda steps: steps[0][1],
)
def test_a_change_while_no_server_runs_ends_tokens_too(steps: list[tuple[str, ...]], tmp_path: Path, run: Run) -> None:
    make_home(tmp_path)
    with running_server(tmp_path) as server, Peer(server.port) as alice, Peer(server.port) as bob:
        tokens = alice.login("alice")["token"], bob.login("bob")["token"]
    for command in steps:
        assert run(*command, stdin=f"{OTHER}\n").exit_code == 0
    answers = []
    with running_server(tmp_path) as server:
        for token in tokens:
            with Peer(server.port) as again:
                again.receive()
                again.send({"type": "resume", "token": token})
                answers.append(again.receive()["type"])
    assert answers == ["error", "welcome"]


@pytest.mark.parametrize(
    "command",
    [("passwd", "--generate"), ("disable",), ("enable",), ("promote",), ("demote",), ("remove", "--yes"), ("remove",)],
)
def test_an_account_that_is_not_there_is_not_found(command: tuple[str, ...], run: Run) -> None:
    add(run, "alice")
    result = run("user", *command, "bob")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "There is no account bob." in result.stderr


@pytest.mark.parametrize("command", [("disable",), ("demote",), ("remove", "--yes")])
def test_the_last_active_admin_is_not_taken_away(command: tuple[str, ...], run: Run, file: CredentialFile) -> None:
    add(run, "alice", "--admin")
    result = run("user", *command, "alice")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "without an active admin" in result.stderr
    assert file.get("alice").active


def test_remove_without_a_terminal_needs_to_be_confirmed(run: Run, file: CredentialFile) -> None:
    add(run, "bob")
    result = run("user", "remove", "bob", stdin="y\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--yes" in result.stderr
    assert "bob" in file.load()


def test_a_malformed_file_is_one_line_with_its_number(run: Run, file: CredentialFile) -> None:
    add(run, "alice")
    file.path.write_bytes(file.path.read_bytes() + b"mallory:admin:active:\n")
    for command in (("user", "list"), ("adduser", "bob", "--generate"), ("user", "remove", "alice", "--yes")):
        result = run(*command)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "line 4" in result.stderr
        assert "mallory" not in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("adduser",), ("user", "passwd")])
def test_no_option_takes_a_password_as_its_value(command: tuple[str, ...], run: Run) -> None:
    options = re.findall(r"^  (--\S+) ?(\S+)?  ", CliRunner().invoke(app, [*command, "--help"]).stdout, re.MULTILINE)
    assert {option for option, value in options if value} <= {"--password-file", "--home"}
    assert run(*command, "alice", f"--password={CANARY}").exit_code == 2


def test_a_stdin_that_is_closed_is_no_terminal_and_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert not password_options.on_terminal()
    with pytest.raises(UsageError, match="stdin is empty"):
        password_options.read_password(True, None)


def test_on_a_terminal_adduser_asks_twice_and_shows_nothing_of_the_password(
    tmp_path: Path, file: CredentialFile
) -> None:
    with OnTerminal("adduser", "alice", "--admin", "--home", tmp_path) as terminal:
        terminal.read_until("Password for alice (empty: one is made for you): ")
        terminal.answer(CANARY)
        terminal.read_until("The same again: ")
        terminal.answer(CANARY)
        assert terminal.end() == (0, "")
        assert "alice has an account now (admin). Next: securechat serve" in terminal.seen
        assert "canary" not in terminal.seen
    assert verify(file.get("alice").password, CANARY)


def test_on_a_terminal_a_weak_answer_and_two_different_ones_are_asked_for_again(
    tmp_path: Path, file: CredentialFile
) -> None:
    with OnTerminal("adduser", "alice", "--json", "--home", tmp_path) as terminal:
        terminal.read_until("you): ")
        terminal.answer("canary")
        assert "too short" in terminal.read_until("you): ")
        terminal.answer(CANARY)
        terminal.read_until("again: ")
        terminal.answer(OTHER)
        assert "not the same" in terminal.read_until("you): ")
        terminal.answer(CANARY)
        terminal.read_until("again: ")
        terminal.answer(CANARY)
        exit_code, data = terminal.end()
        assert (exit_code, json.loads(data)["created"]) == (0, True)
        assert "canary" not in terminal.seen
    assert verify(file.get("alice").password, CANARY)


def test_on_a_terminal_an_empty_answer_makes_a_password_and_shows_it_once(tmp_path: Path, file: CredentialFile) -> None:
    with OnTerminal("adduser", "alice", "--home", tmp_path, data_to_terminal=True) as terminal:
        terminal.read_until("you): ")
        terminal.answer("")
        assert terminal.end() == (0, "")
        [shown] = GENERATED.finditer(terminal.seen)
    assert verify(file.get("alice").password, shown[0])


def test_three_unusable_answers_end_the_asking(tmp_path: Path, file: CredentialFile) -> None:
    with OnTerminal("adduser", "alice", "--home", tmp_path) as terminal:
        for _ in range(3):
            terminal.read_until("you): ")
            terminal.answer("canary")
        assert terminal.end() == (2, "")
        assert "in 3 tries" in terminal.seen
    assert not file.path.exists()


@pytest.mark.parametrize(("key", "exit_code"), [("\x03", 130), ("\x04", 2)])
def test_ctrl_c_and_ctrl_d_at_the_question_end_it_without_an_account(
    key: str, exit_code: int, tmp_path: Path, file: CredentialFile
) -> None:
    with OnTerminal("adduser", "alice", "--home", tmp_path) as terminal:
        terminal.read_until("you): ")
        terminal.type(key)
        assert terminal.end() == (exit_code, "")
        assert "Traceback" not in terminal.seen
    assert not file.path.exists()


def test_keys_that_are_no_utf_8_are_a_usage_error_that_does_not_repeat_them(
    tmp_path: Path, file: CredentialFile
) -> None:
    with OnTerminal("adduser", "alice", "--home", tmp_path) as terminal:
        terminal.read_until("you): ")
        terminal.type(b"canary bird \xff over nine hills\r")
        assert terminal.end() == (2, "")
        assert "not UTF-8" in terminal.seen
        assert "canary" not in terminal.seen
    assert not file.path.exists()


@pytest.mark.parametrize(("answer", "exit_code"), [("y", 0), ("YES", 0), ("n", 2), ("", 2), ("maybe", 2)])
def test_on_a_terminal_remove_asks_and_only_yes_is_yes(
    answer: str, exit_code: int, tmp_path: Path, run: Run, file: CredentialFile
) -> None:
    add(run, "bob")
    with OnTerminal("user", "remove", "bob", "--home", tmp_path) as terminal:
        terminal.read_until("Remove the account bob for good? [y/N] ")
        terminal.answer(answer)
        assert terminal.end() == (exit_code, "")
    assert ("bob" in file.load()) is (exit_code == 2)


def test_ctrl_c_at_the_confirmation_removes_nothing(tmp_path: Path, run: Run, file: CredentialFile) -> None:
    add(run, "bob")
    with OnTerminal("user", "remove", "bob", "--home", tmp_path) as terminal:
        terminal.read_until("[y/N] ")
        terminal.type("\x03")
        assert terminal.end() == (130, "")
    assert "bob" in file.load()


def test_no_password_is_left_in_anything_that_was_written(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, run: Run
) -> None:
    password = tmp_path_factory.mktemp("elsewhere") / "password"
    password.write_text(f"{CANARY}\n")
    said = ""
    for arguments, stdin in (
        (["adduser", "alice", "--admin", "--password-stdin", "--json"], CANARY),
        (["adduser", "bob", "--password-file", password], ""),
        (["adduser", "alice", "--password-stdin"], CANARY),
        (["adduser", "carol", "--password-stdin"], CANARY[:12]),
        (["adduser", "carol", "--password-stdin", "--generate"], CANARY),
        (["user", "passwd", "bob", "--password-stdin"], CANARY[::-1]),
        (["user", "list"], ""),
        (["user", "list", "--json"], ""),
    ):
        done = run(*arguments, stdin=stdin)
        assert "Traceback" not in done.stderr
        said += done.stdout + done.stderr
    assert set(CredentialFile(tmp_path / "credentials").load()) == {"alice", "bob"}
    written = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    for secret in ("canary", "yranac"):
        assert secret not in said
        assert secret.encode() not in written
    assert "argon2id$v" not in said


def test_two_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    adders = [
        subprocess.Popen(
            [sys.executable, "-m", "securechat", "adduser", name, "--generate", "--home", str(tmp_path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in ("alice", "bob", "carol")
    ]
    assert [adder.wait(30) for adder in adders] == [0, 0, 0]
    assert set(CredentialFile(tmp_path / "credentials").load()) == {"alice", "bob", "carol"}


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path: Path) -> None:
    listing = subprocess.Popen(
        [sys.executable, "-m", "securechat", "adduser", "alice", "--generate", "--home", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert listing.stdout is not None
    listing.stdout.close()
    _, said = listing.communicate(timeout=30)
    assert listing.returncode not in (0, -signal.SIGPIPE)
    assert b"Traceback" not in said
