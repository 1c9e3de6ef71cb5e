"""The Connect protocol over HTTP/1.1, without I/O. Source: https://connectrpc.com/docs/protocol

h11 parses the responses; what is left is small enough to own, and makes no use of threads or of an event loop, so that
the sync and the async client can both cancel a call by closing its socket.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import h11
from google.protobuf.message import DecodeError, Message

from .. import _version
from ..errors import TidingsError
from ..v1.push_service_pb2 import SubscribeResponse
from .proxy import Proxy, proxy_of
from .wire_error import error_from_json, error_from_response

MAX_MESSAGE_BYTES = 17 << 20
"""The longest message that is accepted: the server's limit of 16 MiB, and some room for its envelope."""

_MAX_ERROR_BYTES = 1 << 20
_VISIBLE = re.compile("[!-~]+")
_END_STREAM = 0x02
_COMPRESSED = 0x01


@dataclass(frozen=True)
class Endpoint:
    """The address of a server."""

    secure: bool
    host: str
    port: int
    authority: str
    """The value of the Host header."""
    prefix: str
    """The path before the names of services, without a slash at its end."""
    proxy: Proxy | None = None
    """The proxy whose tunnels lead to the server. An http URL has none: many proxies refuse its port."""

    @staticmethod
    def parse(url: str) -> Endpoint:
        """Parses a URL such as `https://push.example.com`. Raises a ValueError for one that is none.

        Reads the proxy from the environment.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: must start with http:// or https:// and name a host")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError("url: must have no query, fragment, user or password")
        secure = parts.scheme == "https"
        try:
            # The resolver raises for a name that cannot be encoded, at every attempt to connect.
            host = parts.hostname.encode("idna").decode("ascii")
            port = parts.port
        except ValueError as error:
            raise ValueError(f"url: {error}") from error
        if not _VISIBLE.fullmatch(host) or not _VISIBLE.fullmatch(parts.path or "/"):
            raise ValueError("url: must have no spaces, and only ASCII characters in its path")
        authority = f"[{host}]" if ":" in host else host
        connected = port or (443 if secure else 80)
        return Endpoint(
            secure=secure,
            host=host,
            port=connected,
            authority=f"{authority}:{port}" if port else authority,
            prefix=parts.path.rstrip("/"),
            proxy=proxy_of(host, connected) if secure else None,
        )

    def unary(self, method: str, request: Message, *, token: str, timeout: float) -> HttpRequest:
        """Returns the request of a call, such as `tidings.v1.PushService/Publish`."""
        headers = {
            "Content-Type": "application/proto",
            # At most ten digits.
            "Connect-Timeout-Ms": str(int(min(max(1.0, timeout * 1000), 9_999_999_999))),
        }
        return self._request(method, request.SerializeToString(), token, headers)

    def stream(self, method: str, request: Message, *, token: str) -> HttpRequest:
        """Returns the request of a stream of responses."""
        body = request.SerializeToString()
        headers = {"Content-Type": "application/connect+proto"}
        return self._request(method, struct.pack(">BI", 0, len(body)) + body, token, headers)

    def _request(self, method: str, body: bytes, token: str, headers: Mapping[str, str]) -> HttpRequest:
        all_headers = {
            "Host": self.authority,
            "User-Agent": f"tidings-python/{_version.VERSION}",
            "Connect-Protocol-Version": "1",
            "Authorization": f"Bearer {token}",
            # Without it, a server may use any encoding. Source: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            **headers,
        }
        return HttpRequest(f"{self.prefix}/{method}", all_headers, body)


@dataclass(frozen=True)
class HttpRequest:
    """A POST."""

    target: str
    headers: Mapping[str, str] = field(repr=False)
    """The headers, which have the token."""
    body: bytes


class Reply(Protocol):
    """Consumes a response."""

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Takes the status and the headers, whose names are in lower case."""

    def data(self, data: bytes) -> None:
        """Takes a part of the body."""

    def end(self) -> None:
        """The body is complete."""


