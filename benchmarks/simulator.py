"""Seconds to make a company, and its shape beside small real samples.

    .venv/bin/python benchmarks/simulator.py [--persons 130000] [--work DIR] [--shape-only] [--data DIR]

The shape is counted by DuckDB in the files: views and carts for each purchase, sessions (a pause of
half an hour ends one), days between two days with a purchase of one person.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
AIM = "10 million events in 180 s on two cores"

_LINES = """read_csv('{files}', columns = {'line': 'VARCHAR'}, header = false, delim = '\x01',
    quote = '', escape = '', ignore_errors = true)"""
SIMULATED = """
    SELECT user_id, moment, CASE
        WHEN event IN ('ViewProduct', 'view_item') THEN 'view'
        WHEN event IN ('AddToCart', 'add_to_cart') THEN 'cart'
        WHEN event IN ('PayOrder', 'purchase') THEN 'buy' ELSE 'other' END AS kind
    FROM (
        SELECT coalesce(j->'properties'->>'$."$device_id"', '') AS user_id,
               CASE WHEN (j->>'time')::BIGINT < 4102444800000
                   THEN epoch_ms((j->>'time')::BIGINT) END AS moment, j->>'event' AS event
        FROM (SELECT DISTINCT line::JSON j FROM {app} WHERE json_valid(line))
        UNION ALL
        SELECT j->>'cookie_id', try_cast(j->>'ts' AS TIMESTAMPTZ)::TIMESTAMP, j->>'event'
        FROM (SELECT DISTINCT line::JSON j FROM {web} WHERE json_valid(line))
        WHERE j->>'cookie_id' NOT IN (SELECT cookie_id FROM '{truth}/crawler/*.parquet')
    ) WHERE moment IS NOT NULL"""
REAL = {
    "Taobao, 9 days": """SELECT column0::VARCHAR AS user_id, make_timestamp(column4 * 1000000) AS moment,
        CASE column3 WHEN 'pv' THEN 'view' WHEN 'cart' THEN 'cart' WHEN 'buy' THEN 'buy' ELSE 'other' END AS kind
        FROM read_csv('{data}/taobao_userbehavior_sample/UserBehavior_*users_9days.csv.gz', header = false)""",
    "REES46, 3 hours": """SELECT user_id::VARCHAR AS user_id, event_time::TIMESTAMP AS moment,
        CASE event_type WHEN 'purchase' THEN 'buy' ELSE event_type END AS kind
        FROM read_csv('{data}/rees46_multicategory_17k/*.csv.gz', types = {'event_time': 'VARCHAR'})""",
    "RetailRocket, sample": """SELECT visitorid::VARCHAR AS user_id,
        try_cast(timestamp AS TIMESTAMP) AS moment,
        CASE event::INT WHEN 0 THEN 'view' WHEN 1 THEN 'cart' ELSE 'buy' END AS kind
        FROM '{data}/retailrocket_sample/events_sample.parquet'""",
}
_SHAPE = """
    WITH e AS ({events}),
    s AS (SELECT *, sum(new) OVER (PARTITION BY user_id ORDER BY moment, kind) AS n FROM (
        SELECT *, CAST(coalesce(moment - lag(moment) OVER w > INTERVAL 30 MINUTE, true) AS INT) AS new
        FROM e WINDOW w AS (PARTITION BY user_id ORDER BY moment, kind))),
    g AS (SELECT count(*) AS events, count_if(kind = 'view') AS views,
                 epoch(max(moment) - min(moment)) / 60 AS minutes FROM s GROUP BY user_id, n)
    SELECT (SELECT count_if(kind = 'view') / nullif(count_if(kind = 'cart'), 0) FROM e),
           (SELECT count_if(kind = 'view') / nullif(count_if(kind = 'buy'), 0) FROM e),
           (SELECT median(views) FROM g WHERE views > 0),
           (SELECT quantile_cont(views, 0.9) FROM g WHERE views > 0),
           (SELECT median(minutes) FROM g WHERE events > 1)"""
_GAPS = """SELECT median(gap), quantile_cont(gap, 0.9) FROM (
    SELECT day - lag(day) OVER (PARTITION BY person ORDER BY day) AS gap FROM ({days})) WHERE gap > 0"""
SIMULATED_DAYS = """SELECT DISTINCT person_id AS person, day FROM '{truth}/order_truth/*/*.parquet'
    WHERE original_order_id IS NULL"""
CDNOW_DAYS = """SELECT DISTINCT split_part(l, ' ', 1) AS person,
    strptime(split_part(l, ' ', 2), '%Y%m%d')::DATE AS day FROM (
        SELECT trim(regexp_replace(line, ' +', ' ', 'g')) AS l
        FROM read_csv('{data}/cdnow/CDNOW_master.txt.gz', columns = {'line': 'VARCHAR'},
                      header = false, skip = 1, delim = '\x01'))"""


def fill(query: str, place: dict[str, str]) -> str:
    """A query with the names in braces replaced."""
    for name, value in place.items():
        query = query.replace(f"{{{name}}}", value)
    return query


def shapes(work: Path, data: Path) -> None:
    """Print the company beside the real samples."""
    place = {
        "app": fill(_LINES, {"files": f"{work}/landing/app_events/*/*.json"}),
        "web": fill(_LINES, {"files": f"{work}/landing/web_events/*/*.json"}),
        "truth": str(work / "truth"),
        "data": str(data),
    }
    samples = {"simulated": SIMULATED, **(REAL if data.is_dir() else {})}
    print(
        "| | views per cart | views per purchase | views a session, median and 90 % | minutes, median |"
    )
    print("|---|---|---|---|---|")
    for name, query in samples.items():
        row = duckdb.sql(fill(_SHAPE, {"events": query} | place)).fetchall()[0]
        carts, buys, views, many, minutes = (0.0 if value is None else value for value in row)
        print(f"| {name} | {carts:.1f} | {buys:.1f} | {views:.0f}, {many:.0f} | {minutes:.1f} |")
    print("\n| days between purchases | median | 90 % |\n|---|---|---|")
    gaps = {"simulated": SIMULATED_DAYS} | ({"CDNOW": CDNOW_DAYS} if data.is_dir() else {})
    for name, query in gaps.items():
        found = duckdb.sql(fill(_GAPS, {"days": query} | place)).fetchall()[0]
        print(f"| {name} | {found[0]:.0f} | {found[1]:.0f} |")


def main() -> None:
    """Make the company, then print seconds and shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--persons", type=int, default=130_000)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--shape-only", action="store_true", help="of the company in --work")
    default = Path(os.environ.get("LAKECDP_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default)
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="simulator-"))
    if not args.shape_only:
        from lakecdp.platform.session import build_session
        from lakecdp.platform.settings import Conf, load_settings
        from lakecdp.simulator import SimulatorSettings, simulate

        spark = build_session(load_settings(Conf(None), "demo").spark)
        settings = SimulatorSettings(persons=args.persons)
        start = time.monotonic()
        counts = simulate(spark, settings, str(work / "landing"), str(work / "truth"))
        seconds = time.monotonic() - start
        events = counts["app_events"] + counts["web_events"]
        files = " ".join(f"{name} {count:,}" for name, count in counts.items())
        print(f"{events:,} events in {seconds:.0f} s ({events / seconds:,.0f} a second): {files}")
        print(f"asked: {AIM}")
    shapes(work, args.data)


if __name__ == "__main__":
    main()
