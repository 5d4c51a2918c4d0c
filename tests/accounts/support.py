"""Accounts and hashes that several tests share; most hashes are as cheap as the limits allow, to keep tests quick."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from securechat.accounts import passwords
from securechat.accounts.credentials import CredentialFile
from securechat.chat.accounts import Account, AccountState, Role

PASSWORD = "plum tree under moon"
OTHER_PASSWORD = "grey owl over the river"


def cheap_hash(password: str, *, salt: bytes = b"saltsalt", tag: int = 16) -> str:
    """A hash that may be verified and costs next to nothing; it is weaker than today's costs."""
    return Argon2id(salt=salt, length=tag, iterations=1, lanes=1, memory_cost=8).derive_phc_encoded(password.encode())


CHEAP = cheap_hash(PASSWORD)
OTHER_CHEAP = cheap_hash(OTHER_PASSWORD)

# The same password with today's costs, made once by this code: it must stay readable for ever.
STRONG = "$argon2id$v=19$m=19456,t=2,p=1$CLP2jV2Cl1bnZXR1LebPXA$ZiksSG+EJbnUKUb0NqqS00rW4Xc9J86TNCWrGet7D2k"


def account(name: str, role: Role = "member", state: AccountState = "active", password: str = CHEAP) -> Account:
    return Account(name, role, state, password)


def file_of(folder: Path, *accounts: Account) -> CredentialFile:
    """A credential file that holds these accounts."""
    file = CredentialFile(folder / "credentials")
    for each in accounts:
        file.add(each)
    return file


class HashCounter:
    """Stands in the place of the hashing library's class, passes everything on to it, and counts the hashes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.verified: list[str] = []
        self.made = 0
        monkeypatch.setattr(passwords, "Argon2id", self)

    def __call__(self, **costs: Any) -> Argon2id:
        self.made += 1
        return Argon2id(**costs)

    def verify_phc_encoded(self, secret: bytes, stored: str) -> None:
        self.verified.append(stored)
        Argon2id.verify_phc_encoded(secret, stored)
