"""The calls and the subscriptions of both clients, against servers that misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from scripted_server import Answer, Request, ScriptedServer

from tidings import (
    AsyncSubscription,
    AsyncTidings,
    FileStorage,
    Gap,
    Outcome,
    Subscription,
    Tidings,
    TidingsError,
)
from tidings._async.wire import AsyncWire
from tidings._core.client import warn_of_missed
from tidings._core.http import Endpoint
from tidings._core.requests import publish_request
from tidings._sync.wire import Wire
from tidings.v1 import (
    ListUnreadResponse,
    Message,
    Position,
    PublishBatchRequest,
    PublishBatchResponse,
    PublishError,
    PublishOutcome,
    PublishRequest,
    PublishResponse,
)

PUBLISHED = Answer(200, PublishResponse(message_id="m").SerializeToString())


def refusal(status: int, code: str, message: str = "x") -> Answer:
    body = json.dumps({"code": code, "message": message}).encode()
    return Answer(status, body, "application/json")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    threads = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := set(threading.enumerate()) - threads) and time.monotonic() < deadline:
        for thread in left:
            thread.join(0.1)
    assert left == set()


class Publish(Protocol):
    """Publishes with either client."""

    def __call__(self, url: str, message: PublishRequest, token: str | Callable[[bool], str] = "t") -> PublishResponse:
        """Returns the response."""


@pytest.fixture(params=["sync", "async"])
def publish(request: pytest.FixtureRequest) -> Publish:
    """Publishes with either client, and returns the response."""

    def sync(url: str, message: PublishRequest, token: str | Callable[[bool], str] = "t") -> PublishResponse:
        with Tidings(url, token) as client:
            return client.publish(message)

    async def asynchronous(url: str, message: PublishRequest, token: str | Callable[[bool], str]) -> PublishResponse:
        async with AsyncTidings(url, token) as client:
            return await client.publish(message)

    def run(url: str, message: PublishRequest, token: str | Callable[[bool], str] = "t") -> PublishResponse:
        return asyncio.run(asynchronous(url, message, token))

    return sync if request.param == "sync" else run


def test_a_publish_that_is_retried_keeps_its_request_id(publish: Publish) -> None:
    replies = [Answer(0, b""), refusal(503, "unavailable"), Answer(502, b"<html>", "text/html"), PUBLISHED]
    with ScriptedServer(lambda _, index: replies[index]) as server:
        assert publish(server.url, publish_request(user_id="ada")).message_id == "m"
        ids = {PublishRequest.FromString(request.body).request_id for request in server.requests}
    assert len(server.requests) == 4
    assert len(ids) == 1
    assert ids != {""}


def test_an_error_of_the_request_is_raised_at_once(publish: Publish) -> None:
    with (
        ScriptedServer(lambda *_: refusal(400, "invalid_argument", "title: too long")) as server,
        pytest.raises(TidingsError, match="title: too long") as raised,
    ):
        publish(server.url, publish_request(user_id="ada"))
    assert raised.value.code == "invalid_argument"
    assert len(server.requests) == 1


def test_an_expired_token_is_replaced(publish: Publish) -> None:
    asked: list[bool] = []

    def token(refresh: bool) -> str:
        asked.append(refresh)
        return f"token-{len(asked)}"

    def answer(request: Request, index: int) -> Answer:
        return PUBLISHED if request.token == "Bearer token-2" else refusal(401, "unauthenticated")

    with ScriptedServer(answer) as server:
        assert publish(server.url, publish_request(user_id="ada"), token).message_id == "m"
    assert asked == [False, True]


def test_a_token_function_that_fails_is_asked_again(publish: Publish) -> None:
    asked: list[bool] = []

    def token(refresh: bool) -> str:
        asked.append(refresh)
        if len(asked) == 1:
            raise OSError("the login service is away")
        return "t"

    with ScriptedServer(lambda _, index: PUBLISHED) as server:
        assert publish(server.url, publish_request(user_id="ada"), token).message_id == "m"
    assert asked == [False, False]


def test_every_call_but_one_that_would_change_more_is_repeated() -> None:
    async def asynchronous(url: str) -> None:
        async with AsyncTidings(url, "t") as client:
            await client.mark_read(all=True)
            await client.delete_messages(ids=["m"])
            await client.disconnect("ada")
            with pytest.raises(TidingsError, match="unavailable"):
                await client.mark_read(oldest=1)

    # Fails every other request.
    with ScriptedServer(lambda _, index: Answer(200, b"") if index % 2 else refusal(503, "unavailable")) as server:
        with Tidings(server.url, "t") as client:
            client.mark_read(all=True)
            client.delete_messages(ids=["m"])
            client.disconnect("ada")
            with pytest.raises(TidingsError, match="unavailable"):
                client.mark_read(oldest=1)
        assert len(server.requests) == 7
    with ScriptedServer(lambda _, index: Answer(200, b"") if index % 2 else refusal(503, "unavailable")) as server:
        asyncio.run(asynchronous(server.url))
        assert len(server.requests) == 7


def test_a_token_with_a_line_end_is_replaced_by_the_next_one(publish: Publish) -> None:
    tokens = iter(["t\n", "t"])
    with ScriptedServer(lambda *_: PUBLISHED) as server:
        assert publish(server.url, publish_request(user_id="ada"), lambda _: next(tokens)).message_id == "m"
    assert [request.token for request in server.requests] == ["Bearer t"]


def test_a_short_call_leaves_a_slow_token_function_to_the_others() -> None:
    called: list[bool] = []
    release = threading.Event()

    def token(refresh: bool) -> str:
        called.append(refresh)
        assert release.wait(10)
        return "t"

    with ScriptedServer(lambda *_: PUBLISHED) as server, Tidings(server.url, token) as client:
        for _ in range(3):
            with pytest.raises(TidingsError, match="no token"):
                client.publish(user_id="ada", timeout=0.01)
        release.set()
        assert client.publish(user_id="ada").message_id == "m"
    assert called == [False]


def test_a_token_function_that_never_answers_is_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def blocking(called: list[bool]) -> str:
        if len(called) == 1:
            release.wait(10)
        return "t"

    async def suspending(called: list[bool]) -> str:
        if len(called) == 1:
            await asyncio.Event().wait()
        return "t"

    async def asynchronous(url: str) -> None:
        called: list[bool] = []
        async with AsyncTidings(url, lambda refresh: called.append(refresh) or suspending(called)) as client:  # type: ignore[func-returns-value]
            assert (await client.publish(user_id="ada")).message_id == "m"
        assert called == [False, False]

    for module in ("_sync", "_async"):
        monkeypatch.setattr(f"tidings.{module}.tokens.TOKEN_TIMEOUT", 0.2)
    monkeypatch.setattr("tidings._core.retry.ATTEMPT_TIMEOUT", 0.02)
    monkeypatch.setattr("tidings._core.backoff.BASE", 0.05)
    called: list[bool] = []
    with ScriptedServer(lambda *_: PUBLISHED) as server:
        with Tidings(server.url, lambda refresh: called.append(refresh) or blocking(called)) as client:  # type: ignore[func-returns-value]
            assert client.publish(user_id="ada").message_id == "m"
        assert called == [False, False]
        release.set()
        asyncio.run(asynchronous(server.url))


def test_closing_a_client_does_not_cancel_the_task_of_a_call() -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def token(refresh: bool) -> str:
            asked.set()
            await asyncio.Event().wait()
            return "t"

        async with AsyncTidings("http://127.0.0.1:9", token) as client:
            call = asyncio.ensure_future(client.publish(user_id="ada"))
            await asked.wait()
        with pytest.raises(TidingsError, match="no token"):
            await call

    asyncio.run(main())


def test_a_system_without_free_descriptors_is_a_failure_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with Tidings("http://127.0.0.1:9", "t") as client:
        monkeypatch.setattr("tidings._sync.wire.socket.socket", exhausted)
        with pytest.raises(TidingsError, match="Too many open files") as raised:
            client.mark_read(oldest=1)
        assert raised.value.code == "unavailable"


class HastyServer:
    """Answers each connection before it has read the request, and closes it."""

    def __init__(self, response: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._response = response
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if not connection.recv(1):
                    return
                self.connections += 1
                connection.sendall(self._response)

    def __enter__(self) -> HastyServer:
        return self

    def __exit__(self, *_: object) -> None:
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()


def test_a_server_may_refuse_a_request_that_it_has_not_read(publish: Publish) -> None:
    body = json.dumps({"code": "resource_exhausted", "message": "too long"}).encode()
    head = b"HTTP/1.1 413 X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    with HastyServer(head % len(body) + body) as server, pytest.raises(TidingsError, match="too long") as raised:
        publish(server.url, publish_request(user_id="ada", content="x" * (8 << 20)))
    assert raised.value.code == "resource_exhausted"
    assert server.connections == 1


@pytest.mark.parametrize("data", [b"HTTP/1.1 408 X\r\n\r\n", b""])
def test_an_idle_connection_with_unexpected_bytes_or_an_end_is_not_used_again(data: bytes) -> None:
    async def asynchronous(listener: socket.socket, endpoint: Endpoint) -> None:
        wire = await AsyncWire.open(endpoint, None)
        peer, _ = listener.accept()
        assert wire.is_silent()
        assert wire.is_silent()
        peer.sendall(data)
        peer.close()
        while wire.is_silent():
            await asyncio.sleep(0)
        wire.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint.parse(f"http://127.0.0.1:{listener.getsockname()[1]}")
        wire = Wire.open(endpoint, None, lambda: time.monotonic() + 10)
        peer, _ = listener.accept()
        assert wire.is_silent()
        peer.sendall(data)
        peer.close()
        assert not wire.is_silent()
        wire.close()
        asyncio.run(asyncio.wait_for(asynchronous(listener, endpoint), 10))


def batch_answer(request: Request, index: int) -> Answer:
    """Refuses the second publish of the first batch for now, and publishes all others."""
    outcomes = [
        PublishOutcome(error=PublishError(code="unavailable", reason="STORE_UNAVAILABLE"))
        if index == 0 and position == 1
        else PublishOutcome(ok=PublishResponse(message_id=item.message.title))
        for position, item in enumerate(PublishBatchRequest.FromString(request.body).requests)
    ]
    return Answer(200, PublishBatchResponse(outcomes=outcomes).SerializeToString())


def test_a_batch_gives_an_outcome_for_each_publish_in_order() -> None:
    async def asynchronous(url: str) -> list[Outcome]:
        async with AsyncTidings(url, "t") as client:
            return [outcome async for outcome in client.publish_batch(messages)]

    messages = [publish_request(user_id="ada", title=str(n)) for n in range(1200)]
    for client in ("sync", "async"):
        with ScriptedServer(batch_answer) as server:
            if client == "sync":
                with Tidings(server.url, "t") as tidings:
                    outcomes = list(tidings.publish_batch(messages))
            else:
                outcomes = asyncio.run(asynchronous(server.url))
            counts = [len(PublishBatchRequest.FromString(r.body).requests) for r in server.requests]
        assert counts == [1000, 1, 200]
        assert [o.index for o in outcomes] == list(range(1200))
        assert [o.response and o.response.message_id for o in outcomes] == [str(n) for n in range(1200)]


def test_a_list_goes_on_until_there_is_no_next_page() -> None:
    pages = [
        ListUnreadResponse(messages=[Message(id="1")], next_page_token="a"),
        ListUnreadResponse(next_page_token="b"),
        ListUnreadResponse(messages=[Message(id="2"), Message(id="3")]),
    ]

    async def asynchronous(url: str) -> list[str]:
        async with AsyncTidings(url, "t") as client:
            return [message.id async for message in client.list_unread(categories=["c"])]

    with ScriptedServer(lambda _, index: Answer(200, pages[index % 3].SerializeToString())) as server:
        with Tidings(server.url, "t") as client:
            assert [message.id for message in client.list_unread(categories=["c"])] == ["1", "2", "3"]
        assert asyncio.run(asynchronous(server.url)) == ["1", "2", "3"]
        assert len(server.connections) == 2


def when(wanted: str, event: threading.Event | asyncio.Event) -> Callable[[str], None]:
    """Returns a listener that sets the event at the wanted state."""
    return lambda state: event.set() if state == wanted else None


class SilentServer:
    """Accepts connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> SilentServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_a_call_ends_at_its_timeout() -> None:
    async def asynchronous(url: str) -> None:
        async with AsyncTidings(url, "t") as client:
            await client.mark_read(all=True, timeout=0.2)

    with SilentServer() as server:
        with Tidings(server.url, "t") as client, pytest.raises(TidingsError) as raised:
            client.mark_read(all=True, timeout=0.2)
        assert raised.value.code == "deadline_exceeded"
        with pytest.raises(TidingsError) as raised:
            asyncio.run(asynchronous(server.url))
        assert raised.value.code == "deadline_exceeded"


