"""A valid frame of every type, and what hypothesis makes of each: what the tests of protocols start from."""

from typing import Final

from hypothesis import strategies as st

from securechat.limits import DEVICE_LENGTH, ID_LENGTH, PAGE_RECORDS, ROOM_NAME_LENGTH, SAFE_INTEGER
from securechat.protocols import frames as f

LINE_BYTES: Final = 65_536

REQUESTS: Final[dict[type[f.Request], f.AnyRequest]] = {
    f.Login: f.Login(ref="1", username="alice", password="correct horse battery", device="laptop"),
    f.Logout: f.Logout(ref="2"),
    f.Ping: f.Ping(ref="3"),
    f.Pong: f.Pong(),
    f.Create: f.Create(ref="4", room="kitchen"),
    f.Join: f.Join(ref="5", room="lobby"),
    f.Leave: f.Leave(ref="6", room="lobby"),
    f.Rooms: f.Rooms(ref="7"),
    f.Members: f.Members(ref="8", room="lobby"),
    f.Say: f.Say(ref="9", id="01K9", room="lobby", text='hello\n"wörld" \U0001f600'),
    f.History: f.History(ref="10", room="lobby", before=43, limit=20),
    f.Subscribe: f.Subscribe(ref="11", room="@bob", after=0),
    f.Sync: f.Sync(ref="12", after={"lobby": 40, "@bob": 7}),
}

_LOBBY: Final = f.RoomState(room="lobby", head=41, members=3, joined=True)
_MESSAGE: Final = f.Message(room="lobby", seq=43, sender="alice", time=1_795_372_800_000, id="01K9", text="a\nb\u2028c")

EVENTS: Final[tuple[f.AnyEvent, ...]] = (
    f.Hello(protocol=1, auth=("password",), limits=f.LineLimits(line=65_536, text=16_384)),
    f.Welcome(ref="1", username="alice", role="member", session="5f", version="0.1.0", rooms=(_LOBBY,)),
    f.PingPeer(),
    f.PongAnswer(ref="3"),
    f.Joined(ref="5", room="lobby", head=42, members=3),
    f.Created(ref="4", room="kitchen", head=1),
    f.Left(ref="6", room="lobby"),
    f.RoomList(ref="7", rooms=(_LOBBY, f.RoomState(room="@bob", head=7, members=2, private=True, joined=True))),
    f.MemberList(ref="8", room="lobby", members=("alice", "bob")),
    f.Ack(ref="9", id="01K9", room="lobby", seq=43, time=1_795_372_800_000, duplicate=True),
    _MESSAGE,
    f.CreateRecord(room="kitchen", seq=1, sender="alice", time=1_795_372_800_000),
    f.JoinRecord(room="lobby", seq=42, sender="bob", time=1_795_372_800_000),
    f.LeaveRecord(room="lobby", seq=44, sender="bob", time=1_795_372_800_001),
    f.Page(ref="10", room="lobby", records=(_MESSAGE,), more=True),
    f.Subscribed(ref="11", room="@bob", head=7),
    f.Synced(ref="12"),
    f.Error(ref="9", code="not-member", message="Join lobby first."),
    f.Bye(code="shutdown", message="The server stops.", retry_after=1.0),
)


def _text(longest: int | None = None) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), max_size=longest)


_ref = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=ID_LENGTH)
_room = _text(ROOM_NAME_LENGTH)
_seq = st.integers(0, SAFE_INTEGER)

requests: Final[st.SearchStrategy[f.AnyRequest]] = st.one_of(
    st.builds(f.Login, ref=_ref, username=_text(256), password=_text(), device=_text(DEVICE_LENGTH)),
    st.builds(f.Logout, ref=_ref),
    st.builds(f.Ping, ref=_ref),
    st.builds(f.Pong, ref=_ref),
    st.builds(f.Create, ref=_ref, room=_room),
    st.builds(f.Join, ref=_ref, room=_room),
    st.builds(f.Leave, ref=_ref, room=_room),
    st.builds(f.Rooms, ref=_ref),
    st.builds(f.Members, ref=_ref, room=_room),
    st.builds(f.Say, ref=_ref, id=_text(ID_LENGTH), room=_room, text=_text()),
    st.builds(
        f.History,
        ref=_ref,
        room=_room,
        before=st.none() | _seq,
        after=st.none() | _seq,
        limit=st.integers(1, PAGE_RECORDS),
    ),
    st.builds(f.Subscribe, ref=_ref, room=_room, after=st.none() | _seq),
    st.builds(f.Sync, ref=_ref, after=st.dictionaries(_room, _seq, max_size=5)),
)
"""Any request that a client can make."""

events: Final[st.SearchStrategy[f.AnyEvent]] = st.sampled_from(EVENTS) | st.builds(
    f.Message, room=_room, seq=_seq, sender=_text(), time=_seq, id=_text(), text=_text()
)
"""Events: one of each type, and messages of any text."""
