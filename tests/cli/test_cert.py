"""`securechat cert …` as a person runs it: what is shown, checked, renewed, made and revoked."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from securechat.certificates import CertificateFolder, client_context
from securechat.certificates.contexts import KeyPair
from securechat.certificates.reading import has_passphrase, read_certificates
from securechat.certificates.revocations import Revocations, read_revocations
from securechat.cli import app
from securechat.cli import commands as commands

CERTS = CertificateFolder(Path("certs"))


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SECURECHAT_HOME", raising=False)
    assert run("gen-certs").exit_code == 0


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def facts(*arguments: str) -> dict[str, object]:
    result = run("cert", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def the_list() -> Revocations:
    found = read_revocations(CERTS.revocations, read_certificates(CERTS.authority)[0])
    assert found is not None
    return found


def test_a_client_certificate_is_made_shown_and_revoked() -> None:
    made = facts("client", "alice", "--days", "3")
    path, key = Path(str(made["certificate"])), Path(str(made["key"]))
    assert made["account"] == "alice"
    assert key.stat().st_mode & 0o777 == 0o600
    assert datetime.fromisoformat(str(made["expires"])) - datetime.now(UTC) < timedelta(days=3)
    client_context(CERTS.authority, KeyPair(path, key))  # which looks at what belongs together

    text = run("cert", "show").stdout
    assert [line.split()[0] for line in text.splitlines() if line.endswith(".pem")] == [
        "ca",
        "server",
        "client",
        "revocations",
    ]
    assert str(made["sha256"]) in text
    assert "0 revoked; holds until" in text
    assert "(revoked)" not in text

    assert facts("revoke", "alice") == {"revoked": [made["serial"]], "list": "certs/crl.pem"}
    assert "alice  (revoked)" in run("cert", "show").stdout
    shown = facts("show")["certificates"]
    assert isinstance(shown, list)
    assert [(one["kind"], one["account"], one["revoked"]) for one in shown] == [
        ("ca", "", False),
        ("server", "", False),
        ("client", "alice", True),
    ]
    assert facts("revoke", "alice")["revoked"] == []


def test_a_certificate_is_revoked_by_account_by_number_and_by_file() -> None:
    made = [facts("client", name) for name in ("alice", "alice", "bob", "carol")]
    serials = [str(one["serial"]) for one in made]
    assert facts("revoke", "alice")["revoked"] == serials[:2] or facts("show")
    assert facts("revoke", serials[2].upper())["revoked"] == [serials[2]]
    assert facts("revoke", str(made[3]["certificate"]))["revoked"] == [serials[3]]
    assert set(the_list().revoked) == {int(serial, 16) for serial in serials}
    for what, code, words in (
        ("dave", 6, "No client certificate is for an account 'dave'"),
        ("certs/server.pem", 1, "certs/server.pem is no client certificate of this CA."),
        ("certs/ca.key", 1, "holds no certificate in PEM form"),
    ):
        result = run("cert", "revoke", what)
        assert (result.exit_code, words in result.stderr) == (code, True), result.stderr
    assert run("cert", "revoke").exit_code == run("cert", "revoke", "bob", "--all").exit_code == 2


def test_a_lost_list_is_never_begun_anew_while_something_may_have_been_on_it() -> None:
    serials = {str(facts("client", name)["serial"]) for name in ("alice", "bob")}
    run("cert", "revoke", "alice")
    number = the_list().number
    CERTS.revocations.unlink()
    for command in (["client", "carol"], ["revoke", "bob"]):
        result = run("cert", *command)
        assert result.exit_code == 1
        assert "certs/crl.pem is not there, so nobody knows what was revoked." in result.stderr
    assert run("cert", "renew").exit_code == 0
    assert not CERTS.revocations.exists()
    revoked = facts("revoke", "--all")["revoked"]
    assert isinstance(revoked, list)
    assert set(revoked) == serials
    assert the_list().number > number


def test_renewing_keeps_the_names_and_signs_the_list_again() -> None:
    run("cert", "client", "alice")
    run("cert", "revoke", "alice")
    before, listed = facts("show")["certificates"], the_list()
    renewed = facts("renew", "--days", "30")
    assert isinstance(before, list)
    assert renewed["names"] == before[1]["names"]
    assert renewed["sha256"] != before[1]["sha256"]
    after = the_list()
    assert after.revoked == listed.revoked
    assert after.number > listed.number
    CERTS.authority_key.rename("elsewhere")
    for command in (["renew"], ["client", "alice"], ["revoke", "alice"]):
        result = run("cert", *command)
        assert result.exit_code == 1
        assert "certs/ca.key is not here, and nothing can be issued or revoked without it." in result.stderr


def test_verify_says_what_a_client_would_and_what_will_be() -> None:
    result = run("cert", "verify")
    assert result.exit_code == 0
    assert result.stderr.startswith("A client that connects to localhost or 127.0.0.1 or ::1")
    run("cert", "renew", "--days", "1")
    assert facts("verify")["ok"] is True

    Path("securechat.toml").write_text('client_certificates = "required"\n')
    result = run("cert", "verify")
    assert result.exit_code == 1
    assert result.stdout.startswith("error: The revocation list certs/crl.pem is missing: nobody who shows")
    assert "and one is required." in result.stdout
    Path("securechat.toml").unlink()

    other = CertificateFolder(Path("other/certs"))
    run("gen-certs", "--home", "other")
    CERTS.server_key.unlink()
    other.server_key.rename(CERTS.server_key)
    result = run("cert", "verify")
    assert result.exit_code == 1
    assert "error: certs/server.key is not the key of certs/server.pem." in result.stdout
    CERTS.server_certificate.write_bytes(other.server_certificate.read_bytes())
    result = run("cert", "verify", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [(one["code"], one["is_error"]) for one in found["findings"]] == [("client-refuses", True)]
    assert found["findings"][0]["message"].startswith("A client would say: ")


def test_the_fingerprint_is_the_cas() -> None:
    assert facts("fingerprint")["sha256"] == run("cert", "fingerprint").stdout.strip()
    assert run("cert", "fingerprint").stdout.strip() in run("cert", "show").stdout.partition("server ")[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["client", "Alice"], 2, "'Alice' cannot be a username."),
        (["client", "alice", "--days", "91"], 2, "A client certificate lasts 1 to 90 days, not 91."),
        (["renew", "--days", "0"], 2, "A server certificate lasts 1 to 90 days, not 0."),
        (["show", "--home", "nowhere"], 1, "nowhere/certs/server.pem does not exist. `securechat gen-certs`"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(arguments: list[str], code: int, words: str) -> None:
    result = run("cert", *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_passphrase_keeps_the_cas_key() -> None:
    Path("secret.txt").write_text("correct horse\n")
    Path("secret.txt").chmod(0o600)
    Path("wrong.txt").write_text("battery staple\n")
    Path("wrong.txt").chmod(0o600)
    result = run("gen-certs", "--passphrase-file", "secret.txt")
    assert result.exit_code == 2
    assert "certs/ca.key is there, without a passphrase" in result.stderr

    Path("certs").rename("old")
    assert run("gen-certs", "--passphrase-file", "secret.txt").exit_code == 0
    assert has_passphrase(CERTS.authority_key)
    assert CERTS.authority_key.stat().st_mode & 0o777 == 0o400
    assert not has_passphrase(CERTS.server_key)
    for command in (["gen-certs"], ["cert", "renew"], ["cert", "client", "alice"], ["cert", "revoke", "alice"]):
        result = run(*command)
        assert result.exit_code == 2
        assert "certs/ca.key has a passphrase, and there is no terminal to ask for it." in result.stderr
        result = run(*command, "--passphrase-file", "wrong.txt")
        assert result.exit_code == 1
        assert "This is not the passphrase of certs/ca.key." in result.stderr
        assert run(*command, "--passphrase-file", "secret.txt").exit_code == 0
        assert "horse" not in result.stderr + result.stdout
    assert run("cert", "verify").exit_code == 0


def test_another_ca_begins_an_empty_list_and_may_keep_the_passphrase() -> None:
    run("cert", "client", "alice")
    run("cert", "revoke", "alice")
    assert run("gen-certs", "--next-ca").exit_code == 0
    assert run("gen-certs", "--use-next-ca").exit_code == 0
    assert the_list().revoked == {}
    Path("securechat.toml").write_text('client_certificates = "required"\n')
    assert run("cert", "verify").exit_code == 0

    Path("certs").rename("old")
    Path("secret.txt").write_text("correct horse\n")
    Path("secret.txt").chmod(0o600)
    for more in ([], ["--next-ca"], ["--use-next-ca"]):
        assert run("gen-certs", "--passphrase-file", "secret.txt", *more).exit_code == 0
        assert has_passphrase(CERTS.authority_key)
