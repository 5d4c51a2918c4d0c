"""Commands that are a request to the server and lines to tell of its answer, the same in lines and on the full screen.
It knows the client, and nothing of terminals.
"""

from collections.abc import Set

from securechat.client import text
from securechat.client.client import Client
from securechat.client.commands import read_number, read_seconds
from securechat.client.ids import new_id
from securechat.client.ignored import Ignored
from securechat.errors import UsageError
from securechat.limits import SANCTION_DAYS
from securechat.protocols.frames import (
    Ack,
    Ban,
    Create,
    Created,
    Delete,
    Edit,
    Found,
    Invite,
    Kick,
    Leave,
    Left,
    MemberList,
    Members,
    Revoke,
    Revoked,
    RoomState,
    SessionList,
    Sessions,
    SessionState,
    Topic,
    Unban,
)


def carry_out(client: Client, name: str, arguments: tuple[str, ...], room: str) -> list[str]:
    """Carry out a command in this room; returns what to tell, which is safe. Raises what the client raises, and
    UsageError for a room that is not there and for arguments that mean nothing."""
    match name, arguments:
        case "create", (new, *rest):
            if rest not in ([], ["private"]):
                raise UsageError("Type /create ROOM, or /create ROOM private.")
            client.request(Create(room=new, private=bool(rest)), Created)
            return [f"You made {text.name(new)}."]
        case "leave", _:
            left = client.request(Leave(room=arguments[0] if arguments else _here(room)), Left)
            return [f"You left {text.name(left.room)}."]
        case "topic", (topic,):
            client.request(Topic(room=_here(room), text="" if topic == "-" else topic, id=new_id()), Ack)
        case "invite", (who,):
            client.request(Invite(room=_here(room), username=who, id=new_id()), Ack)
        case "kick", (who,):
            client.request(Kick(room=_here(room), username=who, id=new_id()), Ack)
        case "ban", (who, *lasting):
            seconds = read_seconds(lasting[0], SANCTION_DAYS) if lasting else 0
            client.request(Ban(room=_here(room), username=who, seconds=seconds), Ack)
            return [f"{text.name(who)} is banned from {text.name(room)}{f' for {lasting[0]}' if lasting else ''}."]
        case "unban", (who,):
            answer = client.request(Unban(room=_here(room), username=who), Ack)
            before, after = ("was", "") if answer.unchanged else ("is", " any more")
            return [f"{text.name(who)} {before} not banned from {text.name(room)}{after}."]
        case "edit", (number, said):
            client.request(Edit(room=_here(room), seq=read_number(number), text=said, id=new_id()), Ack)
        case "delete", (number,):
            client.request(Delete(room=_here(room), seq=read_number(number), id=new_id()), Ack)
        case "who", _:
            members = client.request(Members(room=arguments[0] if arguments else _here(room)), MemberList)
            return [members_line(members), *banned_lines(members)]
        case "sessions", ():
            return [session_line(state) for state in client.request(Sessions(), SessionList).sessions]
        case "sessions", ("end", session):
            client.request(Revoke(session=session), Revoked)
            return [f"The session {text.line(session)} is over."]
        case "sessions", _:
            raise UsageError("Type /sessions, or /sessions end NAME.")
        case "rooms", _:
            return [room_line(state) for state in client.rooms()]
        case _:
            raise AssertionError(name)
    return []


def ignore(ignored: Ignored, arguments: tuple[str, ...]) -> str:
    """Hide what somebody says, or show it again, or list who is hidden; returns what to tell. Raises what
    `Ignored.turn` does."""
    if not arguments:
        return f"Hidden: {', '.join(map(text.name, ignored)) or 'nobody'}."
    name = arguments[0].removeprefix("@")
    told = "hidden from you now" if ignored.turn(name) else "shown to you again"
    return f"What {text.name(name)} says is {told}."


def members_line(answer: MemberList) -> str:
    """Who is in a room; those who are connected now have a star."""
    names = (f"{text.name(name)}{'*' if name in answer.online else ''}" for name in answer.members)
    return f"{text.name(answer.room)}: {', '.join(names)}"


def banned_lines(answer: MemberList) -> list[str]:
    """Who is kept out, for whoever is told."""
    return [f"Banned: {', '.join(map(text.name, answer.banned))}"] if answer.banned else []


def session_line(state: SessionState) -> str:
    """A login in the list of logins; those that are connected now have a star."""
    device = f" on {text.line(state.device)}" if state.device else ""
    here = ", this one" if state.current else ""
    return f"{'*' if state.online else ' '} {text.line(state.session)}{device}, since {text.day(state.created)}{here}"


def room_line(state: RoomState) -> str:
    """A room in the list of rooms; one's own have a star."""
    topic = f" - {text.line(state.topic)}" if state.topic else ""
    return f"{'*' if state.joined else ' '} {text.name(state.room)}: {count_members(state.members)}{topic}"


def count_members(count: int) -> str:
    """How many are in a room."""
    return "1 member" if count == 1 else f"{count} members"


def count_lines(count: int) -> str:
    """How many lines, and the verb."""
    return "1 line is" if count == 1 else f"{count} lines are"


def _here(room: str) -> str:
    if not room:
        raise UsageError("You are in no room.", hint="Come into one with /join ROOM.")
    return room


def found_lines(found: Found, hidden: Set[str]) -> list[str]:
    """What was found, the newest first, but for what those have said who are hidden."""
    return [
        f"{text.day(hit.record.time)} {text.record(hit.record, room=True, number=True, width=None)}"
        for hit in found.hits
        if hit.record.sender not in hidden
    ] or ["Nothing was found."]
