"""Passwords: hash, verify, judge a new one, make one. It must not know whose they are or where the hashes are kept.

A password is any Unicode text. It is brought to NFC (so that the same typing on two systems is the same password)
and encoded as UTF-8; nothing is cut off, trimmed or folded. A hash is a PHC string, which carries its own costs.
"""

import base64
import binascii
import os
import re
import secrets
import unicodedata
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from securechat.errors import CredentialError, WeakPassword
from securechat.limits import HASH_MEMORY_MAX, HASH_PASSES_MAX, PASSWORD_MAX_BYTES, PASSWORD_MIN_BYTES


class _Costs(NamedTuple):
    """What a hash cost: memory in KiB, passes over it, bytes of salt and of tag."""

    memory: int
    passes: int
    salt: int
    tag: int


# OWASP's minimum for Argon2id with one lane (2026-08); salt and tag as RFC 9106 recommends.
# Never more than one lane: with two, concurrent hashing can hang for ever in cryptography 50.0.2.
_POLICY: Final = _Costs(memory=19_456, passes=2, salt=16, tag=32)

# 8 to 64 bytes of salt and 16 to 64 of tag, as unpadded base64; Argon2 itself needs 8 KiB a lane.
_PHC: Final = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=1\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})\Z"
)
_MEMORY_MIN: Final = 8

# 32 characters, 5 bits each, that no font makes look alike: no l beside i, no 0 and 1 beside o and i.
_READABLE: Final = "23456789abcdefghijkmnpqrstuvwxyz"
_GROUPS: Final = 5
_GROUP_LENGTH: Final = 4

# Forwards or backwards, a password found whole inside one of these is too well known.
_WELL_KNOWN: Final = (
    "abcdefghijklmnopqrstuvwxyz1234567890",
    "01234567890abcdefghijklmnopqrstuvwxyz",
    "1234567890qwertyuiopasdfghjklzxcvbnm1234567890",
    "qwertyuiop1234567890",
    "qwertzuiopasdfghjklyxcvbnm1234567890",
    "azertyuiopqsdfghjklmwxcvbn1234567890",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "password1234567890",
    "passw0rd1234567890",
    "administrator1234567890",
    "securechat1234567890",
    "welcome1234567890",
    "changeme1234567890",
    "letmein1234567890",
    "iloveyou1234567890",
    "correcthorsebatterystaple",
    "thequickbrownfoxjumpsoverthelazydog",
    "loremipsumdolorsitametconsecteturadipiscingelit",
    "maytheforcebewithyou",
    "supercalifragilisticexpialidocious",
)
_SEPARATORS: Final = str.maketrans("", "", " -_.")
_DIFFERENT_CHARACTERS: Final = 4

_HINT: Final = "Use a sentence of your own of four or more words, or let one be generated."


def hash_password(password: str) -> str:
    """Hash a password with today's costs and a new salt, as a PHC string; about 40 ms and 19 MiB.

    Raises WeakPassword for one over 1,024 bytes or one that UTF-8 cannot carry, before anything is hashed.
    """
    secret = _encode(password)
    if secret is None:
        raise WeakPassword(_too_long(), hint=_HINT)
    return Argon2id(
        salt=os.urandom(_POLICY.salt),
        length=_POLICY.tag,
        iterations=_POLICY.passes,
        lanes=1,
        memory_cost=_POLICY.memory,
    ).derive_phc_encoded(secret)


def decoy() -> str:
    """A stored hash that no password has, which costs as much to verify as any other: salt and tag are random bytes."""
    salt, tag = (base64.b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (_POLICY.salt, _POLICY.tag))
    return f"$argon2id$v=19$m={_POLICY.memory},t={_POLICY.passes},p=1${salt}${tag}"


def verify(stored: str, password: str) -> bool:
    """Whether this is the password of that hash. One over 1,024 bytes is wrong, and nothing is hashed for it.

    Raises CredentialError for a stored string outside the limits, before anything is hashed, and when hashing itself
    fails: neither is a wrong password.
    """
    secret = _encode(password)
    if secret is None:
        return False
    _costs(stored)
    try:
        Argon2id.verify_phc_encoded(secret, stored)
    except InvalidKey:
        return False
    except Exception as error:
        raise CredentialError(f"A password could not be checked ({type(error).__name__}).") from error
    return True


