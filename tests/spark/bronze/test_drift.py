"""Files that change their shape: what is new is kept and told, what has another type is set aside."""

from __future__ import annotations

import json
from pathlib import Path

from tests.spark.helpers import overlay, rows, run

CLICKS = """
source: clicks
files: "clicks/*.json"
format: json
columns:
  id: {type: string, required: true}
  at: {type: timestamp, unit: ms, required: true}
  page: string
  items: "array<struct<sku: string, n: int>>"
  tags: "map<string, int>"
targets:
  - table: event
    columns: {event_id: id, event_at: at, event_name: "'page_view'", page: page, quantity: "array_size(items)"}
"""
TILL = """
source: till
files: "till/*.csv"
format: csv
columns: {id: string}
targets:
  - table: product
    columns: {product_id: id}
"""
LOG = """
source: log
files: "log/*.log"
format: text
file: {pattern: '(?<host_name>\\S+) \\[(?<at>[^\\]]+)\\] "(?<request>[^"]*)"(?: (?<more>.*))?', encoding: latin-1}
columns:
  host_name: {type: string, required: true}
  at: {type: timestamp, format: "dd/MMM/yyyy:HH:mm:ss Z", required: true}
  request: string
  more: string
targets:
  - table: event
    columns: {event_at: at, event_name: "'page_view'", page: request, search_term: more}
"""
AT = 1767225600000


def written(folder: Path, name: str, *records: object) -> None:
    """A file of JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(r) + "\n" for r in records))


def test_json_that_changes_its_shape(make_job, tmp_path: Path) -> None:
    clicks, till = tmp_path / "landing/clicks", tmp_path / "landing/till"
    conf = overlay(tmp_path / "conf", clicks=CLICKS, till=TILL)

    def land() -> tuple[dict[str, str | None], object]:
        job = make_job("test", conf=conf)
        told = {s.unit: s.message for s in run(job, "01_bronze/ingest")}
        run(job, "02_silver/conform")
        return told, job

    till.mkdir(parents=True)
    (till / "a.csv").write_text("id,more\n1,x\n")
    written(clicks, "a.json", {"id": "1", "at": AT, "page": "/", "device": {"os": "ios"}})
    told, _ = land()
    assert told == {
        "clicks": "new fields device.os (kept in raw)",
        "till": "new column more (kept in raw), first in till/a.csv",
    }

    # What has been told is not told again; only what no file had is new.
    (till / "b.csv").write_text("id,more,other\n2,x,y\n")
    good = {"id": "2", "at": AT, "items": [{"sku": "a", "n": "3"}, {"sku": "b", "n": None}]}
    written(
        clicks,
        "b.json",
        good | {"tags": {"x": 1}, "device": {"os": "ios", "model": "15"}},
        {"id": "3", "at": "2026-01-01"},
        {"id": "4", "at": AT, "page": {"url": "/"}},
        {"id": "5", "at": AT, "items": "a,b"},
        {"id": "6", "at": AT, "items": [{"sku": "a", "n": "many"}]},
        {"id": "7", "at": AT, "items": [{"sku": {"code": "a"}, "n": 1}]},
        {"id": "8", "at": AT, "items": ["a"]},
        {"id": "9", "at": AT, "tags": {"x": "y"}},
        {"id": "10", "at": AT, "page": "{not JSON}", "items": [], "tags": None},
    )
    told, job = land()
    assert told["till"] == "new column other (kept in raw), first in till/b.csv"
    assert told["clicks"] == "new fields device.model (kept in raw)"
    assert rows(job.read("silver.event"), "event_id", "page", "quantity") == [
        ("1", "/", None),
        ("10", "{not JSON}", 0),
        ("2", None, 2),
    ]
    aside = {r[0]: r[1] for r in rows(job.read("silver.quarantine"), "line", "reason")}
    items = "array<struct<sku: string, n: int>>"
    assert aside == {
        2: "at: '2026-01-01' is not of type timestamp (ms since 1970)",
        3: "page: its value is an object or array, not of type string",
        4: f"items: its value is not of type {items}",
        5: f"items: a value in it is not of type {items}",
        6: f"items: a value in it is not of type {items}",
        7: f"items: a value in it is not of type {items}",
        8: "tags: a value in it is not of type map<string, int>",
    }

    # Not one record has a column that each must have: that source fails, the other lands.
    (till / "c.csv").write_text("id,more\n3,x\n")
    written(clicks, "c.json", {"ident": "1", "at": AT}, {"ident": "2", "at": AT})
    _, job = land()
    assert job.failures == ["source clicks: no record of clicks/c.json has id; they have at, ident"]
    assert job.read("bronze.till").count() == 3
    assert job.read("bronze.clicks").count() == 10
    written(clicks, "c.json", {"ident": "1", "at": AT}, {"id": "11", "at": AT})
    _, job = land()
    assert (job.failures, job.read("bronze.clicks").count()) == ([], 12)


def test_text_is_taken_apart_by_its_pattern(make_job, tmp_path: Path) -> None:
    folder = tmp_path / "landing/log"
    folder.mkdir(parents=True)
    (folder / "a.log").write_bytes(
        b'h1 [01/Feb/2026:10:00:00 +0100] "GET /caf\xe9" a "b" c\n'
        b"\n"
        b'h2 [01/Feb/2026:10:00:01 +0000] "GET /"\n'
        b'h3 [01/Feb/2026:10:00:01] "GET /"\n'
        b"no log at all\n"
        b'h4 \x1f[01/Feb/2026:10:00:01 +0000] "GET /"\n'
    )
    job = make_job("test", conf=overlay(tmp_path / "conf", log=LOG))
    run(job, "01_bronze/ingest")
    run(job, "02_silver/conform")
    found = job.read("silver.event").selectExpr(
        "cast(event_at as string) at", "page", "search_term"
    )
    assert rows(found, *found.columns) == [
        ("2026-02-01 09:00:00", "GET /café", 'a "b" c'),
        ("2026-02-01 10:00:01", "GET /", None),
    ]
    aside = rows(job.read("silver.quarantine"), "line", "target", "reason")
    assert aside == [
        (4, "silver", "at: '01/Feb/2026:10:00:01' is not of type timestamp (dd/MMM/yyyy:HH:mm:ss Z)"),
        (5, "bronze", "the line does not match the pattern"),
        (6, "bronze", "the record holds the character U+001F"),
    ]  # fmt: skip
    raw = job.read("bronze.log").where("line = 3").selectExpr("to_json(raw)").first()[0]
    assert json.loads(raw) == {
        "host_name": "h2",
        "at": "01/Feb/2026:10:00:01 +0000",
        "request": "GET /",
        "more": "",
        "_text": 'h2 [01/Feb/2026:10:00:01 +0000] "GET /"',
    }
