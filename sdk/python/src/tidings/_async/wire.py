"""Connections of asyncio."""

from __future__ import annotations

import asyncio
import ssl

from .._core.http import Endpoint
from ..errors import TidingsError

_CHUNK = 1 << 16


class AsyncWire:
    """A connection. An operation fails with a TidingsError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def open(endpoint: Endpoint, tls: ssl.SSLContext | None) -> AsyncWire:
        """Connects to the first address of the host that answers."""
        try:
            return AsyncWire(*await asyncio.open_connection(endpoint.host, endpoint.port, ssl=tls))
        except OSError as error:
            raise TidingsError("unavailable", f"cannot connect to {endpoint.authority}: {error}") from error

    async def send(self, data: bytes) -> None:
        """Sends all of the data."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise TidingsError("unavailable", f"the connection was cut: {error}") from error

    async def receive(self) -> bytes:
        """Returns what has arrived, waiting for the first byte; nothing at the end of the connection."""
        try:
            return await self._reader.read(_CHUNK)
        except OSError as error:
            raise TidingsError("unavailable", f"the connection was cut: {error}") from error

    @property
    def is_open(self) -> bool:
        """Whether an idle connection is still open."""
        return not self._reader.at_eof() and self._reader.exception() is None and not self._writer.is_closing()

    def close(self) -> None:
        """Closes the connection at once: what is unsent belongs to a call that nobody waits for."""
        self._writer.transport.abort()
