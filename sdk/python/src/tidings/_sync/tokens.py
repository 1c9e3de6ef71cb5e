"""Calls the token function, one call at a time, on a thread of its own: it may never answer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeAlias

from .._core.session import TOKEN_TIMEOUT
from .._core.tokens import TokenState, check_source, check_token, token_error
from ..errors import TidingsError

TokenSource: TypeAlias = str | Callable[[bool], str]
"""A JWT, or a function that returns one.

The function is called for the first connection, and with True after a token was refused; then it must return a new one.
When it raises, a subscription tries again later. A refused JWT that is given as a string ends the subscription.
"""


class Tokens:
    """The token that subscriptions and calls share. Safe for use by several threads."""

    def __init__(self, source: TokenSource) -> None:
        """Raises a ValueError for a string that is no JWT."""
        self._source = check_source(source)
        self._state = TokenState()
        self._lock = threading.Lock()
        self._request: Future[str] | None = None
        self._overdue_at = 0.0
        self._process = os.getpid()

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
            if request is not None and (request.done() or self._is_called()):
                return request
            request = self._request = Future()
            self._overdue_at, self._process = time.monotonic() + TOKEN_TIMEOUT, os.getpid()
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
            # The token function may still answer in time for others.
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

    def _is_called(self) -> bool:
        """Reports whether the token function may still answer: a fork leaves its thread to the parent."""
        return time.monotonic() < self._overdue_at and self._process == os.getpid()

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
