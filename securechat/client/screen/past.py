"""What was said before, loaded page by page as it comes in sight, and searched. It knows the client and the model, and
nothing of terminals.
"""

from typing import Final

from securechat.chat.names import is_direct
from securechat.client import text
from securechat.client.client import Client
from securechat.client.screen.lanes import Asker
from securechat.client.screen.model import Doing, Model
from securechat.client.screen.rooms import Room
from securechat.client.screen.viewport import Viewport
from securechat.errors import Code, Refused
from securechat.limits import PAGE_RECORDS, SEARCH_HITS, SEARCH_LENGTH
from securechat.protocols.frames import Found, MemberList, Members, Message, Page

PAGE: Final = 200
"""Records that are loaded at a time: more than a screen has lines, and few enough to come at once."""

COUNTED: Final = 50
"""Rooms in which unread messages are counted at the start; in others it is how many records there are."""


class Past:
    """The past of all rooms; to be called on the thread that owns the model."""

    def __init__(self, client: Client, model: Model, viewport: Viewport, asker: Asker) -> None:
        self._client = client
        self._model = model
        self._viewport = viewport
        self._asker = asker

    def settle(self, room: Room) -> None:
        """Load what is missing in sight in this room."""
        if not room.is_loaded:
            room.is_loaded = True
            self.load_newest(room)
        elif room.scrollback.first and self._viewport.wants_older(room):
            self._load(room, older=True)
        elif room.scrollback.first and self._viewport.wants_newer(room):
            self._load(room, older=False)
        for seq in self._viewport.answered(room)[:1]:
            self._fetch_quote(room, seq)

    def load_newest(self, room: Room) -> None:
        """Load the newest page of a room, and who is in it."""
        room.is_loading = True
        name = room.name
        has_live = room.scrollback.first if room.scrollback.reaches_head else 0

        def put(page: Page) -> None:
            room.is_loading = False
            if room.scrollback.reaches_head:
                room.scrollback.put_before(page.records, more=page.more)
            else:
                room.scrollback.begin_at(page.records, has_older=page.more)
                _look_ahead(room, page)
            room.spoken_before(page.records)
            room.drop_stored()

        self._asker.ask(lambda: self._page(name, before=has_live or None), put, room=room)
        if not room.is_direct:
            self._asker.ask(
                lambda: self._client.request(Members(room=name), MemberList), self._take_members, quiet=True
            )

    def newest(self) -> None:
        """Look at the newest lines of the room in sight."""
        room = self._model.current
        room.anchor = None
        if room.name and not room.scrollback.reaches_head and not room.is_loading:
            self.load_newest(room)

    def jump(self, room: Room, seq: int) -> None:
        """Have this record in sight, with what is around it."""
        self._model.go_to(room)
        if room.scrollback.first <= seq <= room.scrollback.last:
            self._viewport.show(room, seq)
            return
        room.is_loading = room.is_loaded = True
        name = room.name

        def put(pages: tuple[Page, Page]) -> None:
            room.is_loading = False
            before, behind = pages
            records = (*before.records, *behind.records)
            room.scrollback.begin_at(records, has_older=before.more)
            _look_ahead(room, behind)
            self._viewport.show(room, seq)

        self._asker.ask(lambda: (self._page(name, before=seq), self._page(name, after=seq - 1)), put, room=room)

    def count_unread(self) -> None:
        """Count in rooms nobody has looked at yet what is unread: the server knows how many records there are."""
        for room in [room for room in self._model.listed if room.unread and not room.is_exact][:COUNTED]:
            self._count_in(room)

    # --- searching --------------------------------------------------------------------------------------------

    def search(self, looked_for: str) -> None:
        """Find what was said, and have the person choose among it."""
        model = self._model
        model.doing = Doing.TALKING
        if not looked_for.strip():
            return
        asked = looked_for[:SEARCH_LENGTH]

        def choose(found: Found) -> None:
            model.hits = tuple(hit for hit in found.hits if hit.record.sender not in model.ignored)
            model.hit, model.looked_for = 0, asked
            if model.hits:
                model.doing = Doing.CHOOSING
            else:
                model.tell(f'Nothing was found for "{text.line(asked)}".')

        self._asker.ask(lambda: self._client.search(asked, limit=SEARCH_HITS), choose)

    def choose(self) -> None:
        """Go to what was chosen among what was found."""
        model = self._model
        model.doing = Doing.TALKING
        hit = model.hits[model.hit]
        record = hit.record
        self.jump(model.room(hit.room), getattr(record, "about", 0) or record.seq)

    # --- loading ----------------------------------------------------------------------------------------------

    def _load(self, room: Room, *, older: bool) -> None:
        """Load the page before or behind what is loaded."""
        room.is_loading = True
        name, scrollback = room.name, room.scrollback
        first, last = scrollback.first, scrollback.last

        def put(page: Page) -> None:
            room.is_loading = False
            if older and scrollback.first == first:
                scrollback.put_before(page.records, more=page.more)
                room.spoken_before(page.records)
            elif not older and scrollback.last == last:
                scrollback.put_behind(page.records)
                _look_ahead(room, page)
                room.drop_stored()

        before, after = (first, None) if older else (None, last)
        self._asker.ask(lambda: self._page(name, before=before, after=after), put, room=room)

    def _take_members(self, answer: MemberList) -> None:
        if answer.room in self._model.rooms:
            self._model.rooms[answer.room].members = answer.members
        for name in answer.members:
            self._model.online[name] = name in answer.online

    def _page(self, room: str, *, before: int | None = None, after: int | None = None) -> Page:
        try:
            return self._client.history(room, before=before, after=after, limit=PAGE)
        except Refused as refused:
            if is_direct(room) and refused.code == Code.NO_SUCH_ROOM:
                return Page(room=room, records=(), more=False)  # nothing was said there yet
            raise

    def _fetch_quote(self, room: Room, seq: int) -> None:
        room.keep_quote(seq, None)
        name = room.name

        def put(page: Page) -> None:
            for record in page.records:
                if isinstance(record, Message) and record.seq == seq:
                    room.keep_quote(seq, record)

        self._asker.ask(lambda: self._client.history(name, before=seq + 1, limit=1), put, quiet=True)

    def _count_in(self, room: Room) -> None:
        name, read_up_to, head = room.name, room.read, room.head

        def put(page: Page) -> None:
            room.count_past(page.records, head, self._model.me, self._model.ignored, is_all=not page.more)

        self._asker.ask(
            lambda: self._client.history(name, after=read_up_to, limit=PAGE_RECORDS),
            put,
            quiet=True,
        )


def _look_ahead(room: Room, page: Page) -> None:
    """Whether what was loaded goes up to the newest record: others may have come while the page was on its way."""
    scrollback = room.scrollback
    is_behind = scrollback.last < room.head and bool(page.records)
    scrollback.reaches_head = not page.more and not is_behind
