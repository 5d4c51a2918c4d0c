"""What may be wrong with a server's home, its machine, or the way to it: each finding in a sentence, with its fix.

It looks and changes nothing; a server may run meanwhile. What it finds, it takes from the parts that know.
"""

import contextlib
import importlib.metadata
import ipaddress
import os
import resource
import shlex
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from securechat.accounts.credentials import CredentialFile
from securechat.certificates import CertificateFolder, client_context, inspect_certificate
from securechat.certificates import findings as certificate_findings
from securechat.client.address import Address
from securechat.client.bell import Bell
from securechat.client.connection import Connection
from securechat.client.exchange import Exchange
from securechat.client.nodes import Nodes
from securechat.client.timeouts import Timeouts
from securechat.config import Config, load_config
from securechat.errors import Refused, SecurechatError
from securechat.journal.migration import kept_copies
from securechat.journal.reader import Reader
from securechat.journal.verify import verify_store
from securechat.server import fitness
from securechat.server.certificate import server_files
from securechat.server.listener import listen
from securechat.server.locking import is_held

LOW_BYTES: Final = 1 << 30
"""Free disk that is told of: a year of a team's talk."""

FULL_BYTES: Final = 64 << 20
"""Free disk that is too little: the write-ahead log alone may need it."""

REACHED_NAMES: Final = 5
"""Names of a certificate that are tried."""

CLOCK_SECONDS: Final = 120
"""How far the newest record may be ahead of the clock."""

SECRET: Final = (
    "credentials",
    "credentials.shared",
    "hooks",
    "hooks.shared",
    "chat.db",
    "search.db",
    "audit.log",
    "audit.head",
    "certs/ca.key",
    "control.sock",
)
"""What only its owner may open, below the home, where it is there."""

Level = Literal["ok", "warning", "wrong"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at, and what to do about it ("" where nothing is to be done)."""

    level: Level
    about: str
    message: str
    fix: str = ""


class Patient(msgspec.Struct, frozen=True):
    """What is examined: a home, its settings, and whether a server runs on it."""

    home: Path
    config: Config
    is_running: bool


Python = tuple[int, int, int]


def examine(home: Path, environ: Mapping[str, str], flags: Mapping[str, object]) -> list[Finding]:
    """Look at everything, in the order in which one would mend it; `flags` are those that `serve` is started with."""
    found = list(_guard("versions", lambda: versions(sys.version_info[:3])))
    if not home.is_dir():
        return [*found, Finding("wrong", "home", f"There is no folder {home}.", "Make it, or name another --home.")]
    try:
        config = load_config(home, environ, flags)
        found.append(Finding("ok", "settings", "The settings can be used."))
    except SecurechatError as error:
        found.append(_wrong("settings", error))
        config = Config()
    patient = Patient(home, config, is_held(home))
    for about, look in (
        ("files", _files),
        ("accounts", _accounts),
        ("certificate", _certificate),
        ("store", _store),
        ("cluster", _cluster),
        ("disk", _disk),
        ("limits", _descriptors),
        ("port", _port),
        ("reach", _reach),
    ):
        found += _guard(about, lambda look=look: look(patient))  # type: ignore[misc] # mypy infers no type for it
    return found


def _guard(about: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What this look finds; where it cannot be finished, why not."""
    try:
        yield from look()
    except SecurechatError as error:
        yield _wrong(about, error)
    except OSError as error:
        where = f"{error.filename} cannot be looked at" if error.filename else "It cannot be looked at"
        yield Finding("wrong", about, f"{where}: {error.strerror}.", "Run this as the user whom the files belong to.")


def _wrong(about: str, error: SecurechatError) -> Finding:
    return Finding("wrong", about, error.message, error.hint)


def versions(python: Python) -> Iterator[Finding]:
    """Whether this Python, and what securechat stands on, is known to be trouble."""
    shown = ".".join(map(str, python))
    update = "Install a newer Python, and make the environment anew: make clean install"
    if python == (3, 13, 6):
        yield Finding("wrong", "versions", f"Python {shown} can deadlock in its ssl module.", update)
    elif python < (3, 11, 5):
        # CVE-2023-40217
        yield Finding("wrong", "versions", f"Python {shown} can take what came before TLS for what came in it.", update)
    elif python < (3, 11, 9) or (3, 12) <= python < (3, 12, 3):
        # CVE-2024-0397
        yield Finding("warning", "versions", f"Python {shown} has a known race in its ssl module.", update)
    else:
        yield Finding("ok", "versions", f"Python {shown}.")
    cryptography = importlib.metadata.version("cryptography")
    if int(cryptography.partition(".")[0]) < 50:
        yield Finding(
            "wrong", "versions", f"cryptography {cryptography} holds up all chat while it hashes a password.",
            "pip install 'cryptography>=50,<51'",
        )  # fmt: skip


def _files(patient: Patient) -> Iterator[Finding]:
    home = patient.home
    files = server_files(home, patient.config)
    ours = [home, *(home / name for name in SECRET), files.key]
    bad = 0
    for path in ours:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        quoted = shlex.quote(str(path))
        open_to_others = status.st_mode & (0o022 if path == home else 0o077)
        if status.st_uid != os.geteuid():
            bad += 1
            owner = f"{path} belongs to another user (id {status.st_uid})."
            yield Finding("wrong", "files", owner, f"Run this as that user, or: chown {os.geteuid()} {quoted}")
        elif open_to_others:
            bad += 1
            mode = f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o})."
            yield Finding("wrong", "files", mode, f"chmod {'go-w' if path == home else 'go='} {quoted}")
    if not bad:
        yield Finding("ok", "files", "What is secret is its owner's alone.")
    if not files.certificate.exists():
        yield Finding("wrong", "files", f"{files.certificate} does not exist.", "securechat gen-certs")


