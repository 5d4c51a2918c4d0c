"""How a command gets to a server as somebody: by an address that was typed, or by a profile. It knows no other command.

The options are defined once here; `reach` turns them into a client that was let in.
"""

import getpass
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from securechat.cli import completion
from securechat.cli.password_options import ask, on_terminal
from securechat.errors import OutboxUnusable, UsageError

if TYPE_CHECKING:
    from securechat.certificates import KeyPair
    from securechat.client.address import Address
    from securechat.client.client import Client
    from securechat.client.ignored import Ignored
    from securechat.client.timeouts import Timeouts

Server = Annotated[
    str | None,
    typer.Argument(
        metavar="[USER@]HOST[:PORT]",
        help="Who comes in (default: your name here), and where (default: the profile in use).",
        show_default=False,
    ),
]
"""Written `server: Server = None`."""

ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        autocompletion=completion.profiles,
        help="Use this profile.",
        show_default=False,
    ),
]
"""Written `profile: ProfileName = None`."""

Authority = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="The server's CA (default: HOME/certs/ca.pem, else the system's CAs)."),
]
"""Written `ca: Authority = None`."""

ClientCertificate = Annotated[
    Path | None,
    typer.Option("--cert", metavar="FILE", help="Your client certificate, where the server asks for one."),
]
"""Written `cert: ClientCertificate = None`."""

ClientKey = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The key of your client certificate.")]
"""Written `key: ClientKey = None`."""


def reach(
    server: str | None = None,
    profile: str | None = None,
    ca: Path | None = None,
    *,
    shown: "KeyPair | None" = None,
    home: Path = Path(),
    password: str | None = None,
    ask: Callable[[str], str] | None = None,
    outbox: Path | None = None,
    timeouts: "Timeouts | None" = None,
) -> "Client":
    """A client that was let in: at the address, if one was typed, else by the profile, else by the profile in use.

    `password` was given by an option, and makes a new session; else `ask` gets it where one is needed, from the
    terminal if no other is given. Raises UsageError for what does not go together, and what `client.entrance` does.
    """
    from securechat.client.entrance import enter, log_in
    from securechat.client.profiles import Profiles
    from securechat.client.timeouts import Timeouts

    timeouts = timeouts or Timeouts()
    ask = ask or ask_on_terminal
    if server is None:
        if ca is not None or shown is not None:
            raise UsageError(
                "A profile has its own CA and client certificate.",
                hint="Leave out --ca, --cert and --key, or name the server.",
            )
        profiles = Profiles.of_person()
        return enter(profiles, profiles.chosen(profile), ask, password=password, outbox=outbox, timeouts=timeouts)
    if profile is not None:
        raise UsageError("A server and a profile were named.", hint="Leave out one of them.")
    return log_in(
        named(server), authority_for(ca, home), password or ask, shown=shown, outbox=outbox, timeouts=timeouts
    )


def named(server: str) -> "Address":
    """The address that was typed, with this login's name where none was given. Raises UsageError."""
    from securechat.client.address import read_address

    address = read_address(server)
    return address if address.username else address._replace(username=_login_name())


def authority_for(ca: Path | None, home: Path) -> Path | None:
    """The file with the CA to trust: the one that was named, or that of the home; None for the system's CAs."""
    from securechat.certificates import CertificateFolder

    of_home = CertificateFolder(home / "certs").authority
    return ca or (of_home if of_home.is_file() else None)


def key_pair(cert: Path | None, key: Path | None) -> "KeyPair | None":
    """The client certificate that two options name. Raises UsageError for one without the other."""
    from securechat.certificates import KeyPair

    if (cert is None) != (key is None):
        raise UsageError("--cert and --key belong together.", hint="Give both, as `securechat cert client` made them.")
    return KeyPair(cert, key) if cert and key else None


def with_outbox(come_in: "Callable[..., Client]") -> "tuple[Client, str]":
    """For a person, a client that keeps on disk what is not stored; where it cannot, one that does not, and a warning.

    `come_in` is `reach` with all but `ask` and `outbox`."""
    ask = cache(ask_on_terminal)  # the password is asked for once
    try:
        return come_in(ask=ask, outbox=outbox_folder()), ""
    except OutboxUnusable as unusable:
        return come_in(ask=ask), f"{unusable.message} What is not stored when this client ends is lost."


def ignored_by(client: "Client") -> "Ignored":
    """Whom this person ignores at this server."""
    from securechat.client.ignored import Ignored
    from securechat.client.profiles import state_folder

    return Ignored(state_folder() / "ignored", f"{client.address.username}@{client.address}")


def outbox_folder() -> Path:
    """Where what this person says is kept until it is stored."""
    from securechat.client.profiles import state_folder

    return state_folder() / "outbox"


def ask_on_terminal(account: str) -> str:
    """Ask for the password of this account. Raises UsageError where nobody can be asked."""
    if not on_terminal():
        nobody_to_ask(account)
    return ask(f"Password of {account}: ")


def nobody_to_ask(account: str) -> NoReturn:
    """Raise the UsageError of a command that has to ask for a password, and nobody is there."""
    raise UsageError(
        f"There is no terminal to ask for the password of {account}.",
        hint="Give --password-stdin or --password-file FILE.",
    )


def _login_name() -> str:
    from securechat.chat.names import NAME_RULE, is_username

    hint = f"Type USER@HOST; a username has {NAME_RULE}."
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("This login has no name to connect with.", hint=hint) from None
    if not is_username(name):
        raise UsageError(f"Your login name {name!r} cannot be a username.", hint=hint)
    return name
