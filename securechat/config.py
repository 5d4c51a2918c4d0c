"""One frozen Config, from `securechat.toml`, the environment and flags; the later wins. It knows no user of it.

A home is the folder where one server keeps everything: `certs/`, `credentials`, `chat.db`, `securechat.toml`.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from securechat.errors import ConfigError
from securechat.limits import Limits

PREFIX = "SECURECHAT_"

TABLES = ("limits", "retention")
"""Settings that are tables of their own, and too much for the environment."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may set; every key is documented in docs/configuration.md."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 7443
    log_format: Literal["auto", "text", "json"] = "auto"
    durability: Literal["full", "normal"] = "full"
    certificate: str = ""
    key: str = ""
    tls_minimum: Literal["1.3", "1.2"] = "1.3"
    tls_group: str = "prime256v1"
    reactors: Annotated[int, Meta(ge=1, le=64)] = 1
    retention_days: Annotated[int, Meta(ge=0)] = 0
    retention: dict[str, Annotated[int, Meta(ge=0)]] = {}
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    limits: Limits = Limits()


def load_config(home: Path, environ: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """Read the settings of the server whose home this is; a flag that is None was not given.

    Raises ConfigError for a file that cannot be read, an unknown key (naming the nearest known one) or a bad value.
    """
    path = home / "securechat.toml"
    settings = _read(path)
    known = Config.__struct_fields__
    for key in known:
        value = environ.get(PREFIX + key.upper())
        if value is not None and key not in TABLES:
            settings[key] = value
    settings.update({key: value for key, value in flags.items() if value is not None})
    _refuse_unknown(settings, known, path)
    limits = settings.get("limits")
    if isinstance(limits, dict):
        _refuse_unknown(limits, Limits.__struct_fields__, path)
    try:
        # Not strict: the environment has only strings, and "7443" is meant as a number.
        return msgspec.convert(settings, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"A setting is not usable: {error}.", hint=f"Look at {path}, SECURECHAT_* and the flags."
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from None


def _refuse_unknown(settings: Mapping[str, object], known: tuple[str, ...], path: Path) -> None:
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}."
            raise ConfigError(f"{path} has an unknown key: {key}.", hint=hint)
