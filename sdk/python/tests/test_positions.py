"""Positions and their text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings._core.positions import Positions, format_positions, parse_positions
from tidings.v1 import Position

positions = st.builds(
    Position,
    feed=st.sampled_from(["user", "tenant", "room/a"]),
    epoch=st.integers(0, 3),
    seq=st.integers(0, 50) | st.just((1 << 64) - 1),
)


@given(st.lists(positions))
def test_a_position_never_goes_back_within_its_epoch(steps: list[Position]) -> None:
    known = Positions()
    current: dict[str, tuple[int, int]] = {}
    for position in steps:
        epoch, seq = current.get(position.feed, (-1, -1))
        assert known.includes(position) == (epoch == position.epoch and position.seq <= seq)
        known.advance([position])
        if epoch != position.epoch or position.seq > seq:
            current[position.feed] = (position.epoch, position.seq)
        assert {p.feed: (p.epoch, p.seq) for p in known.list()} == current


@given(st.lists(positions, max_size=20))
def test_positions_survive_the_storage(listed: list[Position]) -> None:
    assert parse_positions(format_positions(listed)) == listed


@given(
    st.none()
    | st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["feed", "epoch", "seq"]), inner),
    ).map(json.dumps)
)
def test_any_text_in_the_storage_is_read(text: str | None) -> None:
    for position in parse_positions(text):
        assert position.feed


@pytest.mark.parametrize(
    "entry",
    [
        {"feed": "user", "epoch": 1},
        {"feed": "other", "epoch": 1, "seq": "1"},
        {"feed": "user", "epoch": True, "seq": "1"},
        {"feed": "user", "epoch": 1 << 32, "seq": "1"},
        {"feed": "user", "epoch": 1, "seq": 1},
        {"feed": "user", "epoch": 1, "seq": "²"},
        {"feed": "user", "epoch": 1, "seq": str(1 << 64)},
        {"feed": "room/\ud800", "epoch": 1, "seq": "1"},
    ],
)
def test_an_entry_that_is_no_position_is_ignored(entry: object) -> None:
    good = {"feed": "user", "epoch": 1, "seq": "7"}
    assert parse_positions(json.dumps([entry, good])) == [Position(feed="user", epoch=1, seq=7)]
