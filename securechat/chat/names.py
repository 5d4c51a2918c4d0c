"""What a username, a room's name, an `id` and a text may hold. It knows nothing of who is allowed to use them."""

import re
from typing import Final

from securechat.limits import ID_LENGTH, NAME_LENGTH, ROOM_NAME_LENGTH, TOPIC_BYTES

LOBBY: Final = "lobby"
"""The room that is there from the start; it has no owner."""

# `\Z`, because `$` would accept a newline after the name. ASCII and lower case, so that no name can pass for another.
_NAME: Final = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{NAME_LENGTH - 1}}}\Z")
_ROOM: Final = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{ROOM_NAME_LENGTH - 1}}}\Z")
_ID: Final = re.compile(rf"[A-Za-z0-9._:-]{{1,{ID_LENGTH}}}\Z")

# Unicode's category Cc without tab and newline, and the surrogates, which no UTF-8 can carry.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

NAME_RULE: Final = f"1 to {NAME_LENGTH} of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit"
ROOM_RULE: Final = f"1 to {ROOM_NAME_LENGTH} of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit"
ID_RULE: Final = f"1 to {ID_LENGTH} of A-Z, a-z, 0-9, dot, dash, underscore and colon"


def is_username(name: str) -> bool:
    """Whether an account may have this name: 1 to 32 of `a-z0-9._-`, the first a letter or digit."""
    return _NAME.match(name) is not None


def is_room(name: str) -> bool:
    """Whether a room (no direct room) may have this name: 1 to 64 of `a-z0-9._-`, the first a letter or digit."""
    return _ROOM.match(name) is not None


def is_room_key(key: str) -> bool:
    """Whether a room can have this key: a room's name, or `@` and two usernames in order with a colon between."""
    if not is_direct(key):
        return is_room(key)
    first, second = direct_members(key)
    return is_username(first) and is_username(second) and first <= second


def is_id(value: str) -> bool:
    """Whether a request may carry this `id`: 1 to 64 of `A-Za-z0-9._:-`."""
    return _ID.match(value) is not None


def flaw_in_text(text: str, limit: int) -> str | None:
    """Say why a message may not hold this text, or None when it may; `limit` is in bytes of UTF-8.

    Newline and tab are text; other control characters (Unicode category Cc) could drive a terminal and are refused.
    Format characters stay (scripts and emoji need them): a client shows those that could mislead as escapes.
    """
    if not text.strip():
        return "A message needs a text."
    return _flaw(text, limit)


def flaw_in_topic(text: str) -> str | None:
    """Say why a room may not have this topic, or None when it may: one line of up to 512 bytes, or nothing."""
    if "\n" in text:
        return "A topic is one line."
    return _flaw(text, TOPIC_BYTES)


def _flaw(text: str, limit: int) -> str | None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limit:
        return f"The text has {size} bytes; {limit} are allowed."
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        return f"The text holds the character U+{ord(forbidden[0]):04X}, which is not allowed."
    return None


def is_direct(room: str) -> bool:
    """Whether this key names a direct room."""
    return room.startswith("@")


def direct_room(one: str, other: str) -> str:
    """The key of the direct room of two accounts, the same from both sides."""
    first, second = sorted((one, other))
    return f"@{first}:{second}"


def direct_members(room: str) -> tuple[str, str]:
    """The two members of a direct room, by its key."""
    first, _, second = room[1:].partition(":")
    return first, second


def shown_room(room: str, viewer: str) -> str:
    """The name under which `viewer` sees the room with this key: a direct room as `@` and the other one's name."""
    if not is_direct(room):
        return room
    first, second = direct_members(room)
    return f"@{second if viewer == first else first}"
