"""The accounts as a running server knows them, and the roll that follows the credential file. It must not know what a
session is: it says whose account has changed, and others end the sessions.

Threads: any may read `accounts`, and change something; one keeper calls `refresh`.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from securechat.accounts.changing import AccountChange
from securechat.accounts.credentials import CredentialFile
from securechat.chat.accounts import Account
from securechat.errors import CredentialError


class Roll(Protocol):
    """Where a server has its accounts from."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every account by name; replaced whole when something changes, never changed in place."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it knows all accounts: before that nobody is told that a name is unknown."""
        ...

    def check_file(self) -> None:
        """Make sure that `refresh` would succeed now. Raises CredentialError."""
        ...

    def refresh(self) -> frozenset[str]:
        """Take up what has changed in the file; the names whose sessions must be ended, and their tokens.

        Raises CredentialError if the file is missing or malformed, once for each version of it; the last good set
        stays in force, and the file is tried again at each call.
        """
        ...

    def make(self, change: AccountChange) -> frozenset[str]:
        """Make a change, which is in force when this returns; the names whose sessions must be ended, and their tokens.

        Raises NotFound, AlreadyExists, LastAdmin, CredentialError, and nothing has changed.
        """
        ...

    def add(self, account: Account) -> None:
        """Add an account, which may log in at once. Raises AlreadyExists if the name is taken, CredentialError."""
        ...

    def replace_hash(self, name: str, verified: str, stored: str, *, kept: bytes = b"", rehashed: bool = False) -> bool:
        """Put another hash in the place of the one that was verified, as `Changing.replace_hash` does. `refresh` does
        not report it."""
        ...


class FileRoll:
    """The accounts of the credential file, followed as it changes.

    Made with a file that is missing or malformed, it raises CredentialError: a server does not start without accounts
    that it can trust. Later the last good set stays in force whatever happens to the file.
    """

    is_ready = True

    def __init__(self, file: CredentialFile) -> None:
        self._file = file
        self._stamp = file.stamp()
        self._accounts: Mapping[str, Account] = file.load()
        self._reported: tuple[object, str] | None = None
        # Held while the file and `accounts` are brought in line, so that a rehash is not taken for a new password.
        self._in_step = threading.Lock()

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every account by name, as of the last good read."""
        return self._accounts

    def check_file(self) -> None:
        """Make sure that `refresh` would succeed now. Raises CredentialError."""
        self._file.load()

    def refresh(self) -> frozenset[str]:
        """Read the file again if it has changed; whose account was removed or disabled, or has another password."""
        with self._in_step:
            return self._follow()

    def make(self, change: AccountChange) -> frozenset[str]:
        """Make a change of the file; the names whose sessions must end, as `refresh` gives them."""
        with self._in_step:
            self._file.apply(change)
            return self._follow()

    def add(self, account: Account) -> None:
        """Add an account to the file."""
        with self._in_step:
            self._file.add(account)
            self._accounts = {**self._accounts, account.name: account}

    def replace_hash(self, name: str, verified: str, stored: str, *, kept: bytes = b"", rehashed: bool = False) -> bool:
        """Put another hash in the place of the one that was verified."""
        with self._in_step:
            known = self._accounts.get(name)
            replaced = self._file.replace_hash(name, verified, stored, kept=kept, rehashed=rehashed)
            if replaced and known is not None:
                self._accounts = {**self._accounts, name: replace(known, password=stored)}
            return replaced

    def _follow(self) -> frozenset[str]:
        stamp = self._file.stamp()
        if stamp == self._stamp:
            self._reported = None
            return frozenset()
        try:
            accounts = self._file.load()
        except CredentialError as error:
            if self._reported == (stamp, str(error)):
                return frozenset()
            self._reported = (stamp, str(error))
            raise
        before, self._accounts = self._accounts, accounts
        self._stamp, self._reported = stamp, None
        return frozenset(name for name, account in before.items() if account.ends_as(accounts.get(name)))
