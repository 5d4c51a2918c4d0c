"""What a draft stands on: the state before its batch, and what is stored of single records. It decides nothing."""

from collections.abc import Collection, Mapping
from typing import Protocol

from securechat.chat import sanctions
from securechat.chat.accounts import Account, Hook
from securechat.chat.model import Invitation, Record, Room, Sanction, Token


class Before(Protocol):
    """What was committed before the batch, as `journal.state.View` has it."""

    @property
    def rooms(self) -> Mapping[str, Room]:
        """By key."""
        ...

    @property
    def marks_of(self) -> Mapping[str, Mapping[str, int]]:
        """By account and place (`Mark.place`)."""
        ...

    @property
    def tokens(self) -> Mapping[bytes, Token]:
        """By their hash."""
        ...

    @property
    def tokens_of(self) -> Mapping[str, tuple[bytes, ...]]:
        """Hashes by account, the oldest first."""
        ...

    @property
    def invitations(self) -> Mapping[bytes, Invitation]:
        """By the hashes of their secrets, the oldest first."""
        ...

    @property
    def sanctions(self) -> Mapping[sanctions.Key, Sanction]:
        """By account, kind and room."""
        ...

    @property
    def accounts(self) -> Mapping[str, Account]:
        """By name."""
        ...

    @property
    def hooks(self) -> Mapping[str, Hook]:
        """By name."""
        ...


class Archive(Protocol):
    """What is stored of single records."""

    def recorded(self, ids: Collection[tuple[str, str]]) -> dict[tuple[str, str], Record]:
        """What authors had recorded under their ids, by author and id."""
        ...

    def named(self, numbers: Collection[tuple[str, int]]) -> dict[tuple[str, int], Record | None]:
        """Records by room and number; None where there is none."""
        ...
