"""The file of the webhooks: whoever knows a hook's token may say something in one room, as the account of its name.

A line is `name:room:SHA-256 of the token in hex`, or a comment that begins with `#`; anything else refuses the whole
file. It is replaced whole. It must not know how a hook is called, nor what it says.
"""

import hmac
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from securechat.chat.accounts import Hook
from securechat.chat.names import is_room, is_username
from securechat.errors import AlreadyExists, CredentialError, NotFound
from securechat.files import Stamp, locked, refuse_if_others_can_read, replace_file, stamp
from securechat.limits import HOOKS

HEADER: Final = (
    "# The webhooks of this securechat server; change them with `securechat hook`. A running server notices.\n"
)

_MODE: Final = 0o600
_HASH: Final = re.compile(r"[0-9a-f]{64}\Z")


def find_hook(hooks: Mapping[str, Hook], token_hash: bytes) -> Hook | None:
    """The hook whose token has this hash. All are compared, each in constant time."""
    found = None
    for hook in hooks.values():
        if hmac.compare_digest(hook.token_hash, token_hash):
            found = hook
    return found


def existing_hook(name: str, hooks: Mapping[str, Hook]) -> Hook:
    """The hook of this name. Raises NotFound."""
    if name not in hooks:
        raise NotFound(f"There is no hook {name!a}.", hint="See: securechat hook list")
    return hooks[name]


def taken_hook(name: str) -> AlreadyExists:
    """The error that says that there is a hook of this name already."""
    return AlreadyExists(f"There is a hook {name} already.", hint="See: securechat hook list")


def format_hooks(hooks: Iterable[Hook]) -> bytes:
    """The content of a file with these hooks."""
    return (HEADER + "".join(f"{hook.name}:{hook.room}:{hook.token_hash.hex()}\n" for hook in hooks)).encode()


def parse_hooks(data: bytes, source: str) -> dict[str, Hook]:
    """Read the content of a file of hooks, by name; `source` names it in errors.

    Raises CredentialError with the number of the first bad line, never with anything that is in it.
    """
    hooks: dict[str, Hook] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n")[:-1], start=1):
        if line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        room, _, digest = rest.partition(":")
        if not (is_username(name) and is_room(room) and _HASH.match(digest)) or name in hooks:
            hint = "Mend that line, or remove it; nothing was loaded from the file."
            raise CredentialError(f"{source}, line {number}: It is no hook, or one of a name twice.", hint=hint)
        hooks[name] = Hook(name, room, bytes.fromhex(digest))
    return hooks


class HookFile:
    """The file at `path`; none is there as long as there is no hook. Usable from every thread.

    Its methods raise CredentialError when it cannot be read, understood or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self) -> Stamp | None:
        """A value that changes when the file does; None when there is none to be seen."""
        return stamp(self.path)

    def load(self) -> dict[str, Hook]:
        """Every hook by name."""
        try:
            refuse_if_others_can_read(self.path, CredentialError)
            return parse_hooks(self.path.read_bytes(), str(self.path))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CredentialError(f"{self.path} cannot be read: {type(error).__name__}.") from None

    def take_over(self, hooks: Mapping[str, Hook]) -> bytes:
        """Hold these hooks from now on, whatever was there. Gives what the file holds then."""
        with self._locked():
            return self._write(hooks)

    def add(self, hook: Hook) -> None:
        """Add a hook. Raises AlreadyExists if the name is taken."""
        with self._locked():
            hooks = self.load()
            if hook.name in hooks:
                raise taken_hook(hook.name)
            if len(hooks) >= HOOKS:
                raise CredentialError(f"There are {HOOKS} hooks already.", hint="Remove one: securechat hook remove")
            self._write({**hooks, hook.name: hook})

    def remove(self, name: str) -> Hook:
        """Remove a hook, and give what it was. Raises NotFound."""
        with self._locked():
            hooks = self.load()
            hook = existing_hook(name, hooks)
            self._write({other: one for other, one in hooks.items() if other != name})
            return hook

    def _write(self, hooks: Mapping[str, Hook]) -> bytes:
        data = format_hooks(hooks.values())
        replace_file(self.path, data, _MODE)
        return data

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locked(self.path):
                yield
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CredentialError(f"{self.path} cannot be changed: {reason}.") from None
