"""Joining by an invitation: the server is proven by the SHA-256 of its CA, then the account made, and a profile of it.

Its law: no secret leaves before a connection that is verified with the CA of the invitation alone. It asks nobody
anything: who calls knows how.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from securechat.certificates import client_context
from securechat.client.client import SECONDS, Client
from securechat.client.codes import Invited
from securechat.client.entrance import device, keep_session
from securechat.client.first_contact import proven_authority
from securechat.client.profiles import Profile, Profiles
from securechat.client.timeouts import Timeouts
from securechat.errors import Unreachable, VerificationFailed
from securechat.protocols.frames import Welcome


def join(
    profiles: Profiles,
    name: str,
    invited: Invited,
    choose_password: Callable[[], str],
    timeouts: Timeouts = SECONDS,
) -> Welcome:
    """Take up an invitation and save the server as the profile of this name, with a session.

    `choose_password` is called once the server is known to have the CA of the invitation. Raises VerificationFailed for
    any other server (it got the question which CA it has, and nothing else), Unreachable, and Refused: for the
    invitation (`bad-invitation`), the password (`weak-password`), or `throttled`.
    """
    address = invited.address
    authority = proven_authority(address, invited.fingerprint, timeouts)
    password = choose_password()
    profile = Profile(username=address.username, host=address.host, port=address.port, ca=authority)
    try:
        with _redeem(invited, authority, password, timeouts) as client:
            profiles.save(name, profile)
            keep_session(profiles, name, client)
            return client.welcome
    except Unreachable as error:
        # The secret may have arrived: then the account is there, and the password is the one that was chosen.
        profiles.save(name, profile)
        raise Unreachable(error.message, hint="If the account was made by then: securechat login.") from None


def _redeem(invited: Invited, authority: str, password: str, timeouts: Timeouts) -> Client:
    address = invited.address
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ca.pem"
        path.write_text(authority)
        context = client_context(path)
        try:
            return Client.redeem(
                address.host,
                address.port,
                context,
                address.username,
                invited.secret,
                password,
                device=device(),
                authority=path,
                timeouts=timeouts,
            )
        except VerificationFailed as error:
            raise VerificationFailed(error.message.replace(str(path), "the invitation"), hint=error.hint) from None
