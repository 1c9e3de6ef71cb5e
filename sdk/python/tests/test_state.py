"""The badge, the rooms and the queue."""

import pytest

from tidings import Message, Reset, direct_room
from tidings._core.badge import Badge
from tidings._core.deliveries import Deliveries
from tidings._core.rooms import Rooms, canonical_room
from tidings.v1 import ROOM_MODE_ANY, ROOM_MODE_FIRST, ROOM_MODE_LAST, Position, RoomJoin, RoomState, UnreadTotals


def totals(badge: Badge) -> tuple[int, dict[str, int]]:
    assert badge.totals is not None
    return badge.totals.total, dict(badge.totals.by_category)


def test_the_badge_counts_from_caught_up_on() -> None:
    badge = Badge()
    badge.notification("a")
    assert badge.totals is None
    badge.hello(UnreadTotals(total=2, by_category={"a": 2}))
    badge.notification("a")
    assert totals(badge) == (2, {"a": 2})
    badge.caught_up()
    badge.notification("a")
    badge.notification("")
    assert totals(badge) == (4, {"a": 3, "": 1})


def test_the_badge_counts_from_a_read_state_on_even_during_the_replay() -> None:
    badge = Badge()
    badge.hello(UnreadTotals(total=2))
    badge.read_state(None)
    badge.notification("a")
    badge.read_state(UnreadTotals(total=1, by_category={"a": 1}))
    badge.notification("a")
    assert totals(badge) == (2, {"a": 2})


def test_the_badge_takes_the_totals_of_an_answer_when_they_are_newer() -> None:
    badge = Badge()
    badge.answer(UnreadTotals(total=5, version=7))
    badge.answer(UnreadTotals(total=4, version=7))
    badge.answer(UnreadTotals(total=3, version=6))
    assert totals(badge) == (5, {})
    badge.answer(UnreadTotals(total=2, version=8))
    assert totals(badge) == (2, {})


def test_the_badge_names_at_most_100_categories() -> None:
    badge = Badge()
    badge.hello(UnreadTotals(total=100, by_category={str(n): 1 for n in range(100)}))
    badge.caught_up()
    for category in ("7", "new", "newer"):
        badge.notification(category)
    total, counts = totals(badge)
    assert (total, counts["7"], counts["(other)"], len(counts)) == (103, 2, 2, 101)


def test_direct_rooms_are_the_same_in_either_order() -> None:
    assert direct_room("bob", "ada") == direct_room("ada", "bob") == "dm/ada/bob"
    assert direct_room("1/2", "3%") == "dm/1%2F2/3%25"
    assert canonical_room("dm/b/a%2f%41") == "dm/a%2F%2541/b"
    # As JavaScript sorts: U+1F600 is a pair of surrogates, below U+FF5E.
    assert direct_room("\uff5e", "\U0001f600") == "dm/\U0001f600/\uff5e"


@pytest.mark.parametrize("room", ["", "x" * 321, "a\nb", "\ud800", "dm/a", "dm/a/b/c"])
def test_an_id_that_no_server_accepts_is_refused(room: str) -> None:
    with pytest.raises(ValueError, match="room_id"):
        Rooms().join(room)


def test_rooms_are_limited_and_named_once() -> None:
    with pytest.raises(ValueError, match="named twice"):
        Rooms(["a", "a"])
    with pytest.raises(ValueError, match="at most 100"):
        Rooms(str(n) for n in range(101))
    with pytest.raises(ValueError, match="mode"):
        Rooms().join("a", "all")  # type: ignore[arg-type]


def test_a_room_held_by_last_is_asked_for_by_first() -> None:
    rooms = Rooms([RoomJoin(room_id="a", mode=ROOM_MODE_LAST), "b"])
    assert [room.mode for room in rooms.list()] == [ROOM_MODE_LAST, ROOM_MODE_ANY]
    rooms.apply(RoomState(room_id="a", status=RoomState.STATUS_JOINED))
    assert [room.mode for room in rooms.list()] == [ROOM_MODE_FIRST, ROOM_MODE_ANY]
    taken = rooms.apply(RoomState(room_id="a", status=RoomState.STATUS_REFUSED, code="already_exists"))
    assert taken.status == RoomState.STATUS_KICKED
    assert [room.room_id for room in rooms.list()] == ["b"]


def test_a_kicked_room_is_not_asked_for_again_and_a_refused_one_is() -> None:
    rooms = Rooms(["a", "b"])
    rooms.apply(RoomState(room_id="a", status=RoomState.STATUS_KICKED))
    rooms.apply(RoomState(room_id="b", status=RoomState.STATUS_REFUSED, code="unavailable"))
    assert [room.room_id for room in rooms.list()] == ["b"]
    assert rooms.follows("user")
    assert rooms.follows("room/b")
    assert not rooms.follows("room/a")


def test_positions_are_consumed_when_the_next_event_is_asked_for() -> None:
    consumed: list[str] = []
    queue = Deliveries(2, lambda positions: consumed.append(",".join(f"{p.feed}{p.seq}" for p in positions)))
    queue.skip([Position(feed="user", seq=1)])
    assert consumed == ["user1"]
    first, second = Message(id="1"), Message(id="2")
    queue.push(first, [Position(feed="user", seq=2)])
    queue.skip([Position(feed="tenant", seq=3)])
    queue.skip([Position(feed="tenant", seq=4)])
    queue.push(second, [Position(feed="user", seq=3)])
    assert queue.full
    assert queue.take() is first
    assert consumed == ["user1"]
    assert queue.take() is second
    assert consumed == ["user1", "user2,tenant4"]
    queue.skip([Position(feed="tenant", seq=5)])
    assert consumed == ["user1", "user2,tenant4"]
    assert queue.take() is None
    assert consumed == ["user1", "user2,tenant4", "user3,tenant5"]


def test_positions_that_the_server_does_not_know_are_forgotten_in_the_queue() -> None:
    consumed: list[int] = []
    queue = Deliveries(9, lambda positions: consumed.append(len(positions)))
    queue.push(Reset("x"), [Position(feed="user", seq=2)])
    queue.push(Reset("y"), [Position(feed="user", seq=3)])
    queue.take()
    queue.forget_positions()
    queue.take()
    queue.take()
    assert consumed == [0, 0]
