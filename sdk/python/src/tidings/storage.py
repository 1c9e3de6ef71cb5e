"""Keeps the positions of a subscription between runs of a program."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol


class PositionStorage(Protocol):
    """Where the positions are kept. Use one storage, or one key of it, per user and set of filters."""

    def load(self) -> str | None:
        """Returns the text that save got last; None when there is none."""

    def save(self, text: str, /) -> None:
        """Stores a text of at most 40 KB."""


class AsyncPositionStorage(Protocol):
    """A PositionStorage whose methods are coroutines."""

    def load(self) -> Awaitable[str | None]:
        """Returns the text that save got last; None when there is none."""

    def save(self, text: str, /) -> Awaitable[None]:
        """Stores a text of at most 40 KB."""


class FileStorage:
    """Keeps the positions in a file, which is replaced as a whole."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def load(self) -> str | None:
        """Returns the content of the file; None when there is none."""
        try:
            return self._path.read_text("utf-8")
        except FileNotFoundError:
            return None

    def save(self, text: str, /) -> None:
        """Replaces the file."""
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            # Without it, a crash of the machine may leave an empty file under the name.
            os.fsync(file.fileno())
        temporary.replace(self._path)
