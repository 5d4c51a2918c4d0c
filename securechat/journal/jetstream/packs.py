"""What travels in the stream of a cluster: packs of proposals, each with all that its deciding depends on.

A node publishes what waits as one pack, and the next pack only when the stream has this one: so what an author says
stays in order, however often a pack has to be sent again. It knows no stream and no connection.
"""

import logging
import os
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from msgspec.structs import replace

from securechat.chat.chain import SALT_BYTES
from securechat.chat.model import Change, Proposal, Rejected
from securechat.chat.names import is_id
from securechat.errors import ClusterError, Code
from securechat.journal.journal import Submission, Terms

log = logging.getLogger(__name__)

PACK_BYTES: Final = 65_536
"""No pack is larger: what the protocol grants to a line."""

PACK_PROPOSALS: Final = 1_024
"""As many as are in one commit: a larger pack would only make the first of them wait."""


_FRAME_BYTES: Final = 512
"""More than the pack's own fields and its headers take: the stream counts both."""

ROOM_BYTES: Final = PACK_BYTES - _FRAME_BYTES
"""What proposals may take of it."""


class Pack(msgspec.Struct, frozen=True, array_like=True):
    """What one node had waiting: the node's run (random) and the pack's number in it, and the terms of the deciding."""

    run: bytes
    number: int
    time: int
    text_bytes: int
    proposals: tuple[Proposal | Change, ...]

    @property
    def terms(self) -> Terms:
        """On which every node decides it."""
        return Terms(self.time, self.text_bytes)


class Founding(msgspec.Struct, frozen=True, tag=True):
    """What a stream begins with that goes on from the history of a server, which the digest stands for
    (`journal.state.digest`): no pack, and nothing that a node could take."""

    digest: str


_foundings: Final = msgspec.msgpack.Decoder(Founding)
_decoder: Final = msgspec.msgpack.Decoder(Pack)
_proposals: Final[msgspec.msgpack.Decoder[Proposal | Change]] = msgspec.msgpack.Decoder(Proposal | Change)
_encoder: Final = msgspec.msgpack.Encoder()


def encode(run: bytes, number: int, terms: Terms, proposals: Collection[msgspec.Raw]) -> bytes:
    """Write a pack of what was written of its proposals."""
    return _encoder.encode((run, number, terms.now, terms.text_bytes, proposals))


def decode(data: bytes, sequence: int) -> Pack:
    """Read the stream's entry with this number. Raises ClusterError for what is no pack, or of a newer securechat."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        if decode_founding(data):
            what = f"The cluster's stream goes on from a history (entry {sequence}) that this node does not have."
            raise ClusterError(what, hint="Start it with a home without chat.db, when there is a snapshot.") from None
        what = f"Entry {sequence} of the cluster's stream cannot be read: a newer securechat wrote it, or none did."
        raise ClusterError(what, hint="Upgrade this node, and look who may publish to the stream.") from None


def encode_founding(digest: str) -> bytes:
    """Write what a stream begins with that goes on from this history."""
    return _encoder.encode(Founding(digest))


def decode_founding(data: bytes) -> Founding | None:
    """Read it; None where it is something else."""
    try:
        return _foundings.decode(data)
    except msgspec.MsgspecError:
        return None


def written(submission: Submission, salt: Callable[[int], bytes] = os.urandom) -> msgspec.Raw | Rejected:
    """What is proposed as it travels, or the answer to what cannot: no node could read it, and all would stop at it.

    A text gets its salt here where it has none: once, so that all who decide on it get the same hashes.
    """
    proposal = submission.proposal
    try:
        if isinstance(proposal, Proposal) and proposal.text and not proposal.salt:
            proposal = replace(proposal, salt=salt(SALT_BYTES))
        data = _encoder.encode(proposal)
        _proposals.decode(data)
    except UnicodeEncodeError:  # half of a character, which JSON lets pass
        is_text = not isinstance(proposal, Proposal) or not proposal.id or is_id(proposal.id)
        return Rejected(Code.BAD_TEXT if is_text else Code.BAD_ID, "It holds half of a character (a surrogate).")
    except (msgspec.MsgspecError, TypeError):
        log.error("a bug: no %s can be like this one", type(proposal).__name__)  # noqa: TRY400 - a traceback would quote it
        return Rejected(Code.INTERNAL, "The server failed at this; nothing was stored. Its log says more.")
    if len(data) > ROOM_BYTES:
        return Rejected(Code.BAD_TEXT, f"It is too long: a cluster takes {ROOM_BYTES} bytes.")
    return msgspec.Raw(data)
