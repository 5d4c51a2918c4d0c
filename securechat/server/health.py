"""Whether the server lives and whether it is ready, for whatever watches it: `/healthz` and `/readyz`.

It asks the parts that know, and keeps nothing itself.
"""

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from securechat.journal.journal import Journal
from securechat.server.http_listener import Request, Response, Route

PROBE_BYTES = 65_536
"""What must find room on a disk that was full: more than a batch of short messages takes."""


class Health:
    """What keeps a server from being ready."""

    def __init__(
        self, home: Path, journal: Journal, expires: Callable[[], datetime], is_draining: Callable[[], bool]
    ) -> None:
        """`expires` tells when the certificate in use ends."""
        self._home = home
        self._journal = journal
        self._expires = expires
        self._is_draining = is_draining

    def reasons(self) -> list[str]:
        """Why nobody should be sent here now, a sentence each; none when the server is ready."""
        found = []
        if self._is_draining():
            found.append("The server stops.")
        if not self._journal.is_level:
            found.append("This node is behind the cluster, or cannot reach it.")
        if self._journal.is_full and not self._has_room():
            found.append("The disk is full: nothing more is stored.")
        if (expires := self._expires()) <= datetime.now(UTC):
            found.append(f"The certificate expired on {expires:%Y-%m-%d}.")
        return found

    def routes(self) -> list[Route]:
        """What the HTTP listener answers."""
        return [
            Route("GET", "/healthz", lambda _: Response(HTTPStatus.OK, "ok\n")),
            Route("GET", "/readyz", self._readyz),
        ]

    def _readyz(self, _: Request) -> Response:
        reasons = self.reasons()
        if reasons:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{reason}\n" for reason in reasons))
        return Response(HTTPStatus.OK, "ready\n")

    def _has_room(self) -> bool:
        # Only the next commit makes the journal sure, and where nobody is sent here there may be none.
        try:
            with tempfile.TemporaryFile(dir=self._home) as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        return True
