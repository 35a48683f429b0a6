"""The resolve job on small silver tables."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.governance.identifiers import node_of
from lakecdp.identity import show
from lakecdp.platform.job import Job

KEY = "secret"
START = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = ["member_id", "phone", "device_id", "cookie"]
SHAPE = (
    "key STRING, at TIMESTAMP, source STRING, "
    "identifiers ARRAY<STRUCT<type: STRING, node_id: BIGINT>>"
)
Record = tuple[str, str, int | None, list[tuple[str, str]]]

_path = Path(__file__).parents[3] / "jobs" / "03_identity" / "resolve.py"
_spec = importlib.util.spec_from_file_location("job_resolve", _path)
assert _spec is not None
assert _spec.loader is not None
job_resolve = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(job_resolve)

MakeJob = Callable[..., Job]


def node(name: tuple[str, str]) -> int:
    return node_of(*name, KEY)


def shaped(job: Job, table: str, records: list[Record]) -> DataFrame:
    """Silver rows with what identity reads, and any value in the other required columns."""
    rows = [
        (
            key,
            None if hour is None else START + timedelta(hours=hour),
            "crm" if table == "silver.attribute" else "web",
            [(k, node((k, v))) for k, v in ids],
        )
        for _, key, hour, ids in records
    ]
    frame = job.spark.createDataFrame(rows, SHAPE)
    owner = F.get("identifiers", F.lit(0))["node_id"]
    day = F.to_date("at")
    known = {
        "event_id": F.col("key"), "order_id": F.col("key"), "line_id": F.lit("1"),
        "name": F.col("key"), "event_at": F.col("at"), "ordered_at": F.col("at"), "observed_at": F.col("at"),
        "event_date": day, "order_date": day, "owner_node": owner, "source": F.col("source"),
        "identifiers": F.col("identifiers"),
    }  # fmt: skip
    return frame.select(*(_column(c, known) for c in contracts.table(table).columns))


def _column(column: Any, known: dict[str, Any]) -> Any:
    said = {"kind": "sale", "line_type": "sale", "item_type": "product", "currency": "EUR"}
    text = said.get(column.name, "x")
    blank = {"STRING": F.lit(text), "DATE": F.lit(START.date())}.get(column.type, F.lit(0))
    value = known.get(column.name, blank if column.required else F.lit(None))
    return value.cast(column.type).alias(column.name)


def deliver(
    job: Job, records: list[Record], junk: dict[tuple[str, str], str] | None = None
) -> None:
    """Write records to silver as conform does."""
    tables = sorted({r[0] for r in records})
    with job.named("test/deliver").batch(
        inputs=[],
        outputs=[*tables, "silver.identifier"],
        daily=True,
        rules=str(job.ledger.last_seq),
    ) as b:
        for table in tables:
            frame = shaped(job, table, [r for r in records if r[0] == table])
            b.upsert(table, frame)
        if junk:
            rows = [(node(name), name[0], value) for name, value in junk.items()]
            b.append(
                "silver.identifier",
                job.spark.createDataFrame(rows, "node_id BIGINT, type STRING, value STRING"),
            )


def resolve(job: Job) -> str:
    named = job.named("03_identity/resolve")
    job_resolve.run(named)
    return str(named.summaries[0].outcome)


def facts(job: Job, table: str) -> list[tuple[Any, ...]]:
    rows = job.read(table).select(*contracts.table(table).compared).collect()
    return sorted((tuple(r) for r in rows), key=repr)


def links(job: Job) -> dict[int, int]:
    rows = job.read("identity.link").where("valid_to IS NULL").collect()
    found = {r["node_id"]: r["customer_id"] for r in rows}
    assert len(found) == len(rows), "one open link per identifier"
    return found


def groups(job: Job) -> set[frozenset[int]]:
    out: dict[int, set[int]] = {}
    for n, customer in links(job).items():
        out.setdefault(customer, set()).add(n)
    return {frozenset(g) for g in out.values()}


def check_ledger(job: Job) -> None:
    """The ledger replays to the open links, batch by batch to the links of that time."""
    sizes: Counter[int] = Counter()
    for row in sorted(job.read("identity.change").collect(), key=lambda r: r["_batch"]):
        sizes[row["customer_id"]] += -row["nodes"] if row["kind"] == "withdraw" else row["nodes"]
        if row["from_customer_id"]:
            sizes[row["from_customer_id"]] -= row["nodes"]
    assert +sizes == Counter(links(job).values())
    assert min(sizes.values()) >= 0


def conf_with(tmp_path: Path, before: str, after: str) -> Path:
    text = (Path(__file__).parents[3] / "conf" / "identity.yaml").read_text()
    assert before in text
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "identity.yaml").write_text(text.replace(before, after))
    return tmp_path / "conf"


def test_junk_found_later_splits_and_the_chain_of_evidence_is_shown(
    make_job: MakeJob, tmp_path: Path
) -> None:
    m1, m2, p, d, c = (
        ("member_id", "m1"),
        ("member_id", "m2"),
        ("phone", "p"),
        ("device_id", "d"),
        ("cookie", "c"),
    )
    job = make_job()
    deliver(
        job,
        [
            ("silver.event", "e1", 1, [p, d]),
            ("silver.event", "e2", 2, [d, c]),
            ("silver.event", "e3", 3, [m1]),
        ],
        junk={p: "+490001", d: "d", c: "c", m1: "m1", m2: "m2"},
    )
    resolve(job)
    first = links(job)
    assert (
        first[node(p)] == first[node(d)] == first[node(c)] == node(p) != first[node(m1)] == node(m1)
    )
    deliver(
        job, [("silver.order_header", "o1", 0, [m1, p]), ("silver.order_line", "o2", None, [m2, p])]
    )
    resolve(job)
    second = links(job)
    assert len({second[node(x)] for x in (m1, p, d, c)}) == 1
    assert second[node(m2)] == node(m2)
    chain = show.explain(job.read("identity.link"), job.read("identity.edge"), node(m1), node(c))
    assert chain.same
    assert [(s.type_a, s.type_b, s.evidence) for s in chain.steps] == [
        ("member_id", "phone", "o1"),
        ("phone", "device_id", "2026-01-01/e1"),
        ("device_id", "cookie", "2026-01-01/e2"),
    ]
    apart = show.explain(job.read("identity.link"), job.read("identity.edge"), node(c), node(m2))
    assert not apart.same
    assert [(s.type_a, s.reason) for s in apart.steps] == [("member_id", "veto:member_id")]
    assert (
        show.explain(job.read("identity.link"), job.read("identity.edge"), node(c), 5).customer_b
        is None
    )

    merged_at = job.read("identity.link").agg(F.max("valid_from")).first()[0]
    then = show.links_at(job.read("identity.link"), merged_at - timedelta(microseconds=1))
    assert {r["node_id"]: r["customer_id"] for r in then.collect()} == first
    now = show.links_at(job.read("identity.link"), merged_at)
    assert {r["node_id"]: r["customer_id"] for r in now.collect()} == second

    conf = conf_with(tmp_path, "'\\+8613800138000'", "'\\+490001'")
    strict = make_job(conf=conf)
    resolve(strict)
    third = links(strict)
    assert third[node(m1)] != third[node(d)] == third[node(c)]
    assert third[node(p)] not in (
        third[node(m1)],
        third[node(d)],
    )
    check_ledger(strict)
    edges = strict.read("identity.edge").where(F.col("node_b") == node(p)).collect()
    assert {r["reason"] for r in edges} == {"junk:phone"}
    causes = (
        strict.read("identity.change")
        .where("kind = 'split'")
        .select("node_a", "node_b", "source")
        .collect()
    )
    assert Row(node_a=node(m1), node_b=node(p), source="web") in causes
