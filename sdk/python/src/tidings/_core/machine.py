"""The connection of a subscription as a pure state machine: nothing here waits, calls back or keeps state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from . import backoff

State = Literal[
    "idle",
    "authorizing",
    "connecting",
    "replaying",
    "live",
    "waiting",
    "held",
    "unauthorized",
    "paused",
    "closed",
]
"""The state of a subscription.

- `idle`: created; reads the saved positions
- `authorizing`: waits for the token function
- `connecting`: opens a stream, until its Hello
- `replaying`: receives the messages that it missed
- `live`: receives messages as they are published
- `waiting`: between two attempts, after a failure
- `held`: between two attempts, for the delay that the server named
- `unauthorized`: between two attempts, after a fresh token was refused
- `paused`: the application fell behind; the stream is opened again when the queue is empty
- `closed`: ended by close() or by an error that a retry cannot resolve
"""

Signal = Literal[
    "start",
    "token",
    "hello",
    "caught_up",
    "later",
    "failed",
    "stale",
    "refused",
    "reset",
    "rejected",
    "timer",
    "resubscribe",
    "overflow",
    "drained",
    "close",
]
"""An event that can change the state.

- `start`: the saved positions were read
- `token`: the token function returned a token
- `hello`: the first event of the stream arrived
- `caught_up`: all missed messages have been sent
- `later`: the server named the delay before the next attempt, by GoAway or RetryInfo
- `failed`: the stream or the token function failed with an error that may be transient
- `stale`: a token was refused for the first time since the connection was healthy: it has expired
- `refused`: a token was refused again
- `reset`: the server refused the positions, which the client has forgotten by now
- `rejected`: the server refused the subscription itself
- `timer`: the timer of the state fired: the token, the Hello or an event is overdue, or the delay is over
- `resubscribe`: the application changed the rooms
- `overflow`: the queue of the application is full
- `drained`: the application has consumed the queue
- `close`: the application closed the subscription
"""

Input = Literal[
    "start",
    "token",
    "hello",
    "caught_up",
    "later",
    "failed",
    "unauthenticated",
    "reset",
    "rejected",
    "timer",
    "resubscribe",
    "overflow",
    "drained",
    "close",
]
"""An input of the machine: a signal, where `unauthenticated` is `stale` or `refused`, depending on earlier refusals."""

_STREAMING: Mapping[Signal, State] = {
    "close": "closed",
    "later": "held",
    "failed": "waiting",
    "stale": "authorizing",
    "refused": "unauthorized",
    "reset": "waiting",
    "rejected": "closed",
    "timer": "waiting",
}
_GREETED: Mapping[Signal, State] = {**_STREAMING, "resubscribe": "authorizing", "overflow": "paused"}

TRANSITIONS: Mapping[State, Mapping[Signal, State]] = {
    "idle": {"close": "closed", "start": "authorizing"},
    "authorizing": {"close": "closed", "token": "connecting", "failed": "waiting", "timer": "waiting"},
    "connecting": {**_STREAMING, "hello": "replaying"},
    "replaying": {**_GREETED, "caught_up": "live"},
    "live": _GREETED,
    "waiting": {"close": "closed", "timer": "authorizing"},
    "held": {"close": "closed", "timer": "authorizing"},
    "unauthorized": {"close": "closed", "timer": "authorizing"},
    "paused": {"close": "closed", "drained": "authorizing"},
    "closed": {},
}
"""The next state, by state and signal. A signal that is not in the row of a state is ignored there."""

HEALTHY_AFTER = 1.0
"""The age in seconds at which a connection is healthy, so that the next refusal of its token counts as the first."""

FORGET = 0.5
"""A stream that ends forgets one failure for each period of this length that it has lived, in seconds.

A client whose stream was cut several times in quick succession must not back off for 30 s at the next outage.
"""


@dataclass(frozen=True)
class Machine:
    """The state of the machine, an immutable value; step() returns the next one."""

    state: State = "idle"
    failures: int = 0
    """Failures not yet forgotten; an end for which the server assigned a retry slot is none."""
    refusals: int = 0
    """Refusals of a token since a connection was healthy."""
    delay: float = 0.0
    """The delay in seconds of the states waiting, held and unauthorized."""


def step(
    machine: Machine,
    kind: Input,
    fraction: Callable[[], float],
    *,
    uptime: float = 0.0,
    after: float = 0.0,
) -> Machine:
    """Returns the state after an input; the same object when the input changes nothing.

    `uptime` is the time since the Hello of the stream that ended, and `after` the delay that the server named, in
    seconds. `fraction` returns numbers in [0, 1).

    No sequence of answers makes a client retry in a tight loop: every path back to `authorizing` includes a delay, with
    three exceptions. One refused token per healthy connection is replaced at once, `drained` follows only after the
    application has consumed a full queue, and `resubscribe` is the application's own request.
    """
    failures = max(0, machine.failures - int(uptime / FORGET))
    refusals = 0 if uptime >= HEALTHY_AFTER else machine.refusals
    signal: Signal
    if kind != "unauthenticated":
        signal = kind
    else:
        signal = "stale" if refusals == 0 else "refused"
    state = TRANSITIONS[machine.state].get(signal)
    if state is None:
        return machine
    refused = signal in ("stale", "refused")
    # A client that waits for its retry slot has not failed.
    failed = refused or state == "waiting" or (state == "held" and not backoff.is_retry_slot(after))
    return Machine(
        state=state,
        failures=min(failures + 1, backoff.MAX_FAILURES) if failed else failures,
        refusals=refusals + 1 if refused else refusals,
        delay=_delay(state, failures, refusals, after, fraction),
    )


def _delay(state: State, failures: int, refusals: int, after: float, fraction: Callable[[], float]) -> float:
    if state == "waiting":
        return backoff.backoff(failures, fraction())
    if state == "held":
        return backoff.held(after, failures, fraction())
    if state == "unauthorized":
        return backoff.refused(refusals, fraction())
    return 0.0
