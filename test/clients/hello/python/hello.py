"""Receives what it publishes, with grpcio and the code that grpcio-tools generates from the contract."""

import os

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from tidings.v1 import message_pb2 as messages
from tidings.v1 import push_service_pb2 as service
from tidings.v1.push_service_pb2_grpc import PushServiceStub


def bearer(name: str) -> tuple[tuple[str, str]]:
    return (("authorization", "Bearer " + os.environ[name]),)


def notification(**draft: str) -> service.PublishRequest:
    return service.PublishRequest(
        audience=messages.Audience(user_id="ada"),
        message=messages.Draft(kind=messages.KIND_NOTIFICATION, **draft),
    )


with grpc.insecure_channel(os.environ["TIDINGS_URL"].removeprefix("http://")) as channel:
    push = PushServiceStub(channel)
    events = push.Subscribe(service.SubscribeRequest(), metadata=bearer("TIDINGS_USER_TOKEN"), timeout=20)
    assert next(events).WhichOneof("event") == "hello"

    hello = notification(title="Hello from Python")
    published = push.Publish(hello, metadata=bearer("TIDINGS_SERVICE_TOKEN"), timeout=5)
    received = next(event.message for event in events if event.WhichOneof("event") == "message")
    assert received.id == published.message_id
    events.cancel()

    try:
        push.Publish(notification(url="javascript:1"), metadata=bearer("TIDINGS_SERVICE_TOKEN"), timeout=5)
        raise SystemExit("a dangerous link was published")
    except grpc.RpcError as error:
        info = ErrorInfo()
        [found] = [detail for detail in rpc_status.from_call(error).details if detail.Is(ErrorInfo.DESCRIPTOR)]
        found.Unpack(info)
        print(f"received: {received.title}; refused: {info.reason}")
