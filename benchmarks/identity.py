"""Which identifiers are one customer, of millions: ours beside a scipy program and beside Splink.

    .venv/bin/python benchmarks/identity.py --folder /tmp/identity [--scale 1] [--runs 1]
        [--contestants memory,scipy,splink,distributed] [--in-memory-edges 1000000]

Every contestant reads the same Delta table of edges and writes the component of each identifier. Each
runs in a process of its own, and their partitions are asserted to be equal before seconds are printed.
`memory` and `distributed` are ours: they read identity.edge and identity.node, mind all guards of the
rules, give lasting ids and write identity.link; the others read two columns and know no guards, which
the graph does not reach (see identity_data). Seconds run from the first read to the written result,
without the start of Python or Spark; processor seconds are those of the process and its JVM.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NODES, EDGES = 13_000_000, 12_000_000
CONTESTANTS = ("memory", "scipy", "splink", "distributed")
START = 1_700_000_000_000_000
CHILD = "--contestant"


def parquet(folder: Path, table: str) -> list[str]:
    """The data files of a table that has one version."""
    return [str(p) for p in sorted((folder / "lake" / table).glob("*.parquet"))]


def session(memory: str) -> Any:
    """A Spark session as lakecdp starts it."""
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import SparkSettings

    conf = {"spark.driver.maxResultSize": "3g", "spark.local.dir": "/tmp"}
    return build_session(SparkSettings(driver_memory=memory, codegen="always", conf=conf))


def make(folder: Path, scale: float) -> None:
    """Write the graph as identity.edge and identity.node."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from identity_data import SOURCES, TYPES, made
    from pyspark.sql import functions as F

    from lakecdp import contracts
    from lakecdp.platform.lake import Lake

    data = made(int(NODES * scale), int(EDGES * scale))
    raw = folder / "raw"
    raw.mkdir(parents=True)
    ends = {"node_a": data.a, "node_b": data.b, "kind_a": data.kind_a, "kind_b": data.kind_b}
    edge = pa.table({**ends, "source": data.source, "seen": data.seen})
    pq.write_table(edge, raw / "edge.parquet", row_group_size=1 << 20)
    node = pa.table({"node_id": data.node, "kind": data.kind})
    pq.write_table(node, raw / "node.parquet", row_group_size=1 << 20)
    del data, edge, node
    spark = session("4g")
    lake = Lake(spark, str(folder / "lake"))

    def named(column: str, names: list[str]) -> Any:
        return F.element_at(F.array(*map(F.lit, names)), F.col(column).cast("int") + 1)

    at = F.timestamp_micros("seen")
    rows = {
        "identity.edge": spark.read.parquet(str(raw / "edge.parquet")).withColumns(
            {
                "source": named("source", SOURCES),
                "target": F.lit("silver.event"),
                "type_a": named("kind_a", TYPES),
                "type_b": named("kind_b", TYPES),
                "weight": F.lit(1.0),
                "status": F.lit("active"),
                "first_seen": at,
                "last_seen": at,
                "evidence": F.concat(F.to_date(at), F.lit("/e"), F.col("seen")),
            }
        ),
        "identity.node": spark.read.parquet(str(raw / "node.parquet")).withColumns(
            {
                "type": named("kind", TYPES),
                "status": F.lit("active"),
                "first_seen": F.timestamp_micros(F.lit(START) + F.pmod("node_id", F.lit(10**13))),
            }
        ),
    }
    for name, frame in rows.items():
        contract = contracts.table(name)
        lake.ensure(contract)
        columns = [
            (F.col(c.name) if c.name in frame.columns else F.lit(None)).cast(c.type).alias(c.name)
            for c in contract.columns
        ]
        lake.append(contract, frame.select(*columns, F.lit(1).cast("bigint").alias("_batch")), {})
    spark.stop()
    shutil.rmtree(raw)


