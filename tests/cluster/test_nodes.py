"""Two nodes on one stream are one chat: the same numbers, the same chains, whoever speaks where."""

from pathlib import Path

from securechat.server.server import Server
from tests.cluster.servers import NatsServer, new_stream, node_settings
from tests.server.support import make_home, peer, running_server


def heads(*nodes: Server) -> list[dict[str, tuple[int, bytes]]]:
    return [{name: (room.head, room.hash) for name, room in node.services.view.rooms.items()} for node in nodes]


def test_what_is_said_on_one_node_is_heard_on_the_other_with_the_same_numbers(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    stream = new_stream()
    one, two = (node_settings([nats_server], stream, name) for name in ("one", "two"))
    homes = make_home(tmp_path / "one"), make_home(tmp_path / "two")
    with running_server(homes[0], cluster=one) as first:
        with running_server(homes[1], cluster=two) as second:
            with peer(first, "alice", room="lobby") as alice, peer(second, "bob", room="lobby") as bob:
                assert bob.say("hello", id="b1")["seq"] == 3
                assert alice.expect("message")["text"] == "hello"
                ack = alice.say("good day", id="a1")
                heard = [bob.messages(2)[1], alice.expect("message")]
                assert heard[0] == heard[1]
                assert heard[0]["seq"] == ack["seq"] == 4
            # The same id at another node is the same line.
            with peer(second, "alice") as again:
                assert (again.say("good day", id="a1")["seq"], again.say("another", id="a1")["code"]) == (
                    4,
                    "id-reused",
                )
            assert heads(first)[0]["lobby"][0] == 4
        with peer(first, "alice") as alice:
            alice.say("while the other is away", id="a2")
        with running_server(homes[1], cluster=two) as second, peer(second, "bob", room="lobby") as bob:
            bob.say("back", id="b2")
            bob.send({"type": "history", "room": "lobby", "after": 4, "limit": 10})
            assert [one["text"] for one in bob.expect("page")["records"]] == ["while the other is away", "back"]
            with peer(first, "alice") as alice:
                alice.send({"type": "sync"})
                alice.expect("synced")
                bob.say("level", id="b3")
                assert alice.messages(1)[0]["text"] == "level"
                mine, theirs = heads(first, second)
    assert mine == theirs
