"""A subscription without I/O, on a clock that the tests move."""

from __future__ import annotations

import math
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings import CaughtUp, Gap, Hello, Message, Reset, RoomState, TidingsError, UnreadTotals
from tidings._core.positions import parse_positions
from tidings._core.rooms import Rooms
from tidings._core.session import (
    Command,
    Failed,
    FetchToken,
    OpenStream,
    RefuseToken,
    Save,
    Session,
    StateChanged,
    UnreadChanged,
)
from tidings.errors import ErrorCode
from tidings.v1 import (
    KIND_NOTIFICATION,
    GoAway,
    Heartbeat,
    OnlineState,
    Position,
    SubscribeRequest,
    SubscribeResponse,
)

C = TypeVar("C", bound=Command)


class Driver:
    """Executes the commands of a session as the clients do, and records them."""

    def __init__(self, rooms: Rooms | None = None, *, queue_limit: int = 1000, fixed: bool = False) -> None:
        self.now = 100.0
        self.commands: list[Command] = []
        self.requests: list[SubscribeRequest] = []
        self.session = Session(
            SubscribeRequest(categories=["c"]),
            rooms or Rooms(),
            random=lambda: 0.5,
            queue_limit=queue_limit,
            saves=True,
            token_is_fixed=fixed,
        )

    @property
    def state(self) -> str:
        # Not the type State: a checker would take the state for unchanged by the calls in between.
        return self.session.state

    def all(self, kind: type[C]) -> list[C]:
        return [command for command in self.commands if isinstance(command, kind)]

    def pump(self) -> None:
        while commands := self.session.take_commands():
            self.commands += commands
            for command in commands:
                if isinstance(command, FetchToken):
                    self.session.token(command.number, f"token-{command.number}", self.now)
                elif isinstance(command, OpenStream):
                    self.requests.append(command.request)

    def start(self, saved: str | None = None) -> None:
        self.session.start(saved, self.now)
        self.pump()

    def receive(self, **event: object) -> None:
        self.session.event(SubscribeResponse(**event), self.now)  # type: ignore[arg-type]
        self.pump()

    def hello(self, *positions: Position, total: int = 0) -> None:
        hello = Hello(positions=positions, unread=UnreadTotals(total=total), online=OnlineState(users=3))
        hello.heartbeat_interval.seconds = 10
        self.receive(hello=hello)

    def live(self) -> None:
        self.hello()
        self.receive(caught_up=CaughtUp())

    def message(self, seq: int, feed: str = "user", epoch: int = 1) -> Message:
        message = Message(id=f"{feed}-{epoch}-{seq}", kind=KIND_NOTIFICATION, position=position(seq, feed, epoch))
        self.receive(message=message)
        return message

    def end(self, code: ErrorCode, reason: str | None = None, retry_after: float | None = None) -> None:
        self.session.ended_with(TidingsError(code, "x", reason=reason, retry_after=retry_after), self.now)
        self.pump()

    def wait(self, seconds: float) -> None:
        """Moves the clock, with a tick whenever one is due."""
        until = self.now + seconds
        while self.session.deadline <= until:
            self.now = max(self.now, self.session.deadline)
            self.session.tick(self.now)
            self.pump()
        self.now = until

    def reconnect(self) -> None:
        """Waits until the next stream is opened."""
        opened = len(self.requests)
        while len(self.requests) == opened:
            assert self.session.deadline < math.inf
            self.wait(self.session.deadline - self.now)

    def take(self) -> list[object]:
        events: list[object] = []
        while (event := self.session.take(self.now)) is not None:
            events.append(event)
        self.pump()
        return events

    def positions(self) -> dict[str, int]:
        return {p.feed: p.seq for p in self.requests[-1].positions}


def position(seq: int, feed: str = "user", epoch: int = 1) -> Position:
    return Position(feed=feed, epoch=epoch, seq=seq)


def started(**options: object) -> Driver:
    driver = Driver(**options)  # type: ignore[arg-type]
    driver.start()
    return driver


