"""`securechat cert …`: look at the certificates of a home, renew the server's, make and revoke those of clients."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Home, Json
from securechat.cli.password_options import ask, on_terminal, read_password
from securechat.errors import UsageError

if TYPE_CHECKING:
    from securechat.certificates import CertificateFacts, CertificateFolder

cert_app = typer.Typer(
    name="cert",
    cls=Group,
    help="Look at certificates, renew and revoke them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cert_app)

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Read the passphrase of the CA's key from a file: the first line of it.",
    ),
]
"""Written `passphrase_file: PassphraseFile = None`."""


def passphrase_of(folder: "CertificateFolder", file: Path | None) -> Callable[[], str]:
    """How to get the passphrase of the CA's key, once it is seen to have one: from the file, or from the terminal."""

    def get() -> str:
        given = read_password(False, file)
        if given is not None:
            return given
        if not on_terminal():
            raise UsageError(
                f"{folder.authority_key} has a passphrase, and there is no terminal to ask for it.",
                hint="Give --passphrase-file FILE.",
            )
        return ask(f"Passphrase of {folder.authority_key}: ")

    return get


@cert_app.command("show")
def show(as_json: Json = False, home: Home = Path()) -> None:
    """Show every certificate of this home.

    Whom it is for, from when to when, its fingerprint and its issuer; and the revocation list.
    """
    from securechat.certificates import CertificateFolder, inspect_certificate
    from securechat.certificates.clients import made_clients
    from securechat.certificates.reading import read_certificates
    from securechat.certificates.revocations import read_revocations
    from securechat.server.certificate import server_files

    folder, files = CertificateFolder(home / "certs"), server_files(home, _config(home))
    rows = [("server", inspect_certificate(files.certificate))]
    revocations = None
    if folder.authority.exists():
        rows.insert(0, ("ca", inspect_certificate(folder.authority)))
        revocations = read_revocations(folder.revocations, read_certificates(folder.authority)[0])
    rows += [("client", facts) for facts in made_clients(folder)]
    revoked = {f"{serial:x}" for serial in revocations.revoked} if revocations else set()
    if as_json:
        shown = [{"kind": kind, **_facts(facts), "revoked": facts.serial in revoked} for kind, facts in rows]
        until = revocations.expires.isoformat() if revocations else None
        typer.echo(json.dumps({"certificates": shown, "revocations_until": until}))
        return
    for kind, facts in rows:
        _print(kind, facts, facts.serial in revoked)
    if revocations:
        typer.echo(f"{'revocations':<13}{folder.revocations}")
        typer.echo(f"{'':<13}{len(revocations.revoked)} revoked; holds until {revocations.expires:%Y-%m-%d %H:%M} UTC")


@cert_app.command("verify")
def verify(as_json: Json = False, home: Home = Path()) -> None:
    """Check what a client would say.

    Key, certificate, chain, names and dates have to go together.
    Exits with 1 when something is wrong; what only will be is a warning.
    """
    from securechat.certificates import findings, inspect_certificate
    from securechat.server.certificate import server_files

    files = server_files(home, _config(home))
    found = findings(files, datetime.now(UTC))
    is_wrong = any(finding.is_error for finding in found)
    if as_json:
        typer.echo(json.dumps({"ok": not is_wrong, "findings": [asdict(finding) for finding in found]}))
    for finding in found if not as_json else ():
        typer.echo(f"{'error' if finding.is_error else 'warning'}: {finding.message} {finding.fix}".rstrip())
    if is_wrong:
        raise typer.Exit(1)
    if not as_json:
        facts = inspect_certificate(files.certificate)
        typer.echo(f"A client that connects to {' or '.join(facts.names)} takes {files.certificate}.", err=True)