def test_a_subscription_to_a_silent_server_closes_at_once() -> None:
    async def asynchronous(url: str) -> None:
        async with AsyncTidings(url, "t") as client:
            connecting = asyncio.Event()
            subscription = client.subscribe(on_state=when("connecting", connecting))
            await asyncio.wait_for(connecting.wait(), 5)
            reader = asyncio.ensure_future(anext(subscription, None))
            await asyncio.sleep(0)
            await asyncio.wait_for(subscription.aclose(), 3)
            assert await reader is None
            assert asyncio.all_tasks() == {asyncio.current_task()}

    with SilentServer() as server:
        with Tidings(server.url, "t") as client:
            connecting = threading.Event()
            subscription = client.subscribe(on_state=when("connecting", connecting))
            assert connecting.wait(5)
            ended = threading.Event()
            reader = threading.Thread(target=lambda: [*subscription, ended.set()])  # type: ignore[func-returns-value]
            reader.start()
            started = time.monotonic()
            subscription.close()
            assert time.monotonic() - started < 3
            assert ended.wait(5)
            reader.join()
        asyncio.run(asynchronous(server.url))


def test_a_subscription_that_waits_takes_no_time_of_the_processor() -> None:
    with SilentServer() as server, Tidings(server.url, "t") as client:
        connecting = threading.Event()
        subscription = client.subscribe(on_state=when("connecting", connecting))
        ended = threading.Event()
        reader = threading.Thread(target=lambda: [*subscription, ended.set()])  # type: ignore[func-returns-value]
        reader.start()
        assert connecting.wait(5)
        before = time.process_time()
        assert not ended.wait(1)
        assert time.process_time() - before < 0.1
        subscription.close()
        reader.join()


