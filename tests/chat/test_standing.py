"""Who may do what: each cell of the table, as the author of a proposal meets it."""

import pytest
from msgspec.structs import replace

from securechat.chat.model import Impose, Lift, Outcome, Proposal, Record, Rejected, Room, Sanction
from securechat.chat.sanctions import decide_sanction
from securechat.chat.standing import ACTS, KINDS, MAY, Act, Standing, standing
from tests.chat.past import Past

# By standing, what comes of each kind; "own" is recorded for the author's own message and forbidden for another's.
EXPECTED: dict[Standing, dict[str, str]] = {
    Standing.NOWHERE: {"recorded": "create"},
    Standing.UNINVITED: {"room-exists": "create"},
    Standing.STRANGER: {
        "room-exists": "create",
        "recorded": "join",
        "not-member": "leave say topic invite kick edit delete archive ban unban",
    },
    Standing.ADMIN: {
        "room-exists": "create",
        "recorded": "join topic invite kick delete archive",
        "changed": "ban unban",
        "not-member": "leave say edit",
    },
    Standing.MEMBER: {
        "room-exists": "create",
        "unchanged": "join",
        "recorded": "leave say topic invite",
        "own": "edit delete",
        "forbidden": "kick archive ban unban",
    },
    Standing.INVITED: {
        "room-exists": "create",
        "unchanged": "join",
        "recorded": "leave say",
        "own": "edit delete",
        "forbidden": "topic invite kick archive ban unban",
    },
    Standing.OWNER: {
        "room-exists": "create",
        "unchanged": "join",
        "recorded": "leave say topic invite kick delete archive",
        "changed": "ban unban",
        "own": "edit",
    },
    Standing.PARTY: {
        "recorded": "say",
        "own": "edit delete",
        "forbidden": "create join leave topic invite kick archive ban unban",
    },
    Standing.THIRD: {},
    Standing.ARCHIVED: {
        "room-exists": "create",
        "recorded": "join leave",
        "unchanged": "archive",
        "forbidden": "say topic invite kick edit delete ban unban",
    },
}

KITCHEN = Room("kitchen", owner="olga", members=frozenset({"olga", "mia", "ada"}), head=2, time=500)
VAULT = replace(KITCHEN, name="vault", private=True)
OLD = replace(KITCHEN, name="old", archived=True)
DIRECT = Room("@mia:olga", private=True, members=frozenset({"mia", "olga"}), head=2, time=500)
ROOMS = (KITCHEN, VAULT, OLD, DIRECT)

# Who asks about which room, for each standing.
PEOPLE: dict[Standing, list[tuple[str, bool, str]]] = {
    Standing.NOWHERE: [("mia", False, "cellar"), ("ada", True, "cellar")],
    Standing.UNINVITED: [("sam", False, "vault")],
    Standing.STRANGER: [("sam", False, "kitchen")],
    Standing.ADMIN: [("adam", True, "kitchen"), ("adam", True, "vault")],
    Standing.MEMBER: [("mia", False, "kitchen")],
    Standing.INVITED: [("mia", False, "vault")],
    Standing.OWNER: [
        *(("olga", admin, room) for admin in (False, True) for room in ("kitchen", "vault")),
        *(("ada", True, room) for room in ("kitchen", "vault")),
    ],
    Standing.PARTY: [("mia", False, "@mia:olga"), ("olga", True, "@mia:olga")],
    Standing.THIRD: [("sam", False, "@mia:olga"), ("adam", True, "@mia:olga"), ("sam", False, "@mia:zoe")],
}


def expected(where: Standing, kind: Act) -> str:
    """What the author gets; where nothing else is said, the room is not there."""
    return next((word for word, kinds in EXPECTED[where].items() if kind in kinds.split()), "no-such-room")


def outcome(author: str, admin: bool, room: str, kind: Act, sender: str) -> str:
    """What comes of a proposal that has no other flaw; a message that it is about was said by `sender`."""
    past = Past(*ROOMS)
    if kind == "ban" or kind == "unban":
        return word(decided(past, author, admin, room, kind))
    past.records.append(Record(room, 1, "say", sender, "s", 1, "tea?"))
    target = "mia" if kind == "kick" else "noa"
    about = 1 if kind in ("edit", "delete") else 0
    return word(past.ask(Proposal(kind, author, room, id="1", text="hello", admin=admin, target=target, about=about)))


def decided(past: Past, author: str, admin: bool, room: str, kind: Act) -> Outcome:
    """What comes of a ban of zoe, or of its end."""
    if kind == "ban":
        return decide_sanction(past, Impose("zoe", "ban", 0, author, room, admin), 0)
    past.sanctions = {("zoe", "ban", room): Sanction("zoe", "ban", 0, 0, "olga", room)}
    return decide_sanction(past, Lift("zoe", "ban", author, room, admin), 0)


def word(told: Outcome) -> str:
    """What the author gets, in a word."""
    return told.code if isinstance(told, Rejected) else type(told).__name__.lower()


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("where", PEOPLE)
def test_each_cell_of_the_table_is_what_the_author_gets(where: Standing, kind: Act) -> None:
    for author, admin, name in PEOPLE[where]:
        room = next((room for room in ROOMS if room.name == name), None)
        assert standing(room, Proposal("say", author, name, admin=admin)) is where
        want = expected(where, kind)
        assert outcome(author, admin, name, kind, sender=author) == ("recorded" if want == "own" else want)
        assert outcome(author, admin, name, kind, sender="zoe") == ("forbidden" if want == "own" else want)


@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize(("author", "admin"), [("sam", False), ("adam", True), ("mia", False), ("olga", False)])
def test_each_cell_of_an_archived_room_is_what_is_left_of_the_authors_own(author: str, admin: bool, kind: Act) -> None:
    where = standing(OLD, Proposal("say", author, "old", admin=admin))
    mine = expected(where, kind)
    left = expected(Standing.ARCHIVED, kind) if mine in ("recorded", "own", "changed") else mine
    assert outcome(author, admin, "old", kind, sender=author) == left


def test_the_table_has_every_cell() -> None:
    assert set(MAY) == set(Standing) == set(EXPECTED) == {*PEOPLE, Standing.ARCHIVED}
    for row in MAY.values():
        assert tuple(row) == ACTS


def test_a_private_room_answers_as_one_that_is_not_there() -> None:
    for kind in KINDS:
        if kind != "create":
            proposal = Proposal(kind, "sam", "vault", id="1", text="hi", target="noa", about=1)
            assert Past(*ROOMS).ask(proposal) == Past().ask(proposal)
    for act in ("ban", "unban"):
        assert decided(Past(*ROOMS), "sam", False, "vault", act) == decided(Past(), "sam", False, "vault", act)