@cert_app.command("renew")
def renew(
    days: Annotated[int, typer.Option(help="How long the server certificate lasts: 1 to 90.")] = 90,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Renew the server's certificate from the CA.

    A revocation list that is there is signed again, too. A running server takes both.
    """
    from securechat.certificates import CertificateFolder, generate
    from securechat.certificates.authority import require_authority

    folder = CertificateFolder(home / "certs")
    require_authority(folder)
    made = generate(folder, days=days, passphrase=passphrase_of(folder, passphrase_file))
    if as_json:
        typer.echo(json.dumps(_facts(made.server)))
        return
    _print("server", made.server, False)
    typer.echo("Renewed. A running server takes it within two seconds.", err=True)


@cert_app.command("client")
def client(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The account.", show_default=False)],
    days: Annotated[int, typer.Option(help="How long the certificate lasts: 1 to 90.")] = 90,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Make a client certificate for an account, with a new key.

    Both files go to whoever uses the account; the key is then better deleted here. The password is needed as before.
    """
    from securechat.certificates import CertificateFolder
    from securechat.certificates.clients import make_client
    from securechat.chat.names import NAME_RULE, is_username

    if not is_username(name):
        raise UsageError(f"{name!a} cannot be a username.", hint=f"A username has {NAME_RULE}.")
    folder = CertificateFolder(home / "certs")
    made = make_client(folder, name, days=days, passphrase=passphrase_of(folder, passphrase_file))
    if as_json:
        typer.echo(json.dumps({**_facts(made.facts), "key": str(made.key)}))
        return
    _print("client", made.facts, False)
    typer.echo(f"{'key':<13}{made.key}  (for {name} alone)")
    typer.echo(
        f"Next, for {name}: securechat connect {name}@HOST --ca ca.pem --cert {made.facts.path.name} "
        f"--key {made.key.name}",
        err=True,
    )


@cert_app.command("revoke")
def revoke(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|SERIAL|FILE]",
            help="An account (all its certificates), a serial number, or a certificate's file.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every client certificate, also where the list itself is lost.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Revoke client certificates.

    The CA signs a new revocation list; a running server takes it, and ends the sessions of the revoked.
    """
    from securechat.certificates import CertificateFolder
    from securechat.certificates.clients import revoke as revoke_named
    from securechat.certificates.clients import revoke_all

    if (what is None) != everything:
        raise UsageError("Name what is to be revoked, or give --all.", hint="`securechat cert show` lists it.")
    folder = CertificateFolder(home / "certs")
    passphrase = passphrase_of(folder, passphrase_file)
    new = revoke_named(folder, what, passphrase) if what is not None else revoke_all(folder, passphrase)
    if as_json:
        typer.echo(json.dumps({"revoked": [f"{serial:x}" for serial in new], "list": str(folder.revocations)}))
    elif new:
        typer.echo(f"Revoked {len(new)}. A running server takes {folder.revocations} within two seconds.", err=True)
    else:
        typer.echo("Nothing is new in the list; it is signed again.", err=True)


@cert_app.command("fingerprint")
def fingerprint(as_json: Json = False, home: Home = Path()) -> None:
    """Print the SHA-256 of the CA.

    Others compare it with what they have.
    """
    from securechat.certificates import CertificateFolder, inspect_certificate

    facts = inspect_certificate(CertificateFolder(home / "certs").authority)
    typer.echo(json.dumps({"ca": str(facts.path), "sha256": facts.fingerprint}) if as_json else facts.fingerprint)


def _config(home: Path) -> Any:
    from securechat.config import load_config

    return load_config(home, os.environ, {})


def _facts(facts: "CertificateFacts") -> dict[str, Any]:
    return {
        "certificate": str(facts.path),
        "names": facts.names,
        "account": facts.account,
        "begins": facts.begins.isoformat(),
        "expires": facts.expires.isoformat(),
        "issuer": facts.issuer,
        "serial": facts.serial,
        "sha256": facts.fingerprint,
    }


def _print(kind: str, facts: "CertificateFacts", is_revoked: bool) -> None:
    for label, value in (
        (kind, str(facts.path)),
        ("names", ", ".join(facts.names)),
        ("account", f"{facts.account}{'  (revoked)' if is_revoked else ''}" if facts.account else ""),
        ("valid", f"{facts.begins:%Y-%m-%d %H:%M} to {facts.expires:%Y-%m-%d %H:%M} UTC"),
        ("issuer", facts.issuer),
        ("serial", facts.serial if facts.account else ""),
        ("SHA-256", facts.fingerprint),
    ):
        if value:
            typer.echo(f"{label:<13}{_printable(value)}")


def _printable(text: str) -> str:
    # A certificate's fields are what its issuer wrote.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
