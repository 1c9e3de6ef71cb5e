"""A service that handles each activity of its tenant at least once, with asyncio.

The position is in the same database as the result, so a worker that starts again goes on where it stopped.

    TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... python worker.py worker.db
"""

import asyncio
import os
import signal
import sqlite3
import sys

from tidings import AsyncTidings


class DatabaseStorage:
    """Keeps the positions in a table."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE IF NOT EXISTS positions (id INTEGER PRIMARY KEY, text TEXT)")
        database.execute("CREATE TABLE IF NOT EXISTS results (message_id TEXT PRIMARY KEY, title TEXT)")

    def load(self) -> str | None:
        row = self._database.execute("SELECT text FROM positions").fetchone()
        return row[0] if row else None

    def save(self, text: str, /) -> None:
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO positions VALUES (1, ?)", (text,))


async def fetch_token(refresh: bool) -> str:
    """A real program asks its login service for a token here."""
    return os.environ["TIDINGS_TOKEN"]


async def work(database: sqlite3.Connection) -> None:
    async with AsyncTidings(os.environ["TIDINGS_URL"], fetch_token) as tidings:
        subscription = tidings.subscribe(
            kinds=["activity"],
            storage=DatabaseStorage(database),
            on_state=lambda state: print(state, file=sys.stderr, flush=True),
        )
        async with subscription:
            async for message in subscription.messages():
                with database:
                    # A message that comes a second time changes nothing.
                    database.execute("INSERT OR IGNORE INTO results VALUES (?, ?)", (message.id, message.title))
                print(message.title, flush=True)


async def main() -> None:
    database = sqlite3.connect(sys.argv[1])
    worker = asyncio.ensure_future(work(database))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.cancel)
    try:
        await worker
    except asyncio.CancelledError:
        print("stopped", flush=True)
    finally:
        database.close()


if __name__ == "__main__":
    asyncio.run(main())
