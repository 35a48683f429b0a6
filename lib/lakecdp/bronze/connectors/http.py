"""APIs that give records in pages of JSON.

Each page is kept beside the lake while it is read, as it came, so that a pull of any size needs no
more memory than one page; Spark takes the records out of the pages.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.bronze.connectors.config import HttpInput, environment
from lakecdp.bronze.connectors.overlap import (
    Landed,
    Mark,
    mark_of,
    news,
    placed,
    position_after,
    window,
)
from lakecdp.bronze.connectors.pull import Position, Pull, without
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import delete, write_bytes

log = logging.getLogger("lakecdp")

LONGEST_WAIT = 300.0
_LINK = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """One answer: its body as it came, the same parsed, its records, and its headers."""

    body: bytes
    parsed: Any
    records: list[Any]
    headers: Message[str, str]


def pull(
    spark: SparkSession, config: HttpInput, position: Position, landed: Landed, folder: str
) -> Pull:
    """The records that are new or changed since the last pull.

    Args:
        spark: the session.
        config: the API.
        position: of the last pull.
        landed: the records that landed, from a pull on.
        folder: where pages lie while they are read.

    Raises:
        LakecdpError: the API does not answer, refuses, or answers with something else.
    """
    of = f"{config.url or config.url_env} by {config.watermark}"
    reach = window(config, position, of)
    delete(spark, folder)
    given, high, blank = 0, None, config.watermark is None
    try:
        for number, page in enumerate(pages(config, reach.low), 1):
            write_bytes(spark, f"{folder}/{number:08d}.json", page.body)
            given += len(page.records)
            for record in page.records:
                mark = _mark(config, record)
                high = mark if high is None or _later(mark, high) else high
                blank = blank or mark is None
        if not given:
            return Pull(None, position)
        rows = _records(spark, config, folder)
        fresh, read = news(rows, landed(reach.first), config.key, last_wins=True)
        if read != given:
            raise LakecdpError(f"{config.place} gave {given} records, and {read} were read")
        count = fresh.count()
    finally:
        delete(spark, folder)
    after = position_after(reach, of, high=high, blank=blank, landed=count > 0)
    if not count:
        return Pull(None, after if position else position, again=read)
    name = urllib.parse.urlsplit(config.url or "api").path.strip("/").replace("/", ".") or "api"
    ready = placed(fresh, reach.pull, name)
    return Pull(ready, after, count, again=read - count, bytes=count * 300)


def _later(mark: Mark | None, high: Mark) -> bool:
    if mark is None:
        return False
    if mark.kind != high.kind:
        raise LakecdpError(f"the watermark is once {high.text!r} and once {mark.text!r}")
    return bool(mark.value > high.value)


def _mark(config: HttpInput, record: Any) -> Mark | None:
    if config.watermark is None:
        return None
    value = found_at(record, config.watermark)
    return None if value is None or value == "" else mark_of(str(value))


def found_at(value: Any, path: str | None) -> Any:
    """What stands at a path such as `data.items`; None where nothing does."""
    for name in path.split(".") if path else ():
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _records(spark: SparkSession, config: HttpInput, place: str) -> DataFrame:
    """The records of the pages: value, order (the watermark, then page and number in it)."""
    path = "$" + "".join(f".{n}" for n in config.records.split(".")) if config.records else "$"
    items = F.try_variant_get(F.try_parse_json("value"), path, "array<variant>")
    found = (
        spark.read.option("wholetext", True)
        .text(place)
        .select(
            F.posexplode(items).alias("at", "record"), F.col("_metadata.file_name").alias("page")
        )
    )
    mark = F.try_variant_get("record", f"$.{config.watermark}", "string")
    if config.watermark is None:
        mark = F.lit("")
    return found.select(
        F.coalesce(F.to_json("record"), F.lit("null")).alias("value"),
        F.struct(F.coalesce(mark, F.lit("")).alias("mark"), "page", "at").alias("order"),
    )


def pages(
    config: HttpInput, low: Mark | None, wait: Callable[[float], None] = time.sleep
) -> Iterator[Page]:
    """The pages of a pull, asked for one after the other.

    Args:
        config: the API.
        low: the watermark to read from.
        wait: what sleeps; tests do not.
    """
    paging, base = config.page, config.url or environment(str(config.url_env))
    params: dict[str, str] = {k: str(v) for k, v in config.params.items()}
    if config.since and low is not None:
        params[config.since] = _since(config, low)
    if paging.size_parameter:
        params[paging.size_parameter] = str(paging.size)
    count = paging.first if paging.first is not None else int(paging.by == "number")
    if paging.by in ("number", "offset"):
        params[str(paging.parameter)] = str(count)
    address, seen = _with(base, params), set[str]()
    for _ in range(config.max_pages):
        if address in seen:
            raise LakecdpError(f"{config.place} names the same page as the next one again")
        seen.add(address)
        page = _read(config, address, wait)
        yield page
        following = _next(config, page, base, address, params)
        if following is None:
            return
        address = following
    raise LakecdpError(f"{config.place} has more than {config.max_pages:,} pages (`max_pages`)")


def _next(
    config: HttpInput, page: Page, base: str, address: str, params: dict[str, str]
) -> str | None:
    """Address of the page after one; None at the end."""
    paging = config.page
    if paging.by in ("number", "offset"):
        name = str(paging.parameter)
        if not page.records:
            return None
        step = 1 if paging.by == "number" else len(page.records)
        params[name] = str(int(params[name]) + step)
        return _with(base, params)
    told: Any = None
    if paging.by == "cursor":
        told = found_at(page.parsed, paging.path)
        if told not in (None, "", False):
            return _with(base, params | {str(paging.parameter): str(told)})
    elif paging.by == "next":
        told = found_at(page.parsed, paging.path)
    elif paging.by == "link":
        link = _LINK.search(", ".join(page.headers.get_all("Link") or []))
        told = link[1] if link else None
    if not told:
        return None
    following = urllib.parse.urljoin(address, str(told))
    if urllib.parse.urlsplit(following)[:2] != urllib.parse.urlsplit(base)[:2]:
        # The token is for this server; an answer does not get to send it elsewhere.
        raise LakecdpError(f"{config.place} names a next page on another server")
    return following


def _with(base: str, params: dict[str, str]) -> str:
    parts = urllib.parse.urlsplit(base)
    query = [*urllib.parse.parse_qsl(parts.query, keep_blank_values=True), *params.items()]
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))


def _since(config: HttpInput, low: Mark) -> str:
    if low.kind in ("number", "date"):
        return low.text
    at = low.value if low.value.tzinfo else low.value.replace(tzinfo=UTC)
    if config.since_format == "iso":
        text = str(low.value.isoformat())
        return text.removesuffix("+00:00") + ("Z" if text.endswith("+00:00") else "")
    seconds = at.timestamp()
    return str(int(seconds) if config.since_format == "s" else int(seconds * 1000))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


def _read(config: HttpInput, address: str, wait: Callable[[float], None]) -> Page:
    token = environment(config.token_env) if config.token_env else ""
    headers = {"Accept": "application/json", "User-Agent": "lakecdp"} | config.headers
    if token:
        headers[config.auth_header] = config.auth_prefix + token
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - http(s), checked
    opener = urllib.request.build_opener(_NoRedirect())
    said = ""
    for attempt in range(config.retries + 1):
        pause = random.uniform(0.5, 1.0) * min(60.0, 2.0**attempt)
        try:
            with opener.open(request, timeout=config.timeout_seconds) as answer:
                return _page(config, answer.read(), answer.headers)
        except urllib.error.HTTPError as e:
            said = f"answers {e.code} {e.reason}"
            if e.code not in (408, 425, 429) and e.code < 500:
                break
            pause = max(pause, _asked(e.headers))
        except (OSError, HTTPException) as e:
            said = f"does not answer: {getattr(e, 'reason', None) or e}"
        if attempt < config.retries:
            log.warning("%s %s; once more in %.0f s", config.place, without(said, [token]), pause)
            wait(min(pause, LONGEST_WAIT))
    # What the query holds may be personal, and an address in the environment may be secret.
    raise LakecdpError(without(f"{config.place} {said}", [token]))


def _asked(headers: Message[str, str]) -> float:
    """The seconds that a server asks to be left alone."""
    text = (headers.get("Retry-After") or "").strip()
    if text.isdigit():
        return float(text)
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def _page(config: HttpInput, body: bytes, headers: Message[str, str]) -> Page:
    try:
        parsed = json.loads(body)
    except ValueError:
        start = body[:60].decode("utf-8", "replace")
        raise LakecdpError(
            f"{config.place} answers with something that is no JSON: {start!r}"
        ) from None
    records = found_at(parsed, config.records)
    if not isinstance(records, list):
        has = ", ".join(parsed) if isinstance(parsed, dict) else type(parsed).__name__
        where = f"at `{config.records}`" if config.records else "at the top"
        raise LakecdpError(f"{config.place} has no list of records {where}; the answer has {has}")
    return Page(body, parsed, records, headers)
