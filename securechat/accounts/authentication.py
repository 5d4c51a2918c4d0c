"""The answer to a login. It must not know how a login came here, nor what a session is.

Threads: hashing workers call `check` and `change_password`.
"""

import logging
from collections.abc import Mapping
from typing import Final

from securechat.accounts.passwords import check_new, decoy, hash_password, needs_rehash, verify
from securechat.accounts.roll import Roll
from securechat.chat.accounts import Account
from securechat.errors import SecurechatError

_log: Final = logging.getLogger(__name__)


class Authenticator:
    """Checks logins against the accounts of a roll."""

    def __init__(self, roll: Roll) -> None:
        self.roll = roll
        """Where the accounts are from."""
        self._decoy = decoy()

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every account by name, as the roll has them."""
        return self.roll.accounts

    def check(self, username: str, password: str) -> Account | None:
        """The account if this is its password and it may log in, else None; takes about 40 ms and 19 MiB.

        A wrong password, an unknown name and a disabled account cost the same one hash. One over 1,024 bytes costs
        none for any of them. Raises CredentialError if the hash cannot be computed, which says nothing about the
        password.
        """
        account = self.accounts.get(username)
        right = verify(self._decoy if account is None else account.password, password)
        if account is None or not right or not account.active:
            return None
        if needs_rehash(account.password):
            self._rehash(account, password)
        # While the hash was computed the account may have been disabled or removed, or have got another hash: a new
        # password's, or this one's from another login that rehashed it.
        current = self.accounts.get(username)
        if current is None or not current.active:
            return None
        if current.password != account.password and not verify(current.password, password):
            return None
        return current

    def change_password(self, username: str, old: str, new: str, kept: bytes = b"") -> bool:
        """Give the account another password; False if the old one is wrong. Takes two hashes, about 80 ms.

        The roll's `refresh` does not report it: whoever asked ends the other sessions of the account, and keeps the
        one with the token whose hash is `kept`.
        Raises WeakPassword when the new one is refused, CredentialError when it cannot be written.
        """
        account = self.accounts.get(username)
        if account is None or not verify(account.password, old):
            return False
        check_new(new, username)
        return self.roll.replace_hash(username, account.password, hash_password(new), kept=kept)

    def _rehash(self, account: Account, password: str) -> None:
        try:
            self.roll.replace_hash(account.name, account.password, hash_password(password), rehashed=True)
        except SecurechatError as error:
            _log.warning("The password of %s could not be hashed again with today's costs: %s", account.name, error)