class HttpConnection:
    """One HTTP/1.1 connection, which carries one request at a time."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT)

    @property
    def reusable(self) -> bool:
        """Whether the last response is complete and another request may follow.

        Bytes after the response would be taken for the next one, so they end the connection.
        """
        done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        return done and self._h11.trailing_data == (b"", False)

    def send(self, request: HttpRequest) -> bytes:
        """Returns the bytes of a request. Raises a TidingsError for a token that no header can hold."""
        if self.reusable:
            self._h11.start_next_cycle()
        # h11 quotes a bad header, so that its error would put the token into a traceback.
        if not is_token(request.headers["Authorization"].removeprefix("Bearer ")):
            sentence = "token: must not be empty, nor have a character that no header can hold, such as a line break"
            raise TidingsError("invalid_argument", sentence)
        head = self._h11.send(h11.Request(method="POST", target=request.target, headers=list(request.headers.items())))
        body = self._h11.send(h11.Data(data=request.body))
        end = self._h11.send(h11.EndOfMessage())
        return (head or b"") + (body or b"") + (end or b"")

    def receive(self, data: bytes, reply: Reply) -> bool:
        """Passes the bytes of the peer, none for the end of the connection, to the reply; True when it is complete.

        Raises a TidingsError when the response is malformed or cut short.
        """
        try:
            self._h11.receive_data(data)
            while True:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    return False
                if isinstance(event, h11.Response):
                    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                    reply.head(event.status_code, headers)
                elif isinstance(event, h11.Data):
                    reply.data(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    reply.end()
                    return True
                elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                    raise TidingsError("unavailable", "the connection was closed before the response")
        except h11.RemoteProtocolError as error:
            raise TidingsError("unavailable", f"the connection was cut: {error}") from error


class UnaryReply:
    """The response of a call."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._body = bytearray()

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Takes the status and the headers."""
        self._status, self._headers = status, headers

    def data(self, data: bytes) -> None:
        """Takes a part of the body."""
        self._body += data
        if len(self._body) > MAX_MESSAGE_BYTES:
            raise TidingsError("resource_exhausted", "the response is longer than 16 MiB")

    def end(self) -> None:
        """The body is complete."""

    def message(self) -> bytes:
        """Returns the encoded message. Raises a TidingsError for any response but that of a successful call."""
        if self._status == 200 and media_type(self._headers) == "application/proto":
            return bytes(self._body)
        raise error_from_response(self._status, self._headers, bytes(self._body))


class StreamReply:
    """The response of Subscribe: events() returns those that have arrived."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._buffer = bytearray()
        self._is_stream = False
        self._complete = False
        self.error: TidingsError | None = None
        """Why the stream has ended; None while it lasts."""

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Takes the status and the headers."""
        self._status, self._headers = status, headers
        self._is_stream = status == 200 and media_type(headers) == "application/connect+proto"

    def data(self, data: bytes) -> None:
        """Takes a part of the body."""
        self._buffer += data
        if not self._is_stream and len(self._buffer) > _MAX_ERROR_BYTES:
            raise error_from_response(self._status, self._headers, b"")

    def end(self) -> None:
        """The body is complete."""
        self._complete = True

    def events(self) -> Iterator[SubscribeResponse]:
        """Removes and returns the events that have arrived, then sets `error` at the end of the stream.

        Raises a TidingsError for bytes that are no event.
        """
        start = 0
        try:
            while self._is_stream and self.error is None and len(self._buffer) - start >= 5:
                flags, length = struct.unpack_from(">BI", self._buffer, start)
                if length > MAX_MESSAGE_BYTES:
                    raise TidingsError("unavailable", "an event is longer than 16 MiB")
                if flags & _COMPRESSED:
                    raise TidingsError("unavailable", "an event is compressed, which was not asked for")
                end = start + 5 + length
                if len(self._buffer) < end:
                    break
                payload = bytes(self._buffer[start + 5 : end])
                start = end
                if flags & _END_STREAM:
                    self.error = _end_of_stream(payload)
                else:
                    yield decode(SubscribeResponse(), payload)
            if self._complete and self.error is None:
                self.error = self._cut()
        finally:
            del self._buffer[:start]

    def _cut(self) -> TidingsError:
        """Returns the error of a body that is complete without the last envelope of a stream."""
        if self._is_stream:
            return TidingsError("unavailable", "the stream ended without a reason")
        return error_from_response(self._status, self._headers, bytes(self._buffer))


def is_token(token: str) -> bool:
    """Reports whether a header can hold the token."""
    return _VISIBLE.fullmatch(token) is not None


def media_type(headers: Mapping[str, str]) -> str:
    """Returns the media type of a response, without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def decode(message: SubscribeResponse, data: bytes) -> SubscribeResponse:
    """Decodes an event; a malformed one is an error of the connection."""
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise TidingsError("unavailable", "an event is malformed") from error
    return message


def _end_of_stream(payload: bytes) -> TidingsError:
    try:
        end = json.loads(payload)
    except (ValueError, RecursionError):
        end = None
    error = error_from_json(end.get("error")) if isinstance(end, dict) else None
    # A stream of Tidings ends with an error only.
    return error or TidingsError("unavailable", "the stream ended without an error")
