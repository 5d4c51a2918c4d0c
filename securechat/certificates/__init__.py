"""A server's own certificate authority, its certificates, and the TLS contexts on both sides.

Issuing is pure (`issuing`, `hosts`), keeping is files under a lock (`authority`, `reading`), proving is OpenSSL's work
(`contexts`) and saying what failed is ours (`explain`). No part of it opens a socket or knows accounts and chat.
"""

from securechat.certificates.authority import Generated, announce_next, generate, use_next
from securechat.certificates.contexts import ALPN, client_context, server_context, unproven_context
from securechat.certificates.explain import explain
from securechat.certificates.reading import (
    CertificateFacts,
    CertificateFolder,
    authority_pem,
    inspect_certificate,
    show_fingerprint,
    split_authorities,
    told_authority,
)
from securechat.certificates.succession import proven_successor

__all__ = [
    "ALPN",
    "CertificateFacts",
    "CertificateFolder",
    "Generated",
    "announce_next",
    "authority_pem",
    "client_context",
    "explain",
    "generate",
    "inspect_certificate",
    "proven_successor",
    "server_context",
    "show_fingerprint",
    "split_authorities",
    "told_authority",
    "unproven_context",
    "use_next",
]
