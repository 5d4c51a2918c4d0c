"""Session tokens: what a client keeps in the place of a password, so that coming back costs no hashing.

A token is a secret of the client's alone: the server keeps only its hash. It knows nothing of where hashes are kept.
"""

import hashlib
import secrets
from typing import Final

from securechat.chat.accounts import Account
from securechat.chat.model import Token

TOKEN_BYTES: Final = 32
"""Random bytes in a token: beyond guessing, so that a plain hash of it needs no salt and no cost."""


def new_token() -> str:
    """A new token, as text that a JSON string holds without escapes."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def fingerprint(stored: str) -> bytes:
    """What is kept beside a token of the password's hash (a PHC string) that it stands for: 32 bytes of SHA-256.

    Another password has another one, and so a token that outlived its password is known.
    """
    return hashlib.sha256(stored.encode()).digest()


def opens(token: Token, account: Account) -> bool:
    """Whether this token of the account still stands for it: it may log in, with the password of then.

    Of a token from before fingerprints were kept, nothing is known against it.
    """
    return account.active and token.fingerprint in (b"", fingerprint(account.password))


def hash_token(token: str) -> bytes:
    """What is kept of a token: 32 bytes of SHA-256, from which nobody gets the token back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
