"""Records that are older than their room keeps them are erased; numbers go on, and the chain with them."""

from contextlib import closing
from pathlib import Path

from securechat.config import Config
from securechat.journal.reader import Reader
from securechat.server.retention import DAY, Retention
from securechat.server.server import Server
from tests.server.support import peer

LATER = 40 * DAY


def test_old_records_go_in_rooms_that_do_not_keep_them_and_stay_in_others(home: Path) -> None:
    config = Config(port=0, retention_days=30, retention={"lobby": 0, "week": 7})
    server = Server(home, config)
    server.start()
    try:
        with peer(server, "alice", room="lobby") as alice:
            for room in ("month", "week"):
                alice.send({"type": "create", "room": room})
                alice.expect("created")
            for room in ("lobby", "month", "week"):
                last = alice.say("old", id=f"{room}-1", room=room)
            services = server.services
            with closing(Reader(home / "chat.db")) as reader:
                retention = Retention(reader, services.journal, lambda: config, services.shared_pages)
                assert not retention.sweep(last["time"] + 6 * DAY)
                assert retention.sweep(last["time"] + 10 * DAY)
                alice.send({"type": "history", "room": "week"})
                while alice.expect("page")["records"]:
                    alice.send({"type": "history", "room": "week"})
                assert retention.sweep(last["time"] + LATER)
                alice.send({"type": "history", "room": "month"})
                while alice.expect("page")["records"]:
                    alice.send({"type": "history", "room": "month"})
                assert not retention.sweep(last["time"] + LATER)
                # Whoever comes back to a room of which nothing is left hears what is new.
                alice.send({"type": "subscribe", "room": "month", "after": 0})
                with peer(server, "alice") as back:  # by then the page that is to be read has been looked for
                    back.send({"type": "sync", "after": {"month": 0}})
                    back.send({"type": "history", "room": "month"})
                    assert back.expect("page")["records"] == []
                assert alice.say("new", id="month-2", room="month")["seq"] == last["seq"] + 1
                assert alice.expect("message")["text"] == "new"
            alice.send({"type": "history", "room": "lobby"})
            assert [record.get("text") for record in alice.expect("page")["records"]] == [None, "old"]
            assert alice.say("new", id="week-2", room="week")["seq"] == last["seq"] + 1
            alice.send({"type": "subscribe", "room": "week", "after": 0})
            assert alice.expect("message")["text"] == "new"
    finally:
        server.stop()
