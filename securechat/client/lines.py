"""Lines from a descriptor, however long they are: what is too long for any message is told apart and not kept.

Not through a buffered file: a thread that waits in one keeps the whole program from ending.
"""

import os
from collections.abc import Iterator
from typing import Final

from securechat.errors import SecurechatError
from securechat.limits import Limits

READ_BYTES: Final = 65_536
LINE_BYTES: Final = Limits().line_bytes
"""Longer than this no server takes a line, whatever is in it."""


def read_lines(descriptor: int) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number, without its end (LF or CR LF), and the last one if it has none; None for one of
    LINE_BYTES or more. Raises SecurechatError when the descriptor cannot be read."""
    number = 1
    kept = bytearray()
    is_long = False
    while data := _read(descriptor):
        *ended, rest = data.split(b"\n")
        for piece in ended:
            kept += piece
            yield number, None if is_long or len(kept) >= LINE_BYTES else bytes(kept).removesuffix(b"\r")
            number += 1
            kept.clear()
            is_long = False
        kept += rest
        if len(kept) >= LINE_BYTES:
            is_long = True
            kept.clear()
    if is_long or kept:
        yield number, None if is_long else bytes(kept)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, READ_BYTES)
    except OSError as error:
        raise SecurechatError(f"The input cannot be read: {os.strerror(error.errno or 0)}.") from None
