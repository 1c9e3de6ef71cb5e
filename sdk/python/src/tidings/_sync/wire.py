"""Sockets whose operations end when a deadline passes or when another thread asks for it.

A blocking socket would keep its thread in recv() until the peer sends something: no other thread could end it reliably.
"""

from __future__ import annotations

import contextlib
import functools
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from .._core.http import Endpoint
from .._core.proxy import Tunnel
from ..errors import TidingsError

_T = TypeVar("_T")

Check = Callable[[], float]
"""Called before each wait: returns its deadline by time.monotonic(), or raises to abandon the operation."""

_CHUNK = 1 << 16
# No file descriptor of its own, unlike epoll.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Waker:
    """Ends the wait of one thread from another one."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)

    def wake(self) -> None:
        """Ends the current wait, or the next one."""
        # It is full, so the thread will wake up; or closed, so there is none.
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def clear(self) -> None:
        """Forgets the calls of wake()."""
        with contextlib.suppress(OSError):
            while self.receiver.recv(_CHUNK):
                pass

    def wait(self, seconds: float) -> None:
        """Waits until wake() is called or the time is over."""
        with _Selector() as selector:
            selector.register(self.receiver, selectors.EVENT_READ)
            selector.select(_timeout(seconds))
        self.clear()

    def close(self) -> None:
        """Closes the sockets."""
        self.receiver.close()
        self._sender.close()


class Wire:
    """A connection. An operation fails with a TidingsError, or with whatever `check` raises."""

    def __init__(self, sock: socket.socket, waker: Waker | None) -> None:
        self._waker = waker
        self._use(sock)

    def _use(self, sock: socket.socket) -> None:
        self._socket = sock
        self._selector = _Selector()
        self._selector.register(sock, selectors.EVENT_READ)
        if self._waker is not None:
            self._selector.register(self._waker.receiver, selectors.EVENT_READ)

    @staticmethod
    def open(endpoint: Endpoint, tls: ssl.SSLContext | None, check: Check, waker: Waker | None = None) -> Wire:
        """Connects to the first address of the host, or of its proxy, that answers."""
        peer = endpoint.proxy or endpoint
        # The resolver of the system has its own timeouts and cannot be interrupted.
        try:
            addresses = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise TidingsError("unavailable", f"cannot resolve {peer.host}: {error}") from error
        failure: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:
                # No descriptor is left, or the system has no IPv6.
                failure = error
                continue
            try:
                return Wire._connect(sock, address, endpoint, tls, check, waker)
            except OSError as error:
                failure = error
                sock.close()
            except BaseException:
                sock.close()
                raise
        raise TidingsError("unavailable", f"cannot connect to {peer.host}:{peer.port}: {failure}") from failure

    @staticmethod
    def _connect(
        sock: socket.socket,
        address: object,
        endpoint: Endpoint,
        tls: ssl.SSLContext | None,
        check: Check,
        waker: Waker | None,
    ) -> Wire:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock, waker)
        try:
            try:
                sock.connect(address)  # type: ignore[arg-type]
            except BlockingIOError:
                wire._wait(selectors.EVENT_WRITE, check)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, "the connection was refused or lost")
            if endpoint.proxy is not None:
                tunnel = Tunnel(endpoint.proxy, endpoint.host, endpoint.port)
                wire.send(tunnel.request, check)
                while not tunnel.receive(wire.receive(check)):
                    pass
            if tls is None:
                return wire
            secure = tls.wrap_socket(sock, server_hostname=endpoint.host, do_handshake_on_connect=False)
            wire._selector.close()
            wire._use(secure)
            wire._attempt(secure.do_handshake, check)
            return wire
        except BaseException:
            wire.close()
            raise

    def send(self, data: bytes, check: Check) -> None:
        """Sends all of the data, or less when the peer has closed the connection.

        A server may refuse a request before it has read all of it. receive() then returns its response, or the error.
        """
        sent = 0
        while sent < len(data):
            part = data[sent : sent + _CHUNK]
            try:
                sent += self._attempt(functools.partial(self._socket.send, part), check)
            except (ConnectionError, ssl.SSLEOFError):
                return
            except OSError as error:
                raise TidingsError("unavailable", f"the connection was cut: {error}") from error

    def receive(self, check: Check) -> bytes:
        """Returns what has arrived, waiting for the first byte; nothing at the end of the connection."""
        return self._guard(lambda: self._socket.recv(_CHUNK), check)

    def is_silent(self) -> bool:
        """Reports whether an idle connection is still open: bytes or an end are due to nothing that was asked."""
        with _Selector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return not selector.select(0)

    def close(self) -> None:
        """Closes the connection."""
        self._selector.close()
        self._socket.close()

    def _guard(self, operation: Callable[[], _T], check: Check) -> _T:
        try:
            return self._attempt(operation, check)
        except OSError as error:
            raise TidingsError("unavailable", f"the connection was cut: {error}") from error

    def _attempt(self, operation: Callable[[], _T], check: Check) -> _T:
        while True:
            try:
                return operation()
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(selectors.EVENT_READ, check)
            except ssl.SSLWantWriteError:
                self._wait(selectors.EVENT_WRITE, check)

    def _wait(self, events: int, check: Check) -> None:
        self._selector.modify(self._socket, events)
        while True:
            left = check() - time.monotonic()
            ready = self._selector.select(_timeout(left))
            if any(key.fileobj is self._socket for key, _ in ready):
                return
            if ready and self._waker is not None:
                self._waker.clear()


def _timeout(seconds: float) -> float | None:
    """Returns the timeout of a selector: at most a day, since some systems take no longer one. Callers wait again."""
    return max(0.0, min(seconds, 86_400.0))
