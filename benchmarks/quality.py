"""Conformity and accuracy on a company whose flaws are known, and how well alerts find what is planted.

    .venv/bin/python benchmarks/quality.py [--persons 400] [--days 100] [--work DIR]

The simulator plants unreadable and impossible records and writes down which; on top of that this script
takes values out of the files of the shops, and writes down what they were. The lake never sees either list.
The same is done to the lines of Online Retail where LAKECDP_DATA has them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parent.parent
AIM = 0.98
RIGHT = ("duplicate", "late", "wrong_phone", "wrong_device")
"""Flaws that leave a record readable; what they do to identity is measured elsewhere."""
HOLES = ("quantity", "unit_price", "amount")
SHARE = 0.15
JOBS = (
    "01_bronze/ingest",
    "02_silver/conform",
    "02_silver/assemble",
    "02_silver/sessionize",
    "09_operations/monitor",
)
Values = dict[tuple[str, str], dict[str, str]]


def punched(landing: Path) -> tuple[Values, dict[tuple[str, str], str], set[tuple[str, str]]]:
    """Take one value out of some lines of the shops, and multiply the quantity of a few by ten thousand.

    Returns:
        what each line was, what was taken from which, and which were made odd.
    """
    truth: Values = {}
    taken: dict[tuple[str, str], str] = {}
    odd: set[tuple[str, str]] = set()
    for file in sorted(landing.glob("pos/*/*.csv")):
        with file.open(encoding="utf-8", newline="") as f:
            table = [*csv.reader(f)]
        header = table[0]
        for row in table[1:]:
            line = dict(zip(header, row, strict=False))
            if len(row) != len(header) or line["ticket_id"].startswith("X") or "\0" in "".join(row):
                continue
            key = line["ticket_id"], line["line_no"]
            draw = int(hashlib.sha256("/".join(key).encode()).hexdigest()[:8], 16) / 16**8
            truth[key] = {h: line[h] for h in HOLES}
            if draw < SHARE:
                taken[key] = HOLES[int(draw / SHARE * len(HOLES))]
                row[header.index(taken[key])] = ""
            elif draw > 0.999:
                odd.add(key)
                row[header.index("quantity")] = str(int(line["quantity"]) * 10_000)
                row[header.index("amount")] = str(Decimal(line["amount"]) * 10_000)
        # Hadoop keeps a checksum beside each file that it has written.
        file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
        with file.open("w", encoding="utf-8", newline="") as f:
            csv.writer(f, lineterminator="\n").writerows(table)
    return truth, taken, odd


def share(part: float, whole: float) -> str:
    return f"{part:,} of {whole:,}, {part / whole:.3%}" if whole else "none"


def conformity(job: Any, truth: Path, delivered: dict[str, int]) -> Iterator[str]:
    """What was refused against what was planted, and what of the published rows breaks no rule."""
    planted = duckdb.sql(
        f"SELECT source, kind, count(*) FROM '{truth}/planted/*/*.parquet' GROUP BY ALL"
    ).fetchall()
    bad: Counter[str] = Counter()
    for source, kind, count in planted:
        bad[source] += 0 if kind in RIGHT else count
    rows = job.read("silver.quarantine").groupBy("source").count().collect()
    refused = {r[0]: r[1] for r in rows}
    for source, count in sorted(delivered.items()):
        yield f"  {source:<12} {count:>9,} records, {bad[source]:,} spoilt, {refused.get(source, 0):,} refused"
    fit = sum(delivered.values()) - sum(refused.values())
    yield f"records as delivered that pass: {share(fit, sum(delivered.values()))}"


def rules_kept(job: Any, tables: list[str]) -> Iterator[str]:
    """Published rows that keep every rule `fail`, judged over the whole tables by Great Expectations."""
    from lakecdp.platform import quality_gx
    from lakecdp.platform.quality_suites import suite

    whole = broken = 0
    for name in tables:
        rows, found = job.read(name), suite(name)
        count = rows.count()
        whole += count
        failed = quality_gx.validate(found, rows) if count else []
        broken += sum(
            f.get("rows", 0) for f in failed if found.expectations[f["index"]].severity == "fail"
        )
    yield f"published rows that pass every `fail` expectation: {share(whole - broken, whole)}"
    assert whole - broken >= AIM * whole


def accuracy(job: Any, truth: Path, values: Values, taken: Any, odd: Any) -> Iterator[str]:
    """What was repaired and summed, against what it was."""
    lines = (
        job.read("silver.order_line")
        .where("source = 'pos'")
        .selectExpr("order_id", "line_id", *HOLES, "repairs", "outliers")
    )
    found = {(r[0], r[1]): r for r in lines.collect()}
    for hole in HOLES:
        keys = [k for k, h in taken.items() if h == hole]
        there = [k for k in keys if k in found]
        right = [
            k for k in there if abs(found[k][hole] - Decimal(values[k][hole])) < Decimal("0.005")
        ]
        marked = [k for k in there if found[k]["repairs"]]
        yield f"  {hole}: {share(len(right), len(keys))} right; {len(marked):,} marked"
        assert len(right) >= AIM * len(keys)
    untouched = [k for k in values if k not in taken and k in found]
    wrongly = sum(bool(found[k]["repairs"]) for k in untouched)
    yield f"  repaired without need: {share(wrongly, len(untouched))}"
    flagged = {k for k, r in found.items() if "bulk_quantity" in (r["outliers"] or [])}
    yield f"  made odd and flagged: {share(len(flagged & odd), len(odd))}; {len(flagged - odd):,} besides"
    orders = {r[0]: r[1] for r in job.read("silver.order").select("order_id", "amount").collect()}
    odd_orders = {k[0] for k in odd}
    told = duckdb.sql(f"SELECT order_id, amount FROM '{truth}/order_truth/*/*.parquet'").fetchall()
    told = [(o, a) for o, a in told if o not in odd_orders]
    right = sum(abs(orders.get(o, Decimal(-1)) - a) < Decimal("0.01") for o, a in told)
    yield f"orders with the true amount: {share(right, len(told))}"
    assert right >= AIM * len(told)
    spurious = len(orders.keys() - {o for o, _ in told} - odd_orders)
    yield f"orders that nobody placed: {share(spurious, len(orders))}"


def members(job: Any, truth: Path) -> Iterator[str]:
    """Attributes as stated last, against the person."""
    members = job.read("silver.identifier").where("type = 'member_id'")
    stated = job.read("silver.attribute").where("name IN ('gender', 'birthday', 'city')")
    rows = stated.join(members.selectExpr("node_id AS owner_node", "value AS member"), "owner_node")
    table = rows.select("member", "name", "value").toArrow()
    found = duckdb.sql(
        f"""SELECT count(*) FILTER (t.value = CASE t.name WHEN 'gender' THEN p.gender
            WHEN 'city' THEN p.city ELSE p.birthday::VARCHAR END), count(*)
        FROM "table" t JOIN '{truth}/person_identifier/*.parquet' i
          ON i.type = 'member_id' AND i.value = t.member
        JOIN '{truth}/person/*.parquet' p USING (person_id)"""
    ).fetchall()
    assert table.num_rows
    yield f"attributes of members that are true: {share(*found[0])}"


def real_lines(spark: Any, data: Path) -> Iterator[str]:
    """The shipped repairs on the lines of Online Retail, of which one value in seven is taken out."""
    from pyspark.sql import functions as F

    from lakecdp.bronze.mapping import load_sources
    from lakecdp.platform.settings import Conf, load_settings
    from lakecdp.silver.repair_rules import RepairRules, columns_of
    from lakecdp.silver.repairs import MARKS, repaired

    files = sorted((data / "online_retail_2010_2011").glob("*.csv*"))
    if not files:
        yield "  Online Retail is not here"
        return
    conf = Conf()
    rules = RepairRules.load(conf, load_sources(conf, load_settings(conf, "demo", lake="-")))
    types = columns_of("order_line")
    whole = spark.read.csv([str(f) for f in files], header=True).selectExpr(
        "CAST(Quantity AS DECIMAL(18,3)) AS q", "CAST(UnitPrice AS DECIMAL(18,4)) AS p",
        "abs(xxhash64(InvoiceNo, StockCode, Quantity, UnitPrice)) % 21 AS draw",
    ).withColumn("a", F.expr("CAST(q * p AS DECIMAL(18,4))"))  # fmt: skip
    given = whole.withColumns(
        {c: F.lit(None).cast(kind) for c, kind in types.items()}
        | {
            hole: F.expr(f"IF(draw = {n}, NULL, {c})")
            for n, (hole, c) in enumerate(zip(HOLES, "qpa", strict=True))
        }
        | {"line_type": F.lit("sale")}
    )
    right = " AND ".join(f"{h} <=> {c}" for h, c in zip(HOLES, "qpa", strict=True))
    found = (
        repaired(given, rules.of("order_line", "online_retail"), types)
        .groupBy("draw")
        .agg(
            F.count(F.lit(1)).alias("lines"),
            F.count_if(F.expr(right)).alias("right"),
            F.count_if(F.size(MARKS) > 0).alias("marked"),
        )
    )
    rows = {r["draw"]: r for r in found.collect()}
    for n, hole in enumerate(HOLES):
        r = rows[n]
        yield f"  {hole}: {share(r['right'], r['lines'])} right; {r['marked']:,} marked"
        assert r["right"] >= AIM * r["lines"]
    others = [r for d, r in rows.items() if d >= len(HOLES)]
    marked, lines = sum(r["marked"] for r in others), sum(r["lines"] for r in others)
    yield f"  repaired without need: {share(marked, lines)}"


def alarms(job: Any, run_date: date, days: int) -> Iterator[str]:
    """Alerts on quiet days, and on the same days with half of the rows, or with a column emptied."""
    from lakecdp.operations.anomalies import Day, judge
    from lakecdp.operations.monitor import _day
    from lakecdp.operations.monitoring_rules import MonitoringRules

    rules = replace(MonitoringRules.load(job.conf), judge_days=1)
    measures = [_day(r) for r in job.read("operations.table_day").collect()]
    sources = sorted({m.source for m in measures})
    tries = [run_date - timedelta(days=n) for n in range(1, days + 1)]

    def found(change: Callable[[Day], Day], metric: str) -> tuple[int, int]:
        hits = judged = 0
        for day in tries:
            target = day - timedelta(days=rules.settle_days)
            seen = [change(m) if m.day == target else m for m in measures if m.day <= day]
            judgement = judge(seen, rules, day, sources)
            hits += len({k[:2] for k in judgement.findings if k[2] == metric})
            judged += len(
                {(m.table, m.source) for m in seen if m.day == target and m.rows >= 50}
                & {w[:2] for w in judgement.watched if w[2] == metric}
            )
        return hits, judged

    for metric in ("rows", "null_rate", "freshness"):
        hits, judged = found(lambda m: m, metric)
        yield f"  alerts on quiet days, {metric}: {hits} of {judged:,} days of 50 rows or more"
    for part in (0.5, 0.25, 0.0):
        hits, judged = found(lambda m, p=part: replace(m, rows=int(m.rows * p), nulls={}), "rows")
        yield f"  days with {part:.0%} of their rows found: {share(hits, judged)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=400)
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="lakecdp-quality-"))

    from lakecdp.pipeline import JobSpec
    from lakecdp.platform.job import Job
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, load_settings
    from lakecdp.runner import load_job
    from lakecdp.simulator import SimulatorSettings, simulate

    landing, truth = work / "landing", work / "truth"
    conf = Conf()
    settings = load_settings(conf, "demo", lake=str(work / "lake"), landing=str(landing))
    spark = build_session(settings.spark, "lakecdp quality")
    last = date(2026, 10, 31)
    company = SimulatorSettings.model_validate(
        {
            "seed": 23,
            "persons": options.persons,
            "first_day": last - timedelta(days=options.days - 1),
            "days": options.days,
            "flaws": {"malformed_share": 0.01, "duplicate_share": 0.01, "late_share": 0.02},
        }
    )
    made = simulate(spark, company, str(landing), str(truth))
    values, taken, odd = punched(landing)
    job = Job(spark, settings, conf, last, name="benchmark")
    for name in JOBS:
        start, this = time.monotonic(), job.named(name)
        load_job(JobSpec(name, ""))(this)
        print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
        assert this.failures == [] or name == JOBS[-1], this.failures
        for sentence in [*this.failures, *(s.message or "" for s in this.summaries)]:
            print(f"  {sentence}" if sentence else "", end="\n" if sentence else "")
    job.ledger.flush()
    delivered = {s: n for s, n in made.items() if s in settings.sources}  # type: ignore[operator]
    for line in conformity(job, truth, delivered):
        print(line, flush=True)
    tables = ["silver.event", "silver.order_header", "silver.order_line", "silver.product"]
    for line in rules_kept(job, [*tables, "silver.attribute", "silver.order", "silver.session"]):
        print(line, flush=True)
    for line in accuracy(job, truth, values, taken, odd):
        print(line, flush=True)
    data = Path(os.environ.get("LAKECDP_DATA", ROOT.parent / "shared" / "data"))
    for line in real_lines(spark, data):
        print(line, flush=True)
    for line in members(job, truth):
        print(line, flush=True)
    for line in alarms(job, last, 20):
        print(line, flush=True)


if __name__ == "__main__":
    main()
