"""Calls the token function, one call at a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .._core.session import TOKEN_TIMEOUT
from .._core.tokens import TokenState, check_source, check_token, token_error
from ..errors import TidingsError

AsyncTokenSource: TypeAlias = str | Callable[[bool], str | Awaitable[str]]
"""A JWT, or a function or coroutine function that returns one; see TokenSource. A function must not block."""


class AsyncTokens:
    """The token that subscriptions and calls share."""

    def __init__(self, source: AsyncTokenSource) -> None:
        """Raises a ValueError for a string that is no JWT."""
        self._source = check_source(source)
        self._state = TokenState()
        self._request: asyncio.Task[str] | None = None

    @property
    def fixed(self) -> bool:
        """Whether a refused token cannot be replaced."""
        return isinstance(self._source, str)

    async def get(self) -> str:
        """Returns the token in use, or a new one. Concurrent callers share one call of the token function.

        Raises a TidingsError when none comes within 30 s, or when the token function raises.
        """
        if isinstance(self._source, str):
            return self._source
        if self._request is None:
            self._request = asyncio.ensure_future(self._fetch(self._source))
            # Its error is no surprise to the event loop, even if nobody waits any more.
            self._request.add_done_callback(lambda task: task.cancelled() or task.exception())
        request = self._request
        # A caller that is canceled leaves the call of the token function to the others.
        await asyncio.wait([request])
        if request.cancelled():
            if self._request is request:
                self._request = None
            # Not the CancelledError of the call, by which the task of the caller would seem to be canceled.
            raise TidingsError("deadline_exceeded", "no token came in time")
        return request.result()

    def refuse(self, token: str) -> None:
        """Drops a token that the server refused."""
        if self._state.refuse(token):
            self._request = None

    def abandon(self) -> None:
        """Stops the token function, which does not answer, so that the next get() calls it again."""
        if self._request is not None:
            self._request.cancel()
        self._request = None

    async def _fetch(self, source: Callable[[bool], str | Awaitable[str]]) -> str:
        request = asyncio.current_task()
        try:
            result = source(self._state.refresh)
            if inspect.isawaitable(result):
                result = await asyncio.wait_for(result, TOKEN_TIMEOUT)
            token = check_token(result)
        except Exception as error:
            if self._request is request:
                self._request = None
            raise token_error(error) from error
        if self._request is request:
            self._state.current = token
        return token
