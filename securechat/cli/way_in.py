"""How a command for scripts comes in to a server: which one, and as whom. It knows no command."""

import functools
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from securechat.cli.completion import remember_rooms
from securechat.cli.options import Home
from securechat.cli.password_options import PasswordFile, PasswordStdin, read_password
from securechat.cli.reaching import Authority, ProfileName, named, reach

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


def comes_in(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where it comes in and as whom; it gets them as its keyword `way`."""
    own = inspect.signature(command, eval_str=True).parameters.values()

    @functools.wraps(command)
    def called(**given: Any) -> None:
        options = [given.pop(option.name) for option in _OPTIONS]
        command(**given, way=WayIn(*options))

    parameters = [*(one for one in own if one.name != "way"), *_OPTIONS]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    called.__dict__["__signature__"] = inspect.Signature(parameters)
    return called


def _options(
    *,
    server: ServerOption = None,
    profile: ProfileName = None,
    ca: Authority = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    home: Home = Path(),
) -> None:
    """The options, in the order in which `WayIn` takes what they say."""


_OPTIONS = tuple(inspect.signature(_options, eval_str=True).parameters.values())
