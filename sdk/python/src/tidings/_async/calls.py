"""Makes unary calls over a pool of connections."""

from __future__ import annotations

import asyncio
import random
import ssl
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from .._core.http import Endpoint, HttpConnection, UnaryReply
from .._core.retry import Attempts
from ..errors import TidingsError
from .tokens import AsyncTokens
from .wire import AsyncWire

M = TypeVar("M", bound=Message)

_MAX_IDLE = 16
"""The most connections that are kept for later calls."""


class AsyncCaller:
    """The calls of one client."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None, tokens: AsyncTokens, timeout: float) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._tokens = tokens
        self._timeout = timeout
        self._idle: list[tuple[AsyncWire, HttpConnection]] = []
        self._closed = False

    def attempts(self, timeout: float | None, *, repeats: bool) -> Attempts:
        """Returns the attempts of a call that starts now."""
        deadline = _now() + (self._timeout if timeout is None else timeout)
        return Attempts(deadline, repeats=repeats, random=random.random)

    async def call(
        self, method: str, request: Message, response: M, timeout: float | None = None, *, repeats: bool = False
    ) -> M:
        """Makes a call, with all attempts that its deadline allows. Raises a TidingsError."""
        attempts = self.attempts(timeout, repeats=repeats)
        while True:
            try:
                return await self.attempt(method, request, response, attempts)
            except TidingsError as error:
                if not await self.pause(attempts, error):
                    raise

    async def pause(self, attempts: Attempts, error: TidingsError) -> bool:
        """Waits until the next attempt is due; False when the error is final."""
        delay = attempts.delay(error, _now())
        if delay is None or self._closed:
            return False
        await asyncio.sleep(delay)
        return not self._closed

    async def attempt(self, method: str, request: Message, response: M, attempts: Attempts) -> M:
        """Makes one attempt of a call."""
        deadline = attempts.deadline(_now())
        try:
            body = await asyncio.wait_for(self._authorized(method, request, deadline), deadline - _now())
        except asyncio.TimeoutError as error:
            raise TidingsError("deadline_exceeded", "the server did not answer in time") from error
        try:
            response.ParseFromString(body)
        except DecodeError as error:
            raise TidingsError("internal", "the response is malformed") from error
        return response

    def close(self) -> None:
        """Closes the idle connections."""
        self._closed = True
        for wire, _ in self._idle:
            wire.close()
        self._idle.clear()

    async def _authorized(self, method: str, request: Message, deadline: float) -> bytes:
        token = await self._tokens.get()
        try:
            return await self._post(method, request, token, deadline)
        except TidingsError as error:
            if error.code == "unauthenticated":
                self._tokens.refuse(token)
            raise

    async def _post(self, method: str, request: Message, token: str, deadline: float) -> bytes:
        if self._closed:
            raise TidingsError("canceled", "the client is closed")
        wire, http = self._take() or (await AsyncWire.open(self._endpoint, self._tls), HttpConnection())
        try:
            wire.send(http.send(self._endpoint.unary(method, request, token=token, timeout=deadline - _now())))
            reply = UnaryReply()
            while not http.receive(await wire.receive(), reply):
                pass
        except BaseException:
            wire.close()
            raise
        if http.reusable and not self._closed and len(self._idle) < _MAX_IDLE:
            self._idle.append((wire, http))
        else:
            wire.close()
        return reply.message()

    def _take(self) -> tuple[AsyncWire, HttpConnection] | None:
        """Takes an idle connection that its peer has not closed."""
        while self._idle:
            wire, http = self._idle.pop()
            if wire.is_silent():
                return wire, http
            wire.close()
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
