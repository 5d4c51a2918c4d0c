"""Session tokens: what a client keeps in the place of a password, so that coming back costs no hashing.

A token is a secret of the client's alone: the server keeps only its hash. It knows nothing of where hashes are kept.
"""

import hashlib
import secrets
from typing import Final

TOKEN_BYTES: Final = 32
"""Random bytes in a token: beyond guessing, so that a plain hash of it needs no salt and no cost."""


def new_token() -> str:
    """A new token, as text that a JSON string holds without escapes."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    """What is kept of a token: 32 bytes of SHA-256, from which nobody gets the token back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
