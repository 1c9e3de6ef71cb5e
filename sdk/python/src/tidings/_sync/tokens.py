"""Calls the token function, one call at a time, on a thread of its own: it may never answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeAlias

from .._core.session import TOKEN_TIMEOUT
from .._core.tokens import TokenState, check_token, token_error
from ..errors import TidingsError

TokenSource: TypeAlias = str | Callable[[bool], str]
"""A JWT, or a function that returns one.

The function is called for the first connection, and with True after a token was refused; then it must return a new one.
When it raises, a subscription tries again later. A refused JWT that is given as a string ends the subscription.
"""


class Tokens:
    """The token that subscriptions and calls share. Safe for use by several threads."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._state = TokenState()
        self._lock = threading.Lock()
        self._request: Future[str] | None = None

    @property
    def fixed(self) -> bool:
        """Whether a refused token cannot be replaced."""
        return isinstance(self._source, str)

    def request(self) -> Future[str]:
        """Returns the token in use, or a new one. Concurrent callers share one call of the token function."""
        source = self._source
        if isinstance(source, str):
            fixed: Future[str] = Future()
            fixed.set_result(source)
            return fixed
        with self._lock:
            request = self._request
            if request is not None:
                return request
            request = self._request = Future()
            refresh = self._state.refresh
        threading.Thread(target=self._fetch, args=(source, refresh, request), name="tidings-token", daemon=True).start()
        return request

    def get(self, timeout: float) -> str:
        """Waits for a token. Raises a TidingsError when none comes in time, or when the token function raises."""
        request = self.request()
        try:
            return request.result(max(0.0, min(timeout, TOKEN_TIMEOUT)))
        except FutureTimeout as error:
            # The token function may have raised one of its own.
            if request.done():
                raise token_error(error) from error
            self.abandon(request)
            raise TidingsError("deadline_exceeded", "no token came in time") from error
        except Exception as error:
            raise token_error(error) from error

    def refuse(self, token: str) -> None:
        """Drops a token that the server refused."""
        with self._lock:
            if self._state.refuse(token):
                self._request = None

    def abandon(self, request: Future[str] | None = None) -> None:
        """Stops waiting for a token function that does not answer, so that the next request calls it again."""
        with self._lock:
            if request is None or self._request is request:
                self._request = None

    def _fetch(self, source: Callable[[bool], str], refresh: bool, request: Future[str]) -> None:
        try:
            token = check_token(source(refresh))
        except BaseException as error:
            self.abandon(request)
            request.set_exception(error)
            return
        with self._lock:
            if self._request is request:
                self._state.current = token
        request.set_result(token)
