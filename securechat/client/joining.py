"""Joining by an invitation: the server is proven by the SHA-256 of its CA, then the account made, and a profile of it.

Its law: no secret leaves before a connection that is verified with the CA of the invitation alone. Whatever breaks
behind that, the same code with the same password leads in: by the invitation, or, where that made the account already,
by a login. It asks nobody anything: who calls knows how.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from securechat.certificates import client_context
from securechat.client.client import SECONDS, Client
from securechat.client.codes import Invited
from securechat.client.entrance import device, keep_session, log_in
from securechat.client.first_contact import proven_authority
from securechat.client.profiles import Profile, Profiles
from securechat.client.timeouts import Timeouts
from securechat.errors import Code, Refused, SecurechatError, Unreachable, VerificationFailed
from securechat.protocols.frames import Welcome

AGAIN: Final = "type the same line again, with the same password."
"""What to do when something broke; any other password is refused then, for it is not the account's."""


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
    invitation (`bad-invitation`), the password (`weak-password`), or `throttled`; SecurechatError where the profile
    cannot be written.
    """
    address = invited.address
    authority = proven_authority(address, invited.fingerprint, timeouts)
    password = choose_password()
    profile = Profile(username=address.username, host=address.host, port=address.port, ca=authority)
    try:
        client = _come_in(invited, authority, password, timeouts)
    except Unreachable as error:
        # The secret may have arrived: then the account is there, and the password is the one that was chosen.
        raise Unreachable(error.message, hint=f"Your account may be there by now: {AGAIN}") from None
    with client:
        try:
            profiles.save(name, profile)
            keep_session(profiles, name, client)
        except SecurechatError as error:
            raise SecurechatError(f"{error} Your account is there.", hint=f"When that is mended, {AGAIN}") from None
        return client.welcome


def _come_in(invited: Invited, authority: str, password: str, timeouts: Timeouts) -> Client:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ca.pem"
        path.write_text(authority)
        context = client_context(path)
        username, host, port = invited.address
        try:
            return Client.redeem(
                host, port, context, username, invited.secret, password,
                device=device(), authority=path, timeouts=timeouts,
            )  # fmt: skip
        except Refused as refused:
            if refused.code != Code.BAD_INVITATION:
                raise
            try:
                return log_in(invited.address, path, password, timeouts=timeouts)
            except SecurechatError:
                raise refused from None
        except VerificationFailed as error:
            raise VerificationFailed(error.message.replace(str(path), "the invitation"), hint=error.hint) from None
