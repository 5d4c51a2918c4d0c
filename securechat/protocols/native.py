"""The native protocol: lines of JSON.

Its law: whatever a peer sends becomes a frame or a `ProtocolError`, and no error repeats what the peer sent,
for a password may be in it. However a stream is cut, the frames are the same.
It does no I/O, and knows nothing of sockets, sessions or accounts.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, get_args

import msgspec

from securechat.errors import Code, ProtocolError
from securechat.limits import BAD_LINES, EVENT_LINE_BYTES
from securechat.protocols.frames import (
    Answer,
    AnyEvent,
    AnyRecord,
    AnyRequest,
    Found,
    Hit,
    Page,
    Ref,
    Request,
)
from securechat.protocols.lines import Lines


def tag(kind: type[msgspec.Struct]) -> str:
    """The `type` under which a kind of frame travels."""
    return str(kind.__struct_config__.tag)


REQUESTS: Final[Mapping[str, type[Request]]] = {tag(kind): kind for kind in get_args(AnyRequest)}
"""Every kind of request by its `type`."""

EVENTS: Final[Mapping[str, type[msgspec.Struct]]] = {tag(kind): kind for kind in get_args(AnyEvent)}
"""Every kind of event by its `type`."""

_encoder: Final = msgspec.json.Encoder()
_request_decoder: Final[msgspec.json.Decoder[AnyRequest]] = msgspec.json.Decoder(AnyRequest)
_event_decoder: Final[msgspec.json.Decoder[AnyEvent]] = msgspec.json.Decoder(AnyEvent)
_record_decoder: Final[msgspec.json.Decoder[AnyRecord]] = msgspec.json.Decoder(AnyRecord)

# All that msgspec raises for hostile bytes; the last two are for bad UTF-8 and for deep nesting.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class NativeProtocol:
    """The server's side of one connection; `line_bytes` is the longest line it takes, the newline included."""

    name: Final = "native"
    __slots__ = ("_bad_lines", "_lines")

    def __init__(self, line_bytes: int) -> None:
        self._lines = Lines(line_bytes)
        self._bad_lines = 0

    @property
    def partial(self) -> bool:
        """Whether the first byte of an unfinished line has come."""
        return bool(self._lines.partial)

    def receive(self, data: bytes) -> list[AnyRequest | ProtocolError]:
        """The requests and errors in the order of their bytes; after a fatal error nothing more is looked at.

        A blank line is nothing: people who type by hand press Enter.
        """
        lines, too_long = self._lines.cut(data)
        found: list[AnyRequest | ProtocolError] = []
        for line in lines:
            if not line or line.isspace():
                continue
            item = _request(line)
            found.append(item)
            self._bad_lines = self._bad_lines + 1 if isinstance(item, ProtocolError) else 0
            if self._bad_lines > BAD_LINES:
                self._lines.stop()
                found.append(ProtocolError(Code.BAD_FRAME, f"More than {BAD_LINES} bad lines in a row.", fatal=True))
                return found
        if too_long is not None:
            found.append(too_long)
        return found

    def receive_eof(self) -> list[ProtocolError]:
        """What there is to say of an unfinished line when the peer has ended its stream."""
        if self._lines.partial.strip():
            return [ProtocolError(Code.BAD_FRAME, "The stream ended in the middle of a line.", fatal=True)]
        return []

    @staticmethod
    def encode(event: AnyEvent) -> bytes:
        """The event as one line, with its newline."""
        return _encoder.encode(event) + b"\n"

    @staticmethod
    def encode_all(events: Sequence[AnyEvent]) -> bytes:
        """The events as lines, one behind the other."""
        return _encoder.encode_lines(events)


def _request(line: bytes) -> AnyRequest | ProtocolError:
    try:
        request = _request_decoder.decode(line)
    except _UNREADABLE as error:
        return _refused(line, error)
    # As many colons as keys that are surely there leave none for a second time: most lines need no closer look.
    if line.count(b":") > _SURE_KEYS[type(request)] + (request.ref is not None) and _has_key_twice(line):
        return ProtocolError(Code.BAD_FRAME, "A field is given twice.", ref=request.ref)
    return request


_SURE_KEYS: Final = {
    kind: 1 + sum(field.required for field in msgspec.structs.fields(kind)) for kind in REQUESTS.values()
}
_TWICE: Final = object()


def _find_twice(pairs: list[tuple[str, object]]) -> object:
    return _TWICE if len(dict(pairs)) < len(pairs) or any(value is _TWICE for _, value in pairs) else None


_key_reader: Final = json.JSONDecoder(object_pairs_hook=_find_twice)


def _has_key_twice(line: bytes) -> bool:
    """Whether a readable request names a key twice: msgspec takes the last, and its author may have meant the first."""
    return _key_reader.decode(line.decode()) is _TWICE


