"""The token in use, without I/O. The drivers call the token function, one call at a time."""

from __future__ import annotations

from ..errors import TidingsError


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
    """Returns the token. Raises a TypeError for anything but a JWT."""
    if not isinstance(token, str) or not token:
        found = "an empty string" if token == "" else type(token).__name__
        raise TypeError(f"the token function must return a JWT, not {found}")
    return token


def token_error(error: BaseException) -> TidingsError:
    """Returns the error for what the token function raised."""
    return TidingsError("unavailable", f"token: {error or type(error).__name__}")