def _accounts(patient: Patient) -> Iterator[Finding]:
    file = CredentialFile(patient.home / "credentials")
    if patient.config.cluster.servers and not file.path.exists():
        yield Finding("ok", "accounts", "There are none here yet; the cluster's come with the first start.")
        return
    accounts = file.load()
    if any(account.active and account.role == "admin" for account in accounts.values()):
        yield Finding("ok", "accounts", "The accounts can be read, and somebody is an admin.")
    else:
        yield Finding("warning", "accounts", "There is no active admin.", "securechat adduser NAME --admin")


def _certificate(patient: Patient) -> Iterator[Finding]:
    files, now = server_files(patient.home, patient.config), datetime.now(UTC)
    found = certificate_findings(files, now)
    for one in found:
        yield Finding("wrong" if one.is_error else "warning", "certificate", one.message, one.fix)
    facts = inspect_certificate(files.certificate)
    names, own = facts.names, patient.config.certificate
    if not found:
        yield Finding(
            "ok", "certificate", f"It is valid for {(facts.expires - now).days} days, for {', '.join(names)}."
        )
    if not _is_loopback(patient.config.host) and all(map(_is_loopback, names)):
        yield Finding(
            "wrong", "certificate", "The server listens for other machines, and the certificate is for this one only.",
            "Ask for one with that name." if own else "securechat gen-certs --host NAME",
        )  # fmt: skip


def _store(patient: Patient) -> Iterator[Finding]:
    path = patient.home / "chat.db"
    if not path.exists():
        yield Finding("ok", "store", "There is none yet; the first start makes it.")
        return
    report = verify_store(path)
    if report.flaw is not None:
        yield Finding("wrong", "store", str(report.flaw), "Stop the server, keep this file, and restore a backup.")
    else:
        yield Finding("ok", "store", f"Everything is as it was written; records checked: {report.records}.")
    for copy in kept_copies(path):
        yield Finding(
            "warning", "store", f"{copy} is the store before an upgrade: texts that were erased since are still in it.",
            f"When the new version has proved itself: rm {shlex.quote(str(copy))}",
        )  # fmt: skip
    with contextlib.closing(Reader(path)) as reader:
        newest = max((room.time for room in reader.rooms()), default=0)
    ahead = newest / 1_000 - time.time()
    if ahead > CLOCK_SECONDS:
        yield Finding(
            "wrong", "clock", f"The newest record is from {ahead:.0f} seconds ahead: the clock is wrong, or was.",
            "Set this machine's clock, and let it be kept right: timedatectl set-ntp true",
        )  # fmt: skip
    else:
        yield Finding("ok", "clock", f"It is {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, and no record is from the future.")


def _cluster(patient: Patient) -> Iterator[Finding]:
    for one in fitness.signs(patient.home, patient.config.cluster) if patient.config.cluster.servers else ():
        yield Finding(one.level, "cluster", one.message, one.fix)


def _disk(patient: Patient) -> Iterator[Finding]:
    free = shutil.disk_usage(patient.home).free
    level: Level = "wrong" if free < FULL_BYTES else "warning" if free < LOW_BYTES else "ok"
    fix = "" if level == "ok" else "Make room, or keep less: see retention_days in docs/configuration.md."
    yield Finding(level, "disk", f"{free >> 20} MiB are free.", fix)


def _descriptors(patient: Patient) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = patient.config.limits.connections
    if hard != resource.RLIM_INFINITY and hard < wanted:
        yield Finding(
            "warning", "limits", f"At most {hard} files may be open here, and connections = {wanted}.",
            f"Raise it where the server is started (LimitNOFILE in systemd), or set connections below {hard}.",
        )  # fmt: skip
    else:
        yield Finding("ok", "limits", "There may be as many open files as connections.")


def _port(patient: Patient) -> Iterator[Finding]:
    if patient.is_running:
        yield Finding("ok", "port", "A server runs on this home.")
        return
    with contextlib.closing(listen(patient.config.host, patient.config.port)):
        yield Finding("ok", "port", f"Port {patient.config.port} is free; no server runs on this home.")


def _reach(patient: Patient) -> Iterator[Finding]:
    """Go in by the front door, with the certificate's names, as a client does."""
    config, authority = patient.config, CertificateFolder(patient.home / "certs").authority
    if not patient.is_running or not config.port:
        why = "the port is any that was free" if patient.is_running else "no server runs"
        yield Finding("ok", "reach", f"Not tried: {why}.")
        return
    names = inspect_certificate(server_files(patient.home, config).certificate).names
    here = _is_loopback(config.host)
    candidates = [name for name in names if "*" not in name and _is_loopback(name) is here][:REACHED_NAMES]
    trusted = None if config.certificate or not authority.exists() else authority
    for name in candidates:
        try:
            _knock(Address("", name, config.port), trusted)
        except Refused:
            yield Finding("ok", "reach", f"A client that asks for {name} gets in with a client certificate.")
            return
        except SecurechatError as error:
            yield Finding("warning", "reach", error.message, error.hint)
        else:
            yield Finding("ok", "reach", f"A client that asks for {name} gets in.")
            return
    yield Finding(
        "wrong", "reach", "No name of the certificate leads to this server.",
        "Look at host and port, at the name's address, and at firewalls between."
    )  # fmt: skip


def _knock(address: Address, authority: Path | None) -> None:
    bell = Bell()
    try:
        timeouts = Timeouts(connect=3.0, greet=5.0)
        Connection(Nodes(address), client_context(authority), authority, timeouts, Exchange(bell.ring), bell).knock()
    finally:
        bell.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
