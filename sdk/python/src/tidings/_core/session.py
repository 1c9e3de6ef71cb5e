"""A subscription over any number of streams, without I/O.

A driver passes the session what happens (tokens, events of the stream, its end, the time), then executes the commands
of take_commands() in their order, and calls tick() when `deadline` has passed. Times are seconds of one monotonic
clock. The session is not safe for concurrent use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..errors import ErrorCode, TidingsError
from ..events import Event, Reset
from ..v1.message_pb2 import KIND_NOTIFICATION, Message, OnlineState, Position, UnreadTotals
from ..v1.push_service_pb2 import Hello, RoomState, SubscribeRequest, SubscribeResponse
from .badge import Badge
from .deliveries import Deliveries
from .machine import Input, Machine, State, step
from .positions import MAX_POSITIONS, Positions, format_positions, parse_positions
from .rooms import JoinMode, Rooms, is_room_feed

TOKEN_TIMEOUT = 30.0
"""The deadline of the token function, in seconds."""

HELLO_TIMEOUT = 10.0
"""The deadline of a stream's Hello, in seconds."""

SAVE_DELAY = 0.25
"""The delay of a save in seconds, so that the changes of that time are one write."""

DEFAULT_QUEUE_LIMIT = 1000
"""The default capacity of the queue of events."""


@dataclass(frozen=True)
class FetchToken:
    """Get a token; call token() or token_failed() with this number."""

    number: int


@dataclass(frozen=True)
class AbandonToken:
    """Stop waiting for a token function that does not answer."""


