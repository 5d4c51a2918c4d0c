"""securechat: a private chat server, its terminal client and its admin CLI. For programs: `Client`, and `connect`.

Importing it loads nothing more: the client comes with the first use of either.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from securechat.client.client import Client as Client

__version__ = "0.1.0"
__all__ = ["Client", "__version__", "connect"]


def connect(profile: str | None = None, *, outbox: "Path | None" = None) -> "Client":
    """A client that was let in by the profile of this name, or by the one in use; nobody is asked for anything.

    `outbox` is a folder where what is said is kept until it is stored. Raises UsageError where there is no profile, or
    its session is not in force any more and it has no `password_command`; and what `Client.connect` does.
    """
    from securechat.client.entrance import enter
    from securechat.client.profiles import Profiles
    from securechat.errors import UsageError

    profiles = Profiles.of_person()
    name = profiles.chosen(profile)

    def nobody(account: str) -> str:
        raise UsageError(f"The session of {account} is over.", hint="Make a new one: securechat login")

    return enter(profiles, name, nobody, outbox=outbox)


def __getattr__(name: str) -> Any:
    if name == "Client":
        from securechat.client.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
