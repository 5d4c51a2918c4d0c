"""The state as the batch that is being decided sees it: what is committed, and over it what the batch adds.

It becomes true only when the store has committed it; thrown away, it leaves no trace. It decides nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

import msgspec
from msgspec.structs import replace

from securechat.accounts.tokens import fingerprint
from securechat.chat import chain, changes, invitations, rules, sanctions
from securechat.chat.accounts import Account, Hook, SetAccount, SetHook
from securechat.chat.model import (
    Barrier,
    Change,
    Expire,
    Forget,
    Grant,
    Impose,
    Invitation,
    Issue,
    Lift,
    Mark,
    Proposal,
    Record,
    Redeem,
    Revoke,
    RevokeInvitation,
    Room,
    Sanction,
    Token,
)
from securechat.chat.names import is_id
from securechat.journal.grounds import Archive, Before
from securechat.limits import TOKENS_PER_ACCOUNT


class Membership(msgspec.Struct, frozen=True):
    """A membership that a batch began or ended; `after` is the room's `seq` just before the record that did it."""

    room: str
    account: str
    after: int


class Revoked(msgspec.Struct, frozen=True):
    """A token that is in force no more, and whose it was."""

    token_hash: bytes
    account: str


class Draft:
    """One batch's state for `chat.rules` and `chat.changes`, and what it adds to the state before.

    What the `proposals` will ask of the archive is looked up at once; `salt` gives so many random bytes.
    """

    def __init__(
        self,
        before: Before,
        archive: Archive,
        proposals: Iterable[Proposal | Change],
        salt: Callable[[int], bytes],
    ) -> None:
        self.text_bytes = 0
        """The longest text, in bytes of UTF-8: set for each proposal, which brings the limit that it is decided by."""
        self.rooms: dict[str, Room] = {}
        """Each room that changed, as it is after the batch."""
        self.records: dict[str, list[Record]] = {}
        """New records by room, in order."""
        self.members: dict[tuple[str, str], bool] = {}
        """By room and account: whether it is a member after the batch, where the batch changed that."""
        self.gained: list[Membership] = []
        self.lost: list[Membership] = []
        self.deleted: set[tuple[str, int]] = set()
        """Room and number of each message whose text, and that of its edits, is erased."""
        self.expired: dict[str, int] = {}
        """By room: up to which number its records are gone."""
        self.marks: dict[tuple[str, str], Mark] = {}
        """By account and place: the read markers and the consumers' cursors that moved, to 0 where they went."""
        self.tokens: dict[bytes, Token | None] = {}
        """By hash: the tokens that came, and None for those that went."""
        self.holders: dict[str, tuple[bytes, ...]] = {}
        """By account: the hashes of its tokens, where they changed."""
        self.revoked: list[Revoked] = []
        self.invitations: Mapping[bytes, Invitation] = before.invitations
        """All that are remembered after the batch, by the hashes of their secrets, the oldest first."""
        self.invited: dict[bytes, Invitation | None] = {}
        """Those of them that changed, and None for those that are forgotten."""
        self.sanctions: Mapping[sanctions.Key, Sanction] = before.sanctions
        """All that are remembered, as the batch has left them so far."""
        self.sanctioned: dict[sanctions.Key, Sanction | None] = {}
        """Those that the batch imposed, and None for those it lifted."""
        self.accounts: Mapping[str, Account] = before.accounts
        """All that a cluster shares, as the batch has left them so far."""
        self._roll: dict[str, Account] = {}
        """The same, once one has changed: copied once a batch, for a node brings thousands along at its first start."""
        self.enrolled: dict[str, Account | None] = {}
        """Those that changed, and None for those that are gone."""
        self.hooks: Mapping[str, Hook] = before.hooks
        self.hooked: dict[str, Hook | None] = {}
        """The same of the webhooks."""
        self._before = before
        self._archive = archive
        self._salt = salt
        ids: set[tuple[str, str]] = set()
        numbers: set[tuple[str, int]] = set()
        for proposal in proposals:
            if isinstance(proposal, Proposal):
                if is_id(proposal.id):
                    ids.add((proposal.author, proposal.id))
                if proposal.about and self._has(proposal.room, proposal.about):
                    numbers.add((proposal.room, proposal.about))
        self._recorded = archive.recorded(ids)
        self._named = archive.named(numbers)

    # --- what the rules ask -------------------------------------------------------------------------

    def room(self, name: str) -> Room | None:
        """The room with this key, with all that the batch did to it so far."""
        return self.rooms.get(name) or self._before.rooms.get(name)

    def recorded(self, author: str, id: str) -> Record | None:
        """What the author had recorded under this `id`, in this batch or ever; expired records are forgotten."""
        record = self._recorded.get((author, id))
        if record is None or record.seq <= self.expired.get(record.room, 0):
            return None
        return self._as_it_is(record)

    def record(self, room: str, seq: int) -> Record | None:
        """The record with this number, as the batch has left it so far."""
        if not self._has(room, seq):
            return None
        key = (room, seq)
        if key not in self._named:
            self._named |= self._archive.named((key,))
        record = self._named[key]
        return None if record is None else self._as_it_is(record)

    def mark(self, account: str, place: str) -> int:
        """Up to where the account, or a consumer of it, has read (`Mark.place`); 0 where it never said."""
        moved = self.marks.get((account, place))
        return moved.seq if moved else self._before.marks_of.get(account, {}).get(place, 0)

    def cursors(self, account: str) -> frozenset[str]:
        """The places where consumers of the account have a cursor."""
        places = {*self._before.marks_of.get(account, ()), *(where for who, where in self.marks if who == account)}
        return frozenset(place for place in places if "/" in place and self.mark(account, place))

    def tokens_of(self, account: str) -> tuple[bytes, ...]:
        """The hashes of the account's tokens, the oldest first."""
        mine = self.holders.get(account)
        return self._before.tokens_of.get(account, ()) if mine is None else mine

    # --- what was decided ---------------------------------------------------------------------------

    def add(self, record: Record) -> Record:
        """Give the record its salt and its hash, and let what follows in the batch see it."""
        before = self.room(record.room)
        if record.text and not record.salt:
            record = replace(record, salt=self._salt(chain.SALT_BYTES))
        previous = chain.start(record.room) if before is None else before.hash
        record = replace(record, hash=chain.link_record(previous, record))
        self.rooms[record.room] = rules.apply(before, record)
        self.records.setdefault(record.room, []).append(record)
        self._named[record.room, record.seq] = record
        if record.kind != "say" or record.seq == 1:  # nearly all say something, and bring nobody in
            self._note_members(record)
        if record.id:
            self._recorded[record.sender, record.id] = record
        if record.kind == "delete":
            self.deleted.add((record.room, record.about))
        return record

    def _note_members(self, record: Record) -> None:
        for account in rules.gained(record):
            self.members[record.room, account] = True
            self.gained.append(Membership(record.room, account, record.seq - 1))
        for account in rules.lost(record):
            self.members[record.room, account] = False
            self.lost.append(Membership(record.room, account, record.seq - 1))

    def change(self, change: Change, now: int) -> None:
        """Let what follows in the batch see this change; `now` is milliseconds since 1970 UTC."""
        match change:
            case Mark():
                self.marks[change.account, change.place] = change
            case Forget():
                for room in changes.forgotten(change, self.cursors(change.account)):
                    self.change(Mark(change.account, room, 0, change.consumer), now)
            case Grant():
                self._stamp(change.account, change.fingerprint)
                self.tokens[change.token_hash] = Token(change.account, change.device, now, change.fingerprint)
                mine = (*self.tokens_of(change.account), change.token_hash)
                self._hold(change.account, mine[-TOKENS_PER_ACCOUNT:], gone=mine[:-TOKENS_PER_ACCOUNT])
            case Revoke():
                mine = self.tokens_of(change.account)
                gone = changes.revoked(change, mine)
                self._hold(change.account, tuple(held for held in mine if held not in gone), gone=gone)
                self._stamp(change.account, change.fingerprint)
            case Barrier():
                pass  # that it is decided is all that it is for
            case Expire():
                self._expire(change.room, change.upto)
            case Issue() | Redeem() | RevokeInvitation():
                others = invitations.changed(self, change, now)
                self.invited |= others
                after = dict(self.invitations) | others
                self.invitations = {key: one for key, one in after.items() if one is not None}
            case Impose() | Lift():
                self._sanction(change, now)
            case SetAccount():
                self._enrol(change)
            case SetHook():
                self.hooked[change.name] = change.after
                rest = {name: one for name, one in self.hooks.items() if name != change.name}
                self.hooks = rest if change.after is None else {**rest, change.name: change.after}
            case _:
                assert_never(change)

    @property
    def is_news(self) -> bool:
        """Whether anything is to be written."""
        changed = self.rooms or self.marks or self.tokens or self.invited or self.sanctioned
        return bool(changed or self.enrolled or self.hooked)

    def settle(self) -> dict[str, list[Record]]:
        """The new records by room, as the whole batch has left them."""
        if self.deleted:
            self.records = {name: [self._as_it_is(one) for one in records] for name, records in self.records.items()}
        return self.records

    def _has(self, name: str, seq: int) -> bool:
        room = self.room(name)
        return room is not None and room.base < seq <= room.head

    def _hold(self, account: str, kept: tuple[bytes, ...], gone: tuple[bytes, ...]) -> None:
        self.holders[account] = kept
        for token_hash in gone:
            self.tokens[token_hash] = None
            self.revoked.append(Revoked(token_hash, account))

    def _stamp(self, account: str, fingerprint: bytes) -> None:
        for held in self.tokens_of(account) if fingerprint else ():
            token = self.tokens.get(held) or self._before.tokens[held]
            if token.fingerprint != fingerprint:
                self.tokens[held] = replace(token, fingerprint=fingerprint)

    def _enrol(self, change: SetAccount) -> None:
        before, after, name = change.before, change.after, change.name
        if not self.enrolled:
            self.accounts = self._roll = dict(self.accounts)
        self.enrolled[name] = after
        if after is None:
            del self._roll[name]
        else:
            self._roll[name] = after
        if before is None or not before.ends_as(after):
            return
        if not change.rehashed:
            mine = self.tokens_of(name)
            kept = tuple(held for held in mine if held == change.kept)
            self._hold(name, kept, gone=tuple(held for held in mine if held != change.kept))
        if after is not None:
            self._stamp(name, fingerprint(after.password))

    def _sanction(self, change: Impose | Lift, now: int) -> None:
        # What is over is forgotten on the way: so the table grows with what holds, and not with what ever held.
        over: dict[sanctions.Key, None] = {
            key: None for key, one in self.sanctions.items() if not sanctions.holds(one, now)
        }
        self.sanctioned |= {**over, sanctions.key(change): sanctions.imposed(change, now)}
        after = {**self.sanctions, **self.sanctioned}
        self.sanctions = {key: one for key, one in after.items() if one is not None}
        if isinstance(change, Lift) or change.kind != "ban":
            return
        room = self.room(change.room)
        if not change.room:
            self._hold(change.account, (), gone=self.tokens_of(change.account))
        elif room is not None and change.account in room.members:
            time = max(now, room.time)
            self.add(Record(room.name, room.head + 1, "kick", change.author, "", time, target=change.account))

    def _expire(self, name: str, upto: int) -> None:
        room, last = self.room(name), self.record(name, upto)
        assert room is not None
        assert last is not None, "a record below the head is missing"
        self.rooms[name] = replace(room, base=upto, base_hash=last.hash)
        self.expired[name] = upto

    def _as_it_is(self, record: Record) -> Record:
        """The record without its text where the batch deleted that."""
        message = record.about if record.kind == "edit" else record.seq
        if record.erased or (record.room, message) not in self.deleted:
            return record
        return rules.erase(record)
