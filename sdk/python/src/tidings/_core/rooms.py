"""The rooms that a subscription asks for, whether or not the server has admitted it to them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..v1.push_service_pb2 import (
    ROOM_MODE_ANY,
    ROOM_MODE_FIRST,
    ROOM_MODE_LAST,
    RoomJoin,
    RoomMode,
    RoomState,
)

JoinMode = Literal["any", "first", "last"]
"""How to join a room.

`any` always succeeds, `first` only while nobody else is in the room, and `last` always, removing everybody else, for
which the token needs a grant of its own (claim `takeover`).
"""

MAX_ROOMS = 100
"""The limit of SubscribeRequest."""

_MODES: dict[str, RoomMode.ValueType] = {"any": ROOM_MODE_ANY, "first": ROOM_MODE_FIRST, "last": ROOM_MODE_LAST}
_DIRECT = re.compile(r"dm/([^/]+)/([^/]+)")


@dataclass
class _Join:
    mode: JoinMode
    held: bool = False
    """The server has admitted the client since join()."""


class Rooms:
    """The rooms of one subscription, by their canonical ids."""

    def __init__(self, rooms: Iterable[str | RoomJoin] = ()) -> None:
        """Raises a ValueError for rooms that no server accepts: a malformed id, one named twice, or too many."""
        self._joins: dict[str, _Join] = {}
        for room in rooms:
            join = RoomJoin(room_id=room) if isinstance(room, str) else room
            if not self.join(join.room_id, mode_name(join.mode)):
                raise ValueError(f"rooms: {join.room_id} is named twice")

    def join(self, room_id: str, mode: JoinMode = "any") -> bool:
        """Adds a room; False when it is there in this mode already. Raises a ValueError as the constructor does."""
        room = _require_room(room_id)
        if mode not in _MODES:
            raise ValueError("mode: must be any, first or last")
        known = self._joins.get(room)
        if known is not None and known.mode == mode:
            return False
        if known is None and len(self._joins) >= MAX_ROOMS:
            raise ValueError(f"rooms: at most {MAX_ROOMS} at once")
        self._joins[room] = _Join(mode)
        return True

    def leave(self, room_id: str) -> str | None:
        """Removes a room and returns the name of its feed; None when the room is not there."""
        room = canonical_room(room_id)
        return f"room/{room}" if self._joins.pop(room, None) else None

    def follows(self, feed: str) -> bool:
        """Reports whether a stream with these rooms may follow the feed."""
        return not is_room_feed(feed) or feed.removeprefix("room/") in self._joins

    def list(self) -> list[RoomJoin]:
        """Returns the rooms for the next stream.

        A client that has held a room by `last` asks for it by `first` when it reconnects: a client that slept while
        another one took the room must not take it back by itself.
        """
        return [
            RoomJoin(room_id=room, mode=_MODES["first" if join.held and join.mode == "last" else join.mode])
            for room, join in self._joins.items()
        ]

    def apply(self, event: RoomState) -> RoomState:
        """Applies an event and returns it for the application. A room that was taken is not asked for again."""
        join = self._joins.get(event.room_id)
        taken = event.code == "already_exists" and join is not None and join.held and join.mode == "last"
        if join is not None and event.status == RoomState.STATUS_JOINED:
            join.held = True
        if event.status != RoomState.STATUS_KICKED and not taken:
            return event
        self._joins.pop(event.room_id, None)
        kicked = RoomState()
        kicked.CopyFrom(event)
        kicked.status = RoomState.STATUS_KICKED
        return kicked


def mode_name(mode: RoomMode.ValueType) -> JoinMode:
    """Returns the name of a mode; unset means `any`."""
    if mode == ROOM_MODE_FIRST:
        return "first"
    return "last" if mode == ROOM_MODE_LAST else "any"


def is_room_feed(feed: str) -> bool:
    """Reports whether a feed is that of a room."""
    return feed.startswith("room/")


def direct_room(a: str, b: str) -> str:
    """Returns the id of the direct room of two users, the same in either order."""
    # In the order of UTF-16, as the server sorts: by code points, two ids could sort differently here and there.
    first, second = sorted((a, b), key=lambda user: user.encode("utf-16-be", "surrogatepass"))
    return f"dm/{_escape(first)}/{_escape(second)}"


def canonical_room(room_id: str) -> str:
    """Returns the canonical id: of a direct room, with its users in order and only `%` and `/` escaped."""
    if not isinstance(room_id, str):
        raise TypeError("room_id: must be a string")
    users = _DIRECT.fullmatch(room_id)
    return direct_room(_unescape(users[1]), _unescape(users[2])) if users else room_id


def _escape(user: str) -> str:
    # The room of "1/2" and "3" is not that of "1" and "2/3".
    return user.replace("%", "%25").replace("/", "%2F")


def _unescape(text: str) -> str:
    return re.sub("%2F", "/", text, flags=re.IGNORECASE).replace("%25", "%")


def _require_room(room_id: str) -> str:
    # Checked here, since a bad id would be an error of the whole subscription.
    room = canonical_room(room_id)
    broken_direct = room.startswith("dm/") and not _DIRECT.fullmatch(room)
    if not 1 <= len(room) <= 320 or broken_direct or any(unicodedata.category(c) in ("Cc", "Cs") for c in room):
        raise ValueError("room_id: must be an id of 1 to 320 characters, as direct_room() returns")
    return room
