"""What nodes tell each other beside the stream: the newest word is heard by the others, over lost connections too."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

from securechat.journal.jetstream.bulletin import Bulletin
from securechat.journal.jetstream.stream import Engine
from tests.cluster.servers import NatsServer, engine, nats_servers
from tests.journal.support import PATIENCE

Heard = SimpleQueue[bytes]


@contextmanager
def bulletin(way: Engine, last: bytes = b"last") -> Iterator[tuple[Bulletin, Heard]]:
    """One node's, with what it hears."""
    heard: Heard = SimpleQueue()
    one = Bulletin(way, heard.put)
    one.start()
    try:
        yield one, heard
    finally:
        one.stop(last)


def told(teller: Bulletin, word: bytes, hearer: Heard) -> None:
    """Have the word told again and again, as nodes do, until it is heard."""
    for _ in range(int(PATIENCE / 0.05)):
        teller.tell(word)
        try:
            if hearer.get(timeout=0.05) == word:
                return
        except Empty:
            continue
    raise AssertionError(word)


def test_what_one_tells_the_others_hear_also_when_the_server_was_away_and_its_last_word_too(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "nats", 1) as (server,):
        way = engine([server])
        with bulletin(way) as (_, hearer):
            with bulletin(engine([server], way.stream, "two"), b"going") as (teller, _):
                told(teller, b"one", hearer)
                server.kill()
                server.start()
                told(teller, b"two", hearer)
            while hearer.get(timeout=PATIENCE) != b"going":
                pass


def test_one_that_was_never_connected_ends_at_once(nats_server: NatsServer) -> None:
    with bulletin(Engine(("nats://127.0.0.1:1",), "none", 1, "one")) as (one, hearer):
        one.tell(b"unheard")
    assert hearer.empty()
