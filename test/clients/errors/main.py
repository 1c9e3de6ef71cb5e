"""Prints how two errors of a server read, by the function of docs/errors.md: host and port, then a token, as arguments."""

import sys

import grpc
from read_error import read_error

target, token = sys.argv[1:]


def call(method):
    # An empty request needs no generated code.
    stub = channel.unary_unary(f"/tidings.v1.PushService/{method}", lambda request: request, lambda answer: answer)
    return stub(b"", metadata=[("authorization", f"Bearer {token}")])


with grpc.insecure_channel(target) as channel:
    # The first call of ListUnread uses up the rate limit.
    for method in ["Publish", "ListUnread", "ListUnread"]:
        try:
            call(method)
        except grpc.RpcError as error:
            code, reason, field, retry_after, message = read_error(error)
            print(code.name, reason, field or "-", "later" if (retry_after or 0) > 1 else "-", message, sep="|")
