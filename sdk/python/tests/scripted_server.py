"""A server that answers each request as the test says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType


@dataclass
class Request:
    """A request that has arrived."""

    path: str
    token: str
    body: bytes


@dataclass
class Answer:
    """An answer; a status of 0 cuts the connection."""

    status: int
    body: bytes
    content_type: str = "application/proto"


class ScriptedServer:
    """Answers each request with what `answer` returns, and records it."""

    def __init__(self, answer: Callable[[Request, int], Answer], certificate: Path | None = None) -> None:
        """`answer` gets a request and its index. With a certificate the server speaks TLS."""
        self.requests: list[Request] = []
        self.connections: set[object] = set()
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.path, self.headers["Authorization"], body)
                with lock:
                    index = len(server.requests)
                    server.requests.append(request)
                    server.connections.add(self.client_address)
                reply = answer(request, index)
                if reply.status == 0:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        if certificate is not None:
            self.url = f"https://localhost:{port}"
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
