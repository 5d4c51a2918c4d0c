"""`securechat verify`, `backup` and `restore` as a person runs them: what they print, where, and their exit codes."""

import base64
import json
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from securechat.chat.model import Expire, Proposal
from securechat.cli import app, commands
from securechat.journal.backup import PARTS
from securechat.journal.journal import Submission
from tests.journal.support import change, running_journal, said
from tests.server.support import make_home, running_server

HASH = re.compile(r"[A-Za-z0-9_-]{43}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home where something was said."""
    home = make_home(tmp_path / "home")
    (home / "certs" / "ca.key").write_text("the CA's key\n")
    with running_journal(home / "chat.db") as running:
        running.record(change("join", "alice"))
        running.record(said("alice", "a1", "the first words"))
        running.record(said("alice", "a2", "the last words"))
        running.record(Proposal("create", "alice", "den"))
    return home


def run(*arguments: str | Path) -> Result:
    assert commands
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def spoil(home: Path) -> None:
    with closing(sqlite3.connect(home / "chat.db", isolation_level=None)) as connection:
        connection.execute("UPDATE records SET text = 'other words' WHERE id = 'a1'")


def test_verify_shows_each_room_with_its_records_and_its_head(home: Path) -> None:
    result = run("verify", "--home", home)
    assert result.exit_code == 0
    header, lobby, den = result.stdout.splitlines()
    assert header.split() == ["ROOM", "RECORDS", "HEAD", "HASH"]
    assert lobby.split()[:3] == ["lobby", "3", "3"]
    assert den.split()[:3] == ["den", "1", "1"]
    assert HASH.fullmatch(lobby.split()[3])
    assert result.stderr == "Everything is as it was written; records checked: 4.\n"


def test_verify_shows_the_rooms_that_are_named(home: Path) -> None:
    result = run("verify", "den", "--home", home)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ROOM", "den"]
    missing = run("verify", "attic", "--home", home)
    assert (missing.exit_code, missing.stdout) == (6, "")
    assert missing.stderr.startswith("securechat: There is no room attic.")


def test_verify_in_json_is_one_object(home: Path) -> None:
    result = run("verify", "--json", "--home", home)
    assert (result.exit_code, result.stderr) == (0, "")
    facts = json.loads(result.stdout)
    assert (facts["ok"], facts["records"], facts["flaw"]) == (True, 4, None)
    lobby, den = facts["rooms"]
    assert lobby == {"room": "lobby", "records": 3, "head": 3, "hash": lobby["hash"], "base": 0}
    assert len(base64.urlsafe_b64decode(lobby["hash"] + "=")) == 32
    assert den["room"] == "den"


def test_verify_names_the_first_bad_record_and_exits_with_1(home: Path) -> None:
    spoil(home)
    result = run("verify", "--home", home)
    assert result.exit_code == 1
    assert result.stdout.split() == ["ROOM", "RECORDS", "HEAD", "HASH"]
    assert result.stderr == (
        "securechat: lobby, record 2: It was changed after it was written: its hash is another. "
        "Stop the server, keep this file, and restore a backup.\n"
    )
    facts = json.loads(run("verify", "--json", "--home", home).stdout)
    assert not facts["ok"]
    assert (facts["flaw"]["room"], facts["flaw"]["seq"]) == ("lobby", 2)


def test_verify_tells_what_retention_has_erased(home: Path) -> None:
    with running_journal(home / "chat.db") as running:
        assert running.journal.submit([Submission(Expire("lobby", 2), None)])
        running.readers.next()
    _, lobby, _ = run("verify", "--home", home).stdout.splitlines()
    assert lobby.split()[:3] == ["lobby", "1", "3"]
    assert lobby.endswith("  (retention has erased 1 to 2)")


@pytest.mark.parametrize("command", [["verify"], ["backup", "copy.tar"]], ids=["verify", "backup"])
def test_without_a_store_the_current_folder_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*command)
    assert f"There is no chat.db in {tmp_path}. Name the folder" in result.stderr


