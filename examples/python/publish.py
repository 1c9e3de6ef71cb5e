"""A backend in Python, with grpcio and the stubs that protoc generates from the contract.

    TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... bash run.sh
"""

import os
import sys
import time
import uuid
from urllib.parse import urlsplit

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from tidings.v1 import message_pb2, push_service_pb2, push_service_pb2_grpc

# The codes after which a retry can succeed. After any other the request itself is wrong.
RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def connect(url: str) -> grpc.Channel:
    """Opens a channel, which connects on demand and reconnects by itself."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials())
    return grpc.insecure_channel(parts.netloc)


def reason_of(error: grpc.RpcError) -> str:
    """Returns the reason of a Tidings error, one of docs/errors.md; empty for any other error."""
    status = rpc_status.from_call(error)
    info = ErrorInfo()
    for detail in status.details if status else ():
        if detail.Unpack(info):
            return info.reason
    return ""


class Publisher:
    """Publishes for a backend."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._push = push_service_pb2_grpc.PushServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    def publish(self, request: push_service_pb2.PublishRequest) -> push_service_pb2.PublishResponse:
        """Retries until the message is known to be published. Its request_id makes the retries safe."""
        for attempt in range(1, 4):
            try:
                return self._push.Publish(request, metadata=self._metadata, timeout=2)
            except grpc.RpcError as error:
                if error.code() not in RETRYABLE or attempt == 3:
                    raise
                time.sleep(attempt * 0.2)
        raise AssertionError("unreachable")


def main() -> int:
    with connect(os.environ["TIDINGS_URL"]) as channel:
        publisher = Publisher(channel, os.environ["TIDINGS_TOKEN"])
        request = push_service_pb2.PublishRequest(
            audience=message_pb2.Audience(users=message_pb2.UserIds(user_ids=["ada", "bob"])),
            message=message_pb2.Draft(
                kind=message_pb2.KIND_NOTIFICATION,
                category="operation",
                title="订单 T1001 等待处理",
                content="Order T1001 waits for you.",
                url="/orders/T1001",
                json=ParseDict({"order": "T1001", "total": 131}, Value()),
            ),
            request_id=str(uuid.uuid4()),
        )

        first = publisher.publish(request)
        print(f"published {first.message_id}")
        for receipt in first.receipts:
            where = f"online on {receipt.connections} pages" if receipt.online else "offline"
            print(f"  {receipt.user_id}: {'stored' if receipt.stored else 'lost'}, {where}")

        second = publisher.publish(request)
        same = second.duplicate and second.message_id == first.message_id
        print("retried:", "the same message, published once" if same else "published twice!")

        request.message.url = "javascript:alert(1)"
        request.request_id = str(uuid.uuid4())
        try:
            publisher.publish(request)
        except grpc.RpcError as error:
            print(f"refused: {error.code().name.lower()} {reason_of(error)}: {error.details()}")
            return 0
        print("published a dangerous address!")
        return 1


if __name__ == "__main__":
    sys.exit(main())
