"""The error of every call and subscription."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast, get_args

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage

ErrorCode = Literal[
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
]
"""The codes of the Connect protocol. Source: https://connectrpc.com/docs/protocol#error-codes"""


class TidingsError(Exception):
    """An error of the server, of the connection, or of the application's token function or storage."""

    code: ErrorCode
    """The Connect code, such as `invalid_argument`."""
    message: str
    """One English sentence, for people."""
    reason: str | None
    """The server's reason for programs, such as `FIELD_INVALID`; None when no Tidings server sent the error."""
    field: str | None
    """The path of the first field at fault, such as `message.title`; None when the error is about no field."""
    retry_after: float | None
    """The delay in seconds after which the server suggests a retry; None when it suggests none."""
    details: Sequence[AnyMessage]
    """The details as the server sent them, for `Unpack` with the types of `google.rpc.error_details_pb2`."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        reason: str | None = None,
        field: str | None = None,
        retry_after: float | None = None,
        details: Sequence[AnyMessage] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.field = field
        self.retry_after = retry_after
        self.details = details

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message}" if self.reason else f"{self.code}: {self.message}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # The default calls the constructor with the message alone, so that no process pool could pass the error on.
        return _rebuild, (self.code, self.message, self.reason, self.field, self.retry_after, tuple(self.details))


def _rebuild(
    code: ErrorCode,
    message: str,
    reason: str | None,
    field: str | None,
    retry_after: float | None,
    details: Sequence[AnyMessage],
) -> TidingsError:
    return TidingsError(code, message, reason=reason, field=field, retry_after=retry_after, details=details)


def error_code(name: object) -> ErrorCode | None:
    """Returns the code of this name; None when there is none."""
    return cast(ErrorCode, name) if name in get_args(ErrorCode) else None
