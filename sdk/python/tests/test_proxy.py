"""The proxies that the environment names, and their tunnels, without I/O."""

from __future__ import annotations

import pytest

from tidings import TidingsError
from tidings._core.http import Endpoint
from tidings._core.proxy import Proxy, Tunnel

PROXY = Proxy("proxy.example", 3128)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("proxy", "no_proxy", "url", "expected"),
    [
        ("", "", "https://x.example", None),
        ("http://proxy.example:3128", "", "https://x.example", PROXY),
        ("proxy.example:3128", "", "https://x.example:8443", PROXY),
        ("http://proxy.example", "", "https://[2001:db8::1]", Proxy("proxy.example", 80)),
        ("http://a%3A:b@proxy.example", "", "https://x.example", Proxy("proxy.example", 80, "Basic YTo6Yg==")),
        ("http://proxy.example:3128", "", "http://x.example", None),
        ("http://proxy.example:3128", "y.example, .example", "https://x.example", None),
        ("http://proxy.example:3128", "*", "https://x.example", None),
        ("http://proxy.example:3128", "y.example", "https://x.example", PROXY),
        ("http://proxy.example:3128", "", "https://localhost:8443", None),
        ("http://proxy.example:3128", "", "https://127.0.0.2", None),
        ("http://proxy.example:3128", "", "https://[::1]", None),
    ],
)
def test_the_environment_names_the_proxy_of_an_https_url(
    monkeypatch: pytest.MonkeyPatch, proxy: str, no_proxy: str, url: str, expected: Proxy | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert Endpoint.parse(url).proxy == expected


@pytest.mark.parametrize(
    "url", ["socks5://u:secret@proxy", "https://u:secret@p", "http://", "http://u:secret/@p", "http://a..b"]
)
def test_a_proxy_of_another_kind_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ValueError, match="HTTPS_PROXY: must be") as raised:
        Endpoint.parse("https://x.example")
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(Proxy("p", 1, "secret"))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_tunnel_is_open_after_a_response_however_its_bytes_arrive(size: int) -> None:
    tunnel = Tunnel(PROXY, "2001:db8::1", 443)
    assert tunnel.request == b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"
    data = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"
    answers = [tunnel.receive(data[start : start + size]) for start in range(0, len(data), size)]
    assert answers == [False] * (len(answers) - 1) + [True]


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 403 No\r\n\r\n", b"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", b"SSH-2.0\r\n\r\n", b"\0" * 100_000],
)
def test_a_proxy_that_opens_no_tunnel_is_a_failure_of_the_connection(data: bytes) -> None:
    with pytest.raises(TidingsError, match="the proxy") as raised:
        Tunnel(PROXY, "x.example", 443).receive(data)
    assert (raised.value.code, raised.value.reason) == ("unavailable", None)
