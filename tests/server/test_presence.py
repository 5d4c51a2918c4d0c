"""Who is here: an account comes with its first session and goes with its last, and each is told in its order."""

import itertools

from securechat.server.presence import Presence, token_mark
from tests.server.support import in_parallel


def test_an_account_comes_with_its_first_session_and_goes_with_its_last() -> None:
    told: list[tuple[str, bool]] = []
    presence = Presence(lambda account, *, online: told.append((account, online)))
    presence.came("alice", b"laptop", "here")
    presence.came("alice", b"phone", "here")
    presence.came("alice", b"phone", "here")
    assert told == [("alice", True)]
    assert presence.here(9) == {"alice": frozenset({b"laptop", b"phone"})}
    presence.went("alice", b"phone", "here")
    presence.went("alice", b"laptop", "here")
    assert presence.is_online("alice")
    assert [presence.has_session("alice", token) for token in (b"laptop", b"phone")] == [False, True]
    presence.went("alice", b"phone", "here")
    assert (told, presence.is_online("alice")) == ([("alice", True), ("alice", False)], False)


def test_what_happens_on_many_threads_at_once_is_told_in_its_order() -> None:
    told: list[bool] = []
    presence = Presence(lambda account, *, online: told.append(online))

    def come_and_go() -> None:
        for _ in range(1_000):
            presence.came("alice", b"", "here")
            presence.went("alice", b"", "here")

    in_parallel(come_and_go, come_and_go, come_and_go)
    assert not presence.is_online("alice")
    assert told == list(itertools.islice(itertools.cycle((True, False)), len(told)))


def test_an_account_is_online_as_long_as_any_node_has_it() -> None:
    told: list[tuple[str, bool]] = []
    presence = Presence(lambda account, *, online: told.append((account, online)))
    token = bytes(range(32))
    presence.set_elsewhere("two", {"alice": frozenset({token_mark(token)}), "bob": frozenset()})
    presence.set_elsewhere("three", {"alice": frozenset()})
    assert told == [("alice", True), ("bob", True)]
    assert presence.has_session("alice", token)
    assert not presence.has_session("bob", token)
    presence.came("alice", b"phone", "here")
    presence.set_elsewhere("two", {})
    presence.went("alice", b"phone", "here")
    assert told[2:] == [("bob", False)]
    assert presence.is_online("alice")
    presence.set_elsewhere("three", {"alice": frozenset({token_mark(token)})})  # another session, the same account
    presence.set_elsewhere("three", {})
    assert told[3:] == [("alice", False)]
    assert not presence.has_session("alice", token)


def test_no_more_accounts_are_told_than_asked_for() -> None:
    presence = Presence(lambda account, *, online: None)
    for account in ("alice", "bob", "carol"):
        presence.came(account, b"", "here")
    assert list(presence.here(2)) == ["alice", "bob"]
