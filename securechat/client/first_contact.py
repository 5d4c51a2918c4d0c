"""The first contact with a server of which only the SHA-256 of its CA is known: it is asked for its CA, on a connection
that proves nothing, and what it says is compared.

Its law: on this connection one question is asked, `authority`, and nothing else is ever sent. What is believed in the
end is the certificate with that SHA-256, and no word of the server's.
"""

import contextlib
import hmac
import socket
import ssl
import time
from typing import Final

from securechat.certificates import explain, show_fingerprint, told_authority, unproven_context
from securechat.client import text
from securechat.client.address import Address
from securechat.client.timeouts import Timeouts
from securechat.errors import ProtocolError, SecurechatError, Unreachable, VerificationFailed
from securechat.protocols.frames import Authority, AuthorityCertificate, Bye, Error
from securechat.protocols.native import NativeClientProtocol

HEARD_BYTES: Final = 65_536
"""What is heard before the answer, at most: a greeting and a certificate of 1 KiB."""


def proven_authority(address: Address, fingerprint: bytes, timeouts: Timeouts) -> str:
    """The certificate, in PEM form, of the server's CA with this SHA-256.

    Raises VerificationFailed, with both fingerprints, for a server with another CA, and Unreachable for one that does
    not answer, or has none.
    """
    certificate, told = told_authority(ask_for_authority(address, timeouts))
    if not hmac.compare_digest(told, fingerprint):
        raise VerificationFailed(
            f"{address} is not the server of this invitation: its CA has the SHA-256 {show_fingerprint(told)}, and the "
            f"invitation is for {show_fingerprint(fingerprint)}.",
            hint="Nothing was sent to it. Ask whoever invited you, on another way than this.",
        )
    return certificate


def ask_for_authority(address: Address, timeouts: Timeouts) -> str:
    """What a server that is not proven answers to `authority`. Raises Unreachable and VerificationFailed."""
    deadline = time.monotonic() + timeouts.greet
    try:
        with (
            socket.create_connection((address.host, address.port), timeouts.connect) as raw,
            _wrap(raw, address, timeouts) as tls,
        ):
            tls.sendall(NativeClientProtocol.encode(Authority()))
            answer = _answer(tls, address, deadline)
            with contextlib.suppress(OSError):
                tls.unwrap()
            return answer
    except ssl.SSLEOFError:
        raise Unreachable(f"{address} closed the connection.", hint="Try again later.") from None
    except ssl.SSLError as error:
        raise explain(error, address.host, None) from None
    except (socket.gaierror, UnicodeError):
        raise Unreachable(
            f"There is no address for {address.host}.", hint="Is the invitation for this network?"
        ) from None
    except TimeoutError:
        raise Unreachable(f"{address} does not answer.", hint="Try again later.") from None
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise Unreachable(f"{address} cannot be reached: {why}.", hint="Is the server running?") from None


def _wrap(raw: socket.socket, address: Address, timeouts: Timeouts) -> ssl.SSLSocket:
    raw.settimeout(timeouts.greet)
    return unproven_context().wrap_socket(raw, server_hostname=address.host, suppress_ragged_eofs=False)


def _answer(tls: ssl.SSLSocket, address: Address, deadline: float) -> str:
    protocol, heard = NativeClientProtocol(), 0
    while heard <= HEARD_BYTES and (left := deadline - time.monotonic()) > 0:
        tls.settimeout(left)
        data = tls.recv(HEARD_BYTES)
        if not data:
            raise Unreachable(f"{address} closed the connection.", hint="Try again later.")
        heard += len(data)
        try:
            events = protocol.receive(data)
        except ProtocolError:
            raise Unreachable(f"{address} does not speak the securechat protocol.") from None
        for event in events:
            if isinstance(event, AuthorityCertificate):
                return event.certificate
            if isinstance(event, Error | Bye):
                raise _refused(address, event)
    raise Unreachable(f"{address} does not say which CA it has.", hint="Its securechat may be an older one.")


def _refused(address: Address, event: Error | Bye) -> SecurechatError:
    return Unreachable(f"{address} does not say which CA it has: {text.line(event.message)}")
