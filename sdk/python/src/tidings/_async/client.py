"""The client for asyncio."""

from __future__ import annotations

import copy
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from .._core import batches, requests
from .._core.client import ADMIN, PUSH, new_session, request_of, tls_of
from .._core.http import Endpoint
from .._core.machine import State
from .._core.retry import CALL_TIMEOUT
from .._core.session import DEFAULT_QUEUE_LIMIT
from ..errors import TidingsError
from ..storage import AsyncPositionStorage, PositionStorage
from ..v1.admin_service_pb2 import DisconnectRequest, DisconnectResponse
from ..v1.message_pb2 import Message, UnreadTotals
from ..v1.push_service_pb2 import (
    DeleteMessagesRequest,
    DeleteMessagesResponse,
    ListMessagesRequest,
    ListMessagesResponse,
    ListUnreadRequest,
    ListUnreadResponse,
    MarkReadRequest,
    MarkReadResponse,
    OnlineCountRequest,
    OnlineCountResponse,
    PublishBatchResponse,
    PublishRequest,
    PublishResponse,
)
from .calls import AsyncCaller
from .subscription import AsyncSubscription
from .tokens import AsyncTokens, AsyncTokenSource

if TYPE_CHECKING:
    from typing_extensions import Unpack

_Response = TypeVar("_Response", ListUnreadResponse, ListMessagesResponse)
_Answer = TypeVar("_Answer", ListUnreadResponse, MarkReadResponse, DeleteMessagesResponse)


