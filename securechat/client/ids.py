"""Ids for what this client says: unique for ever, in the order of their making. It knows nothing of what is said."""

import secrets
import time
from typing import Final

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O and U, so that nobody misreads one."""

_LENGTH: Final = 26


def new_id() -> str:
    """A ULID (github.com/ulid/spec): 48 bits of milliseconds since 1970, then 80 random bits; 26 characters.

    Ids of one millisecond have no order among themselves."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))
