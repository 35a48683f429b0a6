"""Telling a webhook, against a real HTTP server. No Java."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from lakecdp.platform.errors import UsageError
from lakecdp.platform.settings import AlertSettings
from lakecdp.platform.webhook import post


class Hook(HTTPServer):
    """Answers with the codes it is given, then with 200, and keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.codes: list[int] = []
        self.bodies: list[Any] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hooks/secret-token"


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json; charset=utf-8"
        self.server.bodies.append(json.loads(body))
        self.send_response(self.server.codes.pop(0) if self.server.codes else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_body_is_sent_once_and_again_only_where_that_may_help(hook: Hook) -> None:
    waits: list[float] = []
    assert post(hook.url, {"a": "é"}, pause=waits.append) is None
    assert (hook.bodies, waits) == ([{"a": "é"}], [])

    hook.codes = [503, 429]
    assert post(hook.url, {"b": 1}, wait=0.5, pause=waits.append) is None
    assert hook.bodies[1:] == [{"b": 1}] * 3
    assert waits == [0.5, 1.0]

    hook.codes = [500] * 9
    assert post(hook.url, {}, tries=2, pause=waits.append) == "127.0.0.1 answered 500, 2 times"
    hook.codes = [404]
    before = len(hook.bodies)
    assert post(hook.url, {}, pause=waits.append) == "127.0.0.1 answered 404"
    assert len(hook.bodies) == before + 1


def test_who_cannot_be_reached_is_told_without_the_secret_of_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = post(f"http://127.0.0.1:{port}/secret", {}, tries=2, timeout=2, pause=lambda _: None)
    assert said == "127.0.0.1 cannot be reached: ConnectionRefusedError, 2 times"


def test_the_address_comes_from_the_environment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKECDP_ALERT_WEBHOOK", raising=False)
    assert AlertSettings().hook() is None
    given = AlertSettings(webhook="https://example.org/a")
    assert given.hook() == ("https://example.org/a", given)
    monkeypatch.setenv("LAKECDP_ALERT_WEBHOOK", "http://127.0.0.1:1/b")
    assert given.hook() == ("http://127.0.0.1:1/b", given)
    monkeypatch.setenv("LAKECDP_ALERT_WEBHOOK", "file:///etc/passwd")
    with pytest.raises(UsageError, match="LAKECDP_ALERT_WEBHOOK must hold an address"):
        given.hook()
