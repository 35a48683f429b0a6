"""Telling another system by one POST of JSON."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

AGAIN = (408, 425, 429)
"""Answers below 500 after which another try may do."""


def post(
    url: str,
    body: Mapping[str, Any],
    *,
    tries: int = 3,
    timeout: float = 10.0,
    wait: float = 1.0,
    pause: Callable[[float], None] = time.sleep,
) -> str | None:
    """Send a body until it is taken.

    Args:
        url: where to; no part of it but the host stands in what is returned, since it may hold a secret.
        body: what is sent, as JSON.
        tries: how often at most.
        timeout: seconds for one try.
        wait: seconds before the second try, twice as many before each further one.
        pause: waits; for tests.

    Returns:
        None when it was taken (an answer 2xx), else why not, in a sentence.
    """
    host = urllib.parse.urlsplit(url).hostname or "the webhook"
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "lakecdp"}
    said = ""
    for number in range(1, tries + 1):
        if number > 1:
            pause(wait * 2 ** (number - 2))
        request = urllib.request.Request(url, data, headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310
                return None
        except urllib.error.HTTPError as e:
            said = f"{host} answered {e.code}"
            e.close()
            if e.code < 500 and e.code not in AGAIN:
                return said
        except (OSError, HTTPException) as e:
            reason = getattr(e, "reason", None) or e
            said = f"{host} cannot be reached: {type(reason).__name__}"
    return f"{said}, {tries} times" if tries > 1 else said
