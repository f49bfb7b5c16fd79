"""A way to the stack on which the first answer is lost: the request has arrived, and nobody hears of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from api_client import DEADLINE_SECONDS


@dataclass
class Way:
    """Where to call, and the headers of each request that came, in order."""

    url: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def losing_the_first_answer(base_url: str) -> Iterator[Way]:
    """Carry calls to `base_url` and answers back, but for the first: a 502 takes its place."""
    way, target = Way(), urlsplit(base_url)

    class Carrier(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            way.requests.append(headers)
            connection = HTTPConnection(str(target.hostname), target.port, timeout=DEADLINE_SECONDS)
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            connection.close()
            is_lost = len(way.requests) == 1
            self.send_response(502 if is_lost else answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is the library's
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Carrier) as server:
        way.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield way
        finally:
            server.shutdown()
            thread.join()
