"""A server's own certificate authority, its certificates, and the TLS contexts on both sides.

Issuing is pure (`issuing`, `hosts`), keeping is files under a lock (`authority`, `clients`, `revocations`, `reading`),
proving is OpenSSL's work (`contexts`), telling what is wrong is ours (`checking`, and `explain` for a handshake that
failed). No part of it opens a socket or knows accounts and chat.
"""

from securechat.certificates.authority import Generated, announce_next, generate, use_next
from securechat.certificates.checking import Finding, ServerFiles, findings
from securechat.certificates.contexts import (
    ALPN,
    ClientCheck,
    KeyPair,
    client_context,
    server_context,
    unproven_context,
)
from securechat.certificates.explain import explain
from securechat.certificates.reading import (
    CertificateFacts,
    CertificateFolder,
    PeerCertificate,
    authority_pem,
    inspect_certificate,
    read_peer,
    show_fingerprint,
    split_authorities,
    told_authority,
)
from securechat.certificates.succession import proven_successor

__all__ = [
    "ALPN",
    "CertificateFacts",
    "CertificateFolder",
    "ClientCheck",
    "Finding",
    "Generated",
    "KeyPair",
    "PeerCertificate",
    "ServerFiles",
    "announce_next",
    "authority_pem",
    "client_context",
    "explain",
    "findings",
    "generate",
    "inspect_certificate",
    "proven_successor",
    "read_peer",
    "server_context",
    "show_fingerprint",
    "split_authorities",
    "told_authority",
    "unproven_context",
    "use_next",
]
