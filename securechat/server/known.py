"""Which accounts and webhooks a home has, as a command is to see them: those of its files, or of its store where a node
of a cluster is at work on it, whose files follow a moment later. It changes nothing."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from securechat.accounts.changing import there
from securechat.accounts.credentials import CredentialFile
from securechat.accounts.hooks import HookFile
from securechat.chat.accounts import Account, Hook
from securechat.journal.reader import Reader
from securechat.server.locking import is_held


@contextmanager
def node_store(home: Path) -> Iterator[Reader | None]:
    """The store of the node that is at work on this home; None where none is. Raises StorageFailed."""
    path = home / "chat.db"
    if not (is_held(home) and path.exists()):
        yield None
        return
    with closing(Reader(path)) as reader:
        yield reader if any(reader.followed()) else None


def known_accounts(home: Path) -> Mapping[str, Account]:
    """Every account by name. Raises CredentialError for a file that is missing or malformed, StorageFailed."""
    with node_store(home) as reader:
        return reader.accounts() if reader else CredentialFile(home / "credentials").load()


def existing_account(home: Path, name: str) -> Account:
    """The account of this name. Raises NotFound, and what `known_accounts` does."""
    return there(name, known_accounts(home).get(name))


def find_account(home: Path, name: str) -> Account | None:
    """The account of this name; None where there is none, and in a home that has no accounts yet.

    Raises CredentialError, StorageFailed.
    """
    with node_store(home) as reader:
        file = CredentialFile(home / "credentials")
        if reader is None and file.stamp() is None:
            return None
        return (reader.accounts() if reader else file.load()).get(name)


def known_hooks(home: Path) -> Mapping[str, Hook]:
    """Every webhook by name. Raises CredentialError, StorageFailed."""
    with node_store(home) as reader:
        return reader.hooks() if reader else HookFile(home / "hooks").load()
