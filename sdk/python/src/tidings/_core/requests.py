"""Builds requests from keyword arguments."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, TypedDict, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from ..v1.admin_service_pb2 import DisconnectRequest
from ..v1.message_pb2 import (
    KIND_ACTIVITY,
    KIND_EVENT,
    KIND_NOTIFICATION,
    Actor,
    Audience,
    Draft,
    Kind,
    MessageIds,
    ObjectRef,
    Position,
    UserIds,
)
from ..v1.push_service_pb2 import (
    DeleteMessagesRequest,
    ListMessagesRequest,
    ListUnreadRequest,
    MarkReadRequest,
    OnlineCountRequest,
    PublishRequest,
    RoomJoin,
    SubscribeRequest,
)
from .rooms import Rooms

KindName = Literal["notification", "activity", "event"]
"""The kind of a message; see `Kind` of the contract."""

Json: TypeAlias = "str | int | float | bool | Mapping[str, Json] | Sequence[Json] | None"
"""Any JSON value."""

DEFAULT_PAGE_SIZE = 100
"""The size of the pages that lists are read in: the server's largest, since the iterators hide the pages."""

_KINDS: Mapping[str, Kind.ValueType] = {
    "notification": KIND_NOTIFICATION,
    "activity": KIND_ACTIVITY,
    "event": KIND_EVENT,
}


def kind_value(kind: KindName) -> Kind.ValueType:
    """Returns a kind by its name. Raises a ValueError for another name."""
    value = _KINDS.get(kind)
    if value is None:
        raise ValueError("kind: must be notification, activity or event")
    return value


def _json_value(value: Json) -> Value:
    try:
        # The stubs allow objects only; the function takes any value.
        return ParseDict(cast("dict[str, Any]", value), Value())
    except ParseError as error:
        raise ValueError(f"json: {error}") from error


def _duration(value: timedelta) -> Duration:
    result = Duration()
    result.FromTimedelta(value)
    return result


