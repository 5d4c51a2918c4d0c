"""Who is here: an account comes with its first session and goes with its last, and each is told in its order."""

import itertools

from securechat.server.presence import Presence
from tests.server.support import in_parallel


def test_an_account_comes_with_its_first_session_and_goes_with_its_last() -> None:
    told: list[tuple[str, bool]] = []
    presence = Presence(lambda account, *, online: told.append((account, online)))
    presence.came("alice", b"laptop", "here")
    presence.came("alice", b"phone", "here")
    presence.came("alice", b"phone", "here")
    assert (told, set(presence.tokens_of("alice"))) == ([("alice", True)], {b"laptop", b"phone"})
    presence.went("alice", b"phone", "here")
    presence.went("alice", b"laptop", "here")
    assert (presence.is_online("alice"), set(presence.tokens_of("alice"))) == (True, {b"phone"})
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
