"""Online Retail from the file to the report, in processes of their own, as a user runs it.

    .venv/bin/python benchmarks/online_retail.py [--data DIR] [--work DIR] [--slices 10 [--seed N]]

Prints the seconds of the whole file, and of a second run with one new day. Every figure that the
lake must show is counted by DuckDB from the file itself. `--slices` lands the lines in so many
slices of days, in shuffled order, a run each, and holds the tables against those of the whole.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

DAY = date(2011, 12, 10)
CODES = "('POST', 'DOT', 'C2', 'BANK CHARGES', 'AMAZONFEE', 'CRUK', 'D', 'S', 'M')"

EXPECTED = {
    "rows in": "SELECT count(*) FROM raw",
    "exact duplicates": "SELECT (SELECT count(*) FROM raw) - (SELECT count(*) FROM line)",
    "order lines": "SELECT count(*) FROM line",
    "invoices": "SELECT count(DISTINCT InvoiceNo) FROM line",
    "amount": "SELECT sum(Quantity * UnitPrice) FROM line",
    "cancellations": "SELECT count(*) FROM line WHERE InvoiceNo LIKE 'C%'",
    "adjustments": "SELECT count(*) FROM line WHERE InvoiceNo LIKE 'A%'",
    "stock corrections": "SELECT count(*) FROM line WHERE InvoiceNo NOT SIMILAR TO '[AC].*' AND Quantity < 0",
    "without a customer": "SELECT count(*) FROM line WHERE CustomerID IS NULL",
    "customers": "SELECT count(DISTINCT CustomerID) FROM line",
    "postage, fees, samples ...": f"""SELECT count(*) FROM line
        WHERE InvoiceNo NOT LIKE 'A%' AND (upper(StockCode) IN {CODES} OR lower(StockCode) LIKE 'gift%')""",
}
FOUND = {
    "rows in": "SELECT sum(rows_in) FROM operations.run WHERE job = '01_bronze/ingest'",
    "exact duplicates": """SELECT sum(b.rows_duplicate) FROM
        (SELECT explode(balance) b FROM operations.run WHERE job = '02_silver/conform')
        WHERE b.target = 'silver.order_line'""",
    "order lines": "SELECT count(*) FROM silver.order_line",
    "invoices": "SELECT count(*) FROM silver.order",
    "amount": "SELECT sum(amount) FROM silver.order_line",
    "cancellations": "SELECT count(*) FROM silver.order_line WHERE line_type = 'cancellation'",
    "adjustments": "SELECT count(*) FROM silver.order_line WHERE line_type = 'adjustment'",
    "stock corrections": "SELECT count(*) FROM silver.order_line WHERE line_type = 'stock_correction'",
    "without a customer": "SELECT count(*) FROM silver.order_line WHERE owner_node IS NULL",
    "customers": "SELECT count(DISTINCT customer_id) FROM gold.customer_feature",
    "postage, fees, samples ...": """SELECT count(*) FROM silver.order_line
        WHERE item_type IN ('postage', 'fee', 'discount', 'sample', 'manual', 'voucher')""",
}


def company(data: Path) -> duckdb.DuckDBPyConnection:
    """The file as tables: raw, and line without exact duplicates."""
    con = duckdb.connect()
    con.execute(
        f"CREATE TABLE raw AS SELECT * FROM read_csv('{data}', all_varchar = true, header = true)"
    )
    con.execute(
        "CREATE TABLE line AS SELECT DISTINCT * REPLACE (CAST(Quantity AS INT) AS Quantity, "
        "CAST(UnitPrice AS DECIMAL(18,4)) AS UnitPrice) FROM raw"
    )
    return con


def run(lake: Path, landing: Path, *more: str) -> float:
    """`lakecdp run` on the folder; seconds of the process."""
    command = [sys.executable, "-m", "lakecdp.cli", "run", "--env", "dev"]
    command += ["--source", "online_retail", "--lake", str(lake), "--landing", str(landing)]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--run-date", DAY.isoformat(), "--approve-as", "benchmark", *more],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 3):
        raise SystemExit(f"{done.stdout}\n{done.stderr}")
    if os.environ.get("VERBOSE"):
        print(done.stdout)
    return time.monotonic() - start


def figures(lake: Path) -> dict[str, str]:
    """What the lake says."""
    from lakecdp.platform.job import Job
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, load_settings
    from lakecdp.query import query

    conf = Conf()
    settings = load_settings(conf, "dev", lake=str(lake))
    job = Job(build_session(settings.spark), settings, conf, DAY)
    return {name: str(query(job, text).collect()[0][0]) for name, text in FOUND.items()}


def cut(con: duckdb.DuckDBPyConnection, days: list[str], file: Path) -> None:
    """Write the lines of some days as a file."""
    names = ", ".join(f"'{d}'" for d in days)
    con.execute(
        f"COPY (SELECT * FROM raw WHERE substr(InvoiceDate, 1, 10) IN ({names})) TO '{file}' (HEADER)"
    )


def main() -> None:
    """Run what is asked for and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(os.environ.get("LAKECDP_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--slices", type=int)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    source = args.data / "online_retail_2010_2011" / "online_retail.csv.gz"
    if not source.is_file():
        raise SystemExit(f"The file {source} is not there: name its folder by --data.")
    work = args.work or Path(tempfile.mkdtemp(prefix="online-retail-"))
    con = company(source)
    days = [
        r[0]
        for r in con.sql(
            "SELECT DISTINCT substr(InvoiceDate,1,10) d FROM raw ORDER BY d"
        ).fetchall()
    ]

    landing = work / "whole" / "landing"
    landing.mkdir(parents=True)
    shutil.copy(source, landing)
    whole = work / "whole" / "lake"
    print(f"from file to report      {run(whole, landing):7.1f} s", flush=True)
    expected = {name: str(con.sql(text).fetchall()[0][0]) for name, text in EXPECTED.items()}
    found = figures(whole)
    for name, value in expected.items():
        print(f"{name:<28}{value:>16}{found[name]:>16}")
    assert found == expected, "the lake differs from the file"

    if not args.slices:
        daily = work / "daily" / "landing"
        daily.mkdir(parents=True)
        cut(con, days[:-1], daily / "online_retail_first.csv")
        run(work / "daily" / "lake", daily)
        cut(con, days[-1:], daily / "online_retail_last.csv")
        print(f"a second run, one day    {run(work / 'daily' / 'lake', daily):7.1f} s", flush=True)
        return compare(whole, work / "daily" / "lake")
    sliced = work / "sliced" / "landing"
    sliced.mkdir(parents=True)
    order = list(range(args.slices))
    random.Random(args.seed).shuffle(order)
    for i, number in enumerate(order):
        cut(con, days[number :: args.slices], sliced / f"online_retail_{number:02}.csv")
        last = i == args.slices - 1
        until = () if last else ("--to", "05_segments")
        print(
            f"slice {number:2}                 {run(work / 'sliced' / 'lake', sliced, *until):7.1f} s",
            flush=True,
        )
    return compare(whole, work / "sliced" / "lake")


def compare(one: Path, other: Path) -> None:
    """Row for row; a model learned earlier has learned less, so scores count in slices only."""
    from pyspark.sql import SparkSession
    from tools.compare_lakes import differences

    spark = SparkSession.getActiveSession()
    assert spark is not None
    leave_out = ["gold.score"] if "daily" in other.parts else []
    found = differences(spark, one, other, leave_out=leave_out)
    assert not found, f"rows that only one lake has: {found}"
    print("silver, identity and gold are equal row for row")


if __name__ == "__main__":
    main()
