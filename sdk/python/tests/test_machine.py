"""The state machine and its delays."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings._core import backoff
from tidings._core.machine import TRANSITIONS, Input, Machine, Signal, State, step

fractions = st.floats(0, 1, exclude_max=True)
INPUTS: tuple[Input, ...] = get_args(Input)


@given(st.integers(0, 10_000), fractions)
def test_backoff_is_uniform_below_its_bound(failures: int, fraction: float) -> None:
    delay = backoff.backoff(failures, fraction)
    assert 0 <= delay < 30
    assert delay == fraction * min(30, 0.5 * 2 ** min(failures, 10))


@given(st.floats(-1e9, 1e9), st.integers(0, 6), fractions)
def test_a_named_delay_is_never_shortened_and_capped_at_five_minutes(asked: float, failures: int, f: float) -> None:
    delay = backoff.held(asked, failures, f)
    assert delay >= min(asked, 300)
    assert delay <= 300.5
    if asked >= 0.5:
        assert delay <= min(asked, 300) + 0.5
    else:
        assert delay >= backoff.backoff(failures, f)


@given(st.integers(1, 5_000), fractions)
def test_a_client_whose_fresh_token_is_refused_waits_longer_each_time(refusals: int, fraction: float) -> None:
    longest = min(30.0, 0.5 * 2 ** min(refusals, 10))
    assert longest / 2 <= backoff.refused(refusals, fraction) <= longest


def test_every_state_but_closed_can_be_closed() -> None:
    assert set(TRANSITIONS) == set(get_args(State))
    for state, row in TRANSITIONS.items():
        assert set(row) <= set(get_args(Signal))
        assert row.get("close") == (None if state == "closed" else "closed")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([i for i in INPUTS if i not in ("close", "rejected", "resubscribe", "drained")]),
            st.floats(0, 60),
            st.floats(0, 600),
        ),
        max_size=80,
    )
)
def test_no_sequence_of_answers_makes_a_client_retry_in_a_tight_loop(events: list[tuple[Input, float, float]]) -> None:
    machine = Machine()
    attempts = 0
    delays = 0.0
    healthy = 0
    for kind, uptime, after in events:
        before, machine = machine, step(machine, kind, lambda: 0.5, uptime=uptime, after=after)
        assert 0 <= machine.failures <= 6
        if machine is before:
            continue
        if machine.state == "connecting":
            attempts += 1
        if machine.state in ("waiting", "held", "unauthorized"):
            assert machine.delay > 0
            delays += 1
        if uptime >= 5:
            healthy += 1
    # Each attempt but the first follows a delay, or the one replacement of a token per healthy connection.
    assert attempts <= 1 + delays + healthy + 1


def test_the_first_refusal_is_replaced_at_once_and_a_second_waits() -> None:
    connecting = Machine(state="connecting")
    stale = step(connecting, "unauthenticated", lambda: 0.5)
    assert stale.state == "authorizing"
    again = step(step(stale, "token", lambda: 0.5), "unauthenticated", lambda: 0.5)
    assert (again.state, again.delay) == ("unauthorized", 0.75)
    live = Machine(state="live", refusals=1)
    assert step(live, "unauthenticated", lambda: 0.5, uptime=0.9).state == "unauthorized"
    assert step(live, "unauthenticated", lambda: 0.5, uptime=1).state == "authorizing"


def test_a_stream_forgets_one_failure_for_each_half_second_that_it_lived() -> None:
    live = Machine(state="live", failures=6)
    assert step(live, "failed", lambda: 0.0, uptime=0.4).failures == 6
    assert step(live, "failed", lambda: 0.0, uptime=1.6).failures == 4
    assert step(live, "failed", lambda: 0.0, uptime=3.0).failures == 1


@pytest.mark.parametrize(("after", "failures"), [(0.4, 3), (0.5, 2), (60.0, 2)])
def test_a_retry_slot_is_no_failure(after: float, failures: int) -> None:
    assert step(Machine(state="live", failures=2), "later", lambda: 0.0, after=after).failures == failures
