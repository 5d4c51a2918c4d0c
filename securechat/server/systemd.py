"""What a service manager is told: that the server is ready, that it lives, that it stops. The protocol is sd_notify(3).

Where nobody asked to be told, nothing happens.
"""

import contextlib
import os
import socket
from collections.abc import Mapping

from securechat.server.server import Server


class ServiceManager:
    """Whoever started this process, if it wants to hear of it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if watched else ""
        self.interval = int(microseconds) / 3e6 if self._address and microseconds.isdecimal() else None
        """Seconds between two signs of life, three in the time after which the server is taken for dead; None: none."""

    def tell(self, state: str) -> None:
        """Say one thing; a manager that does not listen is not waited for."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
            telling.setblocking(False)
            telling.sendto(state.encode(), address)

    def watch(self, server: Server) -> None:
        """Say that the server is ready, that it lives for as long as its reactors answer, and when it is to stop."""
        self.tell("READY=1")
        while not server.wait(self.interval):
            if self.interval and server.answers(self.interval):
                self.tell("WATCHDOG=1")
        self.tell("STOPPING=1")
