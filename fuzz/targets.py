"""What is fuzzed, and what must hold for all bytes there are: each target takes bytes and asserts, never only hopes.

A target knows no fuzzer: the tests call it with its seeds, `python -m fuzz` with everything else.
"""

import re
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from securechat.accounts.credentials import format_accounts, parse_accounts
from securechat.accounts.passwords import check_stored
from securechat.chat.names import is_username
from securechat.client import text
from securechat.config import Config, load_config
from securechat.errors import ConfigError, CredentialError, ProtocolError
from securechat.protocols.frames import Error, Message
from securechat.protocols.native import NativeClientProtocol, NativeProtocol
from securechat.settings import new_file, toml

_HASH: Final = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
_WORD: Final = re.compile(rb"[^\s:$,]{20,}")


class Target(NamedTuple):
    """What is called with bytes, and the bytes that a fuzzer begins with."""

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def frames(data: bytes) -> None:
    """However a stream is cut, both protocols make of it the same requests, events and ProtocolErrors, nothing else."""
    limit, place, stream = 16 + sum(data[:1]) * 4, sum(data[1:2]), data[2:]
    whole = _heard(limit, stream)
    assert _heard(limit, stream[:place], stream[place:]) == whole
    assert _heard(limit, *(stream[i : i + 1] for i in range(len(stream)))) == whole
    for item in NativeProtocol(limit).receive(stream):
        if isinstance(item, ProtocolError):
            NativeProtocol.encode(Error(ref=item.ref, code=item.code, message=item.message))
        else:
            assert NativeProtocol(1 << 20).receive(NativeClientProtocol.encode(item)) == [item]
    try:
        for event in NativeClientProtocol().receive(stream):
            assert NativeProtocol.encode(event).count(b"\n") == 1
    except ProtocolError:
        pass


def _heard(limit: int, *chunks: bytes) -> list[object]:
    protocol = NativeProtocol(limit)
    items = [item for chunk in chunks for item in protocol.receive(chunk)]
    items += protocol.receive_eof()
    return [(item.code, item.message, item.ref) if isinstance(item, ProtocolError) else item for item in items]


def credentials(data: bytes) -> None:
    """A credential file is refused without a word of it, or its accounts are sound and are read again as they were."""
    try:
        accounts = parse_accounts(data, "credentials")
    except CredentialError as error:
        said = str(error).encode()
        assert not any(word in said for word in _WORD.findall(data))
        return
    for name, account in accounts.items():
        assert name == account.name and is_username(name)
        assert account.role in ("admin", "member") and account.state in ("active", "disabled")
        check_stored(account.password)
        assert account.password not in repr(account)
    assert parse_accounts(format_accounts(accounts.values()), "credentials") == accounts


def configuration(data: bytes) -> None:
    """A securechat.toml is refused in a sentence, or is read again as it was when what it says is written anew."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path = home / "securechat.toml"
        path.write_bytes(data)
        try:
            config = load_config(home, {}, {})
        except ConfigError as error:
            assert str(error)
            return
        path.write_text(_written(config), "utf-8")
        assert load_config(home, {}, {}) == config


def _written(config: Config) -> str:
    lines = [f"{key} = {toml(value)}" for key, value in _fields(config) if not isinstance(value, msgspec.Struct)]
    for name, table in _fields(config):
        if isinstance(table, msgspec.Struct):
            lines += [f"[{name}]", *(f"{key} = {toml(value)}" for key, value in _fields(table))]
    return "\n".join([*lines, ""])


def _fields(struct: msgspec.Struct) -> list[tuple[str, Any]]:
    """The fields that are set."""
    return [(key, value) for key, value in msgspec.structs.asdict(struct).items() if value is not None]


def rendering(data: bytes) -> None:
    """What others wrote never drives the terminal, never begins a line, and never makes one wider than it is."""
    width, said = 20 + sum(data[:1]), data[1:].decode("utf-8", "surrogateescape")
    assert_harmless(text.line(said))
    assert re.fullmatch(r"([a-z0-9._@-]|\\u\{[0-9A-F]+\})*", text.name(said))
    message = Message(room=said[:64], seq=1, sender=said[:32], time=len(said), id="1", text=said)
    for shown, begin in (
        (text.heard(message, width), "["),
        (text.record(message, room=False, number=True, width=width), r"\d\d:\d\d |\?\?:\?\? "),
        (text.system("Said: ", width, said=said), re.escape(text.SYSTEM)),
    ):
        first, *rest = shown.split("\n")
        assert_harmless(shown.replace("\n", ""))
        assert re.match(begin if begin != "[" else r"\[", first)
        assert all(row.startswith(text.GUTTER) for row in rest)
        assert all(text.columns(row) < width for row in (first, *rest))


def assert_harmless(shown: str) -> None:
    """Nothing in this line controls, hides, turns the direction or stacks up."""
    marks = 0
    for char in shown:
        category = unicodedata.category(char)
        assert category not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"), f"U+{ord(char):04X}"
        assert char not in "\u034f\u115f\u1160\u2800\u3164\uffa0\ufe0e\ufe0f", f"U+{ord(char):04X}"
        marks = marks + 1 if category.startswith("M") else 0
        assert marks <= text.MARKS


TARGETS: Final = {
    "frames": Target(
        frames,
        (
            b'\xff\x08{"type":"login","username":"alice","password":"secret"}\n{"type":"ping","ref":"1"}\n',
            b'\x40\x01{"type":"say","ref":"3","id":"01","room":"lobby","text":"h\\u00e9"}\r\n[[[[[[\n\xff\n',
            b'\xff\x05{"type":"message","room":"lobby","seq":1,"id":"1","sender":"a","time":1,"text":"x"}\n',
        ),
    ),
    "credentials": Target(
        credentials,
        (
            f"# a comment\nalice:admin:active:{_HASH}\nbob:member:disabled:{_HASH}\n".encode(),
            f"alice:admin:active:{_HASH}\nalice:member:active:{_HASH}\n".encode(),
        ),
    ),
    "configuration": Target(
        configuration,
        (
            re.sub(r"(?m)^# (\w+ = .+)$", r"\1", new_file()).encode(),
            b'host = "::"\nport = 1\n[retention]\n"a b" = 3\n[limits]\nidle_seconds = 1.5\n',
            b"prot = 1\n[limits]\nclose_seconds = inf\n",
        ),
    ),
    "rendering": Target(
        rendering,
        (
            b"\x00hello there, this is a longer line that is wrapped somewhere in the middle of it\nnext",
            "\x05\x1b[31m\u202e\u200b e\u0301\u0301\u0301\u0301 \U0001f1e9\U0001f1ea \u6f22\u3164\u2800".encode(),
        ),
    ),
}
"""Every target by its name."""
