"""`securechat login`, `logout`, `whoami` and `securechat profile …`: the servers that this person has saved."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Home, Json
from securechat.cli.password_options import PasswordFile, PasswordStdin, read_password
from securechat.cli.reaching import (
    Authority,
    ClientCertificate,
    ClientKey,
    ProfileName,
    Server,
    ask_on_terminal,
    authority_for,
    key_pair,
    named,
    reach,
)

if TYPE_CHECKING:
    from securechat.client.profiles import Profiles

profile_app = typer.Typer(
    name="profile",
    cls=Group,
    help="Look at the servers that you have saved.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(profile_app)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.", show_default=False)]
NameOrInUse = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="The profile's name (default: the one in use).", show_default=False),
]


@app.command()
def login(
    server: Server = None,
    profile: ProfileName = None,
    ca: Authority = None,
    cert: ClientCertificate = None,
    key: ClientKey = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    home: Home = Path(),
) -> None:
    """Log in with the password, and save the server as a profile.

    The profile keeps the address, the CA and a session token, so that no other command asks again; the password is
    kept nowhere. With no address it makes a new session for the profile in use, or for --profile.
    """
    from msgspec.structs import replace

    from securechat.client.entrance import keep_session, log_in, pin, shown
    from securechat.client.profiles import Profile

    profiles = _profiles()
    password = read_password(password_stdin, password_file)
    if server is None:
        name = profiles.chosen(profile)
        there = profiles.get(name)
        if ca is not None:
            there = replace(there, ca=pin(ca))
            authority: Path | None = ca
        else:
            authority = profiles.path(name) if there.ca else None
    else:
        address, authority = named(server), authority_for(ca, home)
        there = Profile(username=address.username, host=address.host, port=address.port, ca=pin(authority))
        name = profile or profiles.name_for(address)
    pair = key_pair(cert, key)
    if pair:
        there = replace(there, certificate=str(pair.certificate.absolute()), key=str(pair.key.absolute()))
    with log_in(
        there.address, authority, password or there.ask_manager() or ask_on_terminal, shown=shown(there)
    ) as client:
        profiles.save(name, there)
        keep_session(profiles, name, client)
    typer.echo(
        f"Logged in as {there.username} at {there.address}. Profile {name} is in use. Next: securechat connect",
        err=True,
    )


@app.command()
def logout(profile: ProfileName = None) -> None:
    """End this profile's session, and its token with it.

    The profile stays: `securechat login` makes a new session.
    """
    from securechat.client.entrance import resume
    from securechat.errors import Code, Refused
    from securechat.protocols.frames import Revoke, Revoked

    profiles = _profiles()
    name = profiles.chosen(profile)
    try:
        client = resume(profiles, name)
    except Refused as refused:
        if refused.code != Code.BAD_CREDENTIALS:
            raise
        client = None
    if client is not None:
        with client:
            client.request(Revoke(session=client.welcome.session), Revoked)
        typer.echo(f"The session of profile {name} is ended.", err=True)
    else:
        typer.echo(f"Profile {name} has no session that is in force.", err=True)
    profiles.forget_token(name)


@app.command()
def whoami(
    server: Server = None,
    profile: ProfileName = None,
    ca: Authority = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Ask the server who you are there."""
    with reach(server, profile, ca, home=home, password=read_password(password_stdin, password_file)) as client:
        welcome, address = client.welcome, client.address
    if as_json:
        facts = {"username": welcome.username, "role": welcome.role, "server": str(address), "session": welcome.session}
        typer.echo(json.dumps(facts))
    else:
        typer.echo(f"{welcome.username} ({welcome.role}) at {address}")


@profile_app.command("list")
def list_profiles(as_json: Json = False) -> None:
    """List the profiles; a star stands before the one in use."""
    profiles = _profiles()
    found = [_facts(profiles, name) for name in profiles.names()]
    if as_json:
        typer.echo(json.dumps(found))
        return
    width = max((len(str(facts["name"])) for facts in found), default=0)
    for facts in found:
        star = "*" if facts["in_use"] else " "
        typer.echo(f"{star} {facts['name']:{width}}  {facts['username']}@{facts['server']}")


@profile_app.command("show")
def show(name: NameOrInUse = None, as_json: Json = False) -> None:
    """Show one profile."""
    profiles = _profiles()
    facts = _facts(profiles, profiles.chosen(name))
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for key, value in facts.items():
        said = ("no", "yes")[value] if isinstance(value, bool) else value
        typer.echo(f"{_LABELS[key]:<17} {said}")


@profile_app.command("use")
def use(name: Name) -> None:
    """Use this profile where none is named."""
    _profiles().use(name)
    typer.echo(f"Profile {name} is in use.", err=True)


@profile_app.command("remove")
def remove(name: Name) -> None:
    """Delete a profile and its token from this machine.

    The session stays in force on the server; `securechat logout` ends it, before.
    """
    _profiles().remove(name)
    typer.echo(f"Profile {name} is removed.", err=True)


def _profiles() -> "Profiles":
    from securechat.client.profiles import Profiles

    return Profiles.of_person()


_LABELS = {
    "name": "name",
    "username": "username",
    "server": "server",
    "ca_fingerprint": "CA SHA-256",
    "in_use": "in use",
    "session": "session kept",
    "password_command": "password command",
    "certificate": "certificate",
}


def _facts(profiles: "Profiles", name: str) -> dict[str, str | bool]:
    from securechat.certificates import inspect_certificate

    profile = profiles.get(name)
    return {
        "name": name,
        "username": profile.username,
        "server": str(profile.address),
        "ca_fingerprint": inspect_certificate(profiles.path(name)).fingerprint if profile.ca else "",
        "in_use": name == profiles.in_use(),
        "session": bool(profiles.token(name)),
        "password_command": profile.password_command,
        "certificate": profile.certificate,
    }
