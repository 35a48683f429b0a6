"""What a day of new pairs costs beside grouping all of them, by the job itself.

    .venv/bin/python benchmarks/identity_increment.py [--scale 1] [--share 0.01] [--work DIR]

Records that show the pairs of identity_data are put into silver.event, and 03_identity/resolve takes them in:
evidence, identifiers, links and the ledger of changes are written. Then records with so many new pairs
arrive, half of them between new identifiers, half between a new one and one that is known, and the same job
runs again, in the same session. The customers in the end are asserted to be the components that scipy
finds in all pairs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lib"))

from identity_data import RULES, TYPES, made, scattered  # noqa: E402

NODES, EDGES = 13_000_000, 12_000_000
DAY = date(2026, 10, 31)


def records(number: np.ndarray, a: Any, b: Any, kind_a: Any, kind_b: Any) -> pa.Table:
    """Pairs as records that show them."""
    return pa.table(
        {"n": number, "a": a, "b": b, "kind_a": kind_a, "kind_b": kind_b},
    )


def added(data: Any, count: int) -> pa.Table:
    """Pairs that arrive later: of new identifiers among themselves, and with one that is known."""
    dice = np.random.default_rng(11)
    fresh = scattered(np.arange(count * 2) + 10**9)
    known = dice.integers(0, len(data.node), count // 2)
    # A cookie that is new stands with an owner: the weaker end of each pair.
    weak = np.full(count, len(TYPES) - 1, dtype=np.int8)
    strong = np.concatenate([np.zeros(count - len(known), dtype=np.int8), data.kind[known]])
    owner = np.concatenate([fresh[count : count * 2 - len(known)], data.node[known]])
    number = np.arange(count) + len(data.a)
    return records(number, owner, fresh[:count], strong, weak)


def deliver(job: Any, rows: pa.Table, work: Path, batch: int) -> None:
    """Publish records in silver.event."""
    from pyspark.sql import functions as F

    from lakecdp import contracts
    from lakecdp.platform.part import Unit

    file = work / f"records-{batch}.parquet"
    pq.write_table(rows, file, row_group_size=1 << 20)

    def name(column: str) -> Any:
        return F.element_at(F.array(*map(F.lit, TYPES)), F.col(column).cast("int") + 1)

    pair = [F.struct(name(f"kind_{e}").alias("type"), F.col(e).alias("node_id")) for e in "ab"]
    day = F.date_sub(F.lit(DAY), F.pmod("n", F.lit(300)).cast("int"))
    given = {
        "event_id": F.col("n").cast("string"),
        "event_date": day,
        "event_at": day.cast("timestamp"),
        "source": F.lit("web"),
        "channel": F.lit("web"),
        "event_name": F.lit("page_view"),
        "identifiers": F.array(*pair),
        "owner_node": F.col("a"),
    }
    contract = contracts.table("silver.event")
    frame = job.spark.read.parquet(str(file)).select(
        *(given.get(c.name, F.lit(None)).cast(c.type).alias(c.name) for c in contract.columns)
    )
    this = job.named(f"load/{batch}")
    with this.batch_of([Unit("", [], ["silver.event"])]) as b:
        b.append("silver.event", frame)


def resolve(job: Any) -> tuple[float, float]:
    """Seconds and processor seconds of the job."""
    from identity import used

    from lakecdp.pipeline import JobSpec
    from lakecdp.runner import load_job

    start, before = time.time(), used()[0]
    this = job.named("03_identity/resolve")
    load_job(JobSpec("03_identity/resolve", ""))(this)
    job.ledger.flush()
    if this.failures:
        raise SystemExit("\n".join(this.failures))
    return time.time() - start, used()[0] - before


def main() -> None:
    """Make, run, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="identity-increment-"))
    from lakecdp.platform.job import Job
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, load_settings

    conf = work / "conf"
    conf.mkdir(parents=True)
    (conf / "identity.yaml").write_text(RULES)
    rules = Conf(conf)
    settings = load_settings(rules, "demo", lake=str(work / "lake"), landing=str(work / "landing"))
    spark = build_session(settings.spark.model_copy(update={"driver_memory": "6g"}))
    job = Job(spark, settings, rules, DAY)
    data = made(int(NODES * args.scale), int(EDGES * args.scale))
    first = records(np.arange(len(data.a)), data.a, data.b, data.kind_a, data.kind_b)
    later = added(data, int(len(data.a) * args.share))
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    deliver(job, first, work, 1)
    found = [("all pairs", first.num_rows, *resolve(job))]
    deliver(job, later, work, 2)
    found.append((f"{args.share:.0%} new", later.num_rows, *resolve(job)))

    links = job.read("identity.link").where("valid_to IS NULL").select("node_id", "customer_id")
    table = links.toArrow().sort_by("node_id")
    node, customer = (table.column(c).to_numpy() for c in ("node_id", "customer_id"))
    every = pa.concat_tables([first, later])
    ends = [np.searchsorted(node, every.column(c).to_numpy()) for c in "ab"]
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(len(node),) * 2)
    count, label = connected_components(graph, directed=False)
    pairs = np.unique(np.stack([label, np.unique(customer, return_inverse=True)[1]]), axis=1)
    if not pairs.shape[1] == count == len(np.unique(customer)):
        raise SystemExit("the customers are not the components of all pairs")
    print(f"{len(node):,} identifiers, {count:,} customers, equal to scipy's components")
    print("| records | pairs | seconds | processor | share of the seconds |\n|---|---|---|---|---|")
    for name, rows, seconds, cpu in found:
        share = seconds / found[0][2]
        print(f"| {name} | {rows:,} | {seconds:.1f} | {cpu:.1f} | {share:.1%} |", flush=True)
    if args.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
