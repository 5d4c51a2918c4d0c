"""A client of MQTT 3.1.1: a room is a topic of its name, said and heard at QoS 0 or at QoS 1.

The numbers in comments are sections of the OASIS standard. It knows no socket, and nothing of who answers.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from bench.talker import Heard

CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBACK: Final = 9
CONNECT_HEAD: Final = 0x10
PUBACK_HEAD: Final = 0x40
SUBSCRIBE_HEAD: Final = 0x82
"""The bits below 16 are fixed by the standard (2.2.2)."""

CLEAN_SESSION_WITH_PASSWORD: Final = 0b1100_0010
REFUSED: Final = 0x80
PACKET_IDS: Final = 0xFFFF


class Mqtt:
    """One connection of an account that is in these rooms; `qos` is 0 or 1, for what it says and for what it hears."""

    drops_own = False

    def __init__(self, account: str, rooms: Sequence[str], *, password: str, qos: int) -> None:
        self.output = bytearray()
        self.ready = False
        self.failed = ""
        self.acknowledged = 0
        # At QoS 1 every message that is heard has to be acknowledged.
        self.passive = qos == 0
        self._account = account
        self._rooms = rooms
        self._password = password
        self._qos = qos
        self._said = 0
        self._unheard: deque[bytes] = deque()
        self._begun = bytearray()

    def begin(self) -> None:
        """Log in (3.1), and subscribe to all rooms without waiting for the answer (3.1.4 allows it)."""
        login = b"".join(
            [
                _string("MQTT"),
                bytes([4, CLEAN_SESSION_WITH_PASSWORD, 0, 0]),  # no keep-alive: silence is no reason to be closed
                *map(_string, (self._account, self._account, self._password)),
            ]
        )
        self.output += _packet(CONNECT_HEAD, login)
        if self._rooms:
            asked = b"".join(_string(room) + bytes([self._qos]) for room in self._rooms)
            self.output += _packet(SUBSCRIBE_HEAD, b"\0\1" + asked)

    def say(self, room: str, text: str) -> None:
        """Publish (3.3)."""
        name, said = b"", text.encode()
        if self._qos:
            name = (self._said % PACKET_IDS + 1).to_bytes(2, "big")
            self._said += 1
        else:
            self._unheard.append(said)
        self.output += _packet(PUBLISH << 4 | self._qos << 1, _string(room) + name + said)

    def receive(self, data: bytes) -> list[Heard]:
        """Take whatever packets are whole by now; what is heard at QoS 1 is acknowledged."""
        heard: list[Heard] = []
        begun = self._begun
        begun += data
        start = 0
        while (bounds := _bounds(begun, start)) is not None:
            body, end = bounds
            kind = begun[start] >> 4
            if kind == PUBLISH:
                heard.append(self._hear(begun[start], begun[body:end]))
            elif kind == PUBACK:
                self.acknowledged += 1
            else:
                self._enter(kind, begun[body:end])
            start = end
        del begun[:start]
        return heard

    def _hear(self, head: int, body: bytearray) -> Heard:
        name_end = 2 + int.from_bytes(body[:2], "big")
        text_start = name_end
        if head & 0b110:
            text_start += 2
            self.output += bytes([PUBACK_HEAD, 2]) + body[name_end:text_start]
        text = body[text_start:]
        if self._unheard and text == self._unheard[0]:  # QoS 0 knows no acknowledgement but one's own words
            self._unheard.popleft()
            self.acknowledged += 1
        return Heard(body[2:name_end].decode(), text.decode())

    def _enter(self, kind: int, body: bytearray) -> None:
        if kind == CONNACK and body[1]:
            self.failed = f"the server refused the connection with code {body[1]}"  # 3.2.2.3
        elif kind == SUBACK and REFUSED in body[2:]:
            self.failed = "the server refused a subscription"
        elif kind in (CONNACK, SUBACK):
            self.ready = kind == SUBACK or not self._rooms


def _string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _packet(head: int, body: bytes) -> bytes:
    """The body behind its type and its length: seven bits a byte, the lowest first (2.2.3)."""
    packet = bytearray([head])
    left = len(body)
    while True:
        left, digit = left >> 7, left & 0x7F
        packet.append(digit | 0x80 if left else digit)
        if not left:
            return bytes(packet + body)


def _bounds(data: bytearray, start: int) -> tuple[int, int] | None:
    """Where the body of the packet at `start` begins and ends, or None while it is not whole."""
    length = 0
    for index in range(start + 1, min(start + 5, len(data))):
        length |= (data[index] & 0x7F) << 7 * (index - start - 1)
        if data[index] < 0x80:
            end = index + 1 + length
            return (index + 1, end) if end <= len(data) else None
    return None
