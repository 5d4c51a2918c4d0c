"""Where a server is and who wants in, as a person types it: `[USER@]HOST[:PORT]`. It connects to nothing."""

from typing import Final, NamedTuple

from securechat.chat.names import NAME_RULE, is_username
from securechat.errors import UsageError

DEFAULT_PORT: Final = 7443


class Address(NamedTuple):
    """A server and the account to use there; `username` is empty where none was given."""

    username: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_address(typed: str) -> Address:
    """Take `[USER@]HOST[:PORT]` apart; an IPv6 address stands in brackets.

    Raises UsageError with what is wrong and what to type instead.
    """
    username, at, place = typed.rpartition("@")
    if at and not is_username(username):
        raise UsageError(f"{username!r} cannot be a username.", hint=f"A username has {NAME_RULE}.")
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UsageError(f"{place!r} is not an address.", hint="Type an IPv6 address as [::1] or [::1]:7443.")
        port = rest[1:] if rest else None
    else:
        if place.count(":") > 1:
            raise UsageError(f"{place!r} is not an address.", hint=f"Type an IPv6 address in brackets: [{place}].")
        host, colon, typed_port = place.partition(":")
        port = typed_port if colon else None
    if not host or host.startswith((".", "-")) or not host.isprintable() or " " in host:
        raise UsageError(f"{typed!r} names no host.", hint="Type [USER@]HOST[:PORT].")
    return Address(username, host, DEFAULT_PORT if port is None else _read_port(port))


def _read_port(typed: str) -> int:
    if typed.isascii() and typed.isdigit() and len(typed) <= 5 and 1 <= int(typed) <= 65_535:
        return int(typed)
    raise UsageError(f"{typed!r} is not a port.", hint="A port is a number from 1 to 65535.")
