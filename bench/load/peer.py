"""One connection of the generator: a non-blocking TLS socket, its codec, and what is done with what it hears.

It is attentive (decodes all it hears) while it logs in, and stays so if it says things, is watched, or has to answer
what it hears. All others are silent: they compare what they hear with the tape of their rooms.
"""

import copy
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from bench.load.hearing import MARK, Said, Tally, Tape, text_of
from bench.load.orders import Enter, Member, Say
from bench.talker import Reading

RECORD_BYTES: Final = 16_384
"""The most that one TLS record holds: a read of this size leaves nothing decrypted behind."""

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Peer:
    """A member, connected. Its methods raise OSError or RuntimeError when the connection cannot go on."""

    __slots__ = (
        "_acked",
        "_at",
        "_count",
        "_deadline",
        "_entering",
        "_hear",
        "_marked",
        "_say",
        "_tape",
        "_tapes",
        "_times",
        "_watch",
        "acknowledged",
        "encrypted",
        "heard",
        "member",
        "socket",
        "talker",
        "tally",
    )

    def __init__(
        self,
        member: Member,
        entering: Enter,
        context: ssl.SSLContext,
        watch: Callable[["Peer", int], None],
        tapes: dict[tuple[str, ...], Tape],
    ) -> None:
        """Connect, and begin the handshake; `watch` has the selector tell when the socket can read or write.

        `tapes` are those of the process, by their rooms.
        """
        serving = entering.serving
        raw = socket.socket()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.bind((member.address, 0))
        raw.settimeout(30)
        raw.connect(("127.0.0.1", member.port or serving.port))
        raw.setblocking(False)
        self.socket = context.wrap_socket(raw, server_hostname=serving.host_name, do_handshake_on_connect=False)
        self.member = member
        self.talker = serving.talker(member.account, self.reads if entering.after is None else ())
        self.tally = Tally()
        self.heard: list[float] = []
        self.acknowledged: list[float] = []
        self.encrypted = False
        self._watch = watch
        self._tapes = tapes
        self._entering = entering
        self._hear = self._enter
        self._tape: Tape | None = None
        self._at = 0
        self._marked = 0
        self._say = Say(in_flight=1, seconds=0)
        self._deadline = 0.0
        self._count = 0
        self._acked = 0
        self._times: deque[int] = deque()
        watch(self, WRITE)

    @property
    def reads(self) -> Sequence[str]:
        """The rooms that it hears."""
        return () if self.member.deaf else self.member.rooms

    @property
    def entered(self) -> bool:
        """Whether it is in its rooms, and has heard what it missed."""
        if self._tape is not None:
            return self._tape.tally.heard == self._entering.missed and self._at == len(self._tape)
        return self.talker.ready and self.tally.heard == self._entering.missed

    @property
    def marked(self) -> bool:
        """Whether it has heard the mark in all its rooms, and its own mark was acknowledged."""
        return self._marked == len(self.reads) and not self._times

    @property
    def spoken(self) -> bool:
        """Whether it has said all that it was told to say, and all was acknowledged."""
        return not self._times and not self._may_say(time.perf_counter())

    @property
    def said(self) -> int:
        """How many messages it has said, the mark not counted."""
        return self._count

    def ready(self, mask: int) -> None:
        """The socket can read or write."""
        if not self.encrypted:
            self._shake_hands()
            return
        if mask & WRITE:
            self.flush()
        if mask & READ:
            try:
                data = self.socket.recv(RECORD_BYTES)
            except ssl.SSLWantReadError:
                return
            if not data:
                raise RuntimeError(f"The server closed the connection of {self.member.account}. {self.talker.failed}")
            self._hear(data)

    def flush(self) -> None:
        """Send what there is to send."""
        output = self.talker.output
        try:
            while output:
                sent = self.socket.send(output)
                del output[:sent]
        except ssl.SSLWantWriteError:
            self._watch(self, READ | WRITE)
        else:
            self._watch(self, READ)

    def mark(self) -> None:
        """Say the mark."""
        self._put(MARK)
        self.flush()

    def settle(self) -> None:
        """Everything of the login was read: from now on hear what is said, if silent by way of a tape."""
        if self.member.says or self.member.watched or not self.talker.passive:
            self._hear = self._attend
            return
        rooms = tuple(self.reads)
        if rooms not in self._tapes:
            self._tapes[rooms] = Tape(copy.deepcopy(self.talker))
        self._hear, self._tape = self._compare, self._tapes[rooms]

    def begin(self, say: Say) -> None:
        """Say as much as may be in flight, and go on with each acknowledgement, unless it goes by a rate."""
        self._say = say
        self._deadline = time.perf_counter() + say.seconds
        if not say.rate:
            self._say_more()

    def say_one(self) -> None:
        """Say one message now, if the time is not over."""
        if self._may_say(time.perf_counter()):
            self._put(text_of(self.member.account, self._count))
            self._count += 1
            self.flush()

    def level(self, said: Said) -> bool:
        """Whether it has heard everything that was said in its rooms."""
        if self._tape is not None:
            return self._at == len(self._tape) and not self._tape.tally.lost(said)
        return not self.tally.lost(said)

    def account(self) -> Tally:
        """What it heard, counted."""
        if self._tape is not None:
            if self._at == len(self._tape):
                return self._tape.tally
            self._decode_from_now_on(b"")
        return self.tally

    # --- what to do with what comes --------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(self, READ)
        except ssl.SSLWantWriteError:
            self._watch(self, WRITE)
        else:
            self.encrypted = True
            self.talker.begin()
            self.flush()

    def _enter(self, data: bytes) -> None:
        heard = self.talker.receive(data)
        if self.talker.failed:
            raise RuntimeError(f"The server refused {self.member.account}: {self.talker.failed}")
        self._marked += sum(text == MARK for _, text in heard)
        self._count_acknowledgements(time.perf_counter_ns())
        if self.talker.ready and self._entering.after is not None:
            assert isinstance(self.talker, Reading)
            for room in self.reads:
                self.talker.read(room, self._entering.after)
            self.settle()
        if self.talker.output:
            self.flush()

    def _attend(self, data: bytes) -> None:
        now = time.perf_counter_ns()
        times = self.tally.hear(self.talker.receive(data))
        if self.talker.failed:
            raise RuntimeError(f"The server refused something of {self.member.account}: {self.talker.failed}")
        if self.member.watched:
            self.heard += [(now - said) / 1e9 for said in times]
        if self.member.says:
            self._count_acknowledgements(now)
            if not self._say.rate:
                self._say_more()
        if self.talker.output:
            self.flush()

    def _compare(self, data: bytes) -> None:
        assert self._tape is not None
        if self._tape.hear(self._at, data):
            self._at += len(data)
        else:
            self._decode_from_now_on(data)

    def _decode_from_now_on(self, data: bytes) -> None:
        """Others have heard something else: count for itself, from the beginning."""
        assert self._tape is not None
        self.tally.hear(self.talker.receive(self._tape.until(self._at) + data))
        self._hear, self._tape = self._attend, None

    # --- what to say -----------------------------------------------------------------------------

    def _may_say(self, now: float) -> bool:
        return now < self._deadline and (not self._say.messages or self._count < self._say.messages)

    def _say_more(self) -> None:
        now = time.perf_counter()
        while len(self._times) < self._say.in_flight and self._may_say(now):
            self._put(text_of(self.member.account, self._count))
            self._count += 1
            if not self._say.pasted:
                self.flush()
        if self.talker.output:
            self.flush()

    def _put(self, text: str) -> None:
        self._times.append(time.perf_counter_ns())
        self.talker.say(self.member.rooms[0], text)

    def _count_acknowledgements(self, now: int) -> None:
        for _ in range(self.talker.acknowledged - self._acked):
            self.acknowledged.append((now - self._times.popleft()) / 1e9)
        self._acked = self.talker.acknowledged
