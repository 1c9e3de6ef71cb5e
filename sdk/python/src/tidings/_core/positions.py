"""The position in each feed: sent when the client reconnects, and compared to detect duplicates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ..v1.message_pb2 import Position

MAX_POSITIONS = 128
"""The limit of SubscribeRequest."""

_FEED = re.compile(r"user|tenant|activity|everyone|room/.+", re.DOTALL)


class Positions:
    """One position per feed."""

    def __init__(self) -> None:
        self._by_feed: dict[str, tuple[int, int]] = {}

    def includes(self, position: Position) -> bool:
        """Reports whether the position is at or before the one of its feed, in the same epoch."""
        epoch, seq = self._by_feed.get(position.feed, (None, 0))
        return epoch == position.epoch and position.seq <= seq

    def advance(self, positions: Iterable[Position]) -> None:
        """Advances to these positions, never back; a position of another epoch replaces the old one."""
        for position in positions:
            if not self.includes(position):
                self._by_feed[position.feed] = (position.epoch, position.seq)

    def has(self, feed: str) -> bool:
        """Reports whether there is a position of the feed."""
        return feed in self._by_feed

    def forget(self, feed: str) -> None:
        """Forgets the position of one feed."""
        self._by_feed.pop(feed, None)

    def clear(self) -> None:
        """Forgets all positions."""
        self._by_feed.clear()

    def list(self) -> list[Position]:
        """Returns all positions."""
        return [Position(feed=feed, epoch=epoch, seq=seq) for feed, (epoch, seq) in self._by_feed.items()]


def format_positions(positions: Iterable[Position]) -> str:
    """Encodes positions for a storage, in the same form as the TypeScript client."""
    return json.dumps([{"feed": p.feed, "epoch": p.epoch, "seq": str(p.seq)} for p in positions])


def parse_positions(text: str | None) -> list[Position]:
    """Decodes the text of format_positions.

    Entries that are no positions are ignored, since an older program or a person may have written them.
    """
    try:
        entries = json.loads(text or "[]")
    except ValueError:
        return []
    if not isinstance(entries, list):
        return []
    positions = (_parse(entry) for entry in entries)
    return [position for position in positions if position is not None][:MAX_POSITIONS]


def _parse(entry: object) -> Position | None:
    if not isinstance(entry, dict):
        return None
    feed, epoch, seq = entry.get("feed"), entry.get("epoch"), entry.get("seq")
    if not isinstance(feed, str) or not _FEED.fullmatch(feed):
        return None
    if type(epoch) is not int or not 0 <= epoch < 1 << 32:
        return None
    # Not isdigit(), which accepts digits of other scripts and superscripts.
    if not isinstance(seq, str) or not re.fullmatch("[0-9]{1,20}", seq) or int(seq) >= 1 << 64:
        return None
    try:
        return Position(feed=feed, epoch=epoch, seq=int(seq))
    except ValueError:
        # A lone surrogate, which no UTF-8 can hold.
        return None
