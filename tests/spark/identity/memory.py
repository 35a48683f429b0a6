"""A small world of identifiers, and the tables of identity held in memory."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from lakecdp import contracts
from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.resolve import IN_MEMORY_EDGES, READS, WRITES, Outcome, resolve
from lakecdp.platform.yamlfile import loads, parse

START = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = ["member_id", "phone", "device_id", "cookie"]
IDS = "identifiers ARRAY<STRUCT<type: STRING, node_id: BIGINT>>, owner_node BIGINT, _batch BIGINT"
SILVER = {
    "silver.event": f"event_date DATE, event_id STRING, event_at TIMESTAMP, source STRING, {IDS}",
    "silver.order_header": f"order_id STRING, ordered_at TIMESTAMP, source STRING, {IDS}",
    "silver.order_line": f"order_id STRING, line_id STRING, ordered_at TIMESTAMP, "
    f"source STRING, {IDS}",
    "silver.attribute": f"name STRING, observed_at TIMESTAMP, source STRING, {IDS}",
    "silver.vacated": "target STRING, owner_node BIGINT, _batch BIGINT",
    "silver.identifier": "node_id BIGINT, type STRING, value STRING",
}
RULES = """
types:
  member_id: {priority: 1, unique: true}
  phone: {priority: 2, limit: 3}
  device_id: {priority: 3, of: device, limit: 4, limit_all: 40}
  cookie: {priority: 4, of: device}
