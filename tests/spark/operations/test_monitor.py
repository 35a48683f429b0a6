"""Measures by day, alerts and whom they are told, against numbers that DuckDB counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import functions as F
from tests.spark.helpers import overlay, rows, run

from lakecdp import contracts
from lakecdp.datadocs import build
from lakecdp.platform.errors import GateError
from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

EVENT, ATTRIBUTE, MONITOR = "silver.event", "silver.attribute", "09_operations/monitor"
DAY = date(2026, 10, 30)
APP = """
source: app
files: "app*.json"
format: json
columns: {id: string, at: timestamp, who: string, place: string}
personal: [who]
let: {marked: "concat('x', who)"}
identifiers: {member_id: who}
targets:
  - table: event
    columns: {event_id: marked, event_at: at, event_name: "'view_item'", region: place}
"""
RULES = """
weeks: 5
min_history: 4
judge_days: 2
settle_days: 0
rows: {severity: fail, deviations: 3, min_change: 0.3}
freshness: {severity: warn, deviations: 3, min_change: 24}
null_rate: {severity: warn, deviations: 3, min_change: 0.1, min_rows: 5}
tables:
  silver.event: {except: [ip]}
  silver.attribute: {}
"""


class Hook(BaseHTTPRequestHandler):
    """Keeps what it is sent; answers 500 while `server.down`."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.down:  # type: ignore[attr-defined]
            self.server.told.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(500 if self.server.down else 204)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Hook)
    server.told, server.down = [], False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def event_rows(job: Job, days: str, each: int, first: int = 0, region: str = "'North'"):
    """So many events of each day of an array, numbered from a number on."""
    return job.spark.sql(
        f"SELECT explode({days}) AS event_date, id FROM range({first}, {first + each})"
    ).selectExpr(
        "event_date", "concat('e', id) AS event_id", "event_date + INTERVAL 20 HOURS AS event_at",
        "'app' AS source", "'view_item' AS event_name", "'app' AS channel",
        "CAST(array() AS ARRAY<STRUCT<type: STRING, node_id: BIGINT>>) AS identifiers",
        f"{region} AS region", "IF(id % 2 = 0, array('halved'), NULL) AS repairs",
    )  # fmt: skip


def filled(job: Job, table: str, frame: Any) -> Any:
    """The same rows with all other columns of the table empty."""
    missing = [c for c in contracts.table(table).columns if c.name not in frame.columns]
    return frame.withColumns({c.name: F.lit(None).cast(c.type) for c in missing})


def write(job: Job, table: str, frame: Any) -> None:
    with job.named("02_silver/conform").batch(outputs=[table]) as b:
        b.upsert(table, filled(job, table, frame))


def counted(lake: Path, job: Job) -> list[tuple]:
    """Rows, newest time, gaps in region and halved rows of each day, as DuckDB counts them."""
    version = job.ledger.published[EVENT]
    files = [
        r[0]
        for r in job.lake.read(EVENT, version).select("_metadata.file_path").distinct().collect()
    ]
    paths = [f.removeprefix("file://").removeprefix("file:") for f in files]
    found = duckdb.sql(
        "SELECT source, event_date, count(*), max(event_at)::VARCHAR, count(*) FILTER (region IS NULL), "
        f"count(*) FILTER (list_contains(repairs, 'halved')) FROM read_parquet({paths}) GROUP BY ALL"
    ).fetchall()
    return sorted((s, d, n, str(t)[:19], gaps, halved) for s, d, n, t, gaps, halved in found)


def measured(job: Job) -> list[tuple]:
    frame = job.read("operations.table_day").where(f"table_name = '{EVENT}'")
    found = frame.selectExpr(
        "source", "day", "rows", "string(newest_at)",
        "coalesce(element_at(map_from_entries(nulls), 'region'), 0)",
        "coalesce(element_at(map_from_entries(repaired), 'halved'), 0)",
    )  # fmt: skip
    return sorted(tuple(r) for r in found.collect())


