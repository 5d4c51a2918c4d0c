"""The way in by a profile: with its token, or with a password where there is none or it is worth nothing any more; what
comes of it is kept in the profile. It asks nobody anything: who calls knows how.
"""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from securechat.certificates import KeyPair, client_context, proven_successor, split_authorities, told_authority
from securechat.certificates.issuing import certificate_pem
from securechat.certificates.reading import read_certificates
from securechat.client.address import Address
from securechat.client.client import SECONDS, Client
from securechat.client.profiles import Profile, Profiles
from securechat.client.timeouts import Timeouts
from securechat.errors import Code, Refused, SecurechatError, Unreachable, VerificationFailed
from securechat.limits import DEVICE_LENGTH
from securechat.protocols.frames import Authority, AuthorityCertificate

Ask = Callable[[str], str]
"""Gets the password of the account that it is given, like `alice@localhost:7443`, from the person."""


def enter(
    profiles: Profiles,
    name: str,
    ask: Ask,
    *,
    password: str | None = None,
    outbox: Path | None = None,
    timeouts: Timeouts = SECONDS,
) -> Client:
    """Connect by the profile of this name; the pinned CA alone is trusted where there is one.

    A `password` that is given makes a new session; else the token is used, and where it is not in force, what the
    profile's `password_command` says, or what `ask` returns. Raises what `Client.connect` does, NotFound for a profile
    that is not there, and SecurechatError for one that cannot be used.
    """
    profile = profiles.get(name)
    if password is None:
        try:
            return resume(profiles, name, outbox=outbox, timeouts=timeouts)
        except Refused as refused:
            if refused.code != Code.BAD_CREDENTIALS:
                raise

    def asked(account: str) -> str:
        return profile.ask_manager() or ask(account)

    authority = trusted(profiles.path(name), profile)
    client = log_in(
        profile.address,
        authority,
        password or asked,
        shown=shown(profile),
        nodes=profile.nodes,
        outbox=outbox,
        timeouts=timeouts,
    )
    keep_session(profiles, name, client)
    follow(profiles, name, client)
    return client


def resume(profiles: Profiles, name: str, *, outbox: Path | None = None, timeouts: Timeouts = SECONDS) -> Client:
    """Come back with the token of this profile.

    Raises Refused with `bad-credentials` where it is not in force, or there is none; and what `enter` does.
    """
    profile, token = profiles.get(name), profiles.token(name)
    if not token:
        raise Refused(f"Profile {name} has no session.", code=Code.BAD_CREDENTIALS, hint="Log in: securechat login.")
    authority = trusted(profiles.path(name), profile)
    client = Client.resume(
        profile.host,
        profile.port,
        client_context(authority, shown(profile)),
        profile.username,
        token,
        authority=authority,
        nodes=profile.nodes,
        outbox=outbox,
        timeouts=timeouts,
    )
    _keep_nodes(profiles, name, client)
    follow(profiles, name, client)
    return client


def log_in(
    address: Address,
    authority: Path | None,
    password: str | Ask,
    *,
    shown: KeyPair | None = None,
    nodes: tuple[str, ...] = (),
    outbox: Path | None = None,
    timeouts: Timeouts = SECONDS,
) -> Client:
    """Make a new session; `authority` is the CA to trust, None for the system's, and `shown` a client certificate.

    `nodes` are tried where there is nobody at the address. Raises what `Client.connect` does.
    """
    context = client_context(authority, shown)
    return Client.connect(
        address.host,
        address.port,
        context,
        address.username,
        password if isinstance(password, str) else password(f"{address.username}@{address}"),
        device=device(),
        authority=authority,
        nodes=nodes,
        outbox=outbox,
        timeouts=timeouts,
    )


def keep_session(profiles: Profiles, name: str, client: Client) -> None:
    """Keep the token of the session that this client has just begun, and the nodes that it was told of.

    Raises SecurechatError when it got no token.
    """
    if not client.welcome.token:
        client.close()
        raise SecurechatError("The server gave no token for this session.", hint="Its disk may be full; try again.")
    profiles.keep_token(name, client.welcome.token)
    _keep_nodes(profiles, name, client)


def _keep_nodes(profiles: Profiles, name: str, client: Client) -> None:
    # With the system's CAs, a server that was broken into once could name any host that has a certificate for itself,
    # for good. A CA that is pinned vouches for the nodes of this chat alone.
    if profiles.get(name).ca:
        profiles.keep_nodes(name, client.nodes)


def trusted(path: Path, profile: Profile) -> Path | None:
    """The file with the CA that the profile at `path` trusts, itself; None for the system's CAs."""
    return path if profile.ca else None


def shown(profile: Profile) -> KeyPair | None:
    """The client certificate of this profile. Raises SecurechatError where half of it is named."""
    if bool(profile.certificate) != bool(profile.key):
        raise SecurechatError("The profile names a client certificate without its key, or a key without it.")
    return KeyPair(Path(profile.certificate), Path(profile.key)) if profile.certificate else None


def pin(authority: Path | None) -> str:
    """The CA in a file as a profile keeps it; empty where none is named. Raises CertificateError."""
    if authority is None:
        return ""
    return "".join(certificate_pem(certificate).decode() for certificate in read_certificates(authority))


def device() -> str:
    """What this machine's sessions are called."""
    name = "".join(char for char in socket.gethostname() if char.isprintable())
    return name[:DEVICE_LENGTH]


def follow(profiles: Profiles, name: str, client: Client) -> None:
    """Move the profile of this client along when its server's CA is replaced: on the word of a CA that it trusts.

    While the next CA is announced both are pinned, and afterwards the one in force alone. A word that does not hold,
    and a server that does not answer, change nothing.
    """
    profile, welcome = profiles.get(name), client.welcome
    if not profile.ca:
        return
    pinned = split_authorities(profile.ca)
    with contextlib.suppress(VerificationFailed, Unreachable, Refused):
        if welcome.next_ca:
            successor = proven_successor(profile.ca, welcome.next_ca, welcome.next_ca_signature)
            kept = [*pinned, successor] if successor not in pinned else pinned
        elif len(pinned) > 1:
            in_force, _ = told_authority(client.request(Authority(), AuthorityCertificate).certificate)
            kept = [in_force] if in_force in pinned else pinned
        else:
            kept = pinned
        if kept != pinned:
            profiles.pin(name, "".join(kept))
