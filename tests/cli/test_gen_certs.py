"""`securechat gen-certs` as a person runs it: what it prints, where, and with which exit code."""

import json
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from securechat.cli import app
from securechat.cli import commands as commands

FINGERPRINT = re.compile(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}\Z")


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SECURECHAT_HOME", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "build-host")


def gen_certs(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["gen-certs", *arguments])


def printed(result: Result) -> dict[str, str]:
    return {line[:13].strip(): line[13:] for line in result.stdout.splitlines()}


def test_the_first_run_says_what_it_made_and_what_comes_next() -> None:
    result = gen_certs()
    assert result.exit_code == 0
    assert result.stderr == (
        "Made a certificate authority (CA) and a server certificate.\nNext: securechat adduser NAME --admin\n"
    )
    shown = printed(result)
    assert list(shown) == ["CA", "CA key", "certificate", "key", "names", "expires", "CA SHA-256"]
    assert shown["CA"] == "certs/ca.pem  (whoever connects needs this file)"
    assert shown["CA key"] == "certs/ca.key  (keep it secret)"
    assert shown["certificate"] == "certs/server.pem"
    assert shown["key"] == "certs/server.key  (keep it secret)"
    assert shown["names"] == "localhost, 127.0.0.1, ::1, build-host"
    expires = datetime.strptime(shown["expires"].partition(" UTC")[0], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert timedelta(days=89) < expires - datetime.now(UTC) < timedelta(days=90)
    assert FINGERPRINT.match(shown["CA SHA-256"])
    assert sorted(path.name for path in Path("certs").iterdir()) == [
        "ca.key",
        "ca.key.lock",
        "ca.pem",
        "server.key",
        "server.pem",
    ]


def test_a_second_run_renews_and_adds_names() -> None:
    first = printed(gen_certs())
    result = gen_certs("--host", "chat.example.org", "--host", "192.0.2.7")
    second = printed(result)
    assert result.stderr.startswith("Renewed the server certificate; the CA is the same.\n")
    assert second["names"] == first["names"] + ", chat.example.org, 192.0.2.7"
    assert second["CA SHA-256"] == first["CA SHA-256"]


def test_when_there_are_accounts_the_next_command_is_serve() -> None:
    Path("credentials").write_text("")
    assert gen_certs().stderr.endswith("\nNext: securechat serve\n")


def test_json_is_one_object_with_the_same_facts() -> None:
    text = printed(gen_certs())
    result = gen_certs("--json", "--days", "3", "--host", "chat.example.org")
    assert result.exit_code == 0
    assert result.stderr == ""
    facts = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    expires = datetime.fromisoformat(facts.pop("expires"))
    assert timedelta(days=2) < expires - datetime.now(UTC) < timedelta(days=3)
    assert datetime.fromisoformat(facts.pop("ca_expires")) > datetime.now(UTC) + timedelta(days=3640)
    assert facts == {
        "ca": "certs/ca.pem",
        "ca_key": "certs/ca.key",
        "certificate": "certs/server.pem",
        "key": "certs/server.key",
        "names": ["localhost", "127.0.0.1", "::1", "build-host", "chat.example.org"],
        "ca_fingerprint": text["CA SHA-256"],
        "new_ca": False,
        "renewed": True,
        "next": "securechat adduser NAME --admin",
    }


def test_another_home_is_named_in_the_next_command_unless_the_environment_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert gen_certs("--home", "my chat").stderr.endswith("securechat adduser NAME --admin --home 'my chat'\n")
    assert Path("my chat/certs/ca.pem").exists()
    monkeypatch.setenv("SECURECHAT_HOME", "from the environment")
    assert gen_certs().stderr.endswith("securechat adduser NAME --admin\n")
    assert Path("from the environment/certs/ca.pem").exists()
    assert not Path("certs").exists()


def test_a_host_name_that_cannot_be_in_a_certificate_is_left_out_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "my_host")
    result = gen_certs()
    assert result.exit_code == 0
    assert "This host's name, 'my_host', is no DNS name and is left out.\n" in result.stderr
    assert printed(result)["names"] == "localhost, 127.0.0.1, ::1"


def test_a_ca_without_a_server_certificate_is_used_as_it_is() -> None:
    first = printed(gen_certs())
    Path("certs/server.pem").unlink()
    Path("certs/server.key").unlink()
    result = gen_certs()
    assert result.stderr.startswith("Made a server certificate from the CA that was there.\n")
    assert printed(result)["CA SHA-256"] == first["CA SHA-256"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--host", "not a name"], 2, "securechat: 'not a name' is neither a DNS name nor an IP address."),
        (["--days", "91"], 2, "securechat: A server certificate lasts 1 to 90 days, not 91."),
        (["--days", "many"], 2, "Invalid value for '--days'"),
    ],
)
def test_a_mistake_in_the_call_is_one_sentence_and_makes_nothing(arguments: list[str], code: int, said: str) -> None:
    result = gen_certs(*arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert result.stdout == ""
    assert not Path("certs").exists()


def test_a_certificate_from_elsewhere_is_exit_code_7_until_force() -> None:
    Path("certs").mkdir()
    Path("certs/server.pem").write_text("from elsewhere")
    result = gen_certs()
    assert result.exit_code == 7
    assert result.stderr == (
        "securechat: certs/server.pem holds no certificate in PEM form. "
        "Give --force to put a new certificate and key in its place.\n"
    )
    assert gen_certs("--force").exit_code == 0


def test_it_works_as_a_process_with_no_traceback_for_a_mistake() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SECURECHAT_")}
    command = [sys.executable, "-m", "securechat", "gen-certs", "--host", "chat.example.org"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0
    assert ended.stderr.endswith("Next: securechat adduser NAME --admin\n")
    assert "chat.example.org" in ended.stdout
    refused = subprocess.run(
        [*command, "--home", "certs/ca.pem"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
