"""An invitation taken up: the password hashed, the invitation decided, the account made, its rooms opened to it.

It runs on a hashing worker's thread and waits for the journal there. It knows no session and no frame.
"""

import logging

from securechat.accounts.authentication import Authenticator
from securechat.accounts.passwords import check_new, hash_password
from securechat.chat.accounts import Account
from securechat.chat.model import Proposal, Redeem, Rejected
from securechat.errors import Code
from securechat.journal.journal import Journal, Submission
from securechat.server.control import OPERATOR, submit

log = logging.getLogger(__name__)


def redeem(journal: Journal, authenticator: Authenticator, claim: Redeem, password: str) -> Account | Rejected:
    """Make the account of an invitation, with this password; takes a hash, about 40 ms.

    The journal says who of several is first, and the account is made after that: where it cannot be made, the
    invitation is used all the same. Raises WeakPassword (the invitation stays open), AlreadyExists, CredentialError,
    and SecurechatError when the journal does not answer.
    """
    check_new(password, claim.account)
    stored = hash_password(password)
    answer = submit(journal, claim)
    if answer.code:
        return Rejected(Code(answer.code), answer.message)
    invitation = journal.view.invitations[claim.secret_hash]
    account = Account(claim.account, invitation.role, "active", stored)
    authenticator.roll.add(account)
    log.info("the invitation of %s was used: the account is made (%s)", account.name, account.role)
    opened = [
        Submission(Proposal("invite", OPERATOR, room, admin=True, target=account.name), None)
        for room in invitation.rooms
    ]
    if opened and not journal.submit(opened):
        log.error("%s could not be made a member of %s", account.name, ", ".join(invitation.rooms))
    return account
