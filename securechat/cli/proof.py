"""`securechat verify`, `backup` and `restore`: prove what is stored, take it along, put it back. No logic."""

import base64
import json
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.app import app
from securechat.cli.options import Home, Json, command_line
from securechat.errors import StorageFailed

if TYPE_CHECKING:
    from securechat.journal.verify import Report


@app.command()
def verify(
    room: Annotated[
        list[str] | None, typer.Argument(metavar="[ROOM]...", help="Check these rooms only.", show_default=False)
    ] = None,
    backup: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check what is in this backup instead.", dir_okay=False, show_default=False),
    ] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Check the audit log instead.")] = False,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Prove that nothing stored was lost or changed.

    Checks every record: that no number is missing, that each follows from the one before it, and that what it refers
    to is there; then, unless rooms are named, that no id is used twice, the file as a whole and the search index. A
    server may run meanwhile. Prints each room with its records and its head; exits with 1 at the first bad record.
    """
    from securechat.journal.backup import STORE, unpacked_store
    from securechat.journal.verify import verify_store

    if audit:
        _verify_audit(home, as_json)
        return
    with nullcontext(home / STORE) if backup is None else unpacked_store(backup) as store:
        report = verify_store(store, room or ())
    if as_json:
        typer.echo(json.dumps(described(report)))
    else:
        print_rooms(report)
    if report.flaw is not None:
        raise StorageFailed(f"{report.flaw}", hint="Stop the server, keep this file, and restore a backup.")
    if not as_json:
        typer.echo(f"Everything is as it was written; records checked: {report.records}.", err=True)


def _verify_audit(home: Path, as_json: bool) -> None:
    from securechat.audit import FILE, HEAD, verify

    found = verify(home / FILE)
    head, count = found.head, found.head.lines - found.first + 1
    if as_json:
        facts = {"lines": head.lines, "hash": head.hash, "first": found.first, "end_known": found.is_end_known}
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{head.hash}  {FILE}")
    typer.echo(f"Every line follows from the one before it; lines checked: {count}.", err=True)
    if found.first > 1:
        typer.echo(f"The lines before {found.first} are not here.", err=True)
    if not found.is_end_known:
        typer.echo(f"There is no {HEAD}: whether lines are missing at the end is not known.", err=True)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", dir_okay=False)],
    with_ca_key: Annotated[
        bool, typer.Option("--with-ca-key", help="Put the CA's key in too: whoever has it can pass for your server.")
    ] = False,
    home: Home = Path(),
) -> None:
    """Write all that a server needs into one file.

    The server may run meanwhile. In the file are the messages, the accounts, the settings and the certificates.
    Prints each part with its bytes.
    """
    from securechat.journal.backup import AUTHORITY_KEY, PARTS
    from securechat.journal.backup import backup as write

    parts = write(home, file, with_ca_key=with_ca_key)
    for name, size in parts.items():
        typer.echo(f"{name:<18}{size}")
    missing = [name for name in PARTS if name not in parts and name != AUTHORITY_KEY]
    if missing:
        typer.echo(f"Not there, and so not in it: {', '.join(missing)}.", err=True)
    if not with_ca_key:
        typer.echo("The CA's key is not in it: keep a copy of certs/ca.key elsewhere, or give --with-ca-key.", err=True)
    typer.echo(f"{file} is secret: who has it can read every message and pass for your server.", err=True)
    typer.echo(f"Next: securechat verify --backup {shlex.quote(str(file))}", err=True)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `securechat backup` wrote.")],
    home: Home = Path(),
) -> None:
    """Put a backup back, into a home that is empty.

    The folder is made if it is not there. Prints each part that was in the backup.
    """
    from securechat.journal.backup import AUTHORITY_KEY
    from securechat.journal.backup import restore as put_back

    parts = put_back(file, home)
    for name in parts:
        typer.echo(name)
    if AUTHORITY_KEY not in parts:
        typer.echo("The CA's key was not in it: put certs/ca.key back before the certificate is renewed.", err=True)
    typer.echo(f"Restored. Next: {command_line('securechat verify', home)}", err=True)


def print_rooms(report: "Report") -> None:
    """Print each room that is in order, with its records and its head."""
    width = max((len(room.room) for room in report.rooms), default=4)
    typer.echo(f"{'ROOM':{width}}  {'RECORDS':>9}  {'HEAD':>9}  HASH")
    for room in report.rooms:
        erased = f"  (retention has erased 1 to {room.base})" if room.base else ""
        typer.echo(f"{room.room:{width}}  {room.records:>9}  {room.head:>9}  {shown_hash(room.hash)}{erased}")


def described(report: "Report") -> dict[str, object]:
    """The same, and what is wrong, for JSON."""
    flaw = report.flaw
    return {
        "ok": flaw is None,
        "records": report.records,
        "rooms": [
            {
                "room": room.room,
                "records": room.records,
                "head": room.head,
                "hash": shown_hash(room.hash),
                "base": room.base,
            }
            for room in report.rooms
        ],
        "flaw": None if flaw is None else {"room": flaw.room, "seq": flaw.seq, "what": flaw.what},
    }


def shown_hash(hash: bytes) -> str:
    """A hash of a chain as the native protocol writes it, so that it can be compared with what a client has."""
    return base64.urlsafe_b64encode(hash).rstrip(b"=").decode()
