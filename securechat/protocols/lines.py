"""A stream cut into lines, however it arrives: linear in time, bounded in memory.

It knows nothing of what a line says.
"""

from securechat.errors import Code, ProtocolError


class Lines:
    """One stream; a line may have `limit` bytes, its newline included. `partial` is the line that is not finished."""

    __slots__ = ("_limit", "_stopped", "partial")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._stopped = False
        self.partial = bytearray()

    def cut(self, data: bytes) -> tuple[list[bytes], ProtocolError | None]:
        """The lines that end in `data`, without their newlines, and the error if a line that is too long follows them.

        Behind such a line nothing more is cut or kept: where the next one begins cannot be known.
        """
        if self._stopped:
            return [], None
        pieces = data.split(b"\n")
        error = None
        if len(self.partial) + len(data) >= self._limit:
            pieces, error = self._within_limit(pieces)
        if len(pieces) > 1 and self.partial:
            pieces[0] = bytes(self.partial + pieces[0])
            self.partial = bytearray()
        self.partial += pieces.pop()
        return pieces, error

    def stop(self) -> None:
        """Cut and keep nothing more."""
        self._stopped = True
        self.partial = bytearray()

    def _within_limit(self, pieces: list[bytes]) -> tuple[list[bytes], ProtocolError | None]:
        size = len(self.partial)
        for index, piece in enumerate(pieces):
            # An unfinished line that fills the limit has no room for its newline: it is refused before it grows.
            if size + len(piece) >= self._limit:
                self._stopped = True
                if index == 0:
                    self.partial = bytearray()
                message = f"A line may have {self._limit} bytes, its newline included."
                return [*pieces[:index], b""], ProtocolError(Code.TOO_LONG, message, fatal=True)
            size = 0
        return pieces, None