def test_a_subscription_goes_through_the_states_of_the_written_machine() -> None:
    driver = started()
    driver.live()
    driver.end("unavailable")
    driver.reconnect()
    driver.session.close(driver.now)
    driver.pump()
    states = [command.state for command in driver.all(StateChanged)]
    assert states[:4] == ["authorizing", "connecting", "replaying", "live"]
    assert states[4:] == ["waiting", "authorizing", "connecting", "closed"]


def test_positions_come_from_messages_caught_up_heartbeats_and_gaps() -> None:
    driver = started()
    driver.hello(position(5), position(1, "tenant"))
    driver.message(6)
    driver.receive(caught_up=CaughtUp(positions=[position(2, "activity")]))
    driver.receive(heartbeat=Heartbeat(positions=[position(4, "tenant")]))
    driver.receive(gap=Gap(after=position(1, "everyone"), to=position(9, "everyone")))
    driver.end("unavailable")
    driver.reconnect()
    assert driver.positions() == {"user": 6, "tenant": 4, "activity": 2, "everyone": 9}
    assert driver.requests[-1].categories == ["c"]


def test_a_room_joined_without_a_position_does_not_take_that_of_hello() -> None:
    driver = started(rooms=Rooms(["a"]))
    driver.hello(position(5), position(7, "room/a"))
    driver.end("unavailable")
    driver.reconnect()
    assert driver.positions() == {"user": 5}
    driver.hello(position(5), position(7, "room/a"))
    driver.message(6, "room/a")
    driver.end("unavailable")
    driver.reconnect()
    assert driver.positions() == {"user": 5, "room/a": 6}


def test_duplicates_are_dropped_and_messages_without_a_position_are_not() -> None:
    driver = started()
    driver.live()
    driver.message(1)
    driver.message(1)
    driver.message(2)
    driver.message(1)
    driver.message(1, epoch=2)
    driver.receive(message=Message(id="event"))
    driver.receive(message=Message(id="event"))
    ids = [event.id for event in driver.take() if isinstance(event, Message)]
    assert ids == ["user-1-1", "user-1-2", "user-2-1", "event", "event"]
    assert driver.session.unread is not None
    assert driver.session.unread.total == 3


def test_a_silent_stream_is_dead_after_twice_its_heartbeat_interval() -> None:
    driver = started()
    driver.live()
    driver.wait(19.9)
    driver.receive(heartbeat=Heartbeat())
    driver.wait(19.9)
    assert driver.state == "live"
    driver.wait(0.1)
    assert driver.state == "waiting"
    assert driver.all(Failed)[0].error.code == "deadline_exceeded"


def test_hello_is_due_within_10_seconds_and_a_token_within_30() -> None:
    driver = started()
    driver.wait(9.9)
    assert driver.state == "connecting"
    driver.wait(0.1)
    assert driver.state == "waiting"

    hanging = Driver()
    hanging.session.start(None, hanging.now)
    hanging.session.take_commands()
    hanging.session.tick(hanging.now + 29.9)
    assert hanging.state == "authorizing"
    hanging.session.tick(hanging.now + 30)
    assert hanging.state == "waiting"
    # The token comes too late.
    hanging.session.token(1, "late", hanging.now + 31)
    assert hanging.state == "waiting"


def test_go_away_and_retry_info_are_waited_for() -> None:
    driver = started()
    driver.live()
    away = GoAway()
    away.reconnect_after.seconds = 7
    driver.receive(go_away=away)
    assert driver.state == "held"
    driver.wait(7.24)
    assert driver.state == "held"
    driver.wait(0.02)
    assert driver.state == "connecting"
    driver.end("resource_exhausted", "TOO_MANY_NEW_STREAMS", 3.0)
    driver.wait(2.9)
    assert driver.state == "held"


@pytest.mark.parametrize("code", ["permission_denied", "invalid_argument", "unimplemented", "not_found"])
def test_a_final_error_of_a_server_ends_the_subscription_after_its_events(code: ErrorCode) -> None:
    driver = started()
    driver.live()
    driver.message(1)
    driver.end(code, "SOME_REASON")
    assert driver.state == "closed"
    assert not driver.session.ended
    assert len(driver.take()) == 3
    assert driver.session.ended
    assert driver.session.error is not None
    assert driver.session.error.code == code