@dataclass(frozen=True)
class RefuseToken:
    """The server refused this token: the next one must be a fresh one."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class OpenStream:
    """Open a stream; call event() with each event, and ended() at its end."""

    token: str = field(repr=False)
    request: SubscribeRequest


@dataclass(frozen=True)
class DropStream:
    """Drop the stream, if any, and whatever it has yet to deliver."""


@dataclass(frozen=True)
class StateChanged:
    """The state has changed."""

    state: State


@dataclass(frozen=True)
class UnreadChanged:
    """The unread totals have changed."""

    unread: UnreadTotals | None


@dataclass(frozen=True)
class OnlineChanged:
    """The online count has changed."""

    online: OnlineState


@dataclass(frozen=True)
class Failed:
    """An error that the client retries: reported when trouble begins and its kind changes, not at every attempt."""

    error: TidingsError
    state: State
    delay: float


@dataclass(frozen=True)
class Save:
    """Save this text in the storage; call save_failed() when that fails."""

    text: str


Command: TypeAlias = (
    FetchToken
    | AbandonToken
    | RefuseToken
    | OpenStream
    | DropStream
    | StateChanged
    | UnreadChanged
    | OnlineChanged
    | Failed
    | Save
)

_TERMINAL: frozenset[ErrorCode] = frozenset(["permission_denied", "invalid_argument", "unimplemented", "not_found"])


def is_terminal(error: TidingsError) -> bool:
    """Reports whether a retry of the subscription would end with the same error.

    Only an error of a Tidings server, which has a reason, is terminal: a proxy may answer 403 or 404 for a while.
    """
    return error.reason is not None and error.code in _TERMINAL


class Session:
    """The subscription of one client."""

    def __init__(
        self,
        request: SubscribeRequest,
        rooms: Rooms,
        *,
        random: Callable[[], float],
        queue_limit: int = DEFAULT_QUEUE_LIMIT,
        saves: bool = False,
        token_is_fixed: bool = False,
    ) -> None:
        """`request` has the filters; positions and rooms are added to it for each stream.

        `random` returns numbers in [0, 1). `saves`: there is a storage. `token_is_fixed`: a refused token cannot be
        replaced, so its refusal ends the subscription.
        """
        self.error: TidingsError | None = None
        """The error that ended the subscription."""
        self.online: OnlineState | None = None
        """The tenant's online count; None before the first Hello."""
        self.deliveries = Deliveries(queue_limit, self._consume)
        self._request = request
        self._rooms = rooms
        self._random = random
        self._saves = saves
        self._token_is_fixed = token_is_fixed
        self._badge = Badge()
        # The positions received: they identify duplicates, and the next stream starts there.
        self._received = Positions()
        # The positions that the application has consumed: these are saved.
        self._consumed = Positions()
        self._saved = format_positions([])
        self._save_at = math.inf
        self._machine = Machine()
        self._timer_at = math.inf
        self._commands: list[Command] = []
        self._now = 0.0
        self._token_number = 0
        self._token = ""
        self._rooms_changed = False
        # When the Hello of the stream arrived; None before that.
        self._hello_at: float | None = None
        # The longest silence of a stream before it counts as dead.
        self._silence = math.inf
        # When the next event is overdue.
        self._event_by = math.inf
        # The state whose error was reported last; None since the client was live.
        self._reported: State | None = None

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._machine.state

    @property
    def unread(self) -> UnreadTotals | None:
        """The unread totals; None before the first Hello, and for services."""
        return self._badge.totals

    @property
    def deadline(self) -> float:
        """When tick() is due; infinity for never."""
        return min(self._timer_at, self._save_at)

    @property
    def ended(self) -> bool:
        """Whether the subscription is closed and all its events are taken."""
        return self.state == "closed" and not self.deliveries

    @property
    def has_commands(self) -> bool:
        """Whether take_commands() would return any."""
        return bool(self._commands)

    def take_commands(self) -> list[Command]:
        """Returns the commands since the last call."""
        commands, self._commands = self._commands, []
        return commands

    # What the application does.

    def start(self, saved: str | None, now: float) -> None:
        """Starts at the positions of the storage."""
        positions = parse_positions(saved)
        self._received.advance(positions)
        self._consumed.advance(positions)
        self._saved = format_positions(positions)
        self._dispatch("start", now)

    def join(self, room_id: str, mode: JoinMode, now: float) -> None:
        """Joins a room. Raises a ValueError for an id or a mode that no server accepts."""
        if self._rooms.join(room_id, mode):
            self._resubscribe(now)

    def leave(self, room_id: str, now: float) -> None:
        """Leaves a room and forgets its position, so that the next join starts anew."""
        feed = self._rooms.leave(room_id)
        if feed is None:
            return
        self._received.forget(feed)
        self._consumed.forget(feed)
        self._changed(now)
        self._resubscribe(now)

    def take(self, now: float) -> Event | None:
        """Consumes the last event and returns the next one; None when there is none yet."""
        self._now = now
        event = self.deliveries.take()
        if event is None:
            self._dispatch("drained", now)
        return event

    def answer(self, unread: UnreadTotals) -> None:
        """Takes the totals of a unary response."""
        self._update_badge(lambda: self._badge.answer(unread))

    def close(self, now: float) -> None:
        """Ends the subscription. Does nothing when repeated."""
        self._dispatch("close", now)

    # What the driver reports.

    def tick(self, now: float) -> None:
        """Does what is due."""
        if now >= self._save_at:
            self._save()
        if now < self._timer_at:
            return
        self._timer_at = math.inf
        state = self.state
        if state == "authorizing":
            self._commands.append(AbandonToken())
            self._overdue("no token came within 30 s", now)
        elif state == "connecting":
            self._overdue("no Hello came within 10 s", now)
        elif state in ("replaying", "live"):
            self._check_silence(now)
        else:
            self._dispatch("timer", now)

    def token(self, number: int, token: str, now: float) -> None:
        """The token function returned a token."""
        if number == self._token_number and self.state == "authorizing":
            self._token = token
            self._dispatch("token", now)

    def token_failed(self, number: int, error: TidingsError, now: float) -> None:
        """The token function failed."""
        if number == self._token_number and self.state == "authorizing":
            self._dispatch("failed", now, error)

    def event(self, response: SubscribeResponse, now: float) -> None:
        """The stream has delivered an event. Ignores those that a newer server may send."""
        if self.state not in ("connecting", "replaying", "live"):
            return
        kind = response.WhichOneof("event")
        if kind == "go_away":
            after = response.go_away.reconnect_after
            return self._dispatch("later", now, after=after.seconds + after.nanos / 1e9)
        # Ignore events before Hello, and a second Hello.
        if (self.state == "connecting") != (kind == "hello"):
            return
        if kind == "hello":
            interval = response.hello.heartbeat_interval
            self._hello_at = now
            self._silence = 2 * (interval.seconds + interval.nanos / 1e9) or math.inf
        elif kind not in ("heartbeat", None) and self.deliveries.full:
            # Discard the event: the next stream starts before it.
            return self._dispatch("overflow", now)
        self._event_by = now + self._silence
        self._now = now
        self._receive(kind, response)
        # Change the state after the event, so that an observer of the state finds the totals that belong to it.
        if kind == "hello":
            self._dispatch("hello", now)
            if self._rooms_changed:
                self._resubscribe(now)
        elif kind == "caught_up":
            self._dispatch("caught_up", now)

    def ended_with(self, error: TidingsError, now: float) -> None:
        """The stream has ended, or could not be opened."""
        if error.reason in ("POSITION_IN_FUTURE", "POSITION_INVALID"):
            self._received.clear()
            self._consumed.clear()
            self.deliveries.forget_positions()
            self._changed(now)
            self._give(Reset(error.reason))
            self._dispatch("reset", now)
        elif error.code == "unauthenticated" and not self._token_is_fixed:
            self._commands.append(RefuseToken(self._token))
            self._dispatch("unauthenticated", now, error)
        elif is_terminal(error) or (error.code == "unauthenticated" and error.reason is not None):
            self._dispatch("rejected", now, error)
        elif error.retry_after is None:
            self._dispatch("failed", now, error)
        else:
            self._dispatch("later", now, error, error.retry_after)

    def save_failed(self) -> None:
        """The storage failed: its content is unknown, so the next change writes again."""
        self._saved = ""

    # The machine.

    def _dispatch(self, kind: Input, now: float, error: TidingsError | None = None, after: float = 0.0) -> None:
        before = self._machine
        self._now = now
        uptime = 0.0 if self._hello_at is None else now - self._hello_at
        machine = step(before, kind, self._random, uptime=uptime, after=after)
        if machine is before:
            return
        self._machine = machine
        self._enter(machine, now)
        if machine.state == "live":
            self._reported = None
        if machine.state == "closed":
            self.error = error
            if error is None:
                self.deliveries.clear()
            self._save()
        elif error is not None:
            self._report(machine, error)
        if machine.state != before.state:
            self._commands.append(StateChanged(machine.state))

    def _enter(self, machine: Machine, now: float) -> None:
        """Performs the actions of a state."""
        state = machine.state
        self._timer_at = math.inf
        if state == "connecting":
            self._timer_at = now + HELLO_TIMEOUT
            self._rooms_changed = False
            self._commands.append(OpenStream(self._token, self._subscribe_request()))
        elif state in ("replaying", "live"):
            self._check_silence(now)
        else:
            self._hello_at = None
            self._commands.append(DropStream())
            if state == "authorizing":
                self._timer_at = now + TOKEN_TIMEOUT
                self._token_number += 1
                self._commands.append(FetchToken(self._token_number))
            elif state in ("waiting", "held", "unauthorized"):
                self._timer_at = now + machine.delay

    def _check_silence(self, now: float) -> None:
        # Looks back at the last event, so that an event does not have to arm a timer.
        if now >= self._event_by:
            self._overdue("no event came in time", now)
        else:
            self._timer_at = self._event_by

    def _overdue(self, sentence: str, now: float) -> None:
        self._dispatch("timer", now, TidingsError("deadline_exceeded", sentence))

    def _resubscribe(self, now: float) -> None:
        # A stream without a Hello is left to finish; Hello opens the next one.
        self._rooms_changed = True
        self._dispatch("resubscribe", now)

    def _report(self, machine: Machine, error: TidingsError) -> None:
        state = machine.state
        # An expired token is replaced; that is no error.
        if state == "authorizing":
            return
        kind: State = "waiting" if state == "held" else state
        if kind != self._reported:
            self._reported = kind
            self._commands.append(Failed(error, state, machine.delay))

    # The events.

    def _receive(self, kind: str | None, response: SubscribeResponse) -> None:
        if kind == "hello":
            self._receive_hello(response.hello)
        elif kind == "message":
            self._receive_message(response.message)
        elif kind == "read_state":
            read_state = response.read_state
            unread = read_state.unread if read_state.HasField("unread") else None
            self._update_badge(lambda: self._badge.read_state(unread))
            self._give(read_state)
        elif kind == "online":
            self._set_online(response.online)
            self._give(response.online)
        elif kind == "caught_up":
            self._badge.caught_up()
            self._give(response.caught_up, response.caught_up.positions)
        elif kind == "gap":
            gap = response.gap
            self._give(gap, [gap.to] if gap.HasField("to") else ())
        elif kind == "room":
            known = (RoomState.STATUS_JOINED, RoomState.STATUS_REFUSED, RoomState.STATUS_KICKED)
            if response.room.status in known:
                self._give(self._rooms.apply(response.room))
        elif kind == "heartbeat":
            positions = response.heartbeat.positions
            self._received.advance(positions)
            self.deliveries.skip(positions)

    def _receive_hello(self, hello: Hello) -> None:
        unread = hello.unread if hello.HasField("unread") else None
        self._update_badge(lambda: self._badge.hello(unread))
        if hello.HasField("online"):
            self._set_online(hello.online)
        # Not the positions of a room that was joined without one: the server replays messages of that room from before
        # its Hello position, and these are no duplicates.
        start = [p for p in hello.positions if not is_room_feed(p.feed) or self._received.has(p.feed)]
        self._give(hello, start)

    def _receive_message(self, message: Message) -> None:
        if not message.HasField("position"):
            return self._give(message)
        if self._received.includes(message.position):
            return
        if message.kind == KIND_NOTIFICATION:
            self._update_badge(lambda: self._badge.notification(message.category))
        self._give(message, [message.position])

    def _give(self, event: Event, positions: Iterable[Position] = ()) -> None:
        positions = list(positions)
        self._received.advance(positions)
        self.deliveries.push(event, positions)

    def _update_badge(self, update: Callable[[], None]) -> None:
        before = self._badge.totals
        update()
        if self._badge.totals is not before:
            self._commands.append(UnreadChanged(self._badge.totals))

    def _set_online(self, online: OnlineState) -> None:
        self.online = online
        self._commands.append(OnlineChanged(online))

    # The positions.

    def _subscribe_request(self) -> SubscribeRequest:
        request = SubscribeRequest()
        request.CopyFrom(self._request)
        # The server refuses positions of feeds that the stream does not follow.
        request.positions.extend(self._followed(self._received))
        request.rooms.extend(self._rooms.list())
        return request

    def _followed(self, positions: Positions) -> list[Position]:
        return [p for p in positions.list() if self._rooms.follows(p.feed)][:MAX_POSITIONS]

    def _consume(self, positions: Sequence[Position]) -> None:
        if positions:
            self._consumed.advance(positions)
            self._changed(self._now)

    def _changed(self, now: float) -> None:
        if not self._saves:
            return
        if self.state == "closed":
            self._save()
        elif self._save_at == math.inf:
            self._save_at = now + SAVE_DELAY

    def _save(self) -> None:
        self._save_at = math.inf
        text = format_positions(self._followed(self._consumed))
        if self._saves and text != self._saved:
            self._saved = text
            self._commands.append(Save(text))
