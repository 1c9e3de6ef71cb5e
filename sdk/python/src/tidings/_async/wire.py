"""Connections of asyncio."""

from __future__ import annotations

import asyncio
import ssl

from .._core.http import Endpoint
from .._core.proxy import Proxy, Tunnel
from ..errors import TidingsError

_CHUNK = 1 << 16


class AsyncWire:
    """A connection. An operation fails with a TidingsError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def open(endpoint: Endpoint, tls: ssl.SSLContext | None) -> AsyncWire:
        """Connects to the first address of the host, or of its proxy, that answers."""
        peer = endpoint.proxy or endpoint
        try:
            if endpoint.proxy is not None and tls is not None:
                return await AsyncWire._tunnel(endpoint.proxy, endpoint, tls)
            return AsyncWire(*await asyncio.open_connection(endpoint.host, endpoint.port, ssl=tls))
        except OSError as error:
            raise TidingsError("unavailable", f"cannot connect to {peer.host}:{peer.port}: {error}") from error

    @staticmethod
    async def _tunnel(proxy: Proxy, endpoint: Endpoint, tls: ssl.SSLContext) -> AsyncWire:
        """Connects through a proxy."""
        loop = asyncio.get_running_loop()
        plain, reader = asyncio.StreamReader(), asyncio.StreamReader()
        # Not StreamWriter.start_tls(), which Python 3.10 does not have.
        connection, _ = await loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(plain), proxy.host, proxy.port
        )
        try:
            tunnel = Tunnel(proxy, endpoint.host, endpoint.port)
            connection.write(tunnel.request)
            while not tunnel.receive(await plain.read(_CHUNK)):
                pass
            protocol = asyncio.StreamReaderProtocol(reader)
            transport = await loop.start_tls(connection, protocol, tls, server_hostname=endpoint.host)
            if transport is None:
                raise ConnectionResetError("the tunnel was closed")
            protocol.connection_made(transport)
            return AsyncWire(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        except BaseException:
            connection.abort()
            raise

    def send(self, data: bytes) -> None:
        """Sends all of the data in the background.

        A server may refuse a request before it has read all of it. receive() then returns its response, or the error.
        """
        self._writer.write(data)

    async def receive(self) -> bytes:
        """Returns what has arrived, waiting for the first byte; nothing at the end of the connection."""
        try:
            return await self._reader.read(_CHUNK)
        except OSError as error:
            raise TidingsError("unavailable", f"the connection was cut: {error}") from error

    def is_silent(self) -> bool:
        """Reports whether an idle connection is still open: bytes or an end are due to nothing that was asked."""
        if self._writer.is_closing():
            return False
        # A StreamReader does not say what it has, but a read that has to wait has found no bytes, no end and no error.
        read = self._reader.read(1)
        try:
            read.send(None)
        except (StopIteration, OSError):
            return False
        finally:
            read.close()
        return True

    def close(self) -> None:
        """Closes the connection at once: what is unsent belongs to a call that nobody waits for."""
        self._writer.transport.abort()
