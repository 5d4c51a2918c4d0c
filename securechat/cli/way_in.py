"""How a command for scripts comes in to a server: which one, and as whom. It knows no command."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.completion import remember_rooms
from securechat.cli.password_options import read_password
from securechat.cli.reaching import named, reach

if TYPE_CHECKING:
    from securechat.client.client import Client

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="[USER@]HOST[:PORT]",
        help="Who comes in (default: your name here), and where (default: the profile in use).",
        show_default=False,
    ),
]
"""Written `server: ServerOption = None`, where the arguments of a command are rooms and texts."""


class WayIn:
    """A server and an account there, with what it takes to come in."""

    def __init__(
        self,
        server: str | None,
        profile: str | None,
        ca: Path | None,
        from_stdin: bool,
        from_file: Path | None,
        home: Path,
    ) -> None:
        """Read the password where an option says that it is. Raises UsageError and NotFound."""
        self._server, self._profile, self._ca, self._home = server, profile, ca, home
        self._password = read_password(from_stdin, from_file)

    @property
    def account(self) -> str:
        """Who comes in, and where: `alice@host:port`. Raises UsageError, and NotFound for a profile."""
        from securechat.client.profiles import Profiles

        if self._server is not None:
            address = named(self._server)
        else:
            profiles = Profiles.of_person()
            address = profiles.get(profiles.chosen(self._profile)).address
        return f"{address.username}@{address}"

    def connect(self, outbox: Path | None = None, *, outage: float = math.inf) -> "Client":
        """Come in; `outbox` is a folder, `outage` is how long it tries to come back after a loss. Raises what `reach`
        does."""
        from securechat.client.timeouts import Timeouts

        timeouts = Timeouts(outage=outage)
        client = reach(
            self._server,
            self._profile,
            self._ca,
            home=self._home,
            password=self._password,
            outbox=outbox,
            timeouts=timeouts,
        )
        remember_rooms(client)
        return client
