"""The answer to a login, and the accounts as a running server knows them. It must not know how a login came here,
nor what a session is: it says whose account has changed, and others end the sessions.

Threads: any may read `accounts`; hashing workers call `check`; one keeper calls `refresh`.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from securechat.accounts.credentials import Account, AccountChange, CredentialFile
from securechat.accounts.passwords import check_new, decoy, hash_password, needs_rehash, verify
from securechat.errors import CredentialError, SecurechatError

_log: Final = logging.getLogger(__name__)


class Authenticator:
    """Checks logins against the credential file, and follows the file as it changes.

    Made with a file that is missing or malformed, it raises CredentialError: a server does not start without accounts
    that it can trust. Later the last good set stays in force whatever happens to the file.
    """

    def __init__(self, file: CredentialFile) -> None:
        self._file = file
        self._stamp = file.stamp()
        self._accounts: Mapping[str, Account] = file.load()
        self._reported: tuple[object, str] | None = None
        # Held while the file and `accounts` are brought in line, so that a rehash is not taken for a new password.
        self._in_step = threading.Lock()
        self._decoy = decoy()

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every account by name, as of the last good read; replaced whole when it changes, never changed in place."""
        return self._accounts

    def check(self, username: str, password: str) -> Account | None:
        """The account if this is its password and it may log in, else None; takes about 40 ms and 19 MiB.

        A wrong password, an unknown name and a disabled account cost the same one hash. One over 1,024 bytes costs
        none for any of them. Raises CredentialError if the hash cannot be computed, which says nothing about the
        password.
        """
        account = self._accounts.get(username)
        right = verify(self._decoy if account is None else account.password, password)
        if account is None or not right or not account.active:
            return None
        if needs_rehash(account.password):
            self._rehash(account, password)
        # While the hash was computed the account may have been disabled or removed, or have got another hash: a new
        # password's, or this one's from another login that rehashed it.
        current = self._accounts.get(username)
        if current is None or not current.active:
            return None
        if current.password != account.password and not verify(current.password, password):
            return None
        return current

    def check_file(self) -> None:
        """Make sure that `refresh` would succeed now. Raises CredentialError."""
        self._file.load()

    def refresh(self) -> frozenset[str]:
        """Read the file again if it has changed; the names whose sessions must end: their account was removed or
        disabled, or has another password.

        Raises CredentialError if the file is missing or malformed, once for each version of it; the last good set
        stays in force, and the file is tried again at each call.
        """
        with self._in_step:
            return self._follow()

    def make(self, change: AccountChange) -> frozenset[str]:
        """Make a change of the file, which is in force when this returns; the names whose sessions must end, as
        `refresh` gives them. Raises NotFound, AlreadyExists, LastAdmin and CredentialError, and nothing has changed."""
        with self._in_step:
            self._file.make(change)
            return self._follow()

    def add(self, account: Account) -> None:
        """Add an account, which may log in at once. Raises AlreadyExists if the name is taken, CredentialError."""
        with self._in_step:
            self._file.add(account)
            self._accounts = {**self._accounts, account.name: account}

    def change_password(self, username: str, old: str, new: str) -> bool:
        """Give the account another password; False if the old one is wrong. Takes two hashes, about 80 ms.

        `refresh` does not report it: whoever asked ends the other sessions of the account.
        Raises WeakPassword when the new one is refused, CredentialError when it cannot be written.
        """
        account = self._accounts.get(username)
        if account is None or not verify(account.password, old):
            return False
        check_new(new, username)
        return self._replace_hash(account, hash_password(new))

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
        return frozenset(name for name, account in before.items() if _has_ended(account, accounts.get(name)))

    def _replace_hash(self, account: Account, stored: str) -> bool:
        with self._in_step:
            known = self._accounts.get(account.name)
            replaced = self._file.rehash(account.name, account.password, stored)
            if replaced and known is not None:
                self._accounts = {**self._accounts, account.name: replace(known, password=stored)}
            return replaced

    def _rehash(self, account: Account, password: str) -> None:
        try:
            self._replace_hash(account, hash_password(password))
        except SecurechatError as error:
            _log.warning("The password of %s could not be hashed again with today's costs: %s", account.name, error)


def _has_ended(before: Account, after: Account | None) -> bool:
    return after is None or after.password != before.password or (before.active and not after.active)