@pytest.mark.parametrize("code", ["permission_denied", "not_found", "internal", "unavailable", "unknown"])
def test_an_error_of_a_proxy_is_retried(code: ErrorCode) -> None:
    driver = started()
    driver.end(code)
    assert driver.state == "waiting"
    driver.reconnect()


def test_an_internal_error_of_a_server_is_retried() -> None:
    driver = started()
    driver.end("internal", "INTERNAL")
    assert driver.state == "waiting"


@pytest.mark.parametrize("reason", ["POSITION_IN_FUTURE", "POSITION_INVALID"])
def test_positions_that_the_server_does_not_know_are_forgotten(reason: str) -> None:
    driver = Driver()
    driver.start('[{"feed":"user","epoch":1,"seq":"9"}]')
    assert driver.positions() == {"user": 9}
    driver.end("invalid_argument", reason)
    driver.reconnect()
    assert driver.positions() == {}
    assert driver.take() == [Reset(reason)]
    driver.wait(1)
    assert driver.all(Save)[-1].text == "[]"


def test_an_expired_token_is_replaced_without_an_error_and_a_second_refusal_waits() -> None:
    driver = started()
    driver.live()
    driver.end("unauthenticated", "TOKEN_EXPIRED")
    assert driver.state == "connecting"
    assert driver.all(RefuseToken)[-1].token == "token-1"
    assert driver.all(Failed) == []
    driver.end("unauthenticated", "TOKEN_EXPIRED")
    assert driver.state == "unauthorized"
    assert len(driver.all(Failed)) == 1
    driver.wait(0.5)
    assert driver.state == "unauthorized"
    driver.reconnect()


def test_a_fixed_token_that_is_refused_ends_the_subscription() -> None:
    driver = started(fixed=True)
    driver.end("unauthenticated", "TOKEN_INVALID")
    assert driver.state == "closed"
    proxied = started(fixed=True)
    proxied.end("unauthenticated")
    assert proxied.state == "waiting"


def test_the_totals_follow_hello_notifications_and_answers() -> None:
    driver = started()
    driver.hello(total=2)
    driver.message(1)
    driver.receive(caught_up=CaughtUp())
    driver.message(2)
    driver.session.answer(UnreadTotals(total=1, version=5))
    driver.pump()
    assert [c.unread.total for c in driver.all(UnreadChanged) if c.unread] == [2, 3, 1]
    assert driver.session.online == OnlineState(users=3)


def test_joining_opens_a_stream_at_the_same_positions_after_hello() -> None:
    driver = started()
    driver.session.join("a", "any", driver.now)
    driver.pump()
    assert len(driver.requests) == 1
    driver.hello(position(5))
    assert [room.room_id for room in driver.requests[-1].rooms] == ["a"]
    assert driver.positions() == {"user": 5}
    driver.live()
    driver.message(3, "room/a")
    driver.session.join("b", "first", driver.now)
    driver.pump()
    driver.live()
    assert driver.positions() == {"user": 5, "room/a": 3}
    driver.session.leave("a", driver.now)
    driver.pump()
    assert driver.positions() == {"user": 5}
    assert [room.room_id for room in driver.requests[-1].rooms] == ["b"]
    opened = len(driver.requests)
    driver.session.leave("a", driver.now)
    driver.session.join("b", "first", driver.now)
    driver.pump()
    assert len(driver.requests) == opened


def test_a_kicked_room_is_not_asked_for_again() -> None:
    driver = started(rooms=Rooms(["a", "b"]))
    driver.hello()
    driver.receive(room=RoomState(room_id="a", status=RoomState.STATUS_KICKED, code="already_exists"))
    driver.receive(room=RoomState(room_id="b", status=RoomState.STATUS_REFUSED, code="unavailable"))
    driver.end("unavailable")
    driver.reconnect()
    assert [room.room_id for room in driver.requests[-1].rooms] == ["b"]