def test_without_a_store_verify_says_where_it_looked(tmp_path: Path) -> None:
    result = run("verify", "--home", tmp_path)
    assert (result.exit_code, result.stdout) == (6, "")
    assert result.stderr == f"securechat: There is no chat.db in {tmp_path}. Name the folder of a server with --home.\n"


def test_backup_says_what_is_in_it_and_that_it_is_secret(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "monday.tar"
    result = run("backup", file, "--home", home)
    assert result.exit_code == 0
    shown = dict(line.split() for line in result.stdout.splitlines())
    assert list(shown) == ["chat.db", "credentials", "certs/ca.pem", "certs/server.pem", "certs/server.key"]
    assert int(shown["credentials"]) == (home / "credentials").stat().st_size
    assert result.stderr.splitlines() == [
        "Not there, and so not in it: hooks, securechat.toml, audit.head, audit.log, certs/crl.pem.",
        "The CA's key is not in it: keep a copy of certs/ca.key elsewhere, or give --with-ca-key.",
        f"{file} is secret: who has it can read every message and pass for your server.",
        f"Next: securechat verify --backup {file}",
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_backup_replaces_no_file_and_says_so(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "monday.tar"
    file.write_text("the last one")
    result = run("backup", file, "--home", home)
    assert (result.exit_code, result.stdout) == (7, "")
    assert "There is a file" in result.stderr


def test_a_backup_is_verified_without_a_home(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "monday.tar"
    run("backup", file, "--home", home)
    heads = run("verify", "--home", home).stdout
    spoil(home)
    # What became of the home since is not looked at.
    assert run("verify", "--backup", file).stdout == heads
    run("backup", tmp_path / "tuesday.tar", "--home", home)
    result = run("verify", "--backup", tmp_path / "tuesday.tar")
    assert result.exit_code == 1
    assert "lobby, record 2" in result.stderr


def test_restore_puts_all_back_and_says_what_comes_next(home: Path, tmp_path: Path) -> None:
    for name in ("hooks", "securechat.toml", "audit.head", "audit.log", "certs/crl.pem"):  # what a home need not have
        (home / name).touch(0o600)
    file, again = tmp_path / "monday.tar", tmp_path / "again"
    assert "Not there" not in run("backup", file, "--with-ca-key", "--home", home).stderr
    result = run("restore", file, "--home", again)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == list(PARTS)
    assert result.stderr == f"Restored. Next: securechat verify --home {again}\n"
    assert run("verify", "--home", again).stdout == run("verify", "--home", home).stdout


def test_restore_says_when_the_key_of_the_ca_was_not_in_it(home: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "monday.tar", "--home", home)
    result = run("restore", tmp_path / "monday.tar", "--home", tmp_path / "again")
    assert result.stderr.startswith("The CA's key was not in it: put certs/ca.key back")


def test_restore_into_a_home_that_is_not_empty_is_refused(home: Path, tmp_path: Path) -> None:
    run("backup", tmp_path / "monday.tar", "--home", home)
    result = run("restore", tmp_path / "monday.tar", "--home", home)
    assert (result.exit_code, result.stdout) == (7, "")
    assert result.stderr.startswith(f"securechat: {home} is not empty.")


def test_while_a_server_runs_its_store_is_verified_and_taken_along_and_serves_again(home: Path, tmp_path: Path) -> None:
    with running_server(home):
        heads = run("verify", "--home", home)
        assert heads.exit_code == 0
        assert run("backup", tmp_path / "monday.tar", "--home", home).exit_code == 0
    assert run("restore", tmp_path / "monday.tar", "--home", tmp_path / "again").exit_code == 0
    with running_server(tmp_path / "again"):
        assert run("verify", "--home", tmp_path / "again").stdout == heads.stdout