class AsyncTidings:
    """A client of a Tidings server, for asyncio. Use it as an asynchronous context manager, or await aclose().

    All of it belongs to one event loop. A call that a retry may resolve is repeated until its timeout, a publish
    with the same request_id; all but mark_read() of the oldest messages. Every call raises a TidingsError.
    """

    def __init__(
        self,
        url: str,
        token: AsyncTokenSource,
        *,
        timeout: float = CALL_TIMEOUT,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Connects on demand.

        Args:
            url: The URL of the server, such as `https://push.example.com`. An https URL is reached through the proxy
                that HTTPS_PROXY names now, unless NO_PROXY has its host.
            token: A JWT, or a function that returns one. It is called for the first connection, and with True after the
                server refused a token; then it must return a new one.
            timeout: The default timeout of a call in seconds, all its attempts included.
            ssl_context: The TLS settings; by default those of the system.
        """
        self._endpoint = Endpoint.parse(url)
        self._tls = tls_of(self._endpoint, ssl_context)
        self._tokens = AsyncTokens(token)
        self._calls = AsyncCaller(self._endpoint, self._tls, self._tokens, timeout)
        self._subscriptions: set[AsyncSubscription] = set()

    async def publish(
        self,
        request: PublishRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        **fields: Unpack[requests.PublishFields],
    ) -> PublishResponse:
        """Publishes one message to one audience, and returns when it is stored.

        Pass a PublishRequest, or keyword arguments: one audience (`user_id`, `user_ids`, `room_id`, `tenant=True` or
        `everyone=True`) and the fields of the message. `kind` is "notification" unless set. Without a `request_id` the
        call gets a random one, so that its retries are published once.
        """
        request = batches.with_request_id(request_of(request, requests.publish_request, {**fields}))
        return await self._calls.call(PUSH + "Publish", request, PublishResponse(), timeout, repeats=True)

    async def publish_batch(
        self, publishes: Iterable[PublishRequest], /, *, timeout: float | None = None
    ) -> AsyncIterator[batches.Outcome]:
        """Publishes any number of messages, up to 1,000 with one call, and iterates over their outcomes in order.

        Reads the requests as the outcomes are taken. Transient failures are repeated until the timeout of each call;
        what then has no answer has an error in its outcome, and the request with its request_id for another try.
        """
        for batch in batches.split(publishes):
            attempts = self._calls.attempts(timeout, repeats=True)
            while True:
                try:
                    response = PublishBatchResponse()
                    error = batch.take(
                        await self._calls.attempt(PUSH + "PublishBatch", batch.request, response, attempts)
                    )
                    if error is None:
                        break
                except TidingsError as failure:
                    batch.fail(failure)
                    error = failure
                if not await self._calls.pause(attempts, error):
                    break
            for outcome in batch.outcomes():
                yield outcome

    async def list_unread(
        self,
        request: ListUnreadRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        **fields: Unpack[requests.ListUnreadFields],
    ) -> AsyncIterator[Message]:
        """Iterates over the caller's unread messages, newest first, reading page after page."""
        request = request_of(request, requests.list_unread_request, {**fields})
        async for page in self._pages(PUSH + "ListUnread", request, ListUnreadResponse, timeout):
            self._answer(page)
            for message in page.messages:
                yield message

    async def list_messages(
        self,
        request: ListMessagesRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        **fields: Unpack[requests.ListMessagesFields],
    ) -> AsyncIterator[Message]:
        """Iterates over stored messages, read or not, newest first, reading page after page."""
        request = request_of(request, requests.list_messages_request, {**fields})
        async for page in self._pages(PUSH + "ListMessages", request, ListMessagesResponse, timeout):
            for message in page.messages:
                yield message

    async def mark_read(
        self,
        request: MarkReadRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        **fields: Unpack[requests.MarkReadFields],
    ) -> MarkReadResponse:
        """Marks messages of the caller's inbox as read, or as unread again: `ids`, `all=True` or `oldest`."""
        request = request_of(request, requests.mark_read_request, {**fields})
        # Repeated, a request for the oldest messages would mark other ones.
        repeats = request.WhichOneof("target") != "oldest"
        response = await self._calls.call(PUSH + "MarkRead", request, MarkReadResponse(), timeout, repeats=repeats)
        return self._answer(response)

    async def delete_messages(
        self,
        request: DeleteMessagesRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        **fields: Unpack[requests.DeleteMessagesFields],
    ) -> DeleteMessagesResponse:
        """Deletes messages from the caller's inbox; a service recalls them from every inbox with `recall=True`."""
        request = request_of(request, requests.delete_messages_request, {**fields})
        response = await self._calls.call(
            PUSH + "DeleteMessages", request, DeleteMessagesResponse(), timeout, repeats=True
        )
        return self._answer(response)

    async def online_count(
        self,
        request: OnlineCountRequest | None = None,
        /,
        *,
        timeout: float | None = None,
        **fields: Unpack[requests.OnlineCountFields],
    ) -> OnlineCountResponse:
        """Counts the online users of the tenant, of `user_ids`, or of `room_id`."""
        request = request_of(request, requests.online_count_request, {**fields})
        return await self._calls.call(PUSH + "OnlineCount", request, OnlineCountResponse(), timeout, repeats=True)

    async def disconnect(
        self, user_id: str, /, *, timeout: float | None = None, **fields: Unpack[requests.DisconnectFields]
    ) -> DisconnectResponse:
        """Ends a user's streams on every node, and with `block_until` keeps the user out until then."""
        request: DisconnectRequest = requests.disconnect_request(user_id=user_id, **fields)
        return await self._calls.call(ADMIN + "Disconnect", request, DisconnectResponse(), timeout, repeats=True)

    def subscribe(
        self,
        *,
        storage: AsyncPositionStorage | PositionStorage | None = None,
        queue_limit: int = DEFAULT_QUEUE_LIMIT,
        on_state: Callable[[State], object] | None = None,
        on_unread: Callable[[UnreadTotals | None], object] | None = None,
        on_error: Callable[[TidingsError], object] | None = None,
        **fields: Unpack[requests.SubscribeFields],
    ) -> AsyncSubscription:
        """Subscribes, and returns an asynchronous iterator of events that reconnects by itself.

        `rooms`, `kinds`, `categories`, `events`, `online_count` and `instance_id` are those of SubscribeRequest;
        an `instance_id` that is not given is a random one.

        Args:
            storage: Keeps the positions between runs of the program, so that it gets what it missed: FileStorage, or
                one of your own. A message may come again when the program ends before it asks for the next one.
            queue_limit: The most events that wait for the application. Beyond it the stream is closed (`paused`), and
                opened again where it was when the application has taken them all.
            on_state: Called with each new state.
            on_unread: Called with the unread totals when they change.
            on_error: Called when trouble begins, and when its kind changes.
        """
        request, rooms = requests.subscribe_request(**fields)
        session = new_session(request, rooms, queue_limit, saves=storage is not None, token_is_fixed=self._tokens.fixed)
        subscription = AsyncSubscription(
            session,
            self._endpoint,
            self._tls,
            self._tokens,
            storage,
            on_state,
            on_unread,
            on_error,
            self._subscriptions.discard,
        )
        self._subscriptions.add(subscription)
        return subscription

    async def aclose(self) -> None:
        """Closes the subscriptions and the connections. Does nothing when repeated."""
        self._calls.close()
        self._tokens.abandon()
        for subscription in list(self._subscriptions):
            await subscription.aclose()

    async def __aenter__(self) -> AsyncTidings:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _pages(
        self,
        method: str,
        request: ListUnreadRequest | ListMessagesRequest,
        response: type[_Response],
        timeout: float | None,
    ) -> AsyncIterator[_Response]:
        current = copy.deepcopy(request)
        while True:
            page = await self._calls.call(method, current, response(), timeout, repeats=True)
            yield page
            if not page.next_page_token:
                return
            current.page_token = page.next_page_token

    def _answer(self, response: _Answer) -> _Answer:
        """Passes the totals of a response to the subscriptions."""
        if response.HasField("unread"):
            for subscription in list(self._subscriptions):
                subscription.answer(response.unread)
        return response
