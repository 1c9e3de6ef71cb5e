"""Publishes one message for each line of stdin, as fast as batches allow, and reports what was refused.

seq 1 1000 | TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... python publish.py ann
"""

import os
import sys
from collections.abc import Iterator

from tidings import PublishRequest, Tidings
from tidings.v1 import KIND_NOTIFICATION, Audience, Draft


def requests(user_id: str) -> Iterator[PublishRequest]:
    """Reads a line only when the batch before is published."""
    for line in sys.stdin:
        yield PublishRequest(
            audience=Audience(user_id=user_id),
            message=Draft(kind=KIND_NOTIFICATION, title=line.strip()),
        )


def main() -> int:
    refused = 0
    with Tidings(os.environ["TIDINGS_URL"], os.environ["TIDINGS_TOKEN"]) as tidings:
        for outcome in tidings.publish_batch(requests(sys.argv[1])):
            if outcome.error is not None:
                refused += 1
                print(f"line {outcome.index + 1}: {outcome.error}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
