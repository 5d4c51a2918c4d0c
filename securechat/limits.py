"""Every protective number: its name, its unit, its reason.

Constants are part of the protocol or of a file's format. `Limits` holds what an operator or a test may set.
This file knows nothing of who enforces a number.
"""

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

NAME_LENGTH: Final = 32
"""Characters in a username; it must fit beside a message on a narrow terminal."""

ROOM_NAME_LENGTH: Final = 64
"""Characters in a room's name."""

ID_LENGTH: Final = 64
"""Characters in a request's `id` and in its `ref`; a ULID has 26, a UUID 36."""

TOPIC_BYTES: Final = 512
"""Bytes in a room's topic; it is one line above the conversation."""

TOKENS_PER_ACCOUNT: Final = 20
"""Session tokens of one account: more devices than a person has; past it, the oldest is revoked."""

CURSORS_PER_ACCOUNT: Final = 256
"""Cursors that consumers of one account keep, all rooms together: more bots and rooms than anybody runs as one
account. Past it a new one is refused, because to forget an old one would lose messages."""

INVITATIONS: Final = 1_000
"""Invitations that a server remembers. Past it the oldest that is no longer open is forgotten, and where all are open,
no other is issued."""

BANS_PER_ROOM: Final = 1_000
"""Accounts that can be banned from one room at a time: far more than a moderator deals with. Past it another ban is
refused, because to forget an old one would let somebody in."""

SANCTION_DAYS: Final = 3_650
"""The longest time of a ban or a mute, in days; what is to be longer is for good, until it is lifted."""

INVITATION_DAYS: Final = 365
"""The longest that an invitation can be taken up, in days: whoever finds the code later finds nothing."""

EXPIRED_AT_ONCE: Final = 500
"""Records that one expiry erases at most: a few milliseconds, so that nobody waits for it."""

DEVICE_LENGTH: Final = 64
"""Characters in a device's name."""

PASSWORD_MIN_BYTES: Final = 15
"""Bytes in a new password: NIST SP 800-63B-4 asks for 15 where the password is the only factor."""

PASSWORD_MAX_BYTES: Final = 1024
"""Bytes in any password, checked before it is hashed: hashing cost must not grow with what a stranger sends."""

HASH_MEMORY_MAX: Final = 65_536
"""KiB that a stored password hash may ask for: three times what new ones take. The library would obey any number."""

HASH_PASSES_MAX: Final = 10
"""Passes over that memory that a stored password hash may ask for."""

CREDENTIAL_LINE_BYTES: Final = 512
"""Bytes of a line of the credential file; the longest account, with 64 bytes of salt and of tag, has 254."""

ACCOUNT_FAILURES_FREE: Final = 4
"""Failed logins of an account, wherever they come from, before it is slowed: people try what it may have been."""

THROTTLE_FORGET_SECONDS: Final = 900.0
"""Without another failure, until those before are forgotten."""

THROTTLE_ROWS: Final = 10_000
"""Addresses and accounts whose failed logins are remembered; past it, those longest quiet are forgotten early."""

BAD_LINES: Final = 16
"""Bad lines in a row before the connection is closed: a client that sends nothing else costs more than it is worth,
and the answers are longer than what they answer."""

PAGE_RECORDS: Final = 500
"""Records in one page of history, at most."""

SEARCH_LENGTH: Final = 256
"""Characters in what is searched for; nobody types more, and each costs work."""

SEARCH_HITS: Final = 100
"""Records in the answer to one search, at most."""

PRESENCE_MEMBERS: Final = 256
"""Members of a room up to which they are told who comes and goes: in larger rooms it would be most of the traffic."""

WHEREABOUTS_SECONDS: Final = 5.0
"""Between two times that a node of a cluster says who is connected to it, where nothing changes."""

WHEREABOUTS_LIFE_SECONDS: Final = 3 * WHEREABOUTS_SECONDS
"""For how long that counts: a node that was not heard of three times is gone, or nobody can reach it."""

WHEREABOUTS_ACCOUNTS: Final = 20_000
"""Accounts that a node says are connected to it: with their sessions they fit into a message of NATS (1 MiB)."""

WHEREABOUTS_NODES: Final = 64
"""Nodes whose word is kept: many times as many as a cluster has."""