def run_ours(folder: Path, in_memory_edges: int | None) -> float:
    """Ours, on the driver or by the executors."""
    import numpy as np
    import pyarrow as pa
    from identity_data import RULES
    from pyspark.sql import functions as F

    from lakecdp import contracts
    from lakecdp.governance.identifiers import IdentityRules
    from lakecdp.identity import numbers, region
    from lakecdp.identity.customers import Before, assign
    from lakecdp.identity.distributed import regroup
    from lakecdp.identity.files import Files
    from lakecdp.identity.grouping import group
    from lakecdp.platform.lake import Lake
    from lakecdp.platform.yamlfile import loads, parse

    rules = parse(loads(RULES, "identity.yaml"), IdentityRules)
    spark = session("3g" if in_memory_edges is None else "4g")
    lake, none = Lake(spark, str(folder / "lake")), np.zeros(0, dtype=np.int64)
    link = contracts.table("identity.link")
    shutil.rmtree(folder / "lake/identity/link", ignore_errors=True)
    lake.ensure(link)
    spark.range(10).count()
    start = time.time()
    unchanged, marks = F.lit(False), [("", start)]
    world = region.Lake(
        lake.read("identity.node").withColumn("_changed", unchanged),
        lake.read("identity.edge").withColumn("_changed", unchanged),
        lake.read("identity.link"),
        rules.names,
        numbers.type_rules(rules),
        region.Decided(),
        START,
        Files(lake.arrow, none),
    )
    if in_memory_edges is None:
        found = region.everything(world)
        marks.append(("read", time.time()))
        grouping = group(found.graph, world.rules)
        marks.append(("group", time.time()))
        before = Before(found.customer, found.created, found.used, none, (none, none))
        customer = assign(found.graph, grouping, before).customer
        marks.append(("assign", time.time()))
        told = {"node_id": found.graph.nodes, "customer_id": customer}
        kind = pa.timestamp("us", "UTC")
        told["valid_from"] = pa.repeat(pa.scalar(START, kind), len(customer))
        told["valid_to"] = pa.nulls(len(customer), kind)
        lake.add(link, pa.table(told), 1, {})
    else:
        pairs = world.edges.select("node_a", "node_b").limit(0)
        frame = regroup(world, pairs, in_memory_edges, lambda f: f.persist()).moved
        marks.append(("regroup", time.time()))
        at = F.timestamp_micros(F.lit(START)).alias("valid_from")
        never = F.lit(None).cast("timestamp").alias("valid_to")
        batch = F.lit(1).cast("bigint").alias("_batch")
        lake.append(link, frame.select("node_id", "customer_id", at, never, batch), {})
    marks.append(("write", time.time()))
    steps = zip(marks[1:], marks, strict=False)
    print(" ".join(f"{n} {t - s:.1f}" for (n, t), (_, s) in steps), file=sys.stderr, flush=True)
    return marks[-1][1] - start


def run_scipy(folder: Path) -> float:
    """The plainest program that does it in memory."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start = time.time()
    files = parquet(folder, "identity/edge")
    edge = pa.concat_tables(pq.read_table(f, columns=["node_a", "node_b"]) for f in files)
    a, b = (edge.column(c).to_numpy() for c in ("node_a", "node_b"))
    ids, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    ends = (place[: len(a)], place[len(a) :])
    graph = coo_array((np.ones(len(a), dtype=np.int8), ends), shape=(len(ids), len(ids)))
    label = connected_components(graph, directed=False)[1]
    pq.write_table(pa.table({"node_id": ids, "customer_id": label}), folder / "scipy.parquet")
    return time.time() - start


def run_splink(folder: Path) -> float:
    """Splink's own clustering, on DuckDB."""
    import duckdb
    from splink import DuckDBAPI
    from splink.clustering import cluster_pairwise_predictions_at_threshold

    db = duckdb.connect()
    db.execute(f"SET memory_limit = '6GB'; SET temp_directory = '{folder}/duckdb'; SET threads = 2")
    start = time.time()
    node, edge = (parquet(folder, f"identity/{t}") for t in ("node", "edge"))
    db.execute(f"CREATE VIEW node AS SELECT node_id FROM read_parquet({node})")
    db.execute(f"CREATE VIEW edge AS SELECT node_a, node_b FROM read_parquet({edge})")
    api = DuckDBAPI(connection=db)
    found = cluster_pairwise_predictions_at_threshold(
        api.register("node"),
        api.register("edge"),
        node_id_column_name="node_id",
        edge_id_column_name_left="node_a",
        edge_id_column_name_right="node_b",
        db_api=api,
    )
    db.execute(
        f"COPY (SELECT node_id, cluster_id AS customer_id FROM {found.physical_name}) "
        f"TO '{folder}/splink.parquet'"
    )
    return time.time() - start