class _Marked(msgspec.Struct):
    """The part of a refused request that its answer carries back."""

    ref: Ref = None


class _Typed(msgspec.Struct):
    """The part of a frame that says what the rest should be."""

    type: str


_mark_decoder: Final = msgspec.json.Decoder(_Marked)
_type_decoder: Final = msgspec.json.Decoder(_Typed)


def _ref_of(line: bytes) -> str | None:
    try:
        return _mark_decoder.decode(line).ref
    except _UNREADABLE:
        return None


def _type_of(line: bytes) -> str | None:
    try:
        return _type_decoder.decode(line).type
    except _UNREADABLE:
        return None


def _refused(line: bytes, error: Exception) -> ProtocolError:
    ref, kind = _ref_of(line), REQUESTS.get(_type_of(line) or "")
    if kind is None and str(error).startswith("Invalid value"):
        message = f"There is no request of this type; there are {', '.join(REQUESTS)}."
        return ProtocolError(Code.UNKNOWN_TYPE, message, ref=ref)
    return ProtocolError(Code.BAD_FRAME, _reason(error, kind), ref=ref)


def _reason(error: Exception, kind: type[msgspec.Struct] | None) -> str:
    """Why a line is no frame, in words that are msgspec's or ours, never the peer's.

    msgspec repeats the name of an unknown field and a value that is none of the choices; all else is safe to pass on.
    """
    if isinstance(error, UnicodeDecodeError):
        return "The line is not UTF-8."
    if isinstance(error, RecursionError):
        return "The line is nested too deeply."
    reason = str(error).removeprefix("JSON is malformed: ")
    if not isinstance(error, msgspec.ValidationError):
        return f"The line is not JSON: {reason}."
    name = f"`{tag(kind)}`" if kind else "The frame"
    if reason.startswith("Object contains unknown field"):
        takes = f"; it takes {', '.join(('type', *kind.__struct_encode_fields__))}" if kind else ""
        return f"{name} has a field that it does not take{takes}."
    if reason.startswith("Invalid value"):
        return f"{name} has a value that is none of the choices, or a field twice."
    return f"{name} is not right: {reason}."


class NativeClientProtocol:
    """The client's side of one connection; what only a newer server's client would know is ignored."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = Lines(EVENT_LINE_BYTES)

    def receive(self, data: bytes) -> list[AnyEvent]:
        """The events in the order of their bytes, without those of a type that only a newer server knows.

        Raises ProtocolError for bytes that are no event; the connection is of no more use then.
        """
        lines, too_long = self._lines.cut(data)
        events = [event for line in lines if (event := _event(line)) is not None]
        if too_long is not None:
            raise too_long
        return events

    @staticmethod
    def encode(request: AnyRequest) -> bytes:
        """The request as one line, with its newline; raises UnicodeEncodeError for a lone surrogate in it."""
        return _encoder.encode(request) + b"\n"


def _event(line: bytes) -> AnyEvent | None:
    try:
        return _event_decoder.decode(line)
    except _UNREADABLE as error:
        try:
            return _event_of_newer_server(line)
        except _UNREADABLE:
            kind = EVENTS.get(_type_of(line) or "")
            raise ProtocolError(Code.BAD_FRAME, _reason(error, kind)) from None


class _RawPage(Answer, frozen=True, kw_only=True, tag="page"):
    """A page whose records may be of kinds that only a newer server knows."""

    room: str
    records: tuple[msgspec.Raw, ...]
    more: bool
    base: str = ""
    hash: str = ""


class _RawHit(msgspec.Struct):
    """A find whose record may be of such a kind."""

    room: str
    record: msgspec.Raw


class _RawFound(Answer, frozen=True, kw_only=True, tag="found"):
    """Finds whose records may be of such kinds."""

    hits: tuple[_RawHit, ...]
    more: bool


_raw_decoder: Final[msgspec.json.Decoder[_RawPage | _RawFound]] = msgspec.json.Decoder(_RawPage | _RawFound)
_RECORDS: Final = frozenset(map(tag, get_args(AnyRecord)))


def _event_of_newer_server(line: bytes) -> Page | Found | None:
    if _type_decoder.decode(line).type not in EVENTS:
        return None
    event = _raw_decoder.decode(line)
    if isinstance(event, _RawFound):
        hits = tuple(Hit(hit.room, _record_decoder.decode(hit.record)) for hit in event.hits if _is_known(hit.record))
        return Found(ref=event.ref, hits=hits, more=event.more)
    records = tuple(_record_decoder.decode(record) for record in event.records if _is_known(record))
    return Page(ref=event.ref, room=event.room, records=records, more=event.more, base=event.base, hash=event.hash)


def _is_known(record: msgspec.Raw) -> bool:
    return _type_decoder.decode(record).type in _RECORDS
