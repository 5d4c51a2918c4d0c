"""securechat itself, as it is shipped: acknowledged is on disk, and accounts come back with tokens of their own."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from bench.subjects import Serving
from bench.subjects.certificates import made_certificates
from bench.subjects.programs import free_port, running
from bench.talkers.native import Native
from securechat.accounts.credentials import Account, format_accounts
from securechat.accounts.passwords import hash_password
from securechat.accounts.tokens import hash_token
from securechat.chat import chain
from securechat.chat.model import Room, Token
from securechat.journal.store import Store

PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - of a server that lives for one run

SETTINGS: Final = """\
durability full, its default: acknowledged is fsynced
one reactor, its default
ping_seconds 3600, idle_seconds 7200: no pings, as the others have none
no other setting: texts are salted, hashed into the room's chain and indexed for search as anywhere"""

CONFIGURATION: Final = """\
[limits]
ping_seconds = 3600
idle_seconds = 7200
"""


class Securechat:
    """The server, on a home that is made without hashing a password for each account."""

    name = "securechat"
    durable = True
    settings = SETTINGS

    def __init__(self, fill: Callable[[Store], None] = lambda store: None) -> None:
        """`fill` puts what is to be there before the start into the store."""
        self._fill = fill

    def missing(self) -> str:
        """Empty: it is what this folder is about."""
        return ""

    @contextmanager
    def serve(self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]) -> Iterator[Serving]:
        """Run it on a home in `folder`."""
        make_home(folder, rooms, accounts, self._fill)
        port = free_port()
        command: list[str | Path] = [sys.executable, "-m", "securechat", "serve", "--home", folder, "--port", str(port)]
        with running(command, port, folder) as pid:
            yield Serving(pid, port, folder / "certs" / "ca.pem", "localhost", talker)


def make_home(
    folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str], fill: Callable[[Store], None]
) -> None:
    """Write everything that a server needs: one password for all, and members and tokens straight into the store."""
    (folder / "certs").symlink_to(made_certificates().path)
    (folder / "securechat.toml").write_text(CONFIGURATION)
    stored = hash_password(PASSWORD)
    (folder / "credentials").touch(0o600)
    (folder / "credentials").write_bytes(
        format_accounts(Account(name, "member", "active", stored) for name in accounts)
    )
    made = [Room(name, hash=chain.start(name), base_hash=chain.start(name)) for name in rooms]
    members = {(room, account): True for room, inside in rooms.items() for account in inside}
    tokens = {hash_token(token_of(account)): Token(account, "bench", 0) for account in accounts}
    with closing(Store(folder / "chat.db", "full")) as store:
        store.load()
        store.commit(made, [], members, tokens=tokens)
        fill(store)


def token_of(account: str) -> str:
    """A token that nobody has to be told: this server lives for one run, on the loopback."""
    return f"token-of-{account}"


def talker(account: str, rooms: Sequence[str]) -> Native:
    """A codec that comes back with the account's token."""
    return Native(account, rooms, token=token_of(account))
