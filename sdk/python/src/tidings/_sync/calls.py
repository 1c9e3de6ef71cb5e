"""Makes unary calls over a pool of connections."""

from __future__ import annotations

import os
import random
import ssl
import threading
import time
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from .._core.http import Endpoint, HttpConnection, UnaryReply
from .._core.retry import Attempts
from ..errors import TidingsError
from .tokens import Tokens
from .wire import Check, Wire

M = TypeVar("M", bound=Message)

_MAX_IDLE = 16
"""The most connections that are kept for later calls."""


class Caller:
    """The calls of one client. Safe for use by several threads."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None, tokens: Tokens, timeout: float) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._tokens = tokens
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[tuple[Wire, HttpConnection]] = []
        self._process = os.getpid()
        self._closing = threading.Event()

    def attempts(self, timeout: float | None, *, repeats: bool) -> Attempts:
        """Returns the attempts of a call that starts now."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        return Attempts(deadline, repeats=repeats, random=random.random)

    def call(
        self, method: str, request: Message, response: M, timeout: float | None = None, *, repeats: bool = False
    ) -> M:
        """Makes a call, with all attempts that its deadline allows. Raises a TidingsError."""
        attempts = self.attempts(timeout, repeats=repeats)
        while True:
            try:
                return self.attempt(method, request, response, attempts)
            except TidingsError as error:
                if not self.pause(attempts, error):
                    raise

    def pause(self, attempts: Attempts, error: TidingsError) -> bool:
        """Waits until the next attempt is due; False when the error is final."""
        delay = attempts.delay(error, time.monotonic())
        if delay is None:
            return False
        return not self._closing.wait(delay)

    def attempt(self, method: str, request: Message, response: M, attempts: Attempts) -> M:
        """Makes one attempt of a call."""
        deadline = attempts.deadline(time.monotonic())
        token = self._tokens.get(deadline - time.monotonic())
        try:
            body = self._post(method, request, token, deadline)
        except TidingsError as error:
            if error.code == "unauthenticated":
                self._tokens.refuse(token)
            raise
        try:
            response.ParseFromString(body)
        except DecodeError as error:
            raise TidingsError("internal", "the response is malformed") from error
        return response

    def close(self) -> None:
        """Closes the idle connections."""
        self._closing.set()
        with self._lock:
            idle, self._idle = self._idle, []
        for wire, _ in idle:
            wire.close()

    def _post(self, method: str, request: Message, token: str, deadline: float) -> bytes:
        if self._closing.is_set():
            raise TidingsError("canceled", "the client is closed")

        def check() -> float:
            if time.monotonic() >= deadline:
                raise TidingsError("deadline_exceeded", "the server did not answer in time")
            return deadline

        wire, http = self._take() or self._open(check)
        try:
            timeout = deadline - time.monotonic()
            wire.send(http.send(self._endpoint.unary(method, request, token=token, timeout=timeout)), check)
            reply = UnaryReply()
            while not http.receive(wire.receive(check), reply):
                pass
        except BaseException:
            wire.close()
            raise
        self._give_back(wire, http)
        return reply.message()

    def _open(self, check: Check) -> tuple[Wire, HttpConnection]:
        return Wire.open(self._endpoint, self._tls, check), HttpConnection()

    def _take(self) -> tuple[Wire, HttpConnection] | None:
        """Takes an idle connection that its peer has not closed."""
        while True:
            with self._lock:
                if self._process != os.getpid():
                    # A child process must not write to the connections of its parent. Closing them here closes only
                    # the child's descriptors.
                    idle, self._idle, self._process = self._idle, [], os.getpid()
                    for wire, _ in idle:
                        wire.close()
                if not self._idle:
                    return None
                wire, http = self._idle.pop()
            if wire.is_silent():
                return wire, http
            wire.close()

    def _give_back(self, wire: Wire, http: HttpConnection) -> None:
        with self._lock:
            if http.reusable and not self._closing.is_set() and len(self._idle) < _MAX_IDLE:
                self._idle.append((wire, http))
                return
        wire.close()