@pytest.mark.parametrize("state", ["authorizing", "connecting", "waiting"])
def test_a_subscription_closes_at_once_in_every_state(state: str) -> None:
    async def asynchronous(url: str) -> None:
        async with AsyncTidings(url, lambda refresh: "t") as client:
            reached = asyncio.Event()
            subscription = client.subscribe(on_state=when(state, reached))
            await reached.wait()
            await asyncio.wait_for(subscription.aclose(), 3)
            assert [event async for event in subscription] == []

    with ScriptedServer(lambda *_: refusal(503, "unavailable")) as server:
        with Tidings(server.url, lambda refresh: "t") as client:
            for _ in range(20):
                reached = threading.Event()
                subscription = client.subscribe(on_state=when(state, reached))
                reached.wait()
                started = time.monotonic()
                subscription.close()
                assert list(subscription) == []
                # A thread that missed the call would be waited for for 5 s.
                assert time.monotonic() - started < 3
        asyncio.run(asynchronous(server.url))


def test_canceling_the_task_that_iterates_leaves_no_task() -> None:
    async def main(url: str) -> None:
        async def consume() -> None:
            async with AsyncTidings(url, "t") as client, client.subscribe() as subscription:
                async for _ in subscription:
                    pass

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with SilentServer() as server:
        asyncio.run(main(server.url))