"""
Record = dict[str, Any]
Decision = tuple[str, int] | tuple[str, int, int]
"""Action and nodes, the stronger first."""


class Memory:
    """What resolve needs of a batch, on rows in memory."""

    def __init__(self, spark: SparkSession):
        self.spark = spark
        self.rows: dict[str, dict[Any, Record]] = {t: {} for t in (*SILVER, *READS, *WRITES)}
        self.since = SimpleNamespace(mark=0, run_date=None)
        self.run_date = date(2026, 3, 1)
        self.full = True
        self.seq = 0
        self.started_at = START
        self.written: Counter[str] = Counter()

    def deliver(self, records: Iterable[tuple[str, Record]]) -> None:
        """New records; one with a known key replaces it, as silver does."""
        self.seq += 1
        for table, record in records:
            key = record_key(table, record)
            old = self.rows[table].get(key)
            if old is not None and table != "silver.attribute":
                note = {"target": table, "owner_node": old["owner_node"], "_batch": self.seq}
                self.rows["silver.vacated"][len(self.rows["silver.vacated"])] = note
            self.rows[table][key] = {**record, "_batch": self.seq}

    def decide(self, decisions: Iterable[Decision]) -> None:
        """The decisions in force from now on, as `decide` writes them."""
        self.seq += 1
        table, wanted = self.rows["identity.decision"], set(decisions)
        held = {d: k for k, r in table.items() if r["valid_to"] is None and (d := said(r))}
        for decision in held.keys() - wanted:
            table[held[decision]] |= {"valid_to": self.started_at, "_batch": self.seq}
        for action, *nodes in wanted - held.keys():
            node_b, type_b = (nodes[1], kind_of(nodes[1])) if len(nodes) > 1 else (None, None)
            table[self.seq, action, *nodes] = {
                "decision_id": f"{action} {nodes}", "action": action, "node_a": nodes[0],
                "type_a": kind_of(nodes[0]), "node_b": node_b, "type_b": type_b, "author": "me",
                "reason": "known", "decided_on": START.date(), "valid_from": self.started_at,
                "valid_to": None, "_batch": self.seq,
            }  # fmt: skip

    def take(
        self,
        rules: IdentityRules,
        *,
        full: bool,
        whole_below: int = -1,
        in_memory_edges: int = IN_MEMORY_EDGES,
    ) -> Outcome:
        """One batch."""
        self.seq += 1
        self.full = full
        self.started_at += timedelta(days=1)
        self.written.clear()
        done = resolve(
            self,  # type: ignore[arg-type]
            rules,
            whole_below=whole_below,
            in_memory_edges=in_memory_edges,
        )
        self.since.mark, self.since.run_date = self.seq, self.run_date.isoformat()
        return done

    def read(self, name: str) -> DataFrame:
        ddl = SILVER.get(name) or contracts.table(name).ddl.replace(" NOT NULL", "")
        names = StructType.fromDDL(ddl).names
        data = [tuple(r.get(c) for c in names) for r in self.rows[name].values()]
        return self.spark.createDataFrame(data, ddl)

    def arrow(self, name: str, columns: Sequence[str]) -> None:
        """Rows in memory have no files."""

    def among(self, name: str, columns: Sequence[str], by: str, values: pa.Array) -> pa.Table:
        wanted = set(values.to_pylist())
        rows = [
            tuple(r.get(c) for c in columns)
            for r in self.rows[name].values()
            if r.get(by) in wanted
        ]
        schema = self.read(name).select(*columns).schema
        return self.spark.createDataFrame(rows, schema).toArrow()

    def keep(self, frame: DataFrame) -> DataFrame:
        return frame.localCheckpoint()

    hold = keep
    settle = keep

    def published(self, name: str) -> bool:
        return bool(self.rows[name])

    def add(self, name: str, rows: pa.Table) -> int:
        self.upsert(name, self.spark.createDataFrame(rows))
        return int(rows.num_rows)

    def put(self, name: str, rows: pa.Table, gone: pa.Table | None = None) -> None:
        self.upsert(name, self.spark.createDataFrame(rows))
        for key in gone.select(contracts.table(name).key).to_pylist() if gone else ():
            del self.rows[name][tuple(key.values())]
            self.written[name] += 1

    def append(self, name: str, frame: DataFrame) -> int:
        self.upsert(name, frame)
        return 0

    def upsert(self, name: str, frame: DataFrame, delete_when: str | None = None) -> None:
        contract = contracts.table(name)
        for row in frame.collect():
            key = tuple(row[c] for c in contract.key)
            self.written[name] += 1
            if delete_when and row["_gone"]:
                del self.rows[name][key]
            else:
                value = {c: row[c] for c in contract.column_names}
                self.rows[name][key] = {**value, "_batch": self.seq}

    def facts(self, name: str) -> list[tuple[Any, ...]]:
        """Rows as they must be whatever came first; what was taken back is history."""
        columns = contracts.table(name).compared
        rows = [r for r in self.rows[name].values() if r.get("status") != "removed"]
        return sorted((tuple(r[c] for c in columns) for r in rows), key=repr)

    def links(self) -> dict[int, int]:
        rows = [r for r in self.rows["identity.link"].values() if r["valid_to"] is None]
        found = {r["node_id"]: r["customer_id"] for r in rows}
        assert len(found) == len(rows), "one open link per identifier"
        assert found.keys() == {r["node_id"] for r in self.rows["identity.node"].values()}
        return found

    def groups(self) -> set[frozenset[int]]:
        out: dict[int, set[int]] = {}
        for node, customer in self.links().items():
            out.setdefault(customer, set()).add(node)
        return {frozenset(g) for g in out.values()}

    def check_ledger(self) -> None:
        """The ledger replays to the open links."""
        sizes: Counter[int] = Counter()
        for row in self.rows["identity.change"].values():
            sizes[row["customer_id"]] += (
                -row["nodes"] if row["kind"] == "withdraw" else row["nodes"]
            )
            if row["from_customer_id"]:
                sizes[row["from_customer_id"]] -= row["nodes"]
        assert +sizes == Counter(self.links().values())
        assert min(sizes.values()) >= 0


def kind_of(node: int) -> str:
    """Nodes of `world` tell their type by their first digit."""
    return TYPES[int(str(node)[0]) - 1]


def said(row: Record) -> Decision:
    """What a row of identity.decision says."""
    ends = (row["node_a"], row["node_b"]) if row["node_b"] is not None else (row["node_a"],)
    return (row["action"], *ends)


def rules_of(text: str = RULES) -> IdentityRules:
    """Identity rules from YAML."""
    return parse(loads(text, "identity.yaml"), IdentityRules)


def record_key(table: str, record: Record) -> tuple[Any, ...]:
    names = {
        "silver.event": ("event_date", "event_id"),
        "silver.order_header": ("order_id",),
        "silver.order_line": ("order_id", "line_id"),
        "silver.attribute": ("owner_node", "name", "source"),
    }[table]
    return tuple(record[n] for n in names)


def record(table: str, key: str, at: datetime | None, ids: list[tuple[str, int]]) -> Record:
    ids = sorted(ids, key=lambda i: TYPES.index(i[0]))
    same = {"source": "crm" if table == "silver.attribute" else "web", "identifiers": ids}
    same["owner_node"] = ids[0][1]
    if table == "silver.event":
        assert at is not None
        return {**same, "event_date": at.date(), "event_id": key, "event_at": at}
    if table == "silver.attribute":
        return {**same, "name": key, "observed_at": at}
    return {**same, "order_id": key, "line_id": "1", "ordered_at": at}


def world(seed: int) -> list[list[tuple[str, Record]]]:
    """Three deliveries: shared devices, a kiosk, restated and withdrawn evidence."""
    dice = random.Random(seed)
    tables = [t for t in SILVER if t not in ("silver.vacated", "silver.identifier")]
    made: list[tuple[str, Record]] = []
    parts: list[list[tuple[str, Record]]] = []
    for part, count in enumerate((60, 40, 15)):
        here = []
        for i in range(count):
            person = dice.randrange(14)
            # A node id that tells its type: member 1xx, phone 2xx, device 3xx, cookie 4xxx.
            ids = [
                ("member_id", 100 + person),
                ("phone", 200 + dice.choice([person, person, person // 2])),
                ("device_id", 300 + dice.choice([person, person // 2, 99])),
                ("cookie", 4000 + dice.randrange(40)),
            ]
            ids = [x for x in ids if dice.random() < 0.6] or ids[:1]
            table = dice.choice(tables)
            at: datetime | None = START + timedelta(minutes=dice.randrange(40_000))
            if table == "silver.order_line" and dice.random() < 0.3:
                at = None
            key = f"a{dice.randrange(3)}" if table == "silver.attribute" else f"k{part}-{i}"
            here.append((table, record(table, key, at, ids)))
        for table, old in dice.sample(made, min(len(made), 8)):
            at = old.get("event_at") or old.get("ordered_at") or old.get("observed_at")
            if at is not None and table != "silver.event":
                at += timedelta(minutes=dice.randrange(-5000, 5000))
            key = old.get("event_id") or old.get("order_id") or old["name"]
            kept = dice.sample(old["identifiers"], 1)
            if table == "silver.attribute":
                kept = [old["identifiers"][0]]
            here.append((table, record(table, key, at, kept)))
        made += here
        parts.append(here)
    return parts
