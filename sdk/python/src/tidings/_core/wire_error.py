"""Decodes errors of the Connect protocol."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from ..errors import TidingsError, error_code

DOMAIN = "tidings"
"""The domain of the ErrorInfo of a Tidings server."""


@dataclasses.dataclass
class _Details:
    reason: str | None = None
    field: str | None = None
    retry_after: float | None = None
    all: list[Any] = dataclasses.field(default_factory=list)


def error_from_json(value: object) -> TidingsError | None:
    """Decodes `{code, message, details: [{type, value}]}`; None when the value is none.

    Source: https://connectrpc.com/docs/protocol#error-end-stream
    """
    if not isinstance(value, dict):
        return None
    code = error_code(value.get("code"))
    if code is None:
        return None
    message = value.get("message")
    details = _read_details(value.get("details"))
    return TidingsError(
        code,
        message if isinstance(message, str) else code,
        reason=details.reason,
        field=details.field,
        retry_after=details.retry_after,
        details=tuple(details.all),
    )


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> TidingsError:
    """Returns the error for a response that is not the one of a successful call.

    Only a Connect error comes from a Tidings server. Any other response comes from an intermediary, such as a proxy
    during a deployment, and counts as unavailable, since it may be transient.
    """
    try:
        error = error_from_json(json.loads(body))
    except (ValueError, RecursionError):
        error = None
    if error is not None and status != 200:
        if error.retry_after is None:
            error.retry_after = _retry_after(headers)
        return error
    sentence = f"HTTP {status}: is this the URL of a Tidings server?"
    return TidingsError(
        "unauthenticated" if status == 401 else "unavailable", sentence, retry_after=_retry_after(headers)
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The delay of Retry-After in seconds. Its other form, a date, goes by the clock of another machine: ignored."""
    value = headers.get("retry-after", "").strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


def _read_details(details: object) -> _Details:
    """Reads what the client needs. A malformed detail is skipped; the rest of the error is still valid."""
    # Imported at the first error, since most programs see none, and importing takes time.
    from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

    read = _Details()
    for detail in details if isinstance(details, list) else ():
        try:
            name, text = detail["type"], detail["value"]
            value = base64.b64decode(text + "=" * (-len(text) % 4))
            read.all.append(Any(type_url=f"type.googleapis.com/{name}", value=value))
            if name == "google.rpc.ErrorInfo":
                info = ErrorInfo.FromString(value)
                read.reason = info.reason if info.domain == DOMAIN else read.reason
            elif name == "google.rpc.BadRequest":
                violations = BadRequest.FromString(value).field_violations
                read.field = violations[0].field if violations else None
            elif name == "google.rpc.RetryInfo":
                delay = RetryInfo.FromString(value).retry_delay
                read.retry_after = delay.seconds + delay.nanos / 1e9
        except (DecodeError, TypeError, KeyError, ValueError):
            continue
    return read
