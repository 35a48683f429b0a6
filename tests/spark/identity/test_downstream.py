"""After a merge and a split, what follows is restated for the customers concerned and no others."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from pyspark.sql import functions as F
from tests.spark.identity.test_resolve import KEY, MakeJob, Record, deliver, links, node

from lakecdp.as_of import LinksOf
from lakecdp.identity.decisions import COLUMNS
from lakecdp.pipeline import between
from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job
from lakecdp.query import query

JOBS = Path(__file__).parents[3] / "jobs"
TABLES = (
    "gold.golden_record", "gold.customer_feature", "gold.tag_value", "gold.tag_matrix",
    "gold.segment",
)  # fmt: skip
A, B, C = ("member_id", "m1"), ("member_id", "m2"), ("phone", "+4930100")
DEVICES = [("device_id", f"d{i}") for i in range(3)]


def run(job: Job) -> None:
    """All jobs from sessions to segments."""
    for spec in between("02_silver/sessionize", "05_segments/segment"):
        named = job.named(spec.name)
        run_path(str(JOBS / f"{spec.name}.py"))["run"](named)
        assert not named.failures


def written(job: Job, since: int) -> dict[str, set[int]]:
    """Customers of the rows written after a batch, by table."""
    return {
        t: {
            r[0] for r in job.read(t).where(F.col("_batch") > since).select("customer_id").collect()
        }
        for t in TABLES
    }


def events_of(job: Job) -> dict[int, int]:
    """Events of each customer by its features."""
    return {r["customer_id"]: r["events"] for r in job.read("gold.customer_feature").collect()}


def values(job: Job, links_of: date | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables, without lineage."""
    source = LinksOf(job, links_of) if links_of else job
    found = {}
    for table in TABLES:
        rows = source.read(table)
        columns = [c for c in job.lake.empty_of(table).columns if not c.startswith("_")]
        found[table] = sorted((tuple(r) for r in rows.select(*columns).collect()), key=repr)
    return found


def test_a_merge_and_a_split_restate_the_customers_concerned_alone(
    make_job: MakeJob, tmp_path: Path
) -> None:
    (tmp_path / "conf" / "decisions").mkdir(parents=True)
    file = tmp_path / "conf" / "decisions" / "support.csv"
    job = make_job(conf=tmp_path / "conf", hash={"key": KEY}, phone_region="DE")
    records: list[Record] = []
    for owner, device, count in zip((A, B, C), DEVICES, (2, 3, 4), strict=True):
        records += [
            ("silver.event", f"{owner[1]}-{i}", 24 * i, [owner, device]) for i in range(count)
        ]
        records.append(("silver.attribute", "city", 1, [owner]))
    deliver(job, records, junk={x: x[1] for x in (A, B, C, *DEVICES)})
    run(job)
    one, two, three = (links(job)[node(x)] for x in (A, B, C))
    assert events_of(job) == {one: 2, two: 3, three: 4}
    apart, start = values(job), job.ledger.last_seq
    assert all({r[0] for r in rows} == {one, two, three} for rows in apart.values())
    run(job)
    assert written(job, start) == {t: set() for t in TABLES}, "nothing new, nothing written"

    file.write_text(f"{','.join(COLUMNS)}\nlink,member_id,m1,phone,+49 30 100,Ana,why,2026-01-05\n")
    run(job)
    assert events_of(job) == {one: 6, two: 3}
    merged, middle = values(job), job.ledger.last_seq
    # The segment of the customer that stays is the same as before.
    assert written(job, start) == {t: {one} for t in TABLES} | {"gold.segment": set()}
    assert all({r[0] for r in rows} == {one, two} for rows in merged.values())

    file.unlink()
    run(job)
    (new,) = {links(job)[node(C)]} - {one, two}
    assert events_of(job) == {one: 2, two: 3, new: 4}
    assert all(ids <= {one, new} for ids in written(job, middle).values())
    assert written(job, middle)["gold.customer_feature"] == {one, new}
    assert [r for t in TABLES for r in values(job)[t] if r[0] == two] == [
        r for t in TABLES for r in apart[t] if r[0] == two
    ]

    days = [date(2026, 10, day) for day in (1, 11, 21)]
    move_links(job, days)
    assert values(job, date(2026, 10, 10)) == apart
    assert values(job, date(2026, 10, 11)) == merged
    assert values(job, date(2026, 10, 30)) == values(job)
    asked = query(job, "SELECT * FROM gold.customer_feature", links_of=date(2026, 10, 1))
    assert {r["customer_id"]: r["events"] for r in asked.collect()} == {one: 2, two: 3, three: 4}
    with pytest.raises(
        UsageError, match=r"No links were in force on 2026-09-30; the first are of "
    ):
        values(job, date(2026, 9, 30))
    with pytest.raises(UsageError, match="--as-of and --links-of ask for different things"):
        query(job, "SELECT 1", date(2026, 10, 1), date(2026, 10, 1))


def move_links(job: Job, days: list[date]) -> None:
    """Let links begin and end on these days, in the order in which they did."""
    rows = job.read("identity.link")
    moments = sorted({r[0] for r in rows.select("valid_from").distinct().collect()})
    day = F.create_map(*[F.lit(x) for pair in zip(moments, days, strict=True) for x in pair])
    moved = {
        c: F.try_element_at(day, F.col(c)).cast("timestamp") for c in ("valid_from", "valid_to")
    }
    with job.named("test/move").batch(outputs=["identity.link"]) as b:
        b.replace("identity.link", rows.withColumns(moved))
