"""Prints all events of a user, and enters the rooms that are named.

TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... python subscribe.py [room ...]
"""

import logging
import os
import sys

from tidings import CaughtUp, Gap, Message, ReadState, Reset, RoomState, Tidings


def fetch_token(refresh: bool) -> str:
    """A real program asks its login service for a token here."""
    return os.environ["TIDINGS_TOKEN"]


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    with Tidings(os.environ["TIDINGS_URL"], fetch_token) as tidings, tidings.subscribe(rooms=sys.argv[1:]) as events:
        for event in events:
            match event:
                case Message():
                    print(event.title, flush=True)
                case CaughtUp():
                    print("up to date", flush=True)
                case ReadState():
                    # The totals after it; `events.unread` also has those of the messages since.
                    print(f"{event.unread.total} unread", flush=True)
                case RoomState():
                    print(f"{event.room_id}: {RoomState.Status.Name(event.status)} {event.message}", flush=True)
                case Gap() | Reset():
                    # Some messages are gone from the stream; the list has those that are left.
                    for message in tidings.list_unread():
                        print(f"unread: {message.title}", flush=True)


if __name__ == "__main__":
    main()
