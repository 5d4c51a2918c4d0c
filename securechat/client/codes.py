"""Invitation codes: `sc1.` and what a person needs to come in, in one line to paste. It connects to nothing.

In it, as base64url without padding (RFC 4648, section 5): the SHA-256 of the server's CA certificate, a secret, who and
where as `USER@HOST:PORT`, and a checksum, by which a code that was mistyped or cut is known before anybody is asked.
"""

import base64
import binascii
import hashlib
from typing import Final

import msgspec

from securechat.client.address import Address, read_address
from securechat.errors import UsageError

PREFIX: Final = "sc1."
DIGEST_BYTES: Final = 32
CHECKSUM_BYTES: Final = 4

_HINT: Final = "Copy it whole, from sc1. on, or ask for another."


class Invited(msgspec.Struct, frozen=True):
    """What a code says: `fingerprint` is the SHA-256 of the CA's certificate, `secret` what the server takes once."""

    address: Address
    fingerprint: bytes
    secret: str

    def __repr__(self) -> str:  # whoever has the secret comes in
        return f"Invited({self.address.username!r} at {self.address})"


def write_code(invited: Invited) -> str:
    """The code as it is sent to the person."""
    where = f"{invited.address.username}@{invited.address}".encode()
    content = invited.fingerprint + base64.urlsafe_b64decode(f"{invited.secret}=") + where
    return PREFIX + _text(content + _checksum(content))


def read_code(typed: str) -> Invited:
    """Take a code apart; white space in it is ignored, for mail breaks long lines.

    Raises UsageError for what is no code, or was not copied whole.
    """
    code = "".join(typed.split())
    if not code.startswith(PREFIX):
        raise UsageError("This is no invitation code.", hint="A code begins with sc1. and is one long word.")
    try:
        data = base64.b64decode(code[len(PREFIX) :] + "=" * (-len(code[len(PREFIX) :]) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("This invitation code holds a character that none has.", hint=_HINT) from None
    content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if len(content) <= 2 * DIGEST_BYTES or checksum != _checksum(content):
        raise UsageError("This invitation code is mistyped or cut short.", hint=_HINT)
    secret = _text(content[DIGEST_BYTES : 2 * DIGEST_BYTES])
    try:
        return Invited(read_address(content[2 * DIGEST_BYTES :].decode("ascii")), content[:DIGEST_BYTES], secret)
    except UnicodeDecodeError:
        raise UsageError("This invitation code is mistyped or cut short.", hint=_HINT) from None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:CHECKSUM_BYTES]