def partition(folder: Path, name: str) -> Any:
    """Identifiers in ascending order, and the first of each one's component."""
    import numpy as np
    import pyarrow.dataset as ds

    ours = name in ("memory", "distributed")
    place = parquet(folder, "identity/link") if ours else str(folder / f"{name}.parquet")
    table = ds.dataset(place).to_table(columns=["node_id", "customer_id"])
    node, label = (table.column(c).to_numpy() for c in ("node_id", "customer_id"))
    order = np.argsort(node)
    node, label = node[order], np.unique(label[order], return_inverse=True)[1]
    first = np.empty(int(label.max()) + 1, dtype=np.int64)
    first[label[::-1]] = node[::-1]
    return node, first[label]


def used() -> tuple[float, float]:
    """Processor seconds, and GiB at the most, of this process and those it has started."""
    cpu, peak, mine = 0.0, 0.0, {os.getpid()}
    ticks = os.sysconf("SC_CLK_TCK")
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda p: int(p.name)):
        try:
            stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            status = (folder / "status").read_text()
        except OSError:
            continue
        # A child has a higher number than its parent, until numbers start again.
        if int(folder.name) in mine or int(stat[1]) in mine:
            mine.add(int(folder.name))
            cpu += (int(stat[11]) + int(stat[12])) / ticks
            # A process that has ended and is not yet waited for has no memory.
            if "VmHWM:" in status:
                peak += int(status.split("VmHWM:")[1].split()[0]) / (1 << 20)
    return cpu, peak


def compete(folder: Path, name: str, in_memory_edges: int) -> None:
    """One contestant in this process; prints its result."""
    sys.path.insert(0, str(ROOT / "lib"))
    load = os.getloadavg()[0]
    if name == "make":
        make(folder, in_memory_edges / EDGES)
        return
    if name in ("memory", "distributed"):
        seconds = run_ours(folder, in_memory_edges if name == "distributed" else None)
    else:
        seconds = {"scipy": run_scipy, "splink": run_splink}[name](folder)
    cpu, peak = used()
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "load": load}), flush=True)


def child(folder: Path, name: str, in_memory_edges: int) -> dict[str, float]:
    """Run a contestant in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(folder), CHILD, name]
    done = subprocess.run(
        [*command, "--in-memory-edges", str(in_memory_edges)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads((done.stdout.strip() or "{}").splitlines()[-1])
    return found


def main() -> None:
    """Make the data where it is missing, let all run, compare, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="made, and left there")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--contestants", default="memory,scipy")
    parser.add_argument("--in-memory-edges", type=int, default=1_000_000)
    parser.add_argument(CHILD, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant:
        compete(args.folder, args.contestant, args.in_memory_edges)
        return
    import numpy as np

    if not args.folder.exists():
        child(args.folder, "make", int(EDGES * args.scale))
    wanted = args.contestants.split(",")
    found: list[tuple[str, dict[str, float]]] = []
    expected: Any = None
    # Contestants take turns, so that what else the machine does meets all of them.
    for _ in range(args.runs):
        for name in wanted:
            result = child(args.folder, name, args.in_memory_edges)
            got = partition(args.folder, name)
            expected = expected or got
            if not all(np.array_equal(x, y) for x, y in zip(got, expected, strict=True)):
                raise SystemExit(f"{name} has other components than {wanted[0]}")
            found.append((name, result))
    node, first = expected
    print(f"{len(node):,} identifiers, {len(np.unique(first)):,} components, equal for all")
    print("| contestant | seconds | processor | peak GiB | load |")
    for name, r in found:
        values = f"{r['seconds']:.1f} | {r['cpu']:.1f} | {r['peak']:.1f} | {r['load']:.1f}"
        print(f"| {name} | {values} |", flush=True)


if __name__ == "__main__":
    main()
