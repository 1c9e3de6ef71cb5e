"""The program that the conformance kit for clients judges: `python client.py sync` or `python client.py async`.

It executes commands from stdin and prints what happens, one JSON object a line; docs/clients.md has the protocol.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from tidings import (
    AsyncSubscription,
    AsyncTidings,
    CaughtUp,
    Event,
    Gap,
    Message,
    Outcome,
    PublishResponse,
    ReadState,
    Reset,
    RoomState,
    Subscription,
    Tidings,
    TidingsError,
    UnreadTotals,
)
from tidings._core.requests import KindName, SubscribeFields
from tidings._core.rooms import mode_name
from tidings.v1 import (
    KIND_ACTIVITY,
    KIND_EVENT,
    ListUnreadRequest,
    MarkReadRequest,
    PublishRequest,
    RoomMode,
    SubscribeRequest,
)

Command = Mapping[str, Any]

_output = threading.Lock()


def show(type: str, /, **fields: object) -> None:
    """Prints a line. `type` comes first."""
    with _output:
        print(json.dumps({"type": type, **fields}), flush=True)


def show_event(event: Event) -> None:
    """Prints what the application gets."""
    if isinstance(event, Message):
        show("message", message=MessageToDict(event))
    elif isinstance(event, ReadState):
        show("readState")
    elif isinstance(event, CaughtUp):
        show("caughtUp")
    elif isinstance(event, Gap):
        show("gap", feed=event.to.feed, after=str(event.after.seq), to=str(event.to.seq))
    elif isinstance(event, Reset):
        show("reset", reason=event.reason)
    elif isinstance(event, RoomState):
        status = RoomState.Status.Name(event.status).removeprefix("STATUS_")
        show("room", roomId=event.room_id, status=status, reason=event.reason)


def show_unread(unread: UnreadTotals | None) -> None:
    """Prints the totals, which a service does not have."""
    if unread is not None:
        show("unread", total=unread.total, byCategory=dict(unread.by_category))


def error_fields(error: TidingsError) -> dict[str, object]:
    """Returns an error as the protocol has it."""
    return {
        "code": error.code,
        "reason": error.reason or "",
        "field": error.field or "",
        "retryAfterMs": round((error.retry_after or 0) * 1000),
    }


def show_published(id: str, response: PublishResponse) -> None:
    """Prints the response of a publish."""
    show("published", id=id, messageId=response.message_id, duplicate=response.duplicate)


def show_outcome(id: str, outcome: Outcome) -> None:
    """Prints the outcome of one publish of a batch."""
    if outcome.response is not None:
        show("outcome", id=id, index=outcome.index, messageId=outcome.response.message_id)
    elif outcome.error is not None:
        show("outcome", id=id, index=outcome.index, error=error_fields(outcome.error))


def subscribe_fields(command: Command) -> SubscribeFields:
    """Returns the fields of SubscribeRequest in a command."""
    request = ParseDict(rooms_spelled_out(command), SubscribeRequest(), ignore_unknown_fields=True)
    names: dict[int, KindName] = {KIND_ACTIVITY: "activity", KIND_EVENT: "event"}
    return SubscribeFields(
        rooms=request.rooms,
        kinds=[names.get(kind, "notification") for kind in request.kinds],
        categories=request.categories,
        events=request.events,
        online_count=request.online_count,
        instance_id=request.instance_id,
    )


def rooms_spelled_out(command: Command) -> dict[str, Any]:
    """Returns the command without its type, and with the modes of rooms as the contract spells them."""
    fields = {name: value for name, value in command.items() if name != "type"}
    rooms: Iterable[Mapping[str, str]] = command.get("rooms", ())
    if rooms:
        fields["rooms"] = [{**room, "mode": mode_of(room)} for room in rooms]
    return fields


def mode_of(room: Mapping[str, str]) -> str:
    """Returns the mode of a room as the contract spells it."""
    mode = room.get("mode", "ANY")
    return mode if mode.startswith("ROOM_MODE_") else f"ROOM_MODE_{mode}"


def fetch_token(refresh: bool) -> str:
    """Fetches a token, as an application does from its login service."""
    url = os.environ["TIDINGS_TOKEN_URL"] + ("?refresh=1" if refresh else "")
    with urllib.request.urlopen(url, timeout=20) as response:
        body: bytes = response.read()
    return body.decode().strip()


def commands() -> Iterable[Command]:
    """Reads the commands up to `close` or the end of stdin."""
    for line in sys.stdin:
        command: Command = json.loads(line)
        if command["type"] == "close":
            return
        yield command


class SyncProgram:
    """The program with the client for threads."""

    def __init__(self, client: Tidings) -> None:
        self._client = client
        self._subscription: Subscription | None = None

    def run(self) -> None:
        """Executes all commands; a call has a thread of its own, so that the next command need not wait."""
        for command in commands():
            if command["type"] in ("subscribe", "join", "leave"):
                self._control(command)
            else:
                threading.Thread(target=self._call, args=(command,), daemon=True).start()

    def _control(self, command: Command) -> None:
        if command["type"] == "subscribe":
            subscription = self._client.subscribe(
                on_state=lambda state: show("state", state=state),
                on_unread=show_unread,
                on_error=lambda error: show("error", **error_fields(error), final=False),
                **subscribe_fields(command),
            )
            self._subscription = subscription
            threading.Thread(target=self._consume, args=(subscription,), daemon=True).start()
        elif self._subscription is not None:
            if command["type"] == "join":
                self._subscription.join(command["roomId"], mode_name(RoomMode.Value(mode_of(command))))
            else:
                self._subscription.leave(command["roomId"])

    def _consume(self, subscription: Subscription) -> None:
        try:
            for event in subscription:
                show_event(event)
        except TidingsError as error:
            show("error", **error_fields(error), final=True)

    def _call(self, command: Command) -> None:
        id = command.get("id", "")
        try:
            if command["type"] == "publish":
                show_published(id, self._client.publish(ParseDict(command["request"], PublishRequest())))
            elif command["type"] == "publishBatch":
                requests = [ParseDict(request, PublishRequest()) for request in command["requests"]]
                for outcome in self._client.publish_batch(requests):
                    show_outcome(id, outcome)
            elif command["type"] == "listUnread":
                for message in self._client.list_unread(ParseDict(command["request"], ListUnreadRequest())):
                    show("listed", id=id, messageId=message.id)
                show("listEnd", id=id)
            elif command["type"] == "markRead":
                response = self._client.mark_read(ParseDict(command["request"], MarkReadRequest()))
                show("markedRead", id=id, changed=response.changed)
            else:
                show("unsupported", command=command["type"])
        except TidingsError as error:
            show("error", id=id, **error_fields(error), final=True)


class AsyncProgram:
    """The program with the client for asyncio."""

    def __init__(self, client: AsyncTidings) -> None:
        self._client = client
        self._subscription: AsyncSubscription | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Executes all commands; a call is a task of its own, so that the next command need not wait."""
        iterator = iter(commands())
        while (command := await asyncio.to_thread(next, iterator, None)) is not None:
            if command["type"] in ("subscribe", "join", "leave"):
                self._control(command)
            else:
                self._tasks.add(asyncio.ensure_future(self._call(command)))
        for task in self._tasks:
            task.cancel()

    def _control(self, command: Command) -> None:
        if command["type"] == "subscribe":
            self._subscription = self._client.subscribe(
                on_state=lambda state: show("state", state=state),
                on_unread=show_unread,
                on_error=lambda error: show("error", **error_fields(error), final=False),
                **subscribe_fields(command),
            )
            self._tasks.add(asyncio.ensure_future(self._consume(self._subscription)))
        elif self._subscription is not None:
            if command["type"] == "join":
                self._subscription.join(command["roomId"], mode_name(RoomMode.Value(mode_of(command))))
            else:
                self._subscription.leave(command["roomId"])

    async def _consume(self, subscription: AsyncSubscription) -> None:
        try:
            async for event in subscription:
                show_event(event)
        except TidingsError as error:
            show("error", **error_fields(error), final=True)

    async def _call(self, command: Command) -> None:
        id = command.get("id", "")
        try:
            if command["type"] == "publish":
                show_published(id, await self._client.publish(ParseDict(command["request"], PublishRequest())))
            elif command["type"] == "publishBatch":
                requests = [ParseDict(request, PublishRequest()) for request in command["requests"]]
                async for outcome in self._client.publish_batch(requests):
                    show_outcome(id, outcome)
            elif command["type"] == "listUnread":
                async for message in self._client.list_unread(ParseDict(command["request"], ListUnreadRequest())):
                    show("listed", id=id, messageId=message.id)
                show("listEnd", id=id)
            elif command["type"] == "markRead":
                response = await self._client.mark_read(ParseDict(command["request"], MarkReadRequest()))
                show("markedRead", id=id, changed=response.changed)
            else:
                show("unsupported", command=command["type"])
        except TidingsError as error:
            show("error", id=id, **error_fields(error), final=True)


async def main_async(url: str) -> None:
    """Runs the program with the client for asyncio."""

    async def token(refresh: bool) -> str:
        return await asyncio.to_thread(fetch_token, refresh)

    async with AsyncTidings(url, token) as client:
        await AsyncProgram(client).run()


def main() -> None:
    """Runs the program with the client that the argument names."""
    url = os.environ["TIDINGS_URL"]
    if sys.argv[1:] == ["async"]:
        asyncio.run(main_async(url))
    elif sys.argv[1:] == ["sync"]:
        with Tidings(url, fetch_token) as client:
            SyncProgram(client).run()
    else:
        sys.exit("usage: client.py sync|async")


if __name__ == "__main__":
    main()
