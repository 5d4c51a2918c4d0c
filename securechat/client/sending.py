"""Saying something once, for a script that ends then: the room is joined where it has to be, and what cannot be sent
waits in an outbox for a later run. It knows no terminal and no command line.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

from securechat.client import text
from securechat.client.client import Client
from securechat.client.dialogue import MAY_RETURN
from securechat.client.outbox import Line, Outbox
from securechat.client.pending import Pending, Receipt
from securechat.errors import Code, Queued, Refused, SecurechatError, Unreachable
from securechat.limits import CLIENT_OUTBOX
from securechat.protocols.frames import Join, Joined


def say(client: Client, line: Line) -> Receipt:
    """Say it, as a member of the room, and wait until it is stored. Raises what `Client.say` does."""
    reply_to = line.reply_to or None
    try:
        return client.say(line.room, line.text, id=line.id, reply_to=reply_to)
    except Refused as refused:
        if refused.code != Code.NOT_MEMBER:
            raise
    client.request(Join(room=line.room), Joined)
    return client.say(line.room, line.text, id=line.id, reply_to=reply_to)


def say_or_keep(connect: Callable[[], Client], opened: Callable[[], Outbox], line: Line) -> Receipt:
    """Say it behind what waits in the outbox; where that cannot be done now, it waits there too.

    `connect` makes a client on the outbox, `opened` opens it for a moment. Raises Queued where it waits. After any
    other failure it is not in the outbox: it is refused, or the server is not proven.
    """
    with closing(opened()) as outbox:
        _keep(outbox, line)
    try:
        with connect() as client:
            outcomes = {pending.id: outcome for pending, outcome in flush(client)}
            # Another process may have sent it meanwhile: then this is answered with the same number.
            outcome = outcomes.get(line.id) or say(client, line)
            if isinstance(outcome, Refused):
                raise outcome
            return outcome
    except SecurechatError as failure:
        if isinstance(failure, Unreachable) or (isinstance(failure, Refused) and failure.code in MAY_RETURN):
            what = f"{text.name(line.room)} has not got it: {failure.message} It is kept under the id {line.id}."
            raise Queued(what, hint="Send it with: securechat outbox flush") from None
        with closing(opened()) as outbox:
            outbox.drop(line.id)
        raise


def flush(client: Client) -> Iterator[tuple[Pending, Receipt | Refused]]:
    """Send what waits in the client's outbox, also what was refused before; tells of each line what became of it.

    Raises Unreachable, and what else ends the client; what has not been told of then is kept.
    """
    for pending in client.left_over:
        line = Line(pending.id, pending.room, pending.text, pending.request.reply_to or 0)
        try:
            yield pending, say(client, line)
        except Refused as refused:
            yield pending, refused


def _keep(outbox: Outbox, line: Line) -> None:
    lines = outbox.lines()
    twin = next((one for one in lines if one.id == line.id), None)
    if twin is not None and (twin.room, twin.text) != (line.room, line.text):
        raise Refused(f"Something else waits in the outbox under the id {line.id}.", code=Code.ID_REUSED)
    if twin is None and len(lines) >= CLIENT_OUTBOX:
        hint = "Send them with: securechat outbox flush"
        raise SecurechatError(f"{len(lines)} lines wait in the outbox already.", hint=hint)
    if twin is None or twin.code:
        outbox.add(line)
