"""`securechat gen-certs`: make the CA and the server certificate, or renew the second from the first."""

import json
from pathlib import Path
from typing import Annotated

import typer

from securechat.cli.app import app
from securechat.cli.options import Home, Json, command_line


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
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Make a CA and a server certificate, or renew the certificate.

    The CA is made once, and its key is never overwritten. The certificate is for localhost, 127.0.0.1, ::1, this
    host's name and every --host; renewed, it keeps the names that it has.
    """
    from securechat.certificates import CertificateFolder, generate

    folder = CertificateFolder(home / "certs")
    made = generate(folder, host or (), days=days, force=force)
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
    if made.new_authority:
        typer.echo("Made a certificate authority (CA) and a server certificate.", err=True)
    elif made.renewed:
        typer.echo("Renewed the server certificate; the CA is the same.", err=True)
    else:
        typer.echo("Made a server certificate from the CA that was there.", err=True)
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


def _next_command(home: Path) -> str:
    has_accounts = (home / "credentials").exists()
    return command_line("securechat serve" if has_accounts else "securechat adduser NAME --admin", home)
