"""`securechat gen-certs`: make the CA and the server certificate, or renew the second from the first."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.app import app
from securechat.cli.cert import PassphraseFile, passphrase_of
from securechat.cli.options import Home, Json, command_line
from securechat.cli.password_options import ask, on_terminal, read_password
from securechat.errors import UsageError

if TYPE_CHECKING:
    from securechat.certificates import CertificateFolder, Generated

_MADE_BOTH = "Made a certificate authority (CA) and a server certificate."
_MADE = "Made a server certificate from the CA that was there."
_RENEWED = "Renewed the server certificate; the CA is the same."
_NEXT_IN_FORCE = "Put the next CA in force and renewed the server certificate from it."


@app.command("gen-certs")
def gen_certs(
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|IP",
            help="Another name or address that people connect to; may be given again.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[int, typer.Option(help="How long the server certificate lasts: 1 to 90.")] = 90,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a server certificate and key that another CA made, or start its list of names anew. "
            "The CA's key is never replaced.",
        ),
    ] = False,
    next_ca: Annotated[
        bool,
        typer.Option(
            "--next-ca", help="Make the CA after this one, and have the server announce it to those who come in."
        ),
    ] = False,
    use_next_ca: Annotated[
        bool,
        typer.Option("--use-next-ca", help="Put the CA that is announced in force, and renew the certificate from it."),
    ] = False,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase for the key of a new CA.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Make a CA and a server certificate, or renew the certificate.

    The CA is made once, and its key is never overwritten. The certificate is for localhost, 127.0.0.1, ::1, this
    host's name and every --host; renewed, it keeps the names that it has. With a passphrase, the CA's key is worth
    nothing to a thief, and the server cannot renew its certificate by itself.

    A CA that is to be replaced announces the next one first, with --next-ca. Whoever comes in by a profile from then
    on trusts both, on the old CA's signature. When everybody was there once, --use-next-ca puts it in force.
    """
    from securechat.certificates import CertificateFolder, generate, use_next

    folder = CertificateFolder(home / "certs")
    if (next_ca or use_next_ca) and (host or force or (next_ca and use_next_ca)):
        raise UsageError("These options do not go together.", hint="Give --next-ca or --use-next-ca alone.")
    opens = passphrase_of(folder, passphrase_file)
    if next_ca:
        _announce(folder, opens, as_json, home)
    elif use_next_ca:
        _show(folder, use_next(folder, days=days, passphrase=opens), _NEXT_IN_FORCE, as_json, home)
    else:
        protects = _new_passphrase(folder, passphrase, passphrase_file)
        made = generate(folder, host or (), days=days, force=force, passphrase=opens, new_passphrase=protects)
        done = _MADE_BOTH if made.new_authority else _RENEWED if made.renewed else _MADE
        _show(folder, made, done, as_json, home)


def _show(folder: "CertificateFolder", made: "Generated", done: str, as_json: bool, home: Path) -> None:
    """Print what is there now; `done` says what was done."""
    if made.left_out:
        typer.echo(f"This host's name, {made.left_out!a}, is no DNS name and is left out.", err=True)
    next_command = _next_command(home)
    if as_json:
        facts = {
            "ca": str(folder.authority),
            "ca_key": str(folder.authority_key),
            "certificate": str(folder.server_certificate),
            "key": str(folder.server_key),
            "names": made.server.names,
            "expires": made.server.expires.isoformat(),
            "ca_expires": made.authority.expires.isoformat(),
            "ca_fingerprint": made.authority.fingerprint,
            "new_ca": made.new_authority,
            "renewed": made.renewed,
            "next": next_command,
        }
        typer.echo(json.dumps(facts))
        return
    typer.echo(done, err=True)
    for label, value in (
        ("CA", f"{folder.authority}  (whoever connects needs this file)"),
        ("CA key", f"{folder.authority_key}  (keep it secret)"),
        ("certificate", str(folder.server_certificate)),
        ("key", f"{folder.server_key}  (keep it secret)"),
        ("names", ", ".join(made.server.names)),
        ("expires", f"{made.server.expires:%Y-%m-%d %H:%M} UTC; the CA {made.authority.expires:%Y-%m-%d}"),
        ("CA SHA-256", made.authority.fingerprint),
    ):
        typer.echo(f"{label:<13}{value}")
    typer.echo(f"Next: {next_command}", err=True)


def _announce(folder: "CertificateFolder", passphrase: Callable[[], str], as_json: bool, home: Path) -> None:
    from securechat.certificates import announce_next

    made = announce_next(folder, passphrase)
    if as_json:
        facts = {
            "next_ca": str(made.path),
            "next_ca_fingerprint": made.fingerprint,
            "expires": made.expires.isoformat(),
        }
        typer.echo(json.dumps(facts))
        return
    typer.echo("Made the next CA; a running server announces it to those who come in from now on.", err=True)
    typer.echo(f"next CA      {made.path}\nSHA-256      {made.fingerprint}")
    command = command_line("securechat gen-certs --use-next-ca", home)
    typer.echo(f"When everybody was there once: {command}", err=True)


def _new_passphrase(folder: "CertificateFolder", is_wanted: bool, file: Path | None) -> str:
    from securechat.certificates.reading import has_passphrase

    if not is_wanted and file is None:
        return ""
    if folder.authority_key.exists():
        if has_passphrase(folder.authority_key):
            return ""
        raise UsageError(
            f"{folder.authority_key} is there, without a passphrase, and is never overwritten.",
            hint=f"Give it one: openssl pkey -aes256 -in {folder.authority_key} -out NEW, and put NEW in its place.",
        )
    given = read_password(False, file)
    if given is not None:
        return given
    if not on_terminal():
        raise UsageError("There is no terminal to ask for a passphrase.", hint="Give --passphrase-file FILE.")
    answer = ask(f"Passphrase for {folder.authority_key}: ")
    if not answer or ask("The same again: ") != answer:
        raise UsageError("No passphrase was given twice alike.")
    return answer


def _next_command(home: Path) -> str:
    has_accounts = (home / "credentials").exists()
    return command_line("securechat serve" if has_accounts else "securechat adduser NAME --admin", home)
