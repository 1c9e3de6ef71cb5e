"""A client of Tidings, the push service: `Tidings` for threads, `AsyncTidings` for asyncio.

The types of the contract, such as PublishRequest, are in `tidings.v1`.
"""

from ._async.client import AsyncTidings
from ._async.subscription import AsyncSubscription
from ._async.tokens import AsyncTokenSource
from ._core.batches import Outcome
from ._core.machine import State
from ._core.requests import KindName
from ._core.rooms import JoinMode, direct_room
from ._sync.client import Tidings
from ._sync.subscription import Subscription
from ._sync.tokens import TokenSource
from ._version import VERSION as __version__
from .errors import ErrorCode, TidingsError
from .events import Event, Reset
from .storage import AsyncPositionStorage, FileStorage, PositionStorage
from .v1.message_pb2 import Message, OnlineState, UnreadTotals
from .v1.push_service_pb2 import CaughtUp, Gap, Hello, PublishRequest, PublishResponse, ReadState, RoomState

__all__ = [
    "AsyncPositionStorage",
    "AsyncSubscription",
    "AsyncTidings",
    "AsyncTokenSource",
    "CaughtUp",
    "ErrorCode",
    "Event",
    "FileStorage",
    "Gap",
    "Hello",
    "JoinMode",
    "KindName",
    "Message",
    "OnlineState",
    "Outcome",
    "PositionStorage",
    "PublishRequest",
    "PublishResponse",
    "ReadState",
    "Reset",
    "RoomState",
    "State",
    "Subscription",
    "Tidings",
    "TidingsError",
    "TokenSource",
    "UnreadTotals",
    "__version__",
    "direct_room",
]
