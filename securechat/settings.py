"""What each setting is, as its own docstring says: for the page in the docs, for a new securechat.toml, and for showing
which value is in force and where it came from. It decides no value.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from securechat.config import PREFIX, TABLES, Cluster, Config, load_config, read_file
from securechat.limits import Limits

FIXED: Final[dict[str, type[msgspec.Struct]]] = {"cluster": Cluster, "limits": Limits}
"""The tables whose keys are known."""

WIDTH: Final = 100
"""Columns of a new securechat.toml."""

HEAD: Final = """\
# Settings of a securechat server. Each line below is a default: take the # away to change it.
# Flags of `securechat serve` win over SECURECHAT_* in the environment, and those over this file.
"""


class Setting(NamedTuple):
    """One key, with the table that it stands in ("" for none), its default, and what it means in one paragraph."""

    table: str
    key: str
    default: object
    meaning: str

    @property
    def name(self) -> str:
        """The key with its table: `limits.connections`."""
        return f"{self.table}.{self.key}" if self.table else self.key


class InForce(NamedTuple):
    """A setting as a start would find it."""

    setting: Setting
    value: object
    origin: str
    """`default`, the file's name, a variable's name or a flag."""


@cache
def every_setting() -> tuple[Setting, ...]:
    """Every setting, those in no table first; a table of free keys is one setting."""
    return (*_of("", Config), *(one for table, struct in FIXED.items() for one in _of(table, struct)))


def in_force(home: Path, environ: Mapping[str, str], flags: Mapping[str, object]) -> list[InForce]:
    """Every setting's value and origin. Raises ConfigError as `load_config` does."""
    config = load_config(home, environ, flags)
    path = home / "securechat.toml"
    written = read_file(path)

    def origin(setting: Setting) -> str:
        if setting.table:
            return path.name if setting.key in written.get(setting.table, {}) else "default"
        if flags.get(setting.key) is not None:
            return f"--{setting.key.replace('_', '-')}"
        variable = PREFIX + setting.key.upper()
        if setting.key not in TABLES and variable in environ:
            return variable
        return path.name if written.get(setting.key, {}) != {} else "default"

    def value(setting: Setting) -> object:
        return getattr(getattr(config, setting.table) if setting.table else config, setting.key)

    return [InForce(one, value(one), origin(one)) for one in every_setting() if one.name not in FIXED]


def new_file() -> str:
    """A securechat.toml that changes nothing: every key with its meaning and its default, behind a #."""
    lines = [HEAD]
    plain = [setting for setting in every_setting() if not setting.table]
    for setting in plain:
        if setting.key not in TABLES:
            lines += [_comment(setting.meaning), f"# {setting.key} = {toml(setting.default)}".rstrip(), ""]
    for setting in plain:
        if setting.key in TABLES:
            lines += [f"[{setting.key}]", _comment(setting.meaning), ""]
            for one in every_setting():
                if one.table == setting.key:
                    lines += [_comment(one.meaning), f"# {one.key} = {toml(one.default)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def toml(value: object) -> str:
    """A value as TOML writes it; nothing for what is not set."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def _of(table: str, struct: type[msgspec.Struct]) -> Iterator[Setting]:
    defaults: dict[str, Any] = msgspec.structs.asdict(struct())
    meanings = _docstrings(struct)
    for key, default in defaults.items():
        yield Setting(table, key, default, meanings.get(key, ""))


def _docstrings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The string behind each field, as one paragraph."""
    (body,) = ast.parse(inspect.getsource(struct)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def _comment(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
