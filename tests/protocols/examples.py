"""A valid frame of every type, and what hypothesis makes of each: what the tests of protocols start from."""

from typing import Final

from hypothesis import strategies as st

from securechat.limits import (
    DEVICE_LENGTH,
    ID_LENGTH,
    NAME_LENGTH,
    PAGE_RECORDS,
    ROOM_NAME_LENGTH,
    SAFE_INTEGER,
    SANCTION_DAYS,
    SEARCH_HITS,
    SEARCH_LENGTH,
)
from securechat.protocols import frames as f

LINE_BYTES: Final = 65_536
TOKEN: Final = "kq3mN0p_7vRzUO2-dG5yXb1LhTfCwEaS4iJ8oMtVr6Q"
SALT: Final = "q83vASNFZ4mrze8BI0VniQ"
HASH: Final = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"

REQUESTS: Final[dict[type[f.Request], f.AnyRequest]] = {
    f.Login: f.Login(ref="1", username="alice", password="correct horse battery", device="laptop"),
    f.Resume: f.Resume(ref="13", token=TOKEN),
    f.Authority: f.Authority(ref="24"),
    f.Redeem: f.Redeem(ref="25", username="carol", secret=TOKEN, password="correct horse battery", device="laptop"),
    f.Logout: f.Logout(ref="2"),
    f.Ping: f.Ping(ref="3"),
    f.Pong: f.Pong(),
    f.Create: f.Create(ref="4", room="kitchen", private=True),
    f.Join: f.Join(ref="5", room="lobby"),
    f.Leave: f.Leave(ref="6", room="lobby"),
    f.Topic: f.Topic(ref="14", room="lobby", text="tea", id="01KA"),
    f.Invite: f.Invite(ref="15", room="kitchen", username="bob", id="01KB"),
    f.Kick: f.Kick(ref="16", room="kitchen", username="bob", id="01KC"),
    f.Ban: f.Ban(ref="26", room="kitchen", username="bob", seconds=3_600),
    f.Unban: f.Unban(ref="27", room="kitchen", username="bob"),
    f.Rooms: f.Rooms(ref="7"),
    f.Members: f.Members(ref="8", room="lobby"),
    f.Say: f.Say(ref="9", id="01K9", room="lobby", text='hello\n"wörld" \U0001f600', reply_to=41),
    f.Edit: f.Edit(ref="17", id="01KD", room="lobby", seq=43, text="hello again"),
    f.Delete: f.Delete(ref="18", room="lobby", seq=43, id="01KE"),
    f.Read: f.Read(ref="19", room="lobby", seq=43),
    f.Consumers: f.Consumers(ref="25"),
    f.Forget: f.Forget(ref="26", consumer="bot"),
    f.History: f.History(ref="10", room="lobby", before=43, limit=20),
    f.Search: f.Search(ref="20", text="tea", room="lobby", from_="bob", before=2, after=1, limit=5),
    f.Subscribe: f.Subscribe(ref="11", room="@bob", after=0),
    f.Sync: f.Sync(ref="12", after={"lobby": 40, "@bob": 7}),
    f.Sessions: f.Sessions(ref="21"),
    f.Revoke: f.Revoke(ref="22", session="5f"),
    f.Password: f.Password(ref="23", old="correct horse battery", new="battery horse correct"),
}

_LOBBY: Final = f.RoomState(room="lobby", head=41, members=3, joined=True, read=40, hash=HASH)
_MESSAGE: Final = f.Message(
    room="lobby", seq=43, sender="alice", time=1_795_372_800_000, id="01K9", salt=SALT, text="a\nb\u2028c", reply_to=41
)

