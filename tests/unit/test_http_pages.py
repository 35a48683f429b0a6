"""How an API is asked for its pages, against a real server; no Java."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.spark.connectors.api import TOKEN, Shop, serve

from lakecdp.bronze.connectors.config import HttpInput
from lakecdp.bronze.connectors.http import pages
from lakecdp.bronze.connectors.overlap import Mark, mark_of
from lakecdp.platform.errors import LakecdpError


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    with serve(Shop()) as running:
        for n in range(1, 6):
            running.put(n, f"2026-03-0{n}T00:00:00Z")
        yield running


def config(shop: Shop, path: str, page: dict[str, Any], **more: Any) -> HttpInput:
    data = {"url": f"{shop.url}/v1/{path}", "token_env": "SHOP_TOKEN", "key": "id", "page": page}
    return HttpInput.model_validate(data | more)


def ids(found: Any) -> list[list[int]]:
    return [[r["id"] for r in page.records] for page in found]


@pytest.mark.parametrize(
    ("path", "page", "last"),
    [
        # Counting ends with a page that is empty.
        ("number", {"by": "number", "parameter": "page"}, [[]]),
        ("offset", {"by": "offset", "parameter": "offset"}, [[]]),
        ("cursor", {"by": "cursor", "parameter": "cursor", "path": "meta.cursor"}, []),
        ("next", {"by": "next", "path": "meta.next"}, []),
        ("link", {"by": "link"}, []),
    ],
)
def test_every_manner_of_paging_gives_all_records(
    shop: Shop, path: str, page: dict[str, Any], last: list[list[int]]
) -> None:
    where = {} if path == "link" else {"records": "data.items"}
    assert ids(pages(config(shop, path, page, **where), None)) == [[1, 2], [3, 4], [5], *last]


def test_one_page_is_all_without_paging_and_parameters_are_sent(shop: Shop) -> None:
    asked = config(
        shop, "link", {"size_parameter": "limit", "size": 50}, params={"state": "any"},
        watermark="updated", since="since",
    )  # fmt: skip
    low = mark_of("2026-03-05T00:30:00+00:00").before(None)
    assert ids(pages(asked, low)) == [[5]]
    # An hour before the mark, as ISO in UTC.
    assert shop.asked[0] == {"state": "any", "limit": "50", "since": "2026-03-04T23:30:00Z"}


def test_failures_are_tried_again_with_patience(shop: Shop) -> None:
    waited: list[float] = []
    shop.failures = [(503, {}), (429, {"Retry-After": "7"}), (0, {})]
    found = ids(pages(config(shop, "link", {"by": "link"}), None, waited.append))
    assert found == [[1, 2], [3, 4], [5]]
    assert len(waited) == 3
    assert 0.5 <= waited[0] <= 1.0
    assert waited[1] == 7.0
    assert 2.0 <= waited[2] <= 4.0


def test_what_cannot_be_read_is_said_in_one_sentence(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(path: str = "link", page: dict[str, Any] | None = None, **more: Any) -> str:
        with pytest.raises(LakecdpError) as raised:
            list(pages(config(shop, path, page or {"by": "link"}, **more), None, lambda _: None))
        return str(raised.value).replace(shop.url, "http://shop")

    shop.failures = [(500, {})] * 3
    assert said(retries=2) == "http://shop/v1/link answers 500 Internal Server Error"
    assert len(shop.asked) == 3
    # A refusal is no matter of patience, and a redirection is not followed with the token.
    shop.failures = [(404, {})]
    assert said() == "http://shop/v1/link answers 404 Not Found"
    shop.failures = [(302, {"Location": "http://elsewhere.example"})]
    assert said() == "http://shop/v1/link answers 302 Found"
    shop.failures = ["<html>"]
    assert said() == "http://shop/v1/link answers with something that is no JSON: '<html>'"
    shop.failures = ['{"orders": []}']
    assert said() == (
        "http://shop/v1/link has no list of records at the top; the answer has orders"
    )
    shop.failures = ['{"data": [{"id": 1}], "next": "http://elsewhere.example/steal"}']
    elsewhere = said("next", {"by": "next", "path": "next"}, records="data")
    assert elsewhere == "http://shop/v1/next names a next page on another server"
    shop.failures = ['{"data": [], "next": "/v1/next"}']
    assert "names the same page" in said("next", {"by": "next", "path": "next"}, records="data")
    assert "more than 1 pages" in said(max_pages=1)
    monkeypatch.setenv("SHOP_TOKEN", "wrong")
    assert said() == "http://shop/v1/link answers 401 Unauthorized"
    monkeypatch.delenv("SHOP_TOKEN")
    assert said() == "the environment variable SHOP_TOKEN is not set"


def test_marks_are_numbers_or_times() -> None:
    assert mark_of("17") == Mark("number", "17")
    assert mark_of("17").before(5) == Mark("number", "12")
    assert mark_of("2026-03-01").before(None) == Mark("date", "2026-02-28")
    assert mark_of("2026-03-01T10:00:00").before(None) == Mark(
        "timestamp_ntz", "2026-03-01 09:00:00"
    )
    early, late = mark_of("2026-03-01T10:00:00Z"), mark_of("2026-03-01T12:30:00+02:00")
    assert late.value > early.value
    with pytest.raises(LakecdpError, match="neither a number nor an ISO time"):
        mark_of("yesterday")
    with pytest.raises(LakecdpError, match="the `overlap` is a number"):
        mark_of("2026-03-01").before(3)


def test_a_record_keeps_its_numbers(shop: Shop) -> None:
    (first, *_) = pages(config(shop, "link", {"by": "link"}), None)
    assert b'"price": 1.10' in first.body
    assert json.loads(first.body)[0]["id"] == 1
