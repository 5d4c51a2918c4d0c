"""What the system tells of a TCP connection; it knows nothing of what goes over it."""

import socket
import struct
import sys

ACKNOWLEDGED = struct.Struct("@120xQ")
"""Of Linux's `struct tcp_info`: `tcpi_bytes_acked`, which no later version moves (linux/tcp.h)."""


def acknowledged_bytes(connected: socket.socket) -> int:
    """Bytes that the peer's system has acknowledged so far; 0 where this system does not tell (Linux does)."""
    if sys.platform == "linux":
        told = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKNOWLEDGED.size)
        if len(told) == ACKNOWLEDGED.size:  # it is less before Linux 4.1
            return int(ACKNOWLEDGED.unpack(told)[0])
    return 0
