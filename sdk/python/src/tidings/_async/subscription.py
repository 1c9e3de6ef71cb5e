"""A subscription whose streams are read by tasks."""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import TypeVar

from .._core.client import warn_of_missed
from .._core.http import Endpoint, HttpConnection, StreamReply
from .._core.machine import State
from .._core.rooms import JoinMode
from .._core.session import (
    AbandonToken,
    Command,
    DropStream,
    Failed,
    FetchToken,
    OnlineChanged,
    OpenStream,
    RefuseToken,
    Save,
    Session,
    StateChanged,
    UnreadChanged,
)
from ..errors import TidingsError
from ..events import Event
from ..storage import AsyncPositionStorage, PositionStorage
from ..v1.message_pb2 import Message, OnlineState, UnreadTotals
from .tokens import AsyncTokens
from .wire import AsyncWire

_T = TypeVar("_T")

log = logging.getLogger("tidings")


class AsyncSubscription(AsyncIterator[Event]):
    """An asynchronous iterator of events that outlives its streams: it reconnects until it is closed.

    Use it as an asynchronous context manager, or await aclose(). It belongs to one event loop, and one task iterates.
    """

    def __init__(
        self,
        session: Session,
        endpoint: Endpoint,
        tls: ssl.SSLContext | None,
        tokens: AsyncTokens,
        storage: AsyncPositionStorage | PositionStorage | None,
        on_state: Callable[[State], object] | None,
        on_unread: Callable[[UnreadTotals | None], object] | None,
        on_error: Callable[[TidingsError], object] | None,
        closed: Callable[[AsyncSubscription], None],
    ) -> None:
        """Applications call AsyncTidings.subscribe()."""
        self._session = session
        self._endpoint = endpoint
        self._tls = tls
        self._tokens = tokens
        self._storage = storage
        self._on_state = on_state
        self._on_unread = on_unread
        self._on_error = on_error
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stream: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_save: str | None = None
        self._saver: asyncio.Task[None] | None = None
        # Set when the iterating task has something to look at.
        self._changed = asyncio.Event()
        self._working = False
        self._spawn(self._start())

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._session.state

    @property
    def unread(self) -> UnreadTotals | None:
        """The unread totals, which the events received so far imply; None before the first stream, and for services."""
        return self._session.unread

    @property
    def online(self) -> OnlineState | None:
        """The tenant's online count; None before the first stream."""
        return self._session.online

    def join(self, room_id: str, mode: JoinMode = "any") -> None:
        """Joins a room; the answer comes as a RoomState event. Raises a ValueError for an id that no server accepts."""
        self._session.join(room_id, mode, self._loop.time())
        self._work()

    def leave(self, room_id: str) -> None:
        """Leaves a room and forgets its position."""
        self._session.leave(room_id, self._loop.time())
        self._work()

    async def messages(self) -> AsyncIterator[Message]:
        """Iterates over the messages alone. A message is consumed when the next one is asked for.

        Logs a warning for each Gap and Reset: iterate over all events to react to missed messages.
        """
        async for event in self:
            if isinstance(event, Message):
                yield event
            else:
                warn_of_missed(event)

    def __aiter__(self) -> AsyncSubscription:
        return self

    async def __anext__(self) -> Event:
        """Waits for the next event, which consumes the one before.

        Raises the TidingsError that ended the subscription, after its last event; stops after aclose().
        """
        while True:
            event = self._session.take(self._loop.time())
            self._work()
            if event is not None:
                return event
            if self._session.ended:
                break
            self._changed.clear()
            await self._changed.wait()
        await self._finish()
        if self._session.error is not None:
            raise self._session.error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Ends the subscription, its tasks and its connection, and saves the positions of what is consumed."""
        self._session.close(self._loop.time())
        self._work()
        await self._finish()

    async def __aenter__(self) -> AsyncSubscription:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def answer(self, unread: UnreadTotals) -> None:
        """Takes the totals of a call. For AsyncTidings, which makes the calls."""
        self._session.answer(unread)
        self._work()

    async def _finish(self) -> None:
        """Ends all tasks but the one that saves, and waits for them."""
        current = asyncio.current_task()
        while tasks := [task for task in self._tasks if task is not current]:
            for task in tasks:
                if task is not self._saver:
                    task.cancel()
            await asyncio.wait(tasks)

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        # The loop keeps weak references only.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _work(self) -> None:
        """Does what is due, and arms the timer for what comes next."""
        # A callback of the application may call join() or leave(): the loop below goes on with their commands.
        if self._working:
            return
        self._working = True
        try:
            while commands := self._commands():
                for command in commands:
                    self._execute(command)
        finally:
            self._working = False
        self._changed.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._session.deadline
        if deadline < float("inf"):
            self._timer = self._loop.call_at(deadline, self._work)

    def _commands(self) -> list[Command]:
        self._session.tick(self._loop.time())
        return self._session.take_commands()

    def _execute(self, command: Command) -> None:
        if isinstance(command, OpenStream):
            self._stream = self._spawn(self._read(command))
        elif isinstance(command, DropStream):
            stream, self._stream = self._stream, None
            if stream is not None and stream is not asyncio.current_task():
                stream.cancel()
        elif isinstance(command, FetchToken):
            self._spawn(self._fetch_token(command.number))
        elif isinstance(command, AbandonToken):
            self._tokens.abandon()
        elif isinstance(command, RefuseToken):
            self._tokens.refuse(command.token)
        elif isinstance(command, Save):
            self._to_save = command.text
            if self._saver is None:
                self._saver = self._spawn(self._save())
        elif isinstance(command, StateChanged):
            log.debug("the subscription is %s", command.state)
            if command.state == "closed":
                self._closed(self)
            _call(self._on_state, command.state)
        elif isinstance(command, UnreadChanged):
            _call(self._on_unread, command.unread)
        elif isinstance(command, Failed):
            log.warning("%s; %s for %.1f s", command.error, command.state, command.delay)
            _call(self._on_error, command.error)
        elif not isinstance(command, OnlineChanged):
            raise AssertionError(command)

    # The tasks.

    async def _start(self) -> None:
        saved = None
        try:
            if self._storage is not None:
                loaded = self._storage.load()
                saved = await loaded if inspect.isawaitable(loaded) else loaded
        except Exception as error:
            self._storage_failed(error)
        self._session.start(saved, self._loop.time())
        self._work()

    async def _fetch_token(self, number: int) -> None:
        try:
            token = await self._tokens.get()
        except TidingsError as error:
            self._session.token_failed(number, error, self._loop.time())
        else:
            self._session.token(number, token, self._loop.time())
        self._work()

    async def _read(self, stream: OpenStream) -> None:
        """Reads one stream to its end."""
        me = asyncio.current_task()
        wire: AsyncWire | None = None
        try:
            wire = await AsyncWire.open(self._endpoint, self._tls)
            http, reply = HttpConnection(), StreamReply()
            request = self._endpoint.stream("tidings.v1.PushService/Subscribe", stream.request, token=stream.token)
            wire.send(http.send(request))
            while reply.error is None:
                http.receive(await wire.receive(), reply)
                now = self._loop.time()
                for event in reply.events():
                    self._session.event(event, now)
                self._work()
                if self._stream is not me:
                    return
            raise reply.error
        except TidingsError as error:
            if self._stream is me:
                self._session.ended_with(error, self._loop.time())
                self._work()
        finally:
            if wire is not None:
                wire.close()

    async def _save(self) -> None:
        try:
            while self._to_save is not None and self._storage is not None:
                text, self._to_save = self._to_save, None
                saved = self._storage.save(text)
                if inspect.isawaitable(saved):
                    await saved
        except Exception as error:
            self._session.save_failed()
            self._storage_failed(error)
        finally:
            self._saver = None

    def _storage_failed(self, cause: Exception) -> None:
        error = TidingsError("unknown", f"storage: {cause}")
        error.__cause__ = cause
        log.warning("%s", error)
        _call(self._on_error, error)


def _call(callback: Callable[[_T], object] | None, value: _T) -> None:
    """Calls a function of the application. What it raises must not end the subscription."""
    try:
        if callback is not None:
            callback(value)
    except Exception:
        log.exception("a callback of a subscription has failed")