EVENTS: Final[tuple[f.AnyEvent, ...]] = (
    f.Hello(protocol=1, auth=("password",), limits=f.LineLimits(line=65_536, text=16_384)),
    f.Welcome(ref="1", username="alice", role="member", session="5f", version="0.1.0", rooms=(_LOBBY,), token=TOKEN),
    f.AuthorityCertificate(ref="24", certificate="-----BEGIN CERTIFICATE-----\n"),
    f.PingPeer(),
    f.PongAnswer(ref="3"),
    f.Joined(ref="5", room="lobby", head=42, members=3, hash=HASH),
    f.Created(ref="4", room="kitchen", head=1, hash=HASH),
    f.Left(ref="6", room="lobby"),
    f.RoomList(ref="7", rooms=(_LOBBY, f.RoomState(room="@bob", head=7, members=2, private=True, joined=True))),
    f.MemberList(ref="8", room="lobby", members=("alice", "bob"), online=("bob",)),
    f.Ack(ref="9", id="01K9", room="lobby", seq=43, time=1_795_372_800_000, duplicate=True),
    f.ReadMarker(ref="19", room="lobby", seq=43),
    f.ConsumerList(ref="25", cursors=(f.CursorState("bot", "lobby", 43),)),
    _MESSAGE,
    f.CreateRecord(room="kitchen", seq=1, sender="alice", time=1_795_372_800_000, target="private"),
    f.JoinRecord(room="lobby", seq=42, sender="bob", time=1_795_372_800_000),
    f.LeaveRecord(room="lobby", seq=44, sender="bob", time=1_795_372_800_001),
    f.TopicRecord(room="lobby", seq=45, sender="bob", time=1_795_372_800_002, id="01KA", salt=SALT, text="tea"),
    f.InviteRecord(room="lobby", seq=46, sender="bob", time=1_795_372_800_002, replay=True, target="carol"),
    f.KickRecord(room="lobby", seq=47, sender="bob", time=1_795_372_800_003, target="carol"),
    f.EditRecord(
        room="lobby", seq=48, sender="alice", time=1_795_372_800_004, id="01KD", erased=HASH, about=43, text=""
    ),
    f.DeleteRecord(room="lobby", seq=49, sender="alice", time=1_795_372_800_005, id="01KE", about=43),
    f.ArchiveRecord(room="lobby", seq=50, sender="alice", time=1_795_372_800_006),
    f.Page(ref="10", room="lobby", records=(_MESSAGE,), more=True, base=HASH, hash=HASH),
    f.Found(ref="20", hits=(f.Hit(room="lobby", record=_MESSAGE),), more=True),
    f.Subscribed(ref="11", room="@bob", head=7, hash=HASH),
    f.Synced(ref="12"),
    f.SessionList(
        ref="21", sessions=(f.SessionState(session="5f", created=1, device="laptop", online=True, current=True),)
    ),
    f.Revoked(ref="22"),
    f.PasswordChanged(ref="23"),
    f.Presence(username="bob", online=False),
    f.Broadcast(text="The server restarts at noon."),
    f.NodeList(nodes=("a.example.org:7443", "c.example.org:7443")),
    f.Error(ref="9", code="not-member", message="Join lobby first."),
    f.Bye(code="shutdown", message="The server stops.", retry_after=1.0),
)


def _text(longest: int | None = None) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), max_size=longest)


_ref = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=ID_LENGTH)
_room = _text(ROOM_NAME_LENGTH)
_id = _text(ID_LENGTH)
_username = _text(NAME_LENGTH)
_seq = st.integers(0, SAFE_INTEGER)
_record = st.integers(1, SAFE_INTEGER)

requests: Final[st.SearchStrategy[f.AnyRequest]] = st.one_of(
    st.builds(f.Login, ref=_ref, username=_text(256), password=_text(), device=_text(DEVICE_LENGTH)),
    st.builds(f.Resume, ref=_ref, token=_text()),
    st.builds(f.Authority, ref=_ref),
    st.builds(f.Redeem, ref=_ref, username=_username, secret=_text(256), password=_text(), device=_text(DEVICE_LENGTH)),
    st.builds(f.Logout, ref=_ref),
    st.builds(f.Ping, ref=_ref),
    st.builds(f.Pong, ref=_ref),
    st.builds(f.Create, ref=_ref, room=_room, private=st.booleans()),
    st.builds(f.Join, ref=_ref, room=_room),
    st.builds(f.Leave, ref=_ref, room=_room),
    st.builds(f.Topic, ref=_ref, room=_room, text=_text(), id=_id),
    st.builds(f.Invite, ref=_ref, room=_room, username=_username, id=_id),
    st.builds(f.Kick, ref=_ref, room=_room, username=_username, id=_id),
    st.builds(f.Ban, ref=_ref, room=_room, username=_username, seconds=st.integers(0, SANCTION_DAYS * 86_400)),
    st.builds(f.Unban, ref=_ref, room=_room, username=_username),
    st.builds(f.Rooms, ref=_ref),
    st.builds(f.Members, ref=_ref, room=_room),
    st.builds(f.Say, ref=_ref, id=_id, room=_room, text=_text(), reply_to=st.none() | _record),
    st.builds(f.Edit, ref=_ref, id=_id, room=_room, seq=_record, text=_text()),
    st.builds(f.Delete, ref=_ref, room=_room, seq=_record, id=_id),
    st.builds(f.Read, ref=_ref, room=_room, seq=_seq),
    st.builds(f.Consumers, ref=_ref),
    st.builds(f.Forget, ref=_ref, consumer=_username),
    st.builds(
        f.History,
        ref=_ref,
        room=_room,
        before=st.none() | _seq,
        after=st.none() | _seq,
        limit=st.integers(1, PAGE_RECORDS),
    ),
    st.builds(
        f.Search,
        ref=_ref,
        text=_text(SEARCH_LENGTH),
        room=st.none() | _room,
        from_=st.none() | _username,
        before=st.none() | _seq,
        after=st.none() | _seq,
        limit=st.integers(1, SEARCH_HITS),
    ),
    st.builds(f.Subscribe, ref=_ref, room=_room, after=st.none() | _seq),
    st.builds(f.Sync, ref=_ref, after=st.dictionaries(_room, _seq, max_size=5)),
    st.builds(f.Sessions, ref=_ref),
    st.builds(f.Revoke, ref=_ref, session=_id),
    st.builds(f.Password, ref=_ref, old=_text(), new=_text()),
)
"""Any request that a client can make."""

events: Final[st.SearchStrategy[f.AnyEvent]] = st.sampled_from(EVENTS) | st.builds(
    f.Message, room=_room, seq=_seq, sender=_text(), time=_seq, id=_text(), text=_text()
)
"""Events: one of each type, and messages of any text."""
