"""Slowing down who guesses: how long who waits, who pays for nobody, and what is kept of it."""

import pytest

from securechat.accounts import throttle as module
from securechat.accounts.throttle import SOON, Attempt, Throttle, source_of
from securechat.limits import ACCOUNT_FAILURES_FREE, THROTTLE_FORGET_SECONDS

WAITS = (2.0, 4.0, 8.0, 15.0)


class Door:
    """A throttle, its clock, and somebody who tries at it."""

    def __init__(self, waits: tuple[float, ...] = WAITS) -> None:
        self.throttle = Throttle(waits)
        self.now = 1_000.0

    def ask(self, source: str, account: str, *, at_home: bool = False) -> Attempt | float:
        return self.throttle.begin(source, account, at_home=at_home, now=self.now)

    def begin(self, source: str, account: str, *, at_home: bool = False) -> Attempt:
        attempt = self.ask(source, account, at_home=at_home)
        assert isinstance(attempt, Attempt), attempt
        return attempt

    def fail(self, source: str, account: str, *, at_home: bool = False) -> None:
        self.throttle.failed(self.begin(source, account, at_home=at_home), self.now)

    def enter(self, source: str, account: str, *, at_home: bool = False) -> None:
        self.throttle.succeeded(self.begin(source, account, at_home=at_home))


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_counts_as_itself_and_an_ipv6_address_as_its_64(host: str, source: str) -> None:
    assert source_of(host) == source


def test_an_address_waits_longer_each_time_whatever_account_it_tries() -> None:
    door = Door()
    for number, wait in enumerate([*WAITS, 15.0]):
        door.fail("here", f"account{number}")
        assert door.ask("here", "alice") == wait
        door.now += wait - 0.5
        assert door.ask("here", "alice") == 0.5
        assert isinstance(door.ask("elsewhere", f"other{number}"), Attempt)
        door.now += 0.5


def test_an_account_is_slowed_from_the_fifth_failure_wherever_they_come_from() -> None:
    door = Door()
    for number in range(ACCOUNT_FAILURES_FREE):
        door.fail(f"source{number}", "alice")
    door.fail("source5", "alice")
    assert door.ask("fresh", "alice") == WAITS[0]
    assert isinstance(door.ask("fresh", "bob"), Attempt)
    door.now += WAITS[0]
    door.fail("source6", "alice")
    assert door.ask("fresher", "alice") == WAITS[1]


def test_who_has_a_session_from_there_pays_for_nobody_else() -> None:
    door = Door()
    for number in range(9):
        door.fail(f"source{number}", "alice")
        door.now += 15.0
    door.fail("home", "bob")
    assert door.ask("home", "alice") == WAITS[0]
    door.enter("home", "alice", at_home=True)
    door.fail("home", "alice", at_home=True)
    assert door.ask("home", "alice", at_home=True) == WAITS[0]  # guesses from there are still guesses
    door.now += WAITS[0]
    door.enter("home", "alice", at_home=True)
    assert isinstance(door.ask("home", "alice", at_home=True), Attempt)


def test_of_who_failed_before_one_login_at_a_time_is_looked_at() -> None:
    door = Door()
    several = [door.begin("here", "alice") for _ in range(3)]  # nobody failed yet
    door.throttle.failed(several[0], door.now)
    door.now += WAITS[0]
    assert door.ask("here", "alice") == SOON
    for attempt in several[1:]:
        door.throttle.given_up(attempt)
    one = door.begin("here", "alice")
    assert door.ask("here", "bob") == SOON
    door.throttle.given_up(one)
    assert isinstance(door.ask("here", "bob"), Attempt)


def test_a_success_forgives_the_account_and_not_the_address() -> None:
    door = Door()
    for number in range(ACCOUNT_FAILURES_FREE + 1):
        door.fail(f"source{number}", "alice")
    door.now += WAITS[0]
    door.enter("source0", "alice")
    assert isinstance(door.ask("fresh", "alice"), Attempt)
    door.fail("source0", "mallorys-other")
    assert door.ask("source0", "mallory") == WAITS[1]


def test_failures_are_forgotten_after_a_while() -> None:
    door = Door()
    door.fail("here", "alice")
    door.now += THROTTLE_FORGET_SECONDS + 1
    door.fail("here", "alice")
    assert door.ask("here", "alice") == WAITS[0]
    door.now += THROTTLE_FORGET_SECONDS + 1
    door.fail("elsewhere", "bob")
    assert len(door.throttle) == 2  # what was forgotten takes no place


def test_without_waits_nobody_waits() -> None:
    door = Door(())
    for _ in range(20):
        door.fail("here", "alice")


def test_a_login_that_succeeds_at_once_leaves_nothing_behind() -> None:
    door = Door()
    door.enter("here", "alice")
    assert len(door.throttle) == 0


def test_the_table_is_bounded_and_forgets_who_was_quiet_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "THROTTLE_ROWS", 10)
    door = Door()
    waiting = door.begin("pending", "pending")
    for number in range(50):
        door.now += 1
        door.fail(f"source{number}", f"account{number}")
        assert len(door.throttle) <= 11
    assert door.ask("source49", "x") == WAITS[0]
    assert isinstance(door.ask("source1", "x"), Attempt)
    door.throttle.failed(waiting, door.now)
    assert door.ask("pending", "x") == WAITS[0]
