"""Counts unread messages from the stream alone."""

from __future__ import annotations

from ..v1.message_pb2 import UnreadTotals

MAX_CATEGORIES = 100
"""The most categories that totals name; further ones count under OTHER, here as on the server."""

OTHER = "(other)"


class Badge:
    """The unread totals of one subscription.

    The totals of Hello are exact at CaughtUp, those of a ReadState at its position in the stream, and each NOTIFICATION
    after that adds one.
    """

    def __init__(self) -> None:
        self.totals: UnreadTotals | None = None
        """The totals; None before the first Hello, and for services. Never changed in place."""
        self._counting = False

    def hello(self, unread: UnreadTotals | None) -> None:
        """Takes the totals of Hello, which include the messages that are replayed next."""
        self._counting = False
        self.totals = unread

    def caught_up(self) -> None:
        """Starts to count: the replay is over."""
        self._counting = True

    def read_state(self, unread: UnreadTotals | None) -> None:
        """Takes totals that are exact at this position of the stream."""
        if unread is not None:
            self._counting = True
            self.totals = unread

    def notification(self, category: str) -> None:
        """Counts a NOTIFICATION that has a position in a feed."""
        if not self._counting or self.totals is None:
            return
        totals = UnreadTotals()
        totals.CopyFrom(self.totals)
        counts = totals.by_category
        name = category if counts.get(category, 0) or len(counts) < MAX_CATEGORIES else OTHER
        counts[name] = counts.get(name, 0) + 1
        totals.total += 1
        self.totals = totals

    def answer(self, unread: UnreadTotals) -> None:
        """Takes the totals of a unary response when their version is newer. The stream repeats them in a ReadState."""
        if self.totals is None or self.totals.version < unread.version:
            self.totals = unread
