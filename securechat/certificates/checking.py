"""What is wrong with a server's certificates, or soon will be, each with what to do. It changes nothing."""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from securechat.certificates.contexts import RENEW, ClientCheck, client_context, refuse_unusable, server_context
from securechat.certificates.explain import explain
from securechat.certificates.reading import CertificateFacts, inspect_certificate, is_issued_by, read_certificates
from securechat.certificates.revocations import Revocations, read_revocations
from securechat.errors import SecurechatError, VerificationFailed

WARN_DAYS: Final = (1, 7, 30)
"""Days before an end at which it is told of; a certificate that lives shorter is told of in the last third of it."""

RENEW_ELSEWHERE: Final = "It is not from the CA of this home: renew it where it came from."

FLIGHTS: Final = 4
"""More turns than a handshake takes."""

LIST_WARN_DAYS: Final = (1, 7)
"""The same for a revocation list."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or will be: what, and what to do. `code` is the same for as long as it is no worse."""

    code: str
    is_error: bool
    message: str
    fix: str


@dataclass(frozen=True)
class ServerFiles:
    """The files that a server's TLS is made of; `clients` where it asks for client certificates.

    `is_own` says that the certificate is where our own CA puts it, and its clients are given `authority`.
    """

    certificate: Path
    key: Path
    authority: Path
    clients: ClientCheck | None
    is_own: bool = True


def is_due(begins: datetime, expires: datetime, now: datetime) -> bool:
    """Whether it is time to renew: 30 days before the end, and not before the last third of its life."""
    life = expires - begins + timedelta(seconds=1)  # both ends belong to it
    return expires - now <= min(timedelta(days=WARN_DAYS[-1]), life / 3)


def findings(files: ServerFiles, now: datetime) -> list[Finding]:
    """Everything that is wrong with the files now, or soon: what a start refuses, what clients would say, what ends."""
    found: list[Finding] = []
    try:
        refuse_unusable(files.certificate, files.key, now)
        found += _what_a_client_says(files)
        found += ending(inspect_certificate(files.certificate), now, RENEW if _trusted(files) else RENEW_ELSEWHERE)
    except SecurechatError as error:
        found.append(Finding("certificate-unusable", True, error.message, error.hint))
    if files.clients:
        try:
            known = read_revocations(files.clients.revocations, read_certificates(files.clients.authority)[0])
            found += ending_list(files.clients, known, now)
        except SecurechatError as error:
            found.append(Finding("revocations-unusable", True, error.message, error.hint))
    return found


def ending(facts: CertificateFacts, now: datetime, fix: str) -> list[Finding]:
    """Whether this certificate of a server has ended, or will soon; `fix` says how it is renewed."""
    left = facts.expires - now
    if left <= timedelta():
        message = f"{facts.path} expired on {facts.expires:%Y-%m-%d}: no client takes it."
        return [Finding("certificate-expired", True, message, fix)]
    if is_due(facts.begins, facts.expires, now):
        message = f"{facts.path} expires on {facts.expires:%Y-%m-%d}, in {_span(left)}."
        return [Finding(f"certificate-expires-{_step(left, WARN_DAYS)}", False, message, fix)]
    return []


def ending_list(clients: ClientCheck, known: Revocations | None, now: datetime) -> list[Finding]:
    """Whether this revocation list keeps out everybody who shows a certificate now, or will soon."""
    shut = "nobody who shows a client certificate is let in" + (
        ", and one is required." if clients.is_required else "."
    )
    if known is None:
        message = f"The revocation list {clients.revocations} is missing: {shut}"
        fix = "Put it back; where no client certificate was made yet, `securechat cert client NAME` makes it."
        return [Finding("revocations-missing", True, message, fix)]
    fix = "Where the CA's key is, `securechat cert renew` makes it hold on."
    left = known.expires - now
    if left <= timedelta():
        message = f"The revocation list {clients.revocations} expired on {known.expires:%Y-%m-%d}: {shut}"
        return [Finding("revocations-expired", True, message, fix)]
    if left <= timedelta(days=LIST_WARN_DAYS[-1]):
        message = f"The revocation list {clients.revocations} expires on {known.expires:%Y-%m-%d}, in {_span(left)}."
        return [Finding(f"revocations-expire-{_step(left, LIST_WARN_DAYS)}", False, message, fix)]
    return []


def rehearse(files: ServerFiles, name: str) -> None:
    """Connect to `name` in memory, as a client would that trusts the CA in the folder, or else the system's.

    Raises VerificationFailed with the client's words.
    """
    server, authority = server_context(files.certificate, files.key), _trusted(files)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = client_context(authority).wrap_bio(back, there, server_hostname=name)
    server_end = server.wrap_bio(there, back, server_side=True)
    for _ in range(FLIGHTS):
        try:
            client_end.do_handshake()
            return
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise explain(error, name, authority) from None
        with contextlib.suppress(ssl.SSLError):  # if it is no wish for more, the client is told by an alert
            server_end.do_handshake()


def _what_a_client_says(files: ServerFiles) -> Iterator[Finding]:
    for name in inspect_certificate(files.certificate).names:
        if name.startswith("*"):
            continue
        try:
            rehearse(files, name)
        except VerificationFailed as error:
            yield Finding("client-refuses", True, f"A client would say: {error.message}", error.hint)
            return  # the others would say the same


def _trusted(files: ServerFiles) -> Path | None:
    """The CA file that clients of this server are given; None where its certificate is from elsewhere."""
    if not files.authority.is_file():
        return None
    authority = read_certificates(files.authority)[0]
    last = read_certificates(files.certificate)[-1]
    return files.authority if files.is_own or is_issued_by(last, authority) or last == authority else None


def _step(left: timedelta, steps: tuple[int, ...]) -> int:
    return next((days for days in steps if left <= timedelta(days=days)), steps[-1])


def _span(left: timedelta) -> str:
    return f"{left.days} days" if left.days > 1 else f"{left // timedelta(hours=1)} hours"
