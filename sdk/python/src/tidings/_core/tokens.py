"""The token in use, without I/O. The drivers call the token function, one call at a time."""

from __future__ import annotations

from typing import TypeVar

from ..errors import TidingsError
from .http import is_token

Source = TypeVar("Source")


class TokenState:
    """The token that the subscriptions and calls of one client share."""

    def __init__(self) -> None:
        self.current: str | None = None
        """The token in use; None before the first, and after a refusal."""
        self.refresh = False
        """Whether the token function must return a fresh token."""

    def refuse(self, token: str) -> bool:
        """Drops a token that the server refused; False when another has replaced it already."""
        if token != self.current:
            return False
        self.current = None
        self.refresh = True
        return True


def check_token(token: object) -> str:
    """Returns the token. Raises a TypeError for anything but a string, and a ValueError for one that is no JWT.

    The error does not quote the token. The usual mistakes are the line end of a file and an error page.
    """
    if not isinstance(token, str):
        raise TypeError(f"the token function must return a JWT, not {type(token).__name__}")
    if not is_token(token):
        found = "a string with a space, a line break or a character outside ASCII" if token else "an empty string"
        raise ValueError(f"must be a JWT, not {found}")
    return token


def check_source(source: Source) -> Source:
    """Returns the source of tokens. Raises a ValueError for a string that is no JWT."""
    if isinstance(source, str):
        try:
            check_token(source)
        except ValueError as error:
            raise ValueError(f"token: {error}") from None
    return source


def token_error(error: BaseException) -> TidingsError:
    """Returns the error for what the token function raised."""
    return TidingsError("unavailable", f"token: {str(error) or type(error).__name__}")