def test_a_full_queue_pauses_the_stream_until_it_is_drained() -> None:
    driver = started(queue_limit=3)
    driver.live()
    driver.message(1)
    driver.message(2)
    driver.message(3)
    assert driver.state == "paused"
    assert len(driver.take()) == 3
    assert driver.state == "connecting"
    assert driver.positions() == {"user": 1}
    driver.live()
    driver.message(2)
    assert [e.id for e in driver.take() if isinstance(e, Message)] == ["user-1-2"]


def test_a_heartbeat_does_not_overflow_a_full_queue() -> None:
    driver = started(queue_limit=2)
    driver.live()
    driver.receive(heartbeat=Heartbeat(positions=[position(9)]))
    assert driver.state == "live"


def test_positions_are_saved_for_what_is_consumed_and_at_the_end() -> None:
    driver = started()
    driver.live()
    driver.message(1)
    driver.message(2)
    driver.wait(5)
    assert driver.all(Save) == []
    for _ in range(4):
        driver.session.take(driver.now)
    driver.wait(0.2)
    assert driver.all(Save) == []
    driver.wait(0.1)
    assert parse_positions(driver.all(Save)[-1].text) == [position(1)]
    driver.session.take(driver.now)
    driver.session.close(driver.now)
    driver.pump()
    assert parse_positions(driver.all(Save)[-1].text) == [position(2)]
    assert isinstance(driver.commands[-1], StateChanged)


def test_a_storage_that_failed_is_written_again() -> None:
    driver = started()
    driver.live()
    driver.message(1)
    driver.take()
    driver.wait(1)
    driver.session.save_failed()
    driver.receive(heartbeat=Heartbeat(positions=[position(1)]))
    driver.wait(1)
    assert len(driver.all(Save)) == 2


def test_events_of_a_newer_server_are_ignored() -> None:
    driver = started()
    driver.live()
    driver.session.event(SubscribeResponse.FromString(b"\xfa\x3e\x01x"), driver.now)
    driver.receive(room=RoomState(room_id="a", status=99))  # type: ignore[arg-type]
    assert len(driver.take()) == 2


def test_an_error_is_reported_once_until_the_client_is_live() -> None:
    driver = started()
    for _ in range(3):
        driver.end("unavailable")
        driver.reconnect()
    assert len(driver.all(Failed)) == 1
    driver.live()
    driver.end("unavailable")
    assert len(driver.all(Failed)) == 2


steps = st.lists(
    st.one_of(
        st.tuples(st.just("cut"), st.sampled_from(["unavailable", "internal"])),
        st.tuples(st.just("take"), st.integers(1, 5)),
        st.tuples(st.just("deliver"), st.integers(1, 9)),
        st.tuples(st.just("double"), st.integers(1, 9)),
        st.tuples(st.just("join"), st.sampled_from("ab")),
    ),
    max_size=60,
)


@given(steps)
def test_every_message_is_given_once_and_in_order_whatever_happens_to_the_streams(
    events: list[tuple[str, object]],
) -> None:
    driver = started(queue_limit=6)
    stored = 0
    sent = 0
    got: list[int] = []

    def take(count: int) -> None:
        for _ in range(count):
            event = driver.session.take(driver.now)
            driver.pump()
            if isinstance(event, Message):
                got.append(event.position.seq)

    opened = 0
    for kind, value in [*events, ("cut", "unavailable"), *[("take", 9), ("deliver", 0)] * 100]:
        if kind == "take":
            take(int(str(value)))
        elif kind == "cut" and driver.session.state in ("connecting", "replaying", "live"):
            driver.end("internal" if value == "internal" else "unavailable")
        elif kind == "join":
            driver.session.join(str(value), "any", driver.now)
            driver.pump()
        elif kind in ("deliver", "double"):
            stored += int(str(value))
        while driver.session.state in ("waiting", "authorizing"):
            driver.wait(driver.session.deadline - driver.now)
        # The server replays what comes after the positions of each stream.
        while len(driver.requests) > opened and driver.state == "connecting":
            opened = len(driver.requests)
            sent = driver.positions().get("user", 0)
            driver.live()
        while sent < stored and driver.state == "live":
            sent += 1
            driver.message(sent)
            if kind == "double":
                driver.message(sent)
    assert got == list(range(1, stored + 1))
