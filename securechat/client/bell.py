"""A bell that wakes a thread out of its selector. It knows nothing of why it is rung."""

import contextlib
import socket
import threading


class Bell:
    """Rung from any thread, also after the end; `fileno` is for the selector of the one that it wakes."""

    def __init__(self) -> None:
        # Closing under the lock: a descriptor that is free again may be somebody else's when the rope is pulled.
        self._lock = threading.Lock()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)

    def fileno(self) -> int:
        """The descriptor that is readable while the bell rings."""
        return self._bell.fileno()

    def ring(self) -> None:
        """Wake the thread. A bell that is full rings already; behind a closed one nobody is left to hear it."""
        with self._lock, contextlib.suppress(OSError):
            self._rope.send(b"\0")

    def quiet(self) -> None:
        """Stop ringing."""
        with contextlib.suppress(BlockingIOError):
            while self._bell.recv(1_024):
                pass

    def close(self) -> None:
        """Give the descriptors back."""
        with self._lock:
            self._bell.close()
            self._rope.close()
