"""The bounded queue between the stream and the application, which knows what the application has consumed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from ..events import Event
from ..v1.message_pb2 import Position


class _Entry:
    __slots__ = ("event", "positions")

    def __init__(self, event: Event, positions: Sequence[Position]) -> None:
        self.event = event
        self.positions = positions


class Deliveries:
    """The queue of one subscription.

    An event is consumed when the application asks for the next one. Positions are reported in stream order, up to the
    first event that is not consumed, so that a program which starts again gets that event again.
    """

    def __init__(self, limit: int, consumed: Callable[[Sequence[Position]], None]) -> None:
        """`consumed` is called with positions when everything up to them is consumed."""
        self._limit = limit
        self._consumed = consumed
        self._queue: deque[_Entry] = deque()
        self._current: _Entry | None = None
        """The event that the application processes."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the queue takes no more events."""
        return len(self._queue) >= self._limit

    def push(self, event: Event, positions: Sequence[Position]) -> None:
        """Appends an event."""
        self._queue.append(_Entry(event, positions))

    def skip(self, positions: Sequence[Position]) -> None:
        """Takes positions without an event, which are consumed together with everything before them."""
        last = self._queue[-1] if self._queue else self._current
        if last is None:
            return self._consumed(positions)
        # Replace positions of the same feed, so that heartbeats do not accumulate while the application stands still.
        feeds = {position.feed for position in positions}
        last.positions = [p for p in last.positions if p.feed not in feeds] + list(positions)

    def take(self) -> Event | None:
        """Consumes the last event and returns the next one; None when the queue is empty."""
        if self._current is not None:
            self._consumed(self._current.positions)
        self._current = self._queue.popleft() if self._queue else None
        return self._current.event if self._current else None

    def forget_positions(self) -> None:
        """Drops the positions of the queued events: the server no longer knows them."""
        for entry in (*self._queue, *([self._current] if self._current else [])):
            entry.positions = ()

    def clear(self) -> None:
        """Drops the queued events, which are not consumed."""
        self._queue.clear()
