"""One frozen Config, from `securechat.toml`, the environment and flags; the later wins. It knows no user of it.

A home is the folder where one server keeps everything: `certs/`, `credentials`, `chat.db`, `securechat.toml`.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from securechat.errors import ConfigError
from securechat.limits import NODES, Limits

PREFIX = "SECURECHAT_"

TABLES = ("limits", "cluster", "retention")
"""Settings that are tables of their own, and too much for the environment."""

_PLACE = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})\Z")
_NODE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")

Days: TypeAlias = Annotated[int, Meta(ge=0, le=36_500)]
"""A hundred years at most: the time of a record is a number of 64 bits in the store."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this server is one of several nodes, and where clients reach them."""

    servers: tuple[str, ...] = ()
    """The NATS servers that give the order, each as `"tls://HOST:PORT"`. None: this server stands alone, and gives the
    order itself."""

    node: str = ""
    """This node's name: in the log, and among the nodes of the cluster."""

    nodes: tuple[str, ...] = ()
    """The addresses under which clients reach this chat, each as `"HOST:PORT"`, of all its nodes. A client learns them
    when it comes in, and goes to another when its own is gone."""

    ca: str = ""
    """The CA of the NATS servers, in PEM form, below the home or from `/`."""

    certificate: str = ""
    """The client certificate by which the NATS servers know this node, in PEM form."""

    key: str = ""
    """Its key."""

    stream: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}\Z")] = "sc"
    """The stream's name, the same on all nodes; its subjects are below `NAME.log`."""

    replicas: Annotated[int, Meta(ge=1, le=5)] = 3
    """On how many NATS servers the stream is kept: with 3, one of them may be gone, with 5 two."""

    plaintext: Literal["never", "loopback"] = "never"
    """With `"loopback"` a NATS server on this machine may be `"nats://127.0.0.1:PORT"`, unencrypted."""

    def __post_init__(self) -> None:
        if len(self.nodes) > NODES:
            raise ValueError(f"nodes: there are {len(self.nodes)}, and {NODES} are the most")
        for node in self.nodes:
            if _host(node) is None:
                raise ValueError(f"nodes: {node!a} is not HOST:PORT")
        if not self.servers:
            return
        if not _NODE_NAME.match(self.node):
            raise ValueError(f"node: {self.node!a} cannot be a node's name; small letters, digits and - can")
        for server in self.servers:
            self._check_server(server)

    def _check_server(self, server: str) -> None:
        scheme, _, place = server.partition("://")
        host = _host(place)
        if scheme not in ("tls", "nats") or host is None:
            raise ValueError(f"servers: {server!a} is not tls://HOST:PORT")
        if scheme == "nats" and (self.plaintext != "loopback" or not _is_loopback(host)):
            raise ValueError(f"servers: {server!a} is unencrypted; write tls://{place}, for it leaves this machine")
        if scheme == "tls" and not (self.ca and self.certificate and self.key):
            raise ValueError("ca, certificate and key: all three are needed for tls:// servers")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may set; the strings below are also the page docs/configuration.md (see settings.py)."""

    host: str = "127.0.0.1"
    """The address to listen on; `""` or `"::"` is every address, `"0.0.0.0"` every IPv4 address."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 7443
    """The port to listen on; 0 takes a free one."""

    log_format: Literal["auto", "text", "json"] = "auto"
    """How log lines look: `"text"`, `"json"`, or by whether stderr is a terminal."""

    durability: Literal["full", "normal"] = "full"
    """With `"full"` what is acknowledged survives a power cut, with `"normal"` only the end of the process."""

    certificate: str = ""
    """The server's certificate with its chain, in PEM form, below the home or from `/`; `""` is `certs/server.pem`."""

    key: str = ""
    """Its key; `""` is `certs/server.key`. Both or neither is set."""

    renew_certificate: bool = True
    """The server renews its own certificate 30 days before the end, where `certs/ca.key` is and has no passphrase."""

    client_certificates: Literal["off", "optional", "required"] = "off"
    """With `"optional"`, who shows one of the CA's logs in as its account; with `"required"` everybody has to."""

    tls_minimum: Literal["1.3", "1.2"] = "1.3"
    """The oldest TLS that is spoken; `"1.2"` lets older clients in."""

    tls_group: str = "X25519"
    """The one key exchange group: `"prime256v1"` for clients in FIPS mode; `""` leaves the choice to OpenSSL."""

    reactors: Annotated[int, Meta(ge=1, le=64)] = 1
    """Threads that own connections; more than one shortens the tail on several cores."""

    http_host: str = "127.0.0.1"
    """The address on which machines are answered over HTTP, unencrypted: this one's, or a trusted network's."""

    http_port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    """The port for that: `/healthz`, `/readyz`, `/hook/…`, and `/metrics` by an extra. Not set: none; 0: a free one."""

    retention_days: Days = 0
    """How many days a record is kept; 0 is for ever."""

    retention: dict[str, Days] = {}
    """The same for single rooms: a room's name, and its days. `lobby = 30` keeps a month of the lobby."""

    cluster: Cluster = Cluster()
    """Under which addresses one chat is reached, where it has more than one."""

    limits: Limits = Limits()
    """What the server grants to its peers. Times are in seconds, sizes in bytes."""


def _host(place: str) -> str | None:
    """The host of `HOST:PORT`; None where it is nothing of that kind."""
    found = _PLACE.match(place)
    return found[1] if found and 1 <= int(found[2]) <= 65_535 else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def load_config(home: Path, environ: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """Read the settings of the server whose home this is; a flag that is None was not given.

    Raises ConfigError for a file that cannot be read, an unknown key (naming the nearest known one) or a bad value.
    """
    path = home / "securechat.toml"
    settings = read_file(path)
    known = Config.__struct_fields__
    for key in known:
        value = environ.get(PREFIX + key.upper())
        if value is not None and key not in TABLES:
            settings[key] = value
    settings.update({key: value for key, value in flags.items() if value is not None})
    _refuse_unknown(settings, known, path)
    for table, struct in (("limits", Limits), ("cluster", Cluster)):
        written = settings.get(table)
        if isinstance(written, dict):
            _refuse_unknown(written, struct.__struct_fields__, path)
    try:
        # Not strict: the environment has only strings, and "7443" is meant as a number.
        return msgspec.convert(settings, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"A setting is not usable: {error}.", hint=f"Look at {path}, SECURECHAT_* and the flags."
        ) from None


def read_file(path: Path) -> dict[str, Any]:
    """What stands in a securechat.toml, nothing where there is none. Raises ConfigError."""
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