def final_refusal(message: str, reason: str = "ROLE_FORBIDDEN") -> Answer:
    """Returns the error of a server that refuses the subscription itself."""
    info = ErrorInfo(reason=reason, domain="tidings").SerializeToString()
    details = [{"type": "google.rpc.ErrorInfo", "value": base64.b64encode(info).decode()}]
    body = json.dumps({"code": "permission_denied", "message": message, "details": details}).encode()
    return Answer(403, body, "application/json")


def test_a_final_error_is_raised_by_the_iterator() -> None:
    async def asynchronous(url: str) -> None:
        async with AsyncTidings(url, "t") as client, client.subscribe() as subscription:
            async for _ in subscription.messages():
                pass

    with ScriptedServer(lambda *_: final_refusal("no")) as server:
        with Tidings(server.url, "t") as client, client.subscribe() as subscription:
            for _ in range(2):
                with pytest.raises(TidingsError, match="ROLE_FORBIDDEN"):
                    next(subscription)
            assert subscription.state == "closed"
        with pytest.raises(TidingsError, match="ROLE_FORBIDDEN"):
            asyncio.run(asynchronous(server.url))


def test_an_iterator_of_messages_alone_warns_of_missed_ones(caplog: pytest.LogCaptureFixture) -> None:
    async def asynchronous(url: str) -> None:
        async with AsyncTidings(url, "t") as client, client.subscribe() as subscription:
            async for _ in subscription.messages():
                pass

    def answer(_: Request, index: int) -> Answer:
        return final_refusal("no", "ROLE_FORBIDDEN" if index % 2 else "POSITION_IN_FUTURE")

    with ScriptedServer(answer) as server:
        with (
            Tidings(server.url, "t") as client,
            client.subscribe() as subscription,
            pytest.raises(TidingsError, match="ROLE_FORBIDDEN"),
        ):
            list(subscription.messages())
        with pytest.raises(TidingsError, match="ROLE_FORBIDDEN"):
            asyncio.run(asynchronous(server.url))
    assert (
        caplog.messages == ["messages may be missed: the server does not know the positions (POSITION_IN_FUTURE)"] * 2
    )


