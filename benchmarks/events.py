"""Events from landing files to silver, beside DuckDB; and a day of them on top of few and of many.

    .venv/bin/python benchmarks/events.py [--persons 130000] [--days 180] [--work DIR] [--part whole,day]

`whole`: JSON lines of app and web are landed and conformed, and DuckDB reads the same files, types the same
columns, keeps the last record of each key and writes Parquet. That both have the same events is asserted,
by number, times, amounts and names, before seconds are printed. Ours also hashes identifiers, keeps the raw
records, sets aside what does not fit, and holds what it writes to its expectations.

`day`: the deliveries of two further days are landed on a lake that holds all events, and on one that holds
a tenth of them, in the same session.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lib"))

from lakecdp.simulator import SimulatorSettings  # noqa: E402

SOURCES = ("app_events", "web_events")
AIM, AIM_DAY = 2.5, 1.2

_LINES = """(SELECT line::JSON AS j FROM read_csv('{files}', columns = {{'line': 'VARCHAR'}}, header = false,
    delim = '\x01', quote = '', escape = '', ignore_errors = true, max_line_size = 10000000)
    WHERE json_valid(line))"""
_APP = """SELECT j->>'_track_id' AS event_id,
        make_timestamp(CASE WHEN t BETWEEN 0 AND 9e15 THEN t * 1000 END) AS event_at,
        CASE j->>'event' WHEN 'AppStart' THEN 'app_open' WHEN 'ViewProduct' THEN 'view_item'
            WHEN 'Search' THEN 'search' WHEN 'AddToCart' THEN 'add_to_cart'
            WHEN 'RemoveFromCart' THEN 'remove_from_cart' WHEN 'Favorite' THEN 'add_to_wishlist'
            WHEN 'BeginCheckout' THEN 'begin_checkout' WHEN 'PayOrder' THEN 'purchase'
            WHEN 'PayFailed' THEN 'payment_failed' WHEN 'Share' THEN 'share'
            WHEN 'SignUp' THEN 'sign_up' END AS event_name,
        'app_events' AS source, p->>'product_id' AS product_id, p->>'category' AS category,
        p->>'order_id' AS order_id, p->>'keyword' AS search_term,
        try_cast(p->>'dwell_ms' AS DECIMAL(18,3)) / 1000 AS dwell_seconds,
        coalesce(try_cast(p->>'order_amount' AS DECIMAL(18,4)), try_cast(p->>'price' AS DECIMAL(18,4)))
            AS amount,
        p->>'$."$model"' AS device_model, p->>'$."$os"' AS os, p->>'$."$province"' AS region,
        p->>'$."$city"' AS city, p->>'$."$ip"' AS ip, NULL AS page, NULL AS user_agent, NULL AS http_method,
        NULL::INT AS http_status, NULL AS referrer, j->>'login_id' AS member_id, p->>'phone' AS phone,
        p->>'$."$device_id"' AS device_id, NULL AS email, NULL AS cookie, md5(j::VARCHAR) AS content,
        (p->>'price' IS NOT NULL AND try_cast(p->>'price' AS DECIMAL(18,4)) IS NULL)
            OR (p->>'dwell_ms' IS NOT NULL AND try_cast(p->>'dwell_ms' AS BIGINT) IS NULL) AS wrong
    FROM (SELECT j, j->'properties' AS p, try_cast(j->>'time' AS BIGINT) AS t FROM {lines})"""
_WEB = """SELECT j->>'event_id' AS event_id, try_cast(j->>'ts' AS TIMESTAMPTZ)::TIMESTAMP AS event_at,
        CASE WHEN j->>'event' IN ('page_view', 'view_item', 'search', 'add_to_cart', 'remove_from_cart',
            'begin_checkout', 'purchase', 'payment_failed', 'login', 'request') THEN j->>'event' END AS event_name,
        'web_events' AS source, j->>'sku' AS product_id, j->>'category' AS category,
        j->>'order_id' AS order_id, j->>'query' AS search_term,
        try_cast(j->>'dwell_seconds' AS DECIMAL(12,3)) AS dwell_seconds, NULL::DECIMAL(18,4) AS amount,
        NULL AS device_model, NULL AS os, NULL AS region, NULL AS city, j->>'ip' AS ip, j->>'url' AS page,
        j->>'user_agent' AS user_agent, j->>'method' AS http_method, try_cast(j->>'status' AS INT) AS http_status,
        j->>'referrer' AS referrer, j->>'member_id' AS member_id, j->>'phone' AS phone, NULL AS device_id,
        j->>'email' AS email, j->>'cookie_id' AS cookie, md5(j::VARCHAR) AS content,
        (j->>'dwell_seconds' IS NOT NULL AND try_cast(j->>'dwell_seconds' AS DECIMAL(12,3)) IS NULL)
            OR (j->>'status' IS NOT NULL AND try_cast(j->>'status' AS INT) IS NULL) AS wrong
    FROM {lines}"""
_EVENTS = """COPY (SELECT * EXCLUDE (wrong) FROM ({app} UNION ALL {web})
    WHERE event_id IS NOT NULL AND event_name IS NOT NULL AND NOT wrong
        AND (amount IS NULL OR amount >= 0
            OR event_name NOT IN ('view_item', 'add_to_cart', 'begin_checkout', 'purchase'))
        AND year(event_at) BETWEEN 1900 AND 2199
    QUALIFY row_number() OVER (PARTITION BY event_at::DATE, event_id
        ORDER BY event_at DESC, content DESC) = 1) TO '{to}' (FORMAT parquet)"""
_SHAPE = """SELECT event_name, source, count(*), sum({micros}::DECIMAL(38,0)), sum(amount),
    sum(dwell_seconds::DECIMAL(18, 3)), count(product_id), count(order_id) FROM {rows} GROUP BY ALL ORDER BY ALL"""


def job_on(spark: Any, work: Path, lake: str) -> Any:
    """A job on a lake that takes the two sources alone."""
    from lakecdp.platform.job import Job
    from lakecdp.platform.settings import Conf, load_settings

    conf = work / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "demo.yaml").write_text(f"sources: [{', '.join(SOURCES)}]\n")
    rules = Conf(conf)
    landing = str(work / f"landing-{lake}")
    settings = load_settings(rules, "demo", lake=str(work / f"lake-{lake}"), landing=landing)
    return Job(spark, settings, rules, SimulatorSettings().last_day)


def land(job: Any) -> float:
    """Seconds from files to silver."""
    from lakecdp.pipeline import JobSpec
    from lakecdp.runner import load_job

    start = time.time()
    for name in ("01_bronze/ingest", "02_silver/conform"):
        this = job.named(name)
        load_job(JobSpec(name, ""))(this)
        job.ledger.flush()
        if this.failures:
            raise SystemExit("\n".join(this.failures))
    return time.time() - start


def by_duckdb(landing: Path, to: Path) -> float:
    """Seconds of the same in DuckDB, from files to Parquet."""
    db = duckdb.connect()
    db.execute("SET threads = 2; SET TimeZone = 'UTC'; SET memory_limit = '10GB'")
    db.execute(f"SET temp_directory = '{to.parent}/duckdb'")
    lines = {s: _LINES.format(files=landing / s / "*/part-*.json*") for s in SOURCES}
    app, web = _APP.format(lines=lines["app_events"]), _WEB.format(lines=lines["web_events"])
    start = time.time()
    db.execute(_EVENTS.format(app=app, web=web, to=to))
    return time.time() - start


def shape(spark: Any, job: Any, parquet: Path) -> tuple[list[Any], list[Any]]:
    """Both results by name of the event."""
    rows = job.read("silver.event").select(
        "event_name", "source", "event_at", "amount", "dwell_seconds", "product_id", "order_id"
    )
    rows.createOrReplaceTempView("events")
    ours = spark.sql(_SHAPE.format(micros="unix_micros(event_at)", rows="events")).collect()
    theirs = duckdb.sql(_SHAPE.format(micros="epoch_us(event_at)", rows=f"'{parquet}'")).fetchall()
    return [tuple(map(str, r)) for r in ours], [tuple(map(str, r)) for r in theirs]


def main() -> None:
    """Make the files, let both run, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--persons", type=int, default=130_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--part", default="whole,day")
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="events-"))
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, load_settings
    from lakecdp.simulator import simulate

    spark = build_session(load_settings(Conf(None), "demo").spark)
    company = SimulatorSettings.model_validate({"persons": args.persons, "days": args.days})
    last, few = company.last_day, company.last_day - timedelta(days=args.days // 10 - 1)
    truth = str(work / "truth")

    def deliver(lake: str, first: Any, until: Any) -> None:
        simulate(spark, company, str(work / f"landing-{lake}"), truth, first, until)

    start = time.time()
    deliver("many", None, None)
    print(f"company made in {time.time() - start:.0f} s; load {os.getloadavg()[0]:.1f}", flush=True)
    many = job_on(spark, work, "many")
    ours = land(many)
    if "whole" in args.part:
        theirs = by_duckdb(work / "landing-many", work / "duckdb.parquet")
        found, expected = shape(spark, many, work / "duckdb.parquet")
        if found != expected:
            differ = sorted({*found} ^ {*expected})
            raise SystemExit("not the same events:\n" + "\n".join(map(str, differ[:20])))
        print(f"{sum(int(r[2]) for r in found):,} events, the same for both")
        print(f"| ours | DuckDB | ratio (asked {AIM}) |\n|---|---|---|")
        print(f"| {ours:.1f} s | {theirs:.1f} s | {ours / theirs:.2f} |", flush=True)
    if "day" in args.part:
        deliver("few", few, last)
        less = job_on(spark, work, "few")
        land(less)
        seconds = {}
        for name, job in (("few", less), ("many", many)):
            deliver(name, last + timedelta(days=1), last + timedelta(days=2))
            before = job.read("silver.event").count()
            seconds[name] = land(job_on(spark, work, name))
            after = job_on(spark, work, name).read("silver.event").count()
            print(f"on top of {before:,}: {after - before:,} more in {seconds[name]:.1f} s")
        print(f"ratio {seconds['many'] / seconds['few']:.2f} (asked {AIM_DAY})")


if __name__ == "__main__":
    main()
