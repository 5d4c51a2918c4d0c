"""Saved servers: one file for each under the XDG config folder, the session tokens apart from them in the state folder.

A profile holds an address, an account, the pinned CA, and perhaps the command of a password manager; never a password.
It connects to nothing.
"""

import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from securechat.chat.names import ROOM_RULE, is_room, is_username
from securechat.client.address import Address
from securechat.errors import AlreadyExists, NotFound, SecurechatError, UsageError
from securechat.files import locked, refuse_if_others_can_read, replace_file
from securechat.limits import ROOM_NAME_LENGTH

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

COMMAND_SECONDS: Final = 120.0
"""For a password manager, which may ask its person for something first."""

HEADER: Final = """\
# A server and an account there, for `securechat connect`. No password is in here; a password manager can be asked:
# password_command = "pass show chat"
"""

_TAIL: Final = ".toml"
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._-]+")


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account on one server. `ca` is the pinned CA in PEM form (empty: the system's CAs are trusted), and
    `password_command` what prints the password as its first line (empty: the person is asked). `certificate` and `key`
    are the files of a client certificate (empty: there is none). `nodes` are the addresses of the same chat that its
    server told of the last time."""

    username: str
    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)]
    ca: str = ""
    password_command: str = ""
    certificate: str = ""
    key: str = ""
    nodes: tuple[str, ...] = ()

    @property
    def address(self) -> Address:
        """Who comes in, and where."""
        return Address(self.username, self.host, self.port)

    def ask_manager(self) -> str | None:
        """The password as `password_command` prints it, or None where there is no such command.

        It is started without a shell. Raises SecurechatError when it fails; what it printed is in no error.
        """
        if not self.password_command:
            return None
        hint = "Look at password_command in the profile."
        try:
            words = shlex.split(self.password_command)
            done = subprocess.run(words, stdout=subprocess.PIPE, check=False, timeout=COMMAND_SECONDS)  # noqa: S603 - the user's
            password = done.stdout.partition(b"\n")[0].decode("utf-8").removesuffix("\r")
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise SecurechatError(f"The password command failed: {type(error).__name__}.", hint=hint) from None
        if done.returncode or not password:
            why = f"it ended with {done.returncode}" if done.returncode else "it printed nothing"
            raise SecurechatError(f"The password command failed: {why}.", hint=hint)
        return password


class Profiles:
    """The profiles of one person; `config` and `state` are folders of securechat's own, made when they are needed."""

    def __init__(self, config: Path, state: Path) -> None:
        self._folder = config / "profiles"
        self._in_use = config / "profile"
        self._tokens = state / "tokens"

    @classmethod
    def of_person(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Those in the folders that the XDG Base Directory Specification names for this person."""
        return cls(
            _xdg(environ, "XDG_CONFIG_HOME", ".config") / "securechat",
            state_folder(environ),
        )

    def path(self, name: str) -> Path:
        """The profile's file, from which its CA can be read too. Raises UsageError for what cannot be its name."""
        if not is_room(name):
            raise UsageError(f"No profile can be called {name!a}.", hint=f"Its name is {ROOM_RULE}.")
        return self._folder / f"{name}{_TAIL}"

    def names(self) -> list[str]:
        """The names of all profiles, in order."""
        found = (path.name.removesuffix(_TAIL) for path in self._folder.glob(f"*{_TAIL}"))
        return sorted(name for name in found if is_room(name))

    def get(self, name: str) -> Profile:
        """The profile of this name. Raises NotFound, and SecurechatError for a file that cannot be used."""
        path = self.path(name)
        try:
            profile = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Profile)
        except FileNotFoundError:
            raise NotFound(f"There is no profile {name}.", hint="See `securechat profile list`.") from None
        except OSError as error:
            raise _unusable(path, error) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise SecurechatError(f"{path} is no profile: {error}.", hint="Mend it, or log in anew.") from None
        if not is_username(profile.username):
            raise SecurechatError(f"{path} is no profile: {profile.username!a} cannot be a username.")
        return profile

    def in_use(self) -> str | None:
        """The name of the profile that is used when none is named; None when there is none."""
        try:
            name = self._in_use.read_text("utf-8").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        except OSError as error:
            raise _unusable(self._in_use, error) from None
        return name if is_room(name) and self.path(name).exists() else None

    def chosen(self, name: str | None = None) -> str:
        """The name that was given, or that of the profile in use. Raises UsageError when there is none."""
        chosen = name or self.in_use()
        if chosen is None:
            raise UsageError(
                "No server is named, and no profile is in use.",
                hint="Name one as [USER@]HOST[:PORT], or make a profile: securechat join CODE, or securechat login.",
            )
        return chosen

    def use(self, name: str) -> None:
        """Make this the profile that is used when none is named. Raises NotFound."""
        self.get(name)
        _write(self._in_use, f"{name}\n")

    def name_for(self, address: Address) -> str:
        """The name of the profile of this account and server, or the one that a new one gets: after its host.

        Raises AlreadyExists when other profiles have all the names that come to mind.
        """
        known = {name: self.get(name).address for name in self.names()}
        for name, there in known.items():
            if there == address:
                return name
        host = _NOT_IN_NAMES.sub("-", address.host.lower()).strip("._-") or "server"
        for name in (host, f"{address.username}.{host}", f"{address.username}.{host}.{address.port}"):
            if name[:ROOM_NAME_LENGTH] not in known:
                return name[:ROOM_NAME_LENGTH]
        raise AlreadyExists(f"There is a profile {host} already.", hint="Name another: --profile NAME.")

    def save(self, name: str, profile: Profile) -> None:
        """Keep a profile and put it in use; one that was there keeps its password command."""
        path = self.path(name)
        if path.exists() and not profile.password_command:
            profile = replace(profile, password_command=self.get(name).password_command)
        _write(path, _format(profile))
        self.use(name)

    def pin(self, name: str, ca: str) -> None:
        """Pin other CAs, in PEM form, in the place of those that the profile has."""
        self._change(name, ca=ca)

    def keep_nodes(self, name: str, nodes: tuple[str, ...]) -> None:
        """Keep these as the addresses of the chat, in the place of those that the profile has."""
        self._change(name, nodes=nodes)

    def _change(self, name: str, **fields: Any) -> None:
        before = self.get(name)
        after = replace(before, **fields)
        if after != before:
            _write(self.path(name), _format(after))

    def remove(self, name: str) -> bool:
        """Delete a profile and its token; whether there was a token. Raises NotFound."""
        path = self.path(name)
        was_in_use = self.in_use() == name
        try:
            path.unlink()
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
            if was_in_use:
                self._in_use.unlink(missing_ok=True)
        except FileNotFoundError:
            raise NotFound(f"There is no profile {name}.", hint="See `securechat profile list`.") from None
        except OSError as error:
            raise _unusable(path, error) from None
        return self.forget_token(name)

    def token(self, name: str) -> str:
        """The session token of this profile; empty where there is none.

        Raises SecurechatError for one that others can read: whoever has it comes in without a password.
        """
        self.path(name)
        path = self._tokens / name
        try:
            refuse_if_others_can_read(self._tokens, SecurechatError)
            refuse_if_others_can_read(path, SecurechatError)
            return path.read_text("ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return ""
        except OSError as error:
            raise _unusable(path, error) from None

    def keep_token(self, name: str, token: str) -> None:
        """Keep the token of the session that this profile has now."""
        self.path(name)
        if self._tokens.exists():
            refuse_if_others_can_read(self._tokens, SecurechatError)
        _write(self._tokens / name, f"{token}\n")

    def forget_token(self, name: str) -> bool:
        """Delete the token of this profile; whether there was one."""
        path = self._tokens / name
        try:
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unusable(path, error) from None
        return True


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where securechat keeps for this person what it has to remember from one run to the next."""
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "securechat"


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    # "If an implementation encounters a relative path … it should consider the path invalid and ignore it."
    named = Path(environ.get(variable, ""))
    return named if named.is_absolute() else Path.home() / default


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        with locked(path):
            replace_file(path, text.encode(), FILE_MODE)
    except OSError as error:
        raise _unusable(path, error) from None


def _format(profile: Profile) -> str:
    settings: dict[str, Any] = msgspec.to_builtins(profile)
    ca = settings.pop("ca")
    # What JSON writes for a string or a number, TOML reads as the same, but for DEL.
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n".replace("\x7f", "\\u007F")
        for key, value in settings.items()
        if value not in ("", [])
    ]
    return f"{HEADER}{''.join(lines)}" + (f'ca = """\n{ca.strip()}\n"""\n' if ca else "")


def _unusable(path: Path, error: OSError) -> SecurechatError:
    return SecurechatError(f"{path} cannot be used: {os.strerror(error.errno or 0)}.", hint="Look at its permissions.")
