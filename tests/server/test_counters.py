"""What the parts count of what people do."""

from securechat.counters import SECONDS, Histogram
from securechat.server.server import Server
from tests.server.support import Peer, peer, with_any_number_of_reactors


def test_a_value_is_counted_once_at_the_lowest_bound_that_holds_it() -> None:
    histogram = Histogram((1, 5))
    for value, times in ((0.5, 1), (1, 1), (1.1, 2), (6, 1)):
        histogram.add(value, times)
    assert (histogram.counts, histogram.count) == ([2, 2, 1], 5)
    assert abs(histogram.total - 9.7) < 1e-9


@with_any_number_of_reactors
def test_what_is_done_is_counted_once(server: Server) -> None:
    with peer(server, "alice", room="lobby") as alice, peer(server, "bob", room="lobby") as bob:
        for number in range(5):
            alice.say("hello", id=f"n{number}")
        bob.messages(5)
        with Peer(server.port) as stranger:
            stranger.receive()
            stranger.send({"type": "login", "username": "alice", "password": "wrong password"})
            assert stranger.receive()["type"] == "error"
        for one in (alice, bob):  # their reactors have come round since
            one.send({"type": "ping", "ref": "round"})
            assert one.expect("pong")["ref"] == "round"
        journal = server.services.journal
        reactors = [reactor.counts for reactor in server.services.reactors]
    assert (journal.counts.messages, journal.counts.records, journal.waiting) == (5, 7, 0)
    assert journal.counts.batch_records.total == journal.counts.commit_seconds.count  # all alone, tokens as 1
    assert len(journal.counts.commit_seconds.counts) == len(SECONDS) + 1
    assert sum(counts.logins["password"] for counts in reactors) == 2
    assert sum(counts.logins["failed"] for counts in reactors) == 1
    # Two tokens, two joins, five messages; alice has got to both joins and all messages, bob to one join less.
    assert sum(counts.answer_seconds.count for counts in reactors) == 9
    assert sum(counts.deliveries for counts in reactors) == 13