SAFE_INTEGER: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly (RFC 8259, section 6)."""

ROOMS_PER_REQUEST: Final = 1_000
"""Rooms named in one `sync` request."""

NODES: Final = 16
"""Nodes that a `welcome` lists and a client keeps; what is beyond is not tried. Three or five are common."""

PLACE_LENGTH: Final = 261
"""Characters of a node's `HOST:PORT`: the longest DNS name (RFC 1035, 2.3.4), or an IPv6 address, and a port."""

EVENT_LINE_BYTES: Final = 16_777_216
"""A line from the server, as a client takes it, its newline included: the longest is a list of all rooms, and
100,000 rooms fit; what a hostile server can make a client keep is bounded."""


CLIENT_EVENTS: Final = 1_024
"""Events that a client has heard and its user has not taken; past it, the client reads no more until some are taken."""

CLIENT_IN_FLIGHT: Final = 64
"""Lines that a client has sent and the server has not answered; past it, whoever says the next one waits.
Enough to keep a fast connection busy, and a quarter of what a server takes."""

CLIENT_OUTBOX: Final = 1_024
"""Lines that a client keeps until they are stored, sent or not; past it, whoever says the next one waits. More than a
person types in an hour without a connection, and 16 MiB of the longest."""

LOG_LINES: Final = 10_000
"""Log lines that wait for a slow stderr; past it, lines are lost rather than chat delayed, and the loss is told."""

AUDIT_ENTRIES: Final = 10_000
"""Acts that wait to be written to the audit log; past it, they are lost rather than chat delayed, and counted."""

AUDIT_FIELD_LENGTH: Final = 500
"""Characters of one field of the audit log; what is longer is cut."""

AUDIT_FILE_BYTES: Final = 16_777_216
"""Bytes of one file of the audit log, about 60,000 lines; then it is put aside, and another goes on from it."""

AUDIT_LINE_BYTES: Final = 16_384
"""The longest line of the audit log: its fields and a hash fit, also where every character needs an escape."""

BACKUP_PART_BYTES: Final = 67_108_864
"""Bytes of any file in a backup but the store: the credentials of 100,000 accounts and more."""

SNAPSHOT_SECONDS: Final = 21_600.0
"""How old the newest snapshot of a cluster's store becomes, about, before a node makes another: six hours. Two are
kept, so that a text that was deleted is in none half a day later; a copy of the store and its way to NATS are seconds
of work (measured: less than one for 200,000 records)."""

SNAPSHOT_ENTRIES: Final = 200_000
"""How many entries of the stream the newest snapshot may lack, about, before a node makes another: a new node
reads them in a quarter of a minute (measured, with one message to an entry)."""

HTTP_CONNECTIONS: Final = 16
"""Requests over HTTP at once; past it, connections are closed unanswered: a few machines ask, each now and then."""

HTTP_HEAD_BYTES: Final = 16_384
"""Bytes of an HTTP request but for its body; past it, 431."""

HTTP_SECONDS: Final = 5.0
"""For an HTTP request to arrive whole; past it, it is hung up on."""

HOOKS: Final = 1_000
"""Webhooks of a server; past it, no other is made. Each request compares its token with all of them."""

HOOK_BURST: Final = 30
"""Messages that a webhook may send at once; past it, one every HOOK_SECONDS, and 429 for the rest: a build that fails
in thirty places is told, a loop is stopped."""

HOOK_SECONDS: Final = 1.0
"""Seconds in which a webhook may send one more message, once its burst is used up."""

HTTP_DISCARDED_BYTES: Final = 1_048_576
"""What is read and thrown away of an HTTP request that is refused, so that its sender hears why."""

