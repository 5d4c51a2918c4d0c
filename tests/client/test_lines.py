"""Lines from a descriptor: numbered, whole however they arrive, and never more in memory than a line may have."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from securechat.client.lines import LINE_BYTES, read_lines
from securechat.errors import SecurechatError


@contextmanager
def written(*pieces: bytes) -> Iterator[int]:
    """A pipe into which the pieces are written, one after the other."""
    reading, writing = os.pipe()

    def write() -> None:
        for piece in pieces:
            assert os.write(writing, piece) == len(piece)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield reading
    finally:
        os.close(reading)
        writer.join()


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b""], []),
        ([b"one\ntwo\r\n\nlast"], [b"one", b"two", b"", b"last"]),
        ([b"o", b"n", b"e\nt", b"wo\n"], [b"one", b"two"]),
        ([b"x" * (LINE_BYTES - 1), b"\nnext\n"], [b"x" * (LINE_BYTES - 1), b"next"]),
        ([b"x" * LINE_BYTES, b"\nnext\n"], [None, b"next"]),
        ([b"x" * LINE_BYTES] * 5 + [b"\nnext"], [None, b"next"]),
        ([b"x" * LINE_BYTES], [None]),
        ([b"a\n" + b"x" * LINE_BYTES, b"yy\nb\n"], [b"a", None, b"b"]),
    ],
)
def test_lines_are_read(pieces: list[bytes], lines: list[bytes | None]) -> None:
    with written(*pieces) as descriptor:
        assert list(read_lines(descriptor)) == list(enumerate(lines, 1))


def test_an_input_that_cannot_be_read_is_an_expected_failure(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(SecurechatError, match="The input cannot be read: Is a directory"):
            next(read_lines(descriptor))
    finally:
        os.close(descriptor)
