"""When a call is repeated, and after which delay."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ErrorCode, TidingsError
from . import backoff

CALL_TIMEOUT = 30.0
"""The default deadline of a call with all its attempts, in seconds."""

ATTEMPT_TIMEOUT = 10.0
"""The deadline of one attempt of a call that is repeated, in seconds: a connection may be dead without a sign."""

_RETRYABLE: frozenset[ErrorCode] = frozenset(["unavailable", "deadline_exceeded", "aborted"])


def is_retryable(error: TidingsError) -> bool:
    """Reports whether the same request may succeed later. A quota does not end within the deadline of a call."""
    if error.reason == "QUOTA_EXCEEDED":
        return False
    return error.code in _RETRYABLE or error.retry_after is not None


class Attempts:
    """The attempts of one call."""

    def __init__(self, deadline: float, *, repeats: bool, random: Callable[[], float]) -> None:
        """`deadline` is that of the whole call. `repeats`: the call may be made again after an error."""
        self._deadline = deadline
        self._repeats = repeats
        self._random = random
        self._failures = 0
        self._refused = False

    def deadline(self, now: float) -> float:
        """Returns the deadline of the attempt that starts now."""
        return min(self._deadline, now + ATTEMPT_TIMEOUT) if self._repeats else self._deadline

    def delay(self, error: TidingsError, now: float) -> float | None:
        """Returns the delay before the next attempt; None when the error is final.

        A token that was refused is replaced once, at once: it may have expired.
        """
        if error.code == "unauthenticated":
            if self._refused:
                return None
            self._refused = True
            return 0.0
        if not self._repeats or not is_retryable(error):
            return None
        if error.retry_after is None:
            delay = backoff.backoff(self._failures, self._random())
        else:
            delay = backoff.held(error.retry_after, self._failures, self._random())
        self._failures = min(self._failures + 1, backoff.MAX_FAILURES)
        return delay if now + delay < self._deadline else None
