"""What the sync and the async client have in common."""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from ..events import Event, Reset
from ..v1.push_service_pb2 import Gap, SubscribeRequest
from .http import Endpoint
from .rooms import Rooms
from .session import Session

log = logging.getLogger("tidings")

R = TypeVar("R", bound=Message)

PUSH = "tidings.v1.PushService/"
ADMIN = "tidings.v1.AdminService/"


def tls_of(endpoint: Endpoint, context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Returns the TLS settings of an endpoint: by default those of the system; None for plain HTTP."""
    if not endpoint.secure:
        return None
    return context or ssl.create_default_context()


def new_session(
    request: SubscribeRequest, rooms: Rooms, queue_limit: int, *, saves: bool, token_is_fixed: bool
) -> Session:
    """Returns a session with real randomness. Raises a ValueError for a queue without room."""
    if queue_limit < 1:
        raise ValueError("queue_limit: must be at least 1")
    return Session(
        request, rooms, random=random.random, queue_limit=queue_limit, saves=saves, token_is_fixed=token_is_fixed
    )


def warn_of_missed(event: Event) -> None:
    """Logs an event of messages that the application misses, for one that iterates over messages alone."""
    if isinstance(event, Gap):
        log.warning(
            "messages of the feed %s are missed: those from seq %d to %d",
            event.to.feed,
            event.after.seq + 1,
            event.to.seq,
        )
    elif isinstance(event, Reset):
        log.warning("messages may be missed: the server does not know the positions (%s)", event.reason)


def request_of(request: R | None, build: Callable[..., R], fields: dict[str, object]) -> R:
    """Returns the request that a method got: as an object of the contract, or as keyword arguments."""
    if request is None:
        return build(**fields)
    if fields:
        raise TypeError("pass a request or keyword arguments, not both")
    return request
