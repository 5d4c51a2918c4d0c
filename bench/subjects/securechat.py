"""securechat itself, as it is shipped: acknowledged is on disk, and accounts come back with tokens of their own."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.subjects import Serving
from bench.subjects.certificates import made_certificates
from bench.subjects.past import Past
from bench.subjects.programs import free_port, running
from bench.talkers.native import Native
from securechat.accounts.credentials import format_accounts
from securechat.accounts.passwords import hash_password
from securechat.accounts.tokens import hash_token
from securechat.chat import chain
from securechat.chat.accounts import Account
from securechat.chat.model import Room, Token
from securechat.journal.store import Store

PASSWORD: Final = "correct horse battery staple"  # noqa: S105 - of a server that lives for one run

SETTINGS: Final = """\
durability full, its default: acknowledged is fsynced
one reactor, its default
ping_seconds 3600, idle_seconds 7200: no pings, as the others have none
hash_queue 1000: logins with a password wait for their turn
strangers and strangers_per_address 10000: all clients come from one address, and none of the others limits them
no other setting: texts are salted, hashed into the room's chain and indexed for search as anywhere"""

CONFIGURATION: Final = """\
[limits]
ping_seconds = 3600
idle_seconds = 7200
hash_queue = 1000
strangers = 10000
strangers_per_address = 10000
"""


class Securechat:
    """The server, on a home that is made without hashing a password for each account."""

    name = "securechat"
    durable = True
    settings = SETTINGS

    def __init__(self, past: Past | None = None) -> None:
        """With `past`, what was said before is there already."""
        self._past = past

    def missing(self) -> str:
        """Empty: it is what this folder is about."""
        return ""

    @contextmanager
    def serve(self, folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str]) -> Iterator[Serving]:
        """Run it on a home in `folder`."""
        make_home(folder, rooms, accounts, self._past)
        with serving_home(folder) as serving:
            yield serving


@contextmanager
def serving_home(folder: Path) -> Iterator[Serving]:
    """Run the server on a home."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "securechat", "serve", "--home", folder, "--port", str(port)]
    with running(command, port, folder) as pid:
        by_password = partial(Native, password=PASSWORD)
        yield Serving(pid, port, folder / "certs" / "ca.pem", "localhost", talker, by_password)


def make_home(
    folder: Path, rooms: Mapping[str, Sequence[str]], accounts: Sequence[str], past: Past | None = None
) -> None:
    """Write everything that a server needs: one password for all, and members and tokens straight into the store."""
    (folder / "certs").symlink_to(made_certificates().path)
    (folder / "securechat.toml").write_text(CONFIGURATION)
    stored = hash_password(PASSWORD)
    (folder / "credentials").touch(0o600)
    (folder / "credentials").write_bytes(
        format_accounts(Account(name, "member", "active", stored) for name in accounts)
    )
    if past:
        for name in ("chat.db", "search.db"):
            shutil.copy(past.folder / name, folder)
    with closing(Store(folder / "chat.db", "full")) as store:
        there = {room.name: room for room in store.load()}
        made = [there.get(name) or Room(name, hash=chain.start(name), base_hash=chain.start(name)) for name in rooms]
        members = {(room, account): True for room, inside in rooms.items() for account in inside}
        tokens = {hash_token(token_of(account)): Token(account, "bench", 0) for account in accounts}
        store.commit(made, [], members, tokens=tokens)


def token_of(account: str) -> str:
    """A token that nobody has to be told: this server lives for one run, on the loopback."""
    return f"token-of-{account}"


def talker(account: str, rooms: Sequence[str]) -> Native:
    """A codec that comes back with the account's token."""
    return Native(account, rooms, token=token_of(account))
