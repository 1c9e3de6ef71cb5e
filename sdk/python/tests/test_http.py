"""The Connect protocol over HTTP/1.1, without I/O."""

from __future__ import annotations

import base64
import json
import pickle
import struct
import traceback
from collections.abc import Mapping

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from hypothesis import given
from hypothesis import strategies as st

from tidings import Tidings, TidingsError
from tidings._async.tokens import AsyncTokens
from tidings._core.http import Endpoint, HttpConnection, StreamReply, UnaryReply
from tidings._core.session import OpenStream, RefuseToken
from tidings._sync.tokens import Tokens
from tidings.v1 import Heartbeat, Message, PublishRequest, PublishResponse, SubscribeRequest, SubscribeResponse

ENDPOINT = Endpoint.parse("http://push.example:8080/base/")


def detail(message: ErrorInfo | BadRequest | RetryInfo) -> dict[str, str]:
    value = base64.b64encode(message.SerializeToString()).decode().rstrip("=")
    return {"type": message.DESCRIPTOR.full_name, "value": value}


def wire_error(domain: str = "tidings") -> dict[str, object]:
    retry = RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    bad = BadRequest(field_violations=[BadRequest.FieldViolation(field="message.title")])
    details = [detail(ErrorInfo(reason="FIELD_INVALID", domain=domain)), detail(bad), detail(retry)]
    return {"code": "invalid_argument", "message": "message.title: too long", "details": details}