def check_stored(stored: str) -> None:
    """Make sure that a stored string may be verified: Argon2id, version 19, one lane, costs within limits.

    Raises CredentialError; the library itself would obey whatever memory a tampered string asks for.
    """
    _costs(stored)


def needs_rehash(stored: str) -> bool:
    """Whether any cost of this hash is below today's. Raises CredentialError as `check_stored` does."""
    return any(had < wanted for had, wanted in zip(_costs(stored), _POLICY, strict=True))


def check_new(password: str, username: str) -> None:
    """Make sure that a new password is good enough: 15 to 1,024 bytes, not well known, not the username.

    No rule asks for certain characters (NIST SP 800-63B-4, section 3.1.1.2). Raises WeakPassword, which says what to
    do and never holds the password.
    """
    secret = _encode(password)
    if secret is None:
        raise WeakPassword(_too_long(), hint=_HINT)
    if len(secret) < PASSWORD_MIN_BYTES:
        raise WeakPassword(
            f"The password is too short: it needs at least {PASSWORD_MIN_BYTES} bytes, which are "
            f"{PASSWORD_MIN_BYTES} letters or digits.",
            hint=_HINT,
        )
    folded = secret.decode().casefold()
    joined = folded.translate(_SEPARATORS)
    if joined == username.casefold().translate(_SEPARATORS):
        raise WeakPassword("The password must not be the username.", hint=_HINT)
    if len(set(folded)) < _DIFFERENT_CHARACTERS or _repeats(folded) or _repeats(joined):
        raise WeakPassword("The password only repeats something short, which is guessed at once.", hint=_HINT)
    if any(joined in known or joined[::-1] in known for known in _WELL_KNOWN):
        raise WeakPassword("The password is one of those that everybody tries first.", hint=_HINT)


def generate() -> str:
    """Make a password of 100 random bits that is easy to read and to type: `n4kx-7mwa-p2fc-…`, five groups of four."""
    groups = ("".join(secrets.choice(_READABLE) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def _encode(password: str) -> bytes | None:
    """The bytes that are hashed, or None for a password that cannot be one."""
    try:
        # Before NFC too: normalising a long run of combining marks takes time that grows with its square.
        if len(password.encode()) > PASSWORD_MAX_BYTES:
            return None
        encoded = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError:
        return None
    return encoded if len(encoded) <= PASSWORD_MAX_BYTES else None


def _too_long() -> str:
    return f"The password cannot be used: it must be text of at most {PASSWORD_MAX_BYTES:,} bytes in UTF-8."


def _costs(stored: str) -> _Costs:
    parts = _PHC.match(stored)
    if parts is None:
        raise CredentialError("The password is not an Argon2id hash (version 19, one lane) in the PHC format.")
    costs = _Costs(int(parts[1]), int(parts[2]), len(_decode(parts[3])), len(_decode(parts[4])))
    if not (_MEMORY_MIN <= costs.memory <= HASH_MEMORY_MAX and costs.passes <= HASH_PASSES_MAX):
        raise CredentialError(
            f"The password hash asks for costs outside the limits: at most {HASH_MEMORY_MAX:,} KiB and "
            f"{HASH_PASSES_MAX} passes."
        )
    return costs


def _decode(part: str) -> bytes:
    """The bytes of unpadded base64 in its one canonical form, so that a damaged hash is told from a wrong password."""
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), validate=True)
    except binascii.Error:
        raw = b""
    if base64.b64encode(raw).rstrip(b"=").decode() != part:
        raise CredentialError("The password hash is damaged: its salt or tag is not base64.")
    return raw


def _repeats(text: str) -> bool:
    """Whether the text is a piece of fewer bytes than a password needs, written at least one and a half times."""
    return any(
        text[period:] == text[:-period] and len(text[:period].encode()) < PASSWORD_MIN_BYTES
        for period in range(1, len(text) * 2 // 3 + 1)
    )