def test_a_gap_is_logged_with_its_feed_and_range(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_missed(Gap(after=Position(feed="user", seq=3), to=Position(feed="user", seq=7)))
    assert caplog.messages == ["messages of the feed user are missed: those from seq 4 to 7"]


def test_a_callback_may_close_the_subscription_and_may_raise() -> None:
    def close(subscription: list[Subscription | AsyncSubscription], state: str) -> None:
        if state == "waiting":
            active = subscription[0]
            if isinstance(active, Subscription):
                active.close()
        raise RuntimeError("a mistake of the application")

    with ScriptedServer(lambda *_: refusal(503, "unavailable")) as server, Tidings(server.url, "t") as client:
        subscriptions: list[Subscription | AsyncSubscription] = []
        subscription = client.subscribe(on_state=lambda state: close(subscriptions, state))
        subscriptions.append(subscription)
        assert list(subscription) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_uses_connections_of_its_own() -> None:
    with ScriptedServer(lambda *_: PUBLISHED) as server, Tidings(server.url, "t") as client:
        client.publish(user_id="ada")
        child = os.fork()
        if child == 0:
            try:
                client.publish(user_id="ada")
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        client.publish(user_id="ada")
        assert len(server.connections) == 2


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Returns a file with a certificate of localhost and its key."""
    path = tmp_path / "localhost.pem"
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        made = subprocess.run(
            [*openssl, "-addext", "subjectAltName=DNS:localhost,DNS:tidings.test", "-keyout", "-"], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("openssl is missing")
    assert made.returncode == 0, made.stderr
    path.write_bytes(made.stdout)
    return path


def test_tls_is_checked_by_the_given_context(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def asynchronous(url: str) -> None:
        async with AsyncTidings(url, "t", ssl_context=trusting) as client:
            assert (await client.publish(user_id="ada")).message_id == "m"
            with pytest.raises(TidingsError, match="nobody"):
                await anext(client.subscribe())

    def answer(request: Request, index: int) -> Answer:
        return PUBLISHED if request.path.endswith("/Publish") else final_refusal("nobody")

    with ScriptedServer(answer, certificate) as server:
        with Tidings(server.url, "t", ssl_context=trusting) as client:
            assert client.publish(user_id="ada", content="x" * 300_000).message_id == "m"
            with client.subscribe() as subscription, pytest.raises(TidingsError, match="nobody"):
                next(subscription)
        asyncio.run(asynchronous(server.url))
        with Tidings(server.url, "t") as client, pytest.raises(TidingsError, match="certificate"):
            client.mark_read(oldest=1)
        assert len(server.requests) == 4


class TunnelProxy:
    """A proxy that leads every tunnel to one port, or refuses it."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 OK") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heads: list[bytes] = []
        self._target = port
        self._answer = answer
        self._threads: list[threading.Thread] = []
        self._sockets = [self._listener]
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._sockets.append(client)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                data = client.recv(4096)
                if not data:
                    return
                head += data
            self.heads.append(head)
            client.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" + self._answer + b"\r\n\r\n")
            if b"200" not in self._answer:
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets.append(server)
            self._start(self._copy, client, server)
            self._start(self._copy, server, client)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> TunnelProxy:
        return self

    def __exit__(self, *_: object) -> None:
        socket.create_connection(self._listener.getsockname()).close()
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()


@pytest.mark.parametrize(("answer", "error"), [(b"HTTP/1.1 200 OK", None), (b"HTTP/1.1 407 X", "HTTP 407")])
def test_a_proxy_tunnels_https(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, error: str | None
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    expected = pytest.raises(TidingsError, match=error) if error else contextlib.nullcontext()

    async def asynchronous(url: str) -> None:
        async with AsyncTidings(url, "t", ssl_context=trusting) as client:
            for _ in range(2):
                await client.mark_read(oldest=1)

    with (
        ScriptedServer(lambda *_: PUBLISHED, certificate) as server,
        TunnelProxy(Endpoint.parse(server.url).port, answer) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:p%40ss@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "other.test")
        with Tidings("https://tidings.test", "secret", ssl_context=trusting) as client, expected:
            for _ in range(2):
                client.mark_read(oldest=1)
        with expected:
            asyncio.run(asynchronous("https://tidings.test"))
    head = b"CONNECT tidings.test:443 HTTP/1.1\r\nHost: tidings.test:443\r\n"
    assert proxy.heads == [head + b"Proxy-Authorization: Basic YWRhOnBAc3M=\r\n\r\n"] * 2
    assert len(server.requests) == (0 if error else 4)


def test_positions_are_kept_in_a_file(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "positions.json")
    assert storage.load() is None
    storage.save("[]")
    storage.save("[1]")
    assert storage.load() == "[1]"
    assert [file.name for file in tmp_path.iterdir()] == ["positions.json"]
