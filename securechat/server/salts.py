"""Random bytes behind the commitment to a text: nobody can try texts against it once the salt is erased."""

import os
from typing import Final

from securechat.chat.chain import SALT_BYTES

TAKEN_AT_ONCE: Final = 256
"""Salts asked of the kernel at once. Each call gives way to other threads; one for each message was a third of what a
reactor spent on it under load (measured)."""


class Salts:
    """Salts for one thread, each given out once."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def take(self) -> bytes:
        """SALT_BYTES from the kernel's random number generator."""
        if self._at == len(self._bytes):
            self._bytes = os.urandom(SALT_BYTES * TAKEN_AT_ONCE)
            self._at = 0
        salt = self._bytes[self._at : self._at + SALT_BYTES]
        self._at += SALT_BYTES
        return salt
