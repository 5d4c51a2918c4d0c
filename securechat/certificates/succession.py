"""The CA after this one: a statement that the old CA's key signs over the new CA's certificate, by which those who
trust the old one come to trust the new one without being told by a person. It touches no file.
"""

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.certificates.reading import told_authority
from securechat.errors import VerificationFailed

PURPOSE = b"securechat: the CA after this one\n"
"""What stands before the certificate in what is signed: no other signature of the key, over a certificate, can be taken
for this one."""


def sign_succession(key: ec.EllipticCurvePrivateKey, successor: x509.Certificate) -> str:
    """The old CA's signature over the new CA's certificate: ECDSA with SHA-256, as base64."""
    return base64.b64encode(key.sign(_statement(successor), ec.ECDSA(SHA256()))).decode("ascii")


def proven_successor(trusted: str, told: str, signature: str) -> str:
    """The certificate of the next CA, in PEM form, if one of the trusted ones (PEM) has signed for it.

    Raises VerificationFailed.
    """
    certificate, _ = told_authority(told)
    statement = _statement(x509.load_pem_x509_certificate(certificate.encode()))
    for authority in x509.load_pem_x509_certificates(trusted.encode()):
        try:
            key = authority.public_key()
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(base64.b64decode(signature, validate=True), statement, ec.ECDSA(SHA256()))
                return certificate
        except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, ValueError):
            continue
    raise VerificationFailed("The server names a next CA that the CA in force has not signed for.")


def _statement(successor: x509.Certificate) -> bytes:
    return PURPOSE + successor.public_bytes(Encoding.DER)