def _timestamp(value: datetime | None) -> Timestamp | None:
    """Returns a timestamp. Raises a ValueError for a time without a time zone, which is ambiguous."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("time: must have a time zone, as datetime.now(timezone.utc) has")
    result = Timestamp()
    result.FromDatetime(value)
    return result


def _require_list(name: str, value: object) -> None:
    # A string is an iterable of strings too.
    if isinstance(value, str):
        raise TypeError(f"{name}: must be a list, not a string")


class PublishFields(TypedDict, total=False):
    """The keyword arguments of publish(): one audience, and the fields of `Draft` and PublishRequest."""

    user_id: str
    user_ids: Iterable[str]
    room_id: str
    tenant: bool
    everyone: bool
    kind: KindName
    category: str
    title: str
    content: str
    url: str
    actor: Actor
    object: ObjectRef
    event: str
    json: Json
    binary: bytes
    content_type: str
    ttl: timedelta
    batch_id: str
    request_id: str
    replace: bool
    tenant_id: str


def publish_request(
    *,
    user_id: str | None = None,
    user_ids: Iterable[str] | None = None,
    room_id: str | None = None,
    tenant: bool = False,
    everyone: bool = False,
    kind: KindName = "notification",
    category: str = "",
    title: str = "",
    content: str = "",
    url: str = "",
    actor: Actor | None = None,
    object: ObjectRef | None = None,
    event: str = "",
    json: Json = None,
    binary: bytes | None = None,
    content_type: str = "",
    ttl: timedelta | None = None,
    batch_id: str = "",
    request_id: str = "",
    replace: bool = False,
    tenant_id: str = "",
) -> PublishRequest:
    """Builds a PublishRequest from PublishFields.

    Raises a ValueError unless exactly one audience, and at most one payload, is named.
    """
    named = [user_id is not None, user_ids is not None, room_id is not None, tenant, everyone]
    if sum(named) != 1:
        raise ValueError("audience: name exactly one of user_id, user_ids, room_id, tenant and everyone")
    if json is not None and binary is not None:
        raise ValueError("payload: set json or binary, not both")
    _require_list("user_ids", user_ids)
    draft = Draft(
        kind=kind_value(kind),
        category=category,
        title=title,
        content=content,
        url=url,
        actor=actor,
        object=object,
        event=event,
        json=None if json is None else _json_value(json),
        content_type=content_type,
        ttl=None if ttl is None else _duration(ttl),
        batch_id=batch_id,
    )
    if binary is not None:
        draft.binary = binary
    return PublishRequest(
        tenant_id=tenant_id,
        audience=_audience(user_id, user_ids, room_id, tenant, everyone),
        message=draft,
        request_id=request_id,
        replace=replace,
    )


def _audience(
    user_id: str | None, user_ids: Iterable[str] | None, room_id: str | None, tenant: bool, everyone: bool
) -> Audience:
    if user_id is not None:
        return Audience(user_id=user_id)
    if user_ids is not None:
        return Audience(users=UserIds(user_ids=user_ids))
    if room_id is not None:
        return Audience(room_id=room_id)
    return Audience(tenant=True) if tenant else Audience(everyone=everyone)


class SubscribeFields(TypedDict, total=False):
    """The keyword arguments of subscribe() that SubscribeRequest has. Empty filters let everything through."""

    rooms: Iterable[str | RoomJoin]
    kinds: Iterable[KindName]
    categories: Iterable[str]
    events: Iterable[str]
    online_count: bool
    instance_id: str


def subscribe_request(
    *,
    kinds: Iterable[KindName] = (),
    categories: Iterable[str] = (),
    events: Iterable[str] = (),
    online_count: bool = False,
    instance_id: str = "",
    rooms: Iterable[str | RoomJoin] = (),
) -> tuple[SubscribeRequest, Rooms]:
    """Returns the filters of a subscription, and its rooms. Raises a ValueError for rooms that no server accepts."""
    for name, value in (("kinds", kinds), ("categories", categories), ("events", events), ("rooms", rooms)):
        _require_list(name, value)
    request = SubscribeRequest(
        kinds=[kind_value(kind) for kind in kinds],
        categories=categories,
        events=events,
        online_count=online_count,
        instance_id=instance_id or str(uuid.uuid4()),
    )
    return request, Rooms(rooms)


class ListUnreadFields(TypedDict, total=False):
    """The filters of list_unread()."""

    categories: Iterable[str]
    actor_id: str
    start_time: datetime
    end_time: datetime
    page_size: int


def list_unread_request(
    *,
    categories: Iterable[str] = (),
    actor_id: str = "",
    start_time: datetime | None = None,
    end_time: datetime | None = None,
    page_size: int = DEFAULT_PAGE_SIZE,
) -> ListUnreadRequest:
    """Builds a ListUnreadRequest."""
    _require_list("categories", categories)
    return ListUnreadRequest(
        categories=categories,
        actor_id=actor_id,
        start_time=_timestamp(start_time),
        end_time=_timestamp(end_time),
        page_size=page_size,
    )


class ListMessagesFields(ListUnreadFields, total=False):
    """The filters of list_messages()."""

    tenant_id: str
    kinds: Iterable[KindName]
    object: ObjectRef
    room_id: str
    batch_id: str


def list_messages_request(
    *,
    tenant_id: str = "",
    kinds: Iterable[KindName] = (),
    categories: Iterable[str] = (),
    actor_id: str = "",
    object: ObjectRef | None = None,
    room_id: str = "",
    batch_id: str = "",
    start_time: datetime | None = None,
    end_time: datetime | None = None,
    page_size: int = DEFAULT_PAGE_SIZE,
) -> ListMessagesRequest:
    """Builds a ListMessagesRequest."""
    _require_list("categories", categories)
    _require_list("kinds", kinds)
    return ListMessagesRequest(
        tenant_id=tenant_id,
        kinds=[kind_value(kind) for kind in kinds],
        categories=categories,
        actor_id=actor_id,
        object=object,
        room_id=room_id,
        batch_id=batch_id,
        start_time=_timestamp(start_time),
        end_time=_timestamp(end_time),
        page_size=page_size,
    )


class MarkReadFields(TypedDict, total=False):
    """The keyword arguments of mark_read(): a target, or categories, and which messages of it."""

    ids: Iterable[str]
    all: bool
    oldest: int
    categories: Iterable[str]
    unread: bool
    up_to: Iterable[Position]


def mark_read_request(
    *,
    ids: Iterable[str] | None = None,
    all: bool = False,
    oldest: int | None = None,
    categories: Iterable[str] = (),
    unread: bool = False,
    up_to: Iterable[Position] = (),
) -> MarkReadRequest:
    """Builds a MarkReadRequest. Raises a ValueError when more than one target is named."""
    if (ids is not None) + all + (oldest is not None) > 1:
        raise ValueError("target: name one of ids, all and oldest")
    _require_list("categories", categories)
    request = MarkReadRequest(ids=_message_ids(ids), categories=categories, unread=unread, up_to=up_to)
    if all:
        request.all = True
    if oldest is not None:
        request.oldest = oldest
    return request


class DeleteMessagesFields(TypedDict, total=False):
    """The keyword arguments of delete_messages()."""

    ids: Iterable[str]
    category: str
    expired_only: bool
    recall: bool
    batch_id: str
    tenant_id: str


def delete_messages_request(
    *,
    ids: Iterable[str] | None = None,
    category: str = "",
    expired_only: bool = False,
    recall: bool = False,
    batch_id: str = "",
    tenant_id: str = "",
) -> DeleteMessagesRequest:
    """Builds a DeleteMessagesRequest."""
    return DeleteMessagesRequest(
        tenant_id=tenant_id,
        ids=_message_ids(ids),
        category=category,
        expired_only=expired_only,
        recall=recall,
        batch_id=batch_id,
    )


class OnlineCountFields(TypedDict, total=False):
    """The keyword arguments of online_count(): the whole tenant, or these users, or a room."""

    user_ids: Iterable[str]
    room_id: str
    tenant_id: str


def online_count_request(
    *, user_ids: Iterable[str] | None = None, room_id: str | None = None, tenant_id: str = ""
) -> OnlineCountRequest:
    """Builds an OnlineCountRequest. Raises a ValueError when both users and a room are named."""
    if user_ids is not None and room_id is not None:
        raise ValueError("scope: name user_ids or room_id, not both")
    _require_list("user_ids", user_ids)
    request = OnlineCountRequest(tenant_id=tenant_id)
    if user_ids is not None:
        request.users.CopyFrom(UserIds(user_ids=user_ids))
    if room_id is not None:
        request.room_id = room_id
    return request


class DisconnectFields(TypedDict, total=False):
    """The keyword arguments of disconnect() beside the user."""

    reason: str
    token_id: str
    block_until: datetime
    tenant_id: str


def disconnect_request(
    *,
    user_id: str,
    reason: str = "",
    token_id: str = "",
    block_until: datetime | None = None,
    tenant_id: str = "",
) -> DisconnectRequest:
    """Builds a DisconnectRequest."""
    return DisconnectRequest(
        tenant_id=tenant_id,
        user_id=user_id,
        reason=reason,
        token_id=token_id,
        block_until=_timestamp(block_until),
    )


def _message_ids(ids: Iterable[str] | None) -> MessageIds | None:
    _require_list("ids", ids)
    return None if ids is None else MessageIds(message_ids=ids)