def test_days_are_measured_judged_told_and_closed_again(
    make_job: Any, tmp_path: Path, hook: Any
) -> None:
    conf = overlay(tmp_path / "conf", app=APP)
    (conf / "monitoring.yaml").write_text(RULES)
    (conf / "repairs.yaml").write_text(
        "repairs:\n  - {name: halved, table: event, when: quantity > 1, set: {quantity: 1}, why: x}\n"
    )
    alerts = {"webhook": f"http://127.0.0.1:{hook.server_port}/x", "tries": 1, "wait_seconds": 0}

    def job(day: date) -> Job:
        return make_job("test", conf=conf, run_date=day, alerts=alerts)

    # Six weeks of forty events a day. Nothing is out of the ordinary, and nobody is told anything.
    one = job(DAY - timedelta(days=1))
    write(one, EVENT, event_rows(one, f"sequence(DATE'{DAY}' - 42, DATE'{DAY}' - 1)", 40))
    (quiet,) = run(one, MONITOR)
    assert (quiet.outcome, one.failures, hook.told) == ("published", [], [])
    assert measured(one) == counted(tmp_path, one)
    assert len(measured(one)) == 42

    # A day with a third of them, most without a region, while nobody listens.
    hook.down = True
    two = job(DAY)
    write(
        two, EVENT, event_rows(two, f"array(DATE'{DAY}')", 12, region="IF(id > 2, NULL, 'South')")
    )
    (summary,) = run(two, MONITOR)
    assert measured(two) == counted(tmp_path, two)
    last = two.read("operations.table_day").where(f"_batch = {two.ledger.last_seq}")
    assert [r[0] for r in rows(last, "day")] == [DAY], "only the day that new rows touch is written"
    # By hand: median 40, no deviation; sqrt(40) = 6.32, times 3 is 18.97: 21 to 59 rows are usual.
    said = "silver.event of app: 12 rows on 2026-10-30, where 40 are usual (21 to 59)"
    assert two.failures == [said]
    assert summary.outcome == "warned"
    assert "`region` is missing in 75.0% of the rows of 2026-10-30, where 0.0% are usual" in str(
        summary.message
    )
    shown = ("metric", "column_name", "severity", "state", "told", "not_told")
    failed = "127.0.0.1 answered 500"
    assert rows(two.read("operations.alert"), *shown) == [
        ("null_rate", "region", "warn", "open", None, failed),
        ("rows", "", "fail", "open", None, failed),
    ]

    # Run again with nothing new: nothing is written, and the exit status stays.
    hook.down = False
    again = job(DAY)
    versions = {t: again.lake.version(t) for t in ("operations.table_day", "operations.alert")}
    (still,) = run(again, MONITOR)
    assert (still.outcome, again.failures) == ("warned", [said])
    assert {t: again.lake.version(t) for t in versions} == versions

    # Late records of that day; the webhook hears of what it has missed only where that still holds.
    late = job(DAY)
    write(late, EVENT, event_rows(late, f"array(DATE'{DAY}')", 10, first=12, region="NULL"))
    (after,) = run(late, MONITOR)
    assert (after.outcome, late.failures) == ("warned", [])
    assert measured(late) == counted(tmp_path, late)
    (body,) = hook.told
    assert [(x["metric"], x["state"], x["value"]) for x in body["alerts"]] == [
        ("null_rate", "open", pytest.approx(19 / 22, abs=1e-6))
    ]

    # Rows of another day are taken away, as by a restated mapping; the next day nothing has come.
    gone = DAY - timedelta(days=9)
    next_day = job(DAY + timedelta(days=2))
    with next_day.named("02_silver/conform").batch(outputs=[EVENT, "silver.vacated"]) as b:
        keys = b.read(EVENT).where(f"event_date = DATE'{gone}'").select("event_date", "event_id")
        b.delete_keys(EVENT, keys, ["event_date", "event_id"])
        left = b.spark.sql(f"SELECT '{EVENT}' AS target, DATE'{gone}' AS day")
        b.append("silver.vacated", filled(next_day, "silver.vacated", left))
    (stale,) = run(next_day, MONITOR)
    assert gone not in {r[1] for r in measured(next_day)}
    assert len(measured(next_day)) == 42
    # The newest of 20:00 on the 30th; the run date ends 52 hours later, where 4 are usual.
    assert "the newest row at the end of 2026-11-01 is 52 hours old, where 4 are usual" in str(
        stale.message
    )
    assert len(next_day.failures) == 1  # both days without a row, in one sentence
    assert next_day.failures[0].count("0 rows on") == 2
    told = {
        (x["metric"], x["day"], x["state"], x["closed_because"]) for x in hook.told[1]["alerts"]
    }
    assert told == {
        ("freshness", "2026-10-30", "open", None),
        ("rows", "2026-10-31", "open", None),
        ("rows", "2026-11-01", "open", None),
        ("null_rate", "2026-10-30", "closed", "expired"),
    }


def test_data_docs_hold_no_personal_value_whatever_column_it_stands_in(
    make_job: Any, tmp_path: Path
) -> None:
    """`event_id` is graded internal, and this mapping makes it of a member's number."""
    job = make_job("02_silver/conform", conf=overlay(tmp_path / "conf", app=APP))
    days = f"array(DATE'{DAY}')"
    # Too long for an id, so that the gate shows it as an example; the name is nobody's.
    planted = {"event_id": F.lit("PLANTED" * 60), "city": F.lit("PLANTED")}
    odd = event_rows(job, days, 1).withColumns({**planted, "event_name": F.lit("Not A Name")})
    with pytest.raises(GateError), job.batch(outputs=[EVENT]) as b:
        b.append(EVENT, filled(job, EVENT, odd))
    kept = job.read("operations.run").select("gates").collect()[-1][0]
    assert "PLANTED" in kept, "the ledger has kept a value that the pages must not show"
    first = build(job, tmp_path / "docs")
    pages = [p.relative_to(tmp_path / "docs") for p in (tmp_path / "docs").rglob("*.html")]
    suites = {".".join(p.with_suffix("").parts[1:]) for p in pages if p.parts[0] == "expectations"}
    assert suites == set(contracts.all_tables())
    texts = {p: p.read_text() for p in (tmp_path / "docs").rglob("*.html")}
    (page,) = [t for p, t in texts.items() if "validations" in p.parts]
    assert "Not A Name" in page
    assert not [p for p, t in texts.items() if "PLANTED" in t]
    assert ">fail</a>" in texts[first]
    assert not [p for p, t in texts.items() if str(tmp_path) in t]
    for text in texts.values():
        assert not [s for s in ('src="http', 'href="//', 'stylesheet" href="http') if s in text]
