"""A shop's API as a real HTTP server: pages in several manners, a token, and failures on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "s3cret-token"


class Shop:
    """What the server holds and what it saw.

    Attributes:
        orders: raw JSON texts with the `updated` they are filtered by.
        size: records in a page.
        failures: what the next requests get instead of an answer: status and headers, or text.
        asked: queries received, with the token right.
    """

    def __init__(self) -> None:
        self.orders: list[tuple[str, str]] = []
        self.size = 2
        self.failures: list[tuple[int, dict[str, str]] | str] = []
        self.asked: list[dict[str, str]] = []
        self.url = ""

    def put(self, number: int, updated: str, price: str = "1.10") -> None:
        """Add an order, or its change, at the end."""
        text = f'{{"id": {number}, "updated": "{updated}", "price": {price}, "n": {{"b": 1}}}}'
        self.orders.append((updated, text))

    def answer(self, path: str, query: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Body and headers of one page; the last part of the path says how it is asked for."""
        since = query.get("since", "")
        found = [text for updated, text in self.orders if updated >= since]
        by = path.rsplit("/", 1)[-1]
        at = int(query.get("cursor") or query.get("offset") or 0)
        if by == "number":
            at = (int(query["page"]) - 1) * self.size
        part, more = found[at : at + self.size], at + self.size < len(found)
        body, headers = ", ".join(part), {}
        following = f"{path}?cursor={at + self.size}&since={since}"
        if by == "link":
            if more:
                headers["Link"] = f'<{path}?cursor=0>; rel="first", <{following}>; rel="next"'
            return f"[{body}]", headers
        meta = {
            "cursor": str(at + self.size) if more else None,
            "next": following if more else None,
        }
        return f'{{"data": {{"items": [{body}]}}, "meta": {json.dumps(meta)}}}', headers


@contextmanager
def serve(shop: Shop) -> Iterator[Shop]:
    """The server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.reply(401, "{}", {})
                return
            shop.asked.append(query)
            if shop.failures:
                failure = shop.failures.pop(0)
                if isinstance(failure, str):
                    self.reply(200, failure, {})
                elif failure[0]:
                    self.reply(failure[0], "{}", failure[1])
                else:
                    self.connection.close()
                return
            self.reply(200, *shop.answer(parts.path, query))

        def reply(self, status: int, body: str, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    shop.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
