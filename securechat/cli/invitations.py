"""`securechat invite NAME`, `invite list` and `invite revoke`: let somebody in with one line. It knows no frame."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Home, Json
from securechat.errors import NotFound, UsageError

if TYPE_CHECKING:
    from securechat.chat.model import Change, Invitation
    from securechat.client.address import Address
    from securechat.config import Config

Name = Annotated[str, typer.Argument(metavar="NAME", help="The username.", show_default=False)]


class InviteGroup(Group):
    """The group in which what is no command is a name: `invite carol` is `invite new carol`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["new", *args]
        return super().parse_args(ctx, args)


invite_app = typer.Typer(
    name="invite",
    cls=InviteGroup,
    help="Invite somebody: `invite NAME` prints one line to give them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(invite_app)


@invite_app.command("new")
def new(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="Give the account the role admin (else member).")] = False,
    room: Annotated[
        list[str] | None,
        typer.Option(metavar="ROOM", help="Make it a member of this room; again for more.", show_default=False),
    ] = None,
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long the code holds: 30m, 12h, 7d.")] = "7d",
    host: Annotated[
        str | None,
        typer.Option(metavar="HOST[:PORT]", help="Where they connect to (default: by the certificate and settings)."),
    ] = None,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Print a code with which somebody comes in as NAME, once.

    In it are the server's address, the SHA-256 of its CA and a secret: give it to nobody else. They type `securechat
    join CODE` and choose their password. A second code for the same name ends the first.
    """
    from securechat.accounts.changing import taken
    from securechat.accounts.tokens import hash_token, new_token
    from securechat.certificates import CertificateFolder, inspect_certificate
    from securechat.chat.model import Issue
    from securechat.chat.names import NAME_RULE, is_username
    from securechat.client.codes import Invited, write_code
    from securechat.client.commands import read_seconds
    from securechat.config import load_config
    from securechat.limits import INVITATION_DAYS
    from securechat.server.known import known_accounts

    if not is_username(name):
        raise UsageError(f"No account can be called {name!a}.", hint=f"A username is {NAME_RULE}.")
    lasting = read_seconds(expires, INVITATION_DAYS)
    if name in known_accounts(home):
        raise taken(name)
    rooms = tuple(dict.fromkeys(room or ()))
    _must_be_there(home, rooms)
    config = load_config(home, os.environ, {})
    if config.certificate:
        raise UsageError(
            "This server shows a certificate that is not from its own CA, which a code would be for.",
            hint=f"Make the account: securechat adduser {name}",
        )
    authority = inspect_certificate(CertificateFolder(home / "certs").authority)
    address = _address(home, config, host)._replace(username=name)
    secret = new_token()
    issue = Issue(name, hash_token(secret), lasting * 1_000, "admin" if admin else "member", rooms)
    _propose(home, config, issue)
    code = write_code(Invited(address, bytes.fromhex(authority.fingerprint.replace(":", "")), secret))
    facts = _facts([one for one in _invitations(home) if one.account == name][-1])
    if as_json:
        typer.echo(json.dumps({"code": code, "server": str(address), "ca_fingerprint": authority.fingerprint} | facts))
        return
    typer.echo(f"An invitation for {name} ({facts['role']}) to {address}, until {facts['expires']}:", err=True)
    typer.echo(code)
    typer.echo(f"Give it to {name} alone, who types: securechat join CODE", err=True)


@invite_app.command("list")
def list_invitations(as_json: Json = False, home: Home = Path()) -> None:
    """List the invitations and what has become of them."""
    found = [_facts(one) for one in _invitations(home)]
    if as_json:
        typer.echo(json.dumps(found))
        return
    width = max((len(facts["name"]) for facts in found), default=0)
    for facts in found:
        rooms = f"  {', '.join(facts['rooms'])}" if facts["rooms"] else ""
        typer.echo(f"{facts['name']:{width}}  {facts['role']:6}  {facts['state']:7}  {facts['expires']}{rooms}")


@invite_app.command("revoke")
def revoke(name: Name, home: Home = Path()) -> None:
    """Let nobody come in any more with the code for NAME."""
    from securechat.chat.model import RevokeInvitation
    from securechat.config import load_config

    if _propose(home, load_config(home, os.environ, {}), RevokeInvitation(name)):
        typer.echo(f"The invitation of {name} is revoked.", err=True)
    else:
        raise NotFound(f"No invitation of {name} is open.", hint="See `securechat invite list`.")


def _address(home: Path, config: "Config", typed: str | None) -> "Address":
    """Where people connect to: what was typed, else the name in the certificate that was asked for last."""
    from securechat.certificates import CertificateFolder, inspect_certificate
    from securechat.certificates.hosts import LOCAL
    from securechat.client.address import Address, read_address
    from securechat.server.operating import serving_port

    # A server may have been started with another than the settings say, by SECURECHAT_PORT or --port.
    port = serving_port(home) or config.port
    names = inspect_certificate(CertificateFolder(home / "certs").server_certificate).names
    if typed is None:
        others = [name for name in names if name not in LOCAL]
        is_local = config.host in LOCAL or not others
        address = Address("", "localhost" if is_local else others[-1], port)
    else:
        address = read_address(typed)
        if not typed.endswith(f":{address.port}"):
            address = address._replace(port=port)
    if not address.port:
        raise UsageError("The server's port is not known beforehand.", hint="Give it: --host HOST:PORT.")
    if address.host.lower() not in names:
        typer.echo(
            f"Warning: the certificate is not for {address.host}; securechat gen-certs --host adds it.", err=True
        )
    return address


def _must_be_there(home: Path, rooms: tuple[str, ...]) -> None:
    from contextlib import closing

    from securechat.journal.reader import Reader

    known: set[str] = set()
    if rooms and (home / "chat.db").exists():
        with closing(Reader(home / "chat.db")) as reader:
            known = {room.name for room in reader.rooms() if not room.name.startswith("@")}
    for room in rooms:
        if room not in known:
            raise NotFound(f"There is no room {room!a}.", hint="See `securechat room list`.")


def _invitations(home: Path) -> "list[Invitation]":
    from contextlib import closing

    from securechat.journal.reader import Reader

    if not (home / "chat.db").exists():
        return []
    with closing(Reader(home / "chat.db")) as reader:
        return reader.invitations()


def _facts(invitation: "Invitation") -> dict[str, Any]:
    is_late = invitation.state == "open" and time.time_ns() // 1_000_000 >= invitation.expires
    return {
        "name": invitation.account,
        "role": invitation.role,
        "rooms": invitation.rooms,
        "state": "expired" if is_late else invitation.state,
        "expires": f"{datetime.fromtimestamp(invitation.expires / 1_000, UTC):%Y-%m-%d %H:%M} UTC",
    }


def _propose(home: Path, config: "Config", change: "Change") -> bool:
    """Have it decided; whether anything changed. Raises SecurechatError."""
    from securechat.server.operating import propose

    answer = propose(home, config, change)
    if answer.code:
        raise answer.error()
    return not answer.unchanged
