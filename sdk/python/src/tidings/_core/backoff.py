"""Delays between two attempts, in seconds."""

BASE = 0.5
"""The bound of the first backoff delay; it doubles with every failure."""

CAP = 30.0
"""The longest backoff delay."""

MAX_FAILURES = 6
"""The number of failures at which the backoff has reached its cap; more are not counted."""

LONGEST_HOLD = 300.0
"""The longest delay that a server can impose, so that one wrong answer cannot silence a client for days."""


def backoff(failures: int, fraction: float) -> float:
    """Returns the backoff delay with full jitter: uniform over [0, min(30 s, 0.5 s * 2^failures)).

    Clients that lost one server at the same moment must not return at the same moment. `fraction` is in [0, 1).
    """
    return fraction * min(CAP, BASE * 2.0 ** min(failures, MAX_FAILURES))


def is_retry_slot(asked: float) -> bool:
    """Reports whether a delay that the server named is a schedule.

    A shorter one is not, so that the backoff applies: a client that is always asked to return at once must still slow
    down.
    """
    return asked >= BASE


def held(asked: float, failures: int, fraction: float) -> float:
    """Returns the delay where the server named one: never shorter, and spread over another half a second.

    The backoff is not added to a retry slot: after an outage a server that admits its clients one after another would
    otherwise wait for those that had failed most often.
    """
    asked = min(max(0.0, asked), LONGEST_HOLD)
    if not is_retry_slot(asked):
        return max(asked, backoff(failures, fraction))
    return asked + backoff(0, fraction)


def refused(refusals: int, fraction: float) -> float:
    """Returns the delay after a fresh token was refused, which `refusals` others were before it.

    It is the upper half of the backoff, so that it is never short. It grows, because a token may also have expired
    during an outage.
    """
    return min(CAP, BASE * 2.0 ** min(refusals, MAX_FAILURES)) / 2 * (1 + fraction)