Count: TypeAlias = Annotated[int, Meta(ge=1, le=SAFE_INTEGER)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=1_000_000)]
"""Eleven days at most: epoll counts milliseconds in 31 bits, and infinity is no deadline."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server grants to its peers; times in seconds, sizes in bytes."""

    line_bytes: Count = 65_536
    """A line of the protocol, its newline included: four times the longest text, for escapes and the other fields."""

    text_bytes: Count = 16_384
    """A message's text in UTF-8; longer things are files."""

    handshake_seconds: Seconds = 5.0
    """From accept to the end of the TLS handshake; it takes two round trips and a millisecond of work."""

    login_seconds: Seconds = 20.0
    """From the end of the handshake to a login that succeeded."""

    login_failures: Count = 3
    """Failed logins on one connection before it is closed."""

    login_waits: tuple[Seconds, ...] = (2.0, 4.0, 8.0, 15.0)
    """What an address waits after its first failed login, its second and so on, over all its connections, and an
    account from its fifth; `throttled` until then. The last one holds from there on; none is no waiting at all."""

    strangers: Count = 64
    """Connections that have not logged in. While there are so many, the next wait in the system's queue, and those that
    take longer than `crowded_seconds` are dropped, unless their password is being checked. Who is logged in is never
    dropped for them."""

    strangers_per_address: Count = 8
    """The same from one address (IPv6: one /64); past it, the next is closed at once."""

    crowded_seconds: Seconds = 2.0
    """For handshake and login while there are too many strangers: an honest client needs a tenth of it."""

    frame_seconds: Seconds = 10.0
    """From the first byte of a line to its last; a line that drips in is an attack."""

    ping_seconds: Seconds = 90.0
    """Silence after which the server asks whether the peer is there."""

    idle_seconds: Seconds = 150.0
    """Silence after which the peer is gone: a ping without an answer for a minute, in which its system took nothing
    that was sent to it either. Who takes something is slow, and stays."""

    close_seconds: Seconds = 1.0
    """For the last bytes and the TLS goodbye when a connection is closed."""

    connections: Count = 20_000
    """Connections at once; the descriptor limit of the process may be lower and then wins."""

    queue_bytes: Count = 1_048_576
    """Waiting to be written to one connection. Past it, its subscriptions stop being live and read on from the store
    when it has drained, and its requests are not read until then."""

    send_buffer_bytes: Annotated[int, Meta(ge=4_096, le=2**30)] = 131_072
    """Written to one connection and kept by the system until the peer's has taken it (SO_SNDBUF; Linux grants twice as
    much, for its own bookkeeping too). Past it, what is written waits in the connection's queue. Left to itself Linux
    goes up to 4 MiB: 10,000 slow readers could hold 40 GB of it, and a ping would wait behind all that. A burst to a
    thousand readers never fills it (measured), and one reader who is 100 ms away can have 2 MB a second."""

    requests_a_second: Count = 10_000
    """Requests of one session that is logged in, each second, and twice as many at once; past it, `too-many-requests`,
    and nothing is recorded. Far above what people type, and above what a program gets answered on most disks: it keeps
    one session from taking all of a reactor."""

    in_flight: Count = 256
    """Proposals of one connection that the journal has not answered; past it, the connection is not read."""

    in_flight_bytes: Count = 262_144
    """Text in those proposals; past it, the connection is not read."""

    journal_proposals: Count = 65_536
    """Proposals that wait for the journal; past it, `too-many-requests`."""

    batch_records: Count = 1_024
    """Proposals in one commit: enough to make one fsync cheap for each, few enough to answer the first soon."""

    pace_seconds: Seconds = 0.25
    """How long the journal waits for the reactors to write out a batch before it takes the next:
    what arrives meanwhile is one larger batch. Thousands of readers are written to in that time, on a busy machine too;
    one stuck reactor holds up nobody for longer."""

    gather_seconds: Seconds = 0.003
    """How long the journal waits, at most, for a batch to become as large as those before it; an eighth of the time
    that the last one took, where that is more. Those who all talk at once share a commit; who speaks alone waits for
    nobody."""

    page_bytes: Count = 131_072
    """Encoded records read from the store at a time for one reader that catches up, or one `history`. With twice as
    much those who are behind are level no sooner, and whoever talks meanwhile is heard later (measured)."""

    hash_workers: Count = 2
    """Passwords hashed at once; each takes 19 MiB."""

    hash_queue: Count = 16
    """Logins waiting for a hashing worker; past it, `throttled` at once."""

    read_queue: Count = 50_000
    """Reads waiting for the reading worker: more than two a connection, which has at most one of history and one of
    catching up in it; past it, `too-many-requests`."""

    search_queue: Count = 1_000
    """Searches waiting for the searching worker; past it, `too-many-requests`."""

    shared_bytes: Count = 33_554_432
    """Pages that were read for somebody who catches up and are kept in memory, encoded, so that many who come back at
    once read them once; that which nobody has asked for in the longest time is forgotten first."""

    stop_seconds: Seconds = 4.0
    """From SIGTERM to the end, whatever the peers do."""