def response(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def unary(data: bytes) -> bytes:
    http = HttpConnection()
    http.send(ENDPOINT.unary("s/M", PublishRequest(), token="t", timeout=1))
    reply = UnaryReply()
    if not http.receive(data, reply):
        http.receive(b"", reply)
    return reply.message()


def unary_error(data: bytes) -> TidingsError:
    with pytest.raises(TidingsError) as raised:
        unary(data)
    return raised.value


def envelope(payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(payload)) + payload


def stream(parts: list[bytes], *, closed: bool = True) -> tuple[list[SubscribeResponse], TidingsError]:
    """Passes the parts of a response to a stream, and returns its events and its end."""
    http = HttpConnection()
    http.send(ENDPOINT.stream("s/M", PublishRequest(), token="t"))
    reply = StreamReply()
    events: list[SubscribeResponse] = []
    try:
        for part in [*parts, b""] if closed else parts:
            http.receive(part, reply)
            events += reply.events()
            if reply.error is not None:
                return events, reply.error
    except TidingsError as error:
        return events, error
    raise AssertionError("the stream has not ended")


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/connect+proto\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_request_is_a_post_with_a_token_and_a_timeout() -> None:
    sent = HttpConnection().send(ENDPOINT.unary("s/M", PublishRequest(request_id="r"), token="t", timeout=2.5))
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /base/s/M HTTP/1.1\r\nHost: push.example:8080\r\n")
    for header in (b"Authorization: Bearer t", b"Connect-Timeout-Ms: 2500", b"Content-Type: application/proto"):
        assert header in head.split(b"\r\n")
    assert PublishRequest.FromString(body).request_id == "r"


@pytest.mark.parametrize(
    "url",
    [
        *["", "push.example", "ftp://x", "http://", "http://u:p@x", "http://x?q", "http://x#f", "http://x:port"],
        *["http://a..b", "http://a b", "http://a\0b", "http://x/a b", "http://x/\u00fc", f"http://{'a' * 64}.example"],
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Endpoint.parse(url)


@pytest.mark.parametrize("token", ["secret\r\nb", "secret\n", "secretü", "secret\0", ""])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(TidingsError, match="token") as raised:
        HttpConnection().send(ENDPOINT.unary("s/M", PublishRequest(), token=token, timeout=1))
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    for tokens in (Tokens, AsyncTokens):
        with pytest.raises(ValueError, match="token: must be a JWT") as refused:
            tokens(token)
        assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_no_repr_shows_a_token() -> None:
    request = ENDPOINT.unary("s/M", PublishRequest(), token="secret", timeout=1)
    for value in (
        request,
        OpenStream("secret", SubscribeRequest()),
        RefuseToken("secret"),
        Tidings("http://x", "secret"),
    ):
        assert "secret" not in repr(value)


def test_a_host_in_any_script_is_sent_in_ascii() -> None:
    endpoint = Endpoint.parse("https://B\u00fccher.example:8443/a")
    assert (endpoint.host, endpoint.authority) == ("xn--bcher-kva.example", "xn--bcher-kva.example:8443")
    assert Endpoint.parse("http://[::1]").authority == "[::1]"


@pytest.mark.parametrize("timeout", [1e-9, 1e12, float("inf")])
def test_a_timeout_has_at_most_ten_digits(timeout: float) -> None:
    headers = ENDPOINT.unary("s/M", PublishRequest(), token="t", timeout=timeout).headers
    assert headers["Connect-Timeout-Ms"] in ("1", "9999999999")


def test_bytes_after_a_response_are_not_taken_for_the_next_one() -> None:
    http = HttpConnection()
    http.send(ENDPOINT.unary("s/M", PublishRequest(), token="t", timeout=1))
    assert http.receive(response(200, b"", {}) + response(200, b"forged", {}), UnaryReply())
    assert not http.reusable


def test_interim_responses_are_skipped() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert unary(interim + response(200, b"x", {"Content-Type": "application/proto"})) == b"x"


def test_endless_headers_are_refused() -> None:
    http, reply = HttpConnection(), UnaryReply()
    http.send(ENDPOINT.unary("s/M", PublishRequest(), token="t", timeout=1))
    http.receive(b"HTTP/1.1 200 OK\r\n", reply)
    with pytest.raises(TidingsError, match="cut"):
        for _ in range(100):
            http.receive(b"A: " + b"x" * 1000 + b"\r\n", reply)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_error(status: int) -> None:
    assert unary_error(response(status, b"", {"Location": "https://elsewhere.example/"})).code == "unavailable"


def test_an_ipv6_address_is_connected_to_without_its_brackets() -> None:
    endpoint = Endpoint.parse("https://[::1]:7300")
    assert (endpoint.host, endpoint.port, endpoint.authority, endpoint.secure) == ("::1", 7300, "[::1]:7300", True)


def test_a_response_is_its_body_and_the_connection_is_used_again() -> None:
    http = HttpConnection()
    for number in range(3):
        http.send(ENDPOINT.unary("s/M", PublishRequest(), token="t", timeout=1))
        body = PublishResponse(message_id=str(number)).SerializeToString()
        reply = UnaryReply()
        assert http.receive(response(200, body, {"Content-Type": "application/proto"}), reply)
        assert reply.message() == body
        assert http.reusable


def test_an_error_has_code_reason_field_delay_and_details() -> None:
    body = json.dumps(wire_error()).encode()
    error = unary_error(response(400, body, {"Content-Type": "application/json"}))
    assert (error.code, error.reason, error.field) == ("invalid_argument", "FIELD_INVALID", "message.title")
    assert error.retry_after == 1.5
    assert str(error) == "invalid_argument FIELD_INVALID: message.title: too long"
    assert repr(error) == "TidingsError('invalid_argument FIELD_INVALID: message.title: too long')"
    info = ErrorInfo()
    assert isinstance(error.details[0], AnyMessage)
    assert error.details[0].Unpack(info)
    assert info.domain == "tidings"
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.code, copy.reason, copy.field, copy.retry_after) == (error.code, error.reason, error.field, 1.5)


def test_an_error_of_another_domain_has_no_reason() -> None:
    error = unary_error(response(400, json.dumps(wire_error("other")).encode(), {}))
    assert (error.code, error.reason) == ("invalid_argument", None)


@pytest.mark.parametrize(
    ("status", "code"),
    [(200, "unavailable"), (401, "unauthenticated"), (403, "unavailable"), (404, "unavailable"), (502, "unavailable")],
)
@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[" * 100_000, b'{"code":"nonsense"}', b"\xff"])
def test_a_response_of_a_proxy_counts_as_unavailable(status: int, code: str, body: bytes) -> None:
    error = unary_error(response(status, body, {"Content-Type": "text/html"}))
    assert (error.code, error.reason, error.retry_after) == (code, None, None)


def test_retry_after_is_read_in_seconds() -> None:
    assert unary_error(response(503, b"", {"Retry-After": "12"})).retry_after == 12
    assert unary_error(response(503, b"", {"Retry-After": "Mon, 30 Nov 2026 10:00:00 GMT"})).retry_after is None


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", b"\0\1\2\3\r\n\r\n", response(200, b"xxx", {})[:-1]])
def test_a_response_that_is_cut_or_malformed_counts_as_unavailable(data: bytes) -> None:
    assert unary_error(data).code == "unavailable"


@pytest.mark.parametrize(
    "details", [5, "x", {}, [5], [{"type": 1}], [{"type": "google.rpc.ErrorInfo", "value": "%%"}], [{"value": "AA"}]]
)
def test_malformed_details_leave_the_rest_of_the_error(details: object) -> None:
    error = unary_error(response(400, json.dumps({"code": "aborted", "details": details}).encode(), {}))
    assert (error.code, error.message, error.reason) == ("aborted", "aborted", None)


@given(st.data())
def test_a_stream_is_the_same_however_its_bytes_arrive(data: st.DataObject) -> None:
    events = [SubscribeResponse(message=Message(id=str(n), content="x" * n * 40)) for n in range(6)]
    events.append(SubscribeResponse(heartbeat=Heartbeat()))
    end = envelope(json.dumps({"error": wire_error()}).encode(), 2)
    whole = STREAM_HEAD + chunked(*[envelope(event.SerializeToString()) for event in events], end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
    got, error = stream(parts, closed=False)
    assert got == events
    assert (error.code, error.reason, error.retry_after) == ("invalid_argument", "FIELD_INVALID", 1.5)


@pytest.mark.parametrize(
    "rest",
    [
        chunked(envelope(b"\xff\xff")),
        chunked(envelope(b"", 1)),
        chunked(struct.pack(">BI", 0, 1 << 31)),
        chunked(envelope(b"{}", 2)),
        chunked(envelope(b"null", 2)),
        chunked(envelope(b"nonsense", 2)),
        chunked(envelope(b"[" * 100_000, 2)),
        chunked(b"\0\0\0\0\5x"),
        b"zz\r\n",
        b"",
    ],
)
def test_a_stream_that_is_cut_or_malformed_counts_as_unavailable(rest: bytes) -> None:
    events, error = stream([STREAM_HEAD, rest])
    assert (events, error.code, error.reason) == ([], "unavailable", None)


def test_a_refused_stream_has_the_error_of_its_body() -> None:
    body = json.dumps(wire_error()).encode()
    events, error = stream([response(400, body, {"Content-Type": "application/json"})])
    assert (events, error.code, error.reason) == ([], "invalid_argument", "FIELD_INVALID")
    page = response(200, b"<html>", {"Content-Type": "text/html"})
    assert stream([page])[1].code == "unavailable"
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * (2 << 20))
    assert stream([endless])[1].code == "unavailable"
