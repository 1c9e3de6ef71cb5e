"""Requests from keyword arguments, and batches."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from tidings import PublishRequest, TidingsError
from tidings._core import batches, requests, retry
from tidings.v1 import (
    KIND_EVENT,
    KIND_NOTIFICATION,
    PublishBatchResponse,
    PublishError,
    PublishOutcome,
    PublishResponse,
)


@pytest.mark.parametrize(
    ("fields", "build"),
    [
        (requests.PublishFields, requests.publish_request),
        (requests.SubscribeFields, requests.subscribe_request),
        (requests.ListUnreadFields, requests.list_unread_request),
        (requests.ListMessagesFields, requests.list_messages_request),
        (requests.MarkReadFields, requests.mark_read_request),
        (requests.DeleteMessagesFields, requests.delete_messages_request),
        (requests.OnlineCountFields, requests.online_count_request),
        (requests.DisconnectFields, requests.disconnect_request),
    ],
)
def test_the_typed_keyword_arguments_are_those_of_the_builder(fields: type, build: Callable[..., object]) -> None:
    named = set(inspect.signature(build).parameters) - ({"user_id"} if build is requests.disconnect_request else set())
    assert set(fields.__annotations__) | set(getattr(fields, "__optional_keys__", ())) == named


def test_a_publish_request_has_what_was_named() -> None:
    request = requests.publish_request(
        user_ids=["ada", "bob"],
        kind="event",
        json={"a": [1, None, "x"]},
        ttl=timedelta(minutes=1.5),
        request_id="r",
    )
    assert list(request.audience.users.user_ids) == ["ada", "bob"]
    assert request.message.kind == KIND_EVENT
    assert request.message.ttl.seconds == 90
    assert request.message.json.struct_value.fields["a"].list_value.values[0].number_value == 1
    assert requests.publish_request(tenant=True).audience.tenant
    assert requests.publish_request(everyone=True).message.kind == KIND_NOTIFICATION
    assert requests.publish_request(room_id="a", binary=b"").message.WhichOneof("payload") == "binary"
    assert requests.publish_request(user_id="").audience.WhichOneof("to") == "user_id"


def test_ambiguous_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="audience"):
        requests.publish_request()
    with pytest.raises(ValueError, match="audience"):
        requests.publish_request(user_id="a", tenant=True)
    with pytest.raises(TypeError, match="user_ids"):
        requests.publish_request(user_ids="ada")
    with pytest.raises(ValueError, match="payload"):
        requests.publish_request(user_id="a", json=1, binary=b"x")
    with pytest.raises(ValueError, match="kind"):
        requests.publish_request(user_id="a", kind="NOTIFICATION")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="time zone"):
        requests.list_unread_request(start_time=datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="target"):
        requests.mark_read_request(all=True, oldest=1)
    with pytest.raises(ValueError, match="scope"):
        requests.online_count_request(user_ids=["a"], room_id="b")
    with pytest.raises(TypeError, match="categories"):
        requests.subscribe_request(categories="news")


def test_a_time_is_sent_as_it_is() -> None:
    at = datetime(2026, 11, 30, 12, tzinfo=timezone(timedelta(hours=2)))
    assert requests.list_unread_request(start_time=at).start_time.ToJsonString() == "2026-11-30T10:00:00Z"


def test_a_request_id_is_added_to_a_copy() -> None:
    request = PublishRequest()
    first, second = batches.with_request_id(request), batches.with_request_id(request)
    assert request.request_id == ""
    assert first.request_id
    assert first.request_id != second.request_id
    assert batches.with_request_id(PublishRequest(request_id="mine")).request_id == "mine"
    assert batches.with_request_id(PublishRequest(replace=True)).request_id == ""


def sizes(items: list[PublishRequest]) -> list[int]:
    return [len(batch.request.requests) for batch in batches.split(items)]


def test_batches_stay_within_the_limits_of_the_server() -> None:
    small = requests.publish_request(user_id="a")
    large = requests.publish_request(user_id="a", content="x" * 300_000)
    huge = requests.publish_request(user_id="a", content="x" * 2_000_000)
    many = requests.publish_request(user_ids=[str(n) for n in range(40_000)])
    assert sizes([small] * 2001) == [1000, 1000, 1]
    assert sizes([large] * 7) == [3, 3, 1]
    assert sizes([small, huge, small]) == [1, 1, 1]
    assert sizes([many] * 3) == [2, 1]
    assert sizes([]) == []


def test_requests_are_read_as_they_are_needed() -> None:
    read = 0

    def source() -> object:
        nonlocal read
        while True:
            read += 1
            yield requests.publish_request(user_id="a")

    iterator = batches.split(source())  # type: ignore[arg-type]
    next(iterator)
    assert read == 1001


def answer(*outcomes: PublishResponse | PublishError) -> PublishBatchResponse:
    return PublishBatchResponse(
        outcomes=[PublishOutcome(ok=o) if isinstance(o, PublishResponse) else PublishOutcome(error=o) for o in outcomes]
    )


def test_only_what_failed_for_now_is_sent_again_with_its_id() -> None:
    (batch,) = batches.split([requests.publish_request(user_id=str(n)) for n in range(3)])
    ids = [request.request_id for request in batch.request.requests]
    invalid = PublishError(code="invalid_argument", reason="FIELD_INVALID", message="requests[1].message.url: bad")
    away = PublishError(code="unavailable", reason="STORE_UNAVAILABLE", message="later")
    error = batch.take(answer(PublishResponse(message_id="0"), invalid, away))
    assert error is not None
    assert error.reason == "STORE_UNAVAILABLE"
    assert [request.request_id for request in batch.request.requests] == ids[2:]
    batch.fail(TidingsError("unavailable", "cut"))
    assert batch.take(answer(PublishResponse(message_id="2"))) is None
    first, second, third = batch.outcomes()
    assert (first.response and first.response.message_id, third.response and third.response.message_id) == ("0", "2")
    assert second.error is not None
    assert (second.error.code, second.error.field) == ("invalid_argument", "message.url")
    assert [outcome.index for outcome in (first, second, third)] == [0, 1, 2]
    assert third.error is None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (TidingsError("unavailable", ""), True),
        (TidingsError("deadline_exceeded", ""), True),
        (TidingsError("aborted", ""), True),
        (TidingsError("resource_exhausted", "", reason="RATE_LIMITED", retry_after=1), True),
        (TidingsError("resource_exhausted", "", reason="QUOTA_EXCEEDED", retry_after=1), False),
        (TidingsError("resource_exhausted", ""), False),
        (TidingsError("internal", ""), False),
        (TidingsError("invalid_argument", ""), False),
    ],
)
def test_transient_errors_are_retried(error: TidingsError, again: bool) -> None:
    attempts = retry.Attempts(100, repeats=True, random=lambda: 0.5)
    assert (attempts.delay(error, 0) is not None) == again
    assert retry.Attempts(100, repeats=False, random=lambda: 0.5).delay(error, 0) is None


def test_attempts_end_with_the_deadline_of_the_call() -> None:
    attempts = retry.Attempts(30, repeats=True, random=lambda: 0.5)
    assert attempts.deadline(0) == 10
    assert attempts.deadline(25) == 30
    unavailable = TidingsError("unavailable", "")
    delays = [attempts.delay(unavailable, 0) for _ in range(8)]
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    assert attempts.delay(unavailable, 15) is None
    assert attempts.delay(TidingsError("unavailable", "", retry_after=3), 0) == 3.25


def test_a_refused_token_is_replaced_once() -> None:
    attempts = retry.Attempts(30, repeats=False, random=lambda: 0.5)
    refused = TidingsError("unauthenticated", "")
    assert attempts.delay(refused, 0) == 0
    assert attempts.delay(refused, 0) is None


def test_a_value_that_json_cannot_hold_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^json: "):
        requests.publish_request(user_id="ada", json={"day": object()})  # type: ignore[dict-item]
