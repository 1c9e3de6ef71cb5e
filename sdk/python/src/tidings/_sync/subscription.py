"""A subscription whose streams are read by a thread of its own."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
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
from .._core.tokens import token_error
from ..errors import TidingsError
from ..events import Event
from ..storage import PositionStorage
from ..v1.message_pb2 import Message, OnlineState, UnreadTotals
from .tokens import Tokens
from .wire import Waker, Wire

_T = TypeVar("_T")

log = logging.getLogger("tidings")

_JOIN_TIMEOUT = 5.0
"""The longest time that close() waits for the thread, in seconds: the system's resolver cannot be interrupted."""


class _Dropped(Exception):
    """The session has dropped the stream."""


class Subscription(Iterator[Event]):
    """An iterator of events that outlives its streams: it reconnects until it is closed.

    Use it as a context manager, or call close(). One thread iterates; the other methods and properties may be used from
    any thread. A process that forks must subscribe after the fork.
    """

    def __init__(
        self,
        session: Session,
        endpoint: Endpoint,
        tls: ssl.SSLContext | None,
        tokens: Tokens,
        storage: PositionStorage | None,
        on_state: Callable[[State], object] | None,
        on_unread: Callable[[UnreadTotals | None], object] | None,
        on_error: Callable[[TidingsError], object] | None,
        closed: Callable[[Subscription], None],
    ) -> None:
        """Applications call Tidings.subscribe()."""
        self._session = session
        self._endpoint = endpoint
        self._tls = tls
        self._tokens = tokens
        self._storage = storage
        self._on_state = on_state
        self._on_unread = on_unread
        self._on_error = on_error
        self._closed = closed
        # Guards the session.
        self._changed = threading.Condition()
        self._waker = Waker()
        self._to_open: OpenStream | None = None
        self._streaming = False
        # The thread has executed its last command.
        self._ended = False
        self._process = os.getpid()
        # A daemon, so that a program which forgets to close a subscription can end.
        self._thread = threading.Thread(target=self._run, name="tidings-subscription", daemon=True)
        self._thread.start()

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
        with self._changed:
            self._session.join(room_id, mode, time.monotonic())
        self._waker.wake()

    def leave(self, room_id: str) -> None:
        """Leaves a room and forgets its position."""
        with self._changed:
            self._session.leave(room_id, time.monotonic())
        self._waker.wake()

    def messages(self) -> Iterator[Message]:
        """Iterates over the messages alone. A message is consumed when the next one is asked for.

        Logs a warning for each Gap and Reset: iterate over all events to react to missed messages.
        """
        for event in self:
            if isinstance(event, Message):
                yield event
            else:
                warn_of_missed(event)

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Event:
        """Waits for the next event, which consumes the one before.

        Raises the TidingsError that ended the subscription, after its last event; stops after close().
        """
        if self._process != os.getpid():
            raise RuntimeError(
                "subscribe after the fork: the thread of a subscription does not exist in a child process"
            )
        with self._changed:
            while True:
                deadline = self._session.deadline
                event = self._session.take(time.monotonic())
                # While the thread runs, it alone executes the commands.
                saves = self._session.take_commands() if self._ended else []
                if not self._ended and (self._session.has_commands or self._session.deadline != deadline):
                    # The drained queue opens a stream again, or there are positions to save.
                    self._waker.wake()
                if event is not None or self._session.ended:
                    break
                self._changed.wait()
        for command in saves:
            self._execute(command)
        if event is not None:
            return event
        if self._session.error is not None:
            raise self._session.error
        raise StopIteration

    def close(self) -> None:
        """Ends the subscription and saves the positions of what is consumed. Does nothing when repeated."""
        with self._changed:
            self._session.close(time.monotonic())
            self._changed.notify_all()
        self._waker.wake()
        if self._thread is not threading.current_thread() and self._process == os.getpid():
            self._thread.join(_JOIN_TIMEOUT)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def answer(self, unread: UnreadTotals) -> None:
        """Takes the totals of a call. For Tidings, which makes the calls."""
        with self._changed:
            self._session.answer(unread)
        self._waker.wake()

    # The thread.

    def _run(self) -> None:
        try:
            saved = self._load()
            with self._changed:
                self._session.start(saved, time.monotonic())
            while True:
                deadline = self._work()
                stream, self._to_open = self._to_open, None
                if self._session.state == "closed":
                    break
                if stream is not None:
                    self._read(stream)
                else:
                    self._waker.wait(deadline - time.monotonic())
        except BaseException:
            log.exception("the thread of a subscription has failed")
            with self._changed:
                self._session.close(time.monotonic())
                self._session.error = TidingsError("internal", "the thread of the subscription has failed")
        finally:
            self._end()

    def _end(self) -> None:
        """Executes what is left, and leaves later saves to the thread that iterates."""
        while not self._ended:
            with self._changed:
                commands = self._session.take_commands()
                self._ended = not commands
                self._changed.notify_all()
            for command in commands:
                self._execute(command)
        self._waker.close()
        self._closed(self)

    def _work(self) -> float:
        """Does what is due, and returns when the next thing is."""
        while True:
            with self._changed:
                self._session.tick(time.monotonic())
                commands = self._session.take_commands()
                deadline = self._session.deadline
                if not commands:
                    return deadline
                # Not after every wait: the iterating thread and this one would wake each other for ever.
                self._changed.notify_all()
            for command in commands:
                self._execute(command)

    def _check(self) -> float:
        """Does what is due while a stream is open; raises when the session has dropped it."""
        deadline = self._work()
        if not self._streaming:
            raise _Dropped
        return deadline

    def _read(self, stream: OpenStream) -> None:
        """Reads one stream to its end."""
        self._streaming = True
        wire: Wire | None = None
        try:
            wire = Wire.open(self._endpoint, self._tls, self._check, self._waker)
            http, reply = HttpConnection(), StreamReply()
            request = self._endpoint.stream("tidings.v1.PushService/Subscribe", stream.request, token=stream.token)
            wire.send(http.send(request), self._check)
            while reply.error is None:
                http.receive(wire.receive(self._check), reply)
                with self._changed:
                    now = time.monotonic()
                    for event in reply.events():
                        self._session.event(event, now)
                    self._changed.notify_all()
                self._check()
            raise reply.error
        except _Dropped:
            pass
        except TidingsError as error:
            if self._streaming:
                with self._changed:
                    self._session.ended_with(error, time.monotonic())
        finally:
            self._streaming = False
            if wire is not None:
                wire.close()

    def _execute(self, command: Command) -> None:
        if isinstance(command, OpenStream):
            self._to_open = command
        elif isinstance(command, DropStream):
            self._streaming = False
            self._to_open = None
        elif isinstance(command, FetchToken):
            self._fetch_token(command.number)
        elif isinstance(command, AbandonToken):
            self._tokens.abandon()
        elif isinstance(command, RefuseToken):
            self._tokens.refuse(command.token)
        elif isinstance(command, Save):
            self._save(command.text)
        elif isinstance(command, StateChanged):
            log.debug("the subscription is %s", command.state)
            _call(self._on_state, command.state)
        elif isinstance(command, UnreadChanged):
            _call(self._on_unread, command.unread)
        elif isinstance(command, Failed):
            log.warning("%s; %s for %.1f s", command.error, command.state, command.delay)
            _call(self._on_error, command.error)
        elif not isinstance(command, OnlineChanged):
            raise AssertionError(command)

    def _fetch_token(self, number: int) -> None:
        request = self._tokens.request()

        def done(_: object) -> None:
            error = request.exception()
            with self._changed:
                now = time.monotonic()
                if error is None:
                    self._session.token(number, request.result(), now)
                else:
                    self._session.token_failed(number, token_error(error), now)
            self._waker.wake()

        request.add_done_callback(done)

    def _load(self) -> str | None:
        try:
            return self._storage.load() if self._storage else None
        except Exception as error:
            self._storage_failed(error)
            return None

    def _save(self, text: str) -> None:
        try:
            if self._storage:
                self._storage.save(text)
        except Exception as error:
            with self._changed:
                self._session.save_failed()
            self._storage_failed(error)

    def _storage_failed(self, cause: Exception) -> None:
        error = TidingsError("unknown", f"storage: {cause}")
        error.__cause__ = cause
        log.warning("%s", error)
        _call(self._on_error, error)


def _call(callback: Callable[[_T], object] | None, value: _T) -> None:
    """Calls a function of the application. What it raises must not end the thread."""
    try:
        if callback is not None:
            callback(value)
    except Exception:
        log.exception("a callback of a subscription has failed")
