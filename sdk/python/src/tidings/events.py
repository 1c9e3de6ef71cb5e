"""The events of a subscription: the types of the contract, and Reset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .v1.message_pb2 import Message, OnlineState
from .v1.push_service_pb2 import CaughtUp, Gap, Hello, ReadState, RoomState


@dataclass(frozen=True)
class Reset:
    """The server does not know the positions, so the stream starts anew. Lists show the messages that it missed."""

    reason: str
    """The reason of the server's error, such as `POSITION_IN_FUTURE`."""


Event: TypeAlias = Hello | Message | ReadState | OnlineState | CaughtUp | Gap | RoomState | Reset
"""An event of a subscription; distinguish them by isinstance() or match."""
