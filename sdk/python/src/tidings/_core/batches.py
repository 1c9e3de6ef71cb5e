"""Publishes that can be repeated: their request ids, and batches with an outcome for each."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import TidingsError, error_code
from ..v1.push_service_pb2 import (
    PublishBatchRequest,
    PublishBatchResponse,
    PublishError,
    PublishRequest,
    PublishResponse,
)
from .retry import is_retryable

MAX_REQUESTS = 1000
"""The limit of PublishBatchRequest."""

MAX_BYTES = 1 << 20
"""Requests are sent together up to this size, well below what servers and proxies accept."""

MAX_RECEIVERS = 100_000
"""The server's default for the receivers of all requests of a batch."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one publish of a batch. Either `response` or `error` is set."""

    index: int
    """The index of the request in what publish_batch() got."""
    request: PublishRequest
    """The request with the request_id that was sent: publishing it again is safe."""
    response: PublishResponse | None = None
    """The response when the message is stored."""
    error: TidingsError | None = None
    """Why the message is not known to be stored."""


def with_request_id(request: PublishRequest) -> PublishRequest:
    """Returns a copy with a request_id, which makes retries safe. The caller's object stays as it is.

    An object that got its id in place would be taken for a repetition when the caller publishes it a second time.
    """
    copy = PublishRequest()
    copy.CopyFrom(request)
    # A request that replaces a message has to name it: the server refuses it otherwise.
    if not copy.request_id and not copy.replace:
        copy.request_id = str(uuid.uuid4())
    return copy


def split(requests: Iterable[PublishRequest]) -> Iterator[Batch]:
    """Divides requests into batches that the server accepts. Reads them lazily."""
    batch: list[PublishRequest] = []
    start = size = receivers = 0
    for original in requests:
        request = with_request_id(original)
        # A tag and a length for each in the batch.
        request_size = request.ByteSize() + 6
        request_receivers = max(1, len(request.audience.users.user_ids))
        if batch and (
            len(batch) == MAX_REQUESTS
            or size + request_size > MAX_BYTES
            or receivers + request_receivers > MAX_RECEIVERS
        ):
            yield Batch(batch, start)
            start += len(batch)
            batch, size, receivers = [], 0, 0
        batch.append(request)
        size += request_size
        receivers += request_receivers
    if batch:
        yield Batch(batch, start)


class Batch:
    """One batch, of which transient failures are repeated."""

    def __init__(self, requests: Sequence[PublishRequest], start: int) -> None:
        """`start` is the index of the first request in the whole."""
        self._outcomes = [Outcome(start + index, request) for index, request in enumerate(requests)]
        self._left = list(range(len(requests)))

    @property
    def request(self) -> PublishBatchRequest:
        """What to send next: all requests at first, later those that have failed for now."""
        return PublishBatchRequest(requests=[self._outcomes[index].request for index in self._left])

    def take(self, response: PublishBatchResponse) -> TidingsError | None:
        """Takes the response. Returns the first error that a retry may resolve; None when nothing is left to send."""
        if len(response.outcomes) != len(self._left):
            raise TidingsError("internal", "the response has another number of outcomes than the request")
        left: list[int] = []
        first: TidingsError | None = None
        for index, outcome in zip(self._left, response.outcomes, strict=True):
            if outcome.HasField("ok"):
                self._set(index, outcome.ok, None)
                continue
            error = _error(outcome.error)
            self._set(index, None, error)
            if is_retryable(error):
                first = first or error
                left.append(index)
        self._left = left
        return first

    def fail(self, error: TidingsError) -> None:
        """Takes the error of the call: the outcome of all that was sent is unknown."""
        for index in self._left:
            self._set(index, None, error)

    def outcomes(self) -> list[Outcome]:
        """Returns the outcomes, in the order of the requests."""
        return self._outcomes

    def _set(self, index: int, response: PublishResponse | None, error: TidingsError | None) -> None:
        before = self._outcomes[index]
        self._outcomes[index] = Outcome(before.index, before.request, response, error)


def _error(error: PublishError) -> TidingsError:
    code = error_code(error.code) or "unknown"
    # The sentence starts with the path of the field at fault, and that with the index in the batch.
    path = re.match(r"(?:requests\[\d+\]\.)?([\w.\[\]]+): ", error.message) if code == "invalid_argument" else None
    return TidingsError(code, error.message, reason=error.reason or None, field=path and path[1])
