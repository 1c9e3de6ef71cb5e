"""HTTP proxies: the tunnel that the CONNECT method opens, without I/O.

Source: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import h11

from ..errors import TidingsError


@dataclass(frozen=True)
class Proxy:
    """The address of an HTTP proxy."""

    host: str
    port: int
    credentials: str | None = field(default=None, repr=False)
    """The value of the Proxy-Authorization header."""


def proxy_of(host: str, port: int) -> Proxy | None:
    """Returns the proxy that HTTPS_PROXY names for a server: none for this machine and for the hosts of NO_PROXY.

    Raises a ValueError for a URL that is malformed or has another scheme than http. The error does not quote the URL,
    which may have a password.
    """
    url = getproxies_environment().get("https")
    if not url or _is_local(host) or proxy_bypass(f"{host}:{port}"):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        name = (parts.hostname or "").encode("idna").decode("ascii")
        proxy_port = parts.port or 80
    except ValueError:
        name = ""
    if not name or parts.scheme != "http":
        raise ValueError("HTTPS_PROXY: must be the URL of an HTTP proxy, such as http://proxy.example.com:3128")
    if parts.username is None:
        return Proxy(name, proxy_port)
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(name, proxy_port, "Basic " + base64.b64encode(pair.encode()).decode())


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Tunnel:
    """The opening of one tunnel to a server."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = [("Host", target)]
        if proxy.credentials is not None:
            headers.append(("Proxy-Authorization", proxy.credentials))
        self._h11 = h11.Connection(h11.CLIENT)
        head = self._h11.send(h11.Request(method="CONNECT", target=target, headers=headers))
        self.request = (head or b"") + (self._h11.send(h11.EndOfMessage()) or b"")
        """The bytes to send to the proxy."""

    def receive(self, data: bytes) -> bool:
        """Takes bytes of the proxy, none for its end; True when the tunnel is open. Raises a TidingsError."""
        try:
            self._h11.receive_data(data)
            event = self._h11.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise TidingsError("unavailable", f"the proxy: {error}") from error
        if event is h11.NEED_DATA:
            return False
        if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
            answer = f"HTTP {event.status_code}" if isinstance(event, h11.Response) else "no response"
            raise TidingsError("unavailable", f"the proxy opens no tunnel to the server: {answer}")
        return True
