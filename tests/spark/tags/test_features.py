"""Features: batch by batch as at once, and both as an independent computation in DuckDB."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from runpy import run_path
from typing import Any

import duckdb
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.platform import quality
from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

JOBS = Path(__file__).parents[3] / "jobs"
ORACLE = Path(__file__).with_name("features_oracle.sql").read_text(encoding="utf-8")
TABLES = ("gold.node_day", "gold.node_category_day", "gold.customer_feature")
START = date(2026, 1, 1)
NODES = range(1, 9)
NAMES = (
    *("page_view", "view_item", "search", "add_to_cart"),
    *("add_to_wishlist", "begin_checkout", "share", "login"),
)
Row = dict[str, Any]

# Columns of the tables that the job reads -> keys of the rows below.
SAME = ("event_name", "channel", "owner_node", "category", "device_model", "os", "dwell_seconds")
ORDERED = ("kind", "channel", "owner_node", "day", "moment", "units", "reported", "gained")
DELIVERED = {
    "silver.event": {
        "event_id": "id",
        "event_date": "day",
        "event_at": "moment",
        **{c: c for c in (*SAME, "invalid_reason")},
    },
    "silver.order": {
        "order_id": "id",
        "order_date": "day",
        "ordered_at": "moment",
        **{c: c for c in ("product_amount", "kind", "channel", "owner_node", "units")},
        "categories": "categories",
        "exchange_rate": "rate",
        "reporting_product_amount": "reported",
        "reporting_margin": "gained",
    },
    "gold.golden_record": {c: c for c in ("customer_id", "attribute", "value")},
    "silver.vacated": {c: c for c in ("target", "owner_node", "day")},
    "silver.vacated_order": {c: c for c in ("order_id", "owner_node", "day")},
    "silver.event_session": {
        "event_id": "id",
        "event_date": "day",
        **{c: c for c in ("owner_node", "inherited")},
    },
    "silver.vacated_session": {c: c for c in ("owner_node", "day")},
    "identity.link": {c: c for c in ("node_id", "customer_id", "valid_from", "valid_to")},
    "identity.node": {c: c for c in ("node_id", "type", "status")},
}


def noon(day: date, hour: int, minute: int = 0) -> datetime:
    """A moment of a day, as Spark gives it back."""
    return datetime.combine(day, time(hour, minute), UTC).replace(tzinfo=None)


@dataclass
class Company:
    """What silver and identity hold, table by table and by key, and what changed since then."""

    seed: int
    tables: dict[str, dict[Any, Row]] = field(default_factory=lambda: {t: {} for t in DELIVERED})
    changed: dict[str, dict[Any, Row]] = field(default_factory=dict)
    gone: list[tuple[int, str]] = field(default_factory=list)
    clock: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        for n in NODES:
            self.node(n, "active")

    def node(self, n: int, status: str) -> None:
        """An identifier: a phone when its number is odd, else a cookie."""
        row = {"node_id": n, "type": ("cookie", "phone")[n % 2], "status": status}
        self.put("identity.node", n, row)

    def session(self, name: str, owner: int | None) -> None:
        """The session of an event says whose it is (None: the event itself does)."""
        event = self.tables["silver.event"][name]
        left = {"owner_node": self.owner(event), "day": event["day"]}
        if left["owner_node"]:
            self.changed.setdefault("silver.vacated_session", {})[name] = left
        whose = {"owner_node": owner or event["owner_node"], "inherited": owner is not None}
        self.put("silver.event_session", name, {"id": name, "day": event["day"], **whose})

    def owner(self, event: Row) -> int | None:
        """Whose an event is."""
        known = self.tables["silver.event_session"].get(event["id"], {})
        return (known if known.get("inherited") else event)["owner_node"]

    def counts(self, node: int) -> bool:
        """Whether what an identifier owns counts for its customer: no device that is shared."""
        status = self.tables["identity.node"][node]["status"]
        return node % 2 == 1 or status not in ("shared", "limit")

    def put(self, table: str, key: Any, row: Row) -> None:
        """Write a row; a fact that counted elsewhere leaves a trace."""
        old = self.tables[table].get(key)
        if old is not None and table in ("silver.event", "silver.order"):
            trace = "silver.vacated" if table == "silver.event" else "silver.vacated_order"
            left = {"owner_node": old["owner_node"], "day": old["day"]}
            self.changed.setdefault(trace, {})[key] = {**left, "target": table, "order_id": key}
        self.tables[table][key] = row
        self.changed.setdefault(table, {})[key] = row

    def rows(self, table: str) -> list[Row]:
        """All rows of a table."""
        return list(self.tables[table].values())

    def link(self, node: int, customer: int | None) -> None:
        """Move an identifier to another customer (None: to nobody)."""
        self.clock += 1
        moment = noon(date(2026, 6, 1), 0) + timedelta(hours=self.clock)
        for key, row in list(self.tables["identity.link"].items()):
            if key[0] == node and row["valid_to"] is None:
                self.put("identity.link", key, {**row, "valid_to": moment})
        if customer is not None:
            row = {"node_id": node, "customer_id": customer, "valid_from": moment, "valid_to": None}
            self.put("identity.link", (node, self.clock), row)

    def event(self, name: str, day: date) -> None:
        """A random event of a random identifier (or of nobody)."""
        pick = self.random.choice
        row = {
            "id": name,
            "day": day,
            "moment": noon(day, self.random.randrange(24), pick((0, 30))),
            "event_name": pick(NAMES),
            "channel": pick(("app", "web")),
            "owner_node": pick((*NODES, None)),
            "category": pick(("toys", "tea", "lamps", None)),
            "device_model": pick(("A1", "B2", None)),
            "os": pick(("iOS", "Android", None)),
            "dwell_seconds": pick((None, Decimal("1.500"), Decimal("20.250"))),
            "invalid_reason": pick((None, None, None, "robot")),
        }
        self.put("silver.event", name, row)

    def order(self, name: str, day: date) -> None:
        """A random order of one to three categories."""
        r = self.random
        kind = r.choice(("sale", "sale", "sale", "cancellation", "adjustment"))
        sign = -1 if kind == "cancellation" else 1
        parts = [
            (c, Decimal(sign * r.randrange(1, 5)), Decimal(sign * r.randrange(100, 90000)) / 100)
            for c in sorted(r.sample(("toys", "tea", "lamps"), r.randrange(1, 4)))
        ]
        # Of some currencies no rate is known, and of some products no cost.
        rate = r.choice((Decimal(1), Decimal(1), Decimal("7.25"), None))
        total = sum((p[2] for p in parts), Decimal(0))
        reported = None if rate is None else total * rate
        row = {
            "id": name,
            "rate": rate,
            "reported": reported,
            "gained": None if reported is None or r.random() < 0.2 else reported / 5,
            "day": day,
            "moment": noon(day, r.randrange(24)),
            "kind": kind,
            "channel": r.choice(("web", "store")),
            "owner_node": r.choice((*NODES, None)),
            "categories": parts,
            "units": sum((p[1] for p in parts), Decimal(0)),
            "product_amount": total,
        }
        self.put("silver.order", name, row)

    def state(self, attribute: str, values: tuple[str, ...]) -> None:
        """The golden record of a customer has a value, or has it no more."""
        key = (self.random.choice((101, 102, 103, 104)), attribute)
        if key in self.tables["gold.golden_record"] and self.random.random() < 0.4:
            del self.tables["gold.golden_record"][key]
            self.changed.get("gold.golden_record", {}).pop(key, None)
            self.gone.append(key)
            return
        row = {"customer_id": key[0], "attribute": attribute, "value": self.random.choice(values)}
        self.put("gold.golden_record", key, row)

    def grow(self, step: int, day: date) -> None:
        """New facts before, on and after a day, restated ones, moved identifiers, attributes."""
        r = self.random
        for i in range(30):
            back = r.choice((-3, 0, 0, 1, 6, 7, 29, 30, 31, 90, 200))
            self.event(f"e{step}-{i}", day - timedelta(days=back))
        for i in range(15):
            back = r.choice((-2, 0, 1, 7, 30, 89, 364, 365))
            self.order(f"o{step}-{i}", day - timedelta(days=back))
        if step:
            for key in r.sample(sorted(self.tables["silver.event"]), 4):
                self.event(key, self.tables["silver.event"][key]["day"])
            for key in r.sample(sorted(self.tables["silver.order"]), 4):
                self.order(key, day - timedelta(days=r.randrange(40)))
        for key in r.sample(sorted(self.tables["silver.event"]), 12):
            self.session(key, r.choice((1, 3, 5, None)))
        for n in r.sample(NODES, 2) if step else (1, 2):
            self.node(n, r.choice(("active", "shared", "limit")) if step else "limit")
        for node in r.sample(NODES, 2) if step else NODES:
            self.link(node, r.choice((101, 102, 103, 104)) if node != 8 else None)
        for _ in range(3):
            self.state("gender", ("female", "male", "other"))
            self.state("birthday", ("1990-02-28", "2001-07-09"))
            self.state("city", ("上海", "Leeds"))
            self.state("hobby", ("chess",))


def frame(spark: SparkSession, table: str, kept: list[Row]) -> DataFrame:
    """Rows as a frame with the columns of the contract."""
    contract, names = contracts.table(table), DELIVERED[table]
    types = {c.name: c.type for c in contract.columns}
    schema = ", ".join(f"`{c}` {types[c]}" for c in names)
    given = spark.createDataFrame([tuple(row[k] for k in names.values()) for row in kept], schema)
    fill = {
        "source": F.lit("s"),
        "node_id": F.lit(1),
        "observed_at": F.lit(START),
        "rule": F.lit("only value"),
        "candidates": F.lit(1),
        "agreeing": F.lit(1),
        "alternatives": F.array(),
        "currency": F.lit("EUR"),
        "session_date": F.lit(START),
        "session_id": F.lit(1),
        "identifiers": F.array(),
        "line_count": F.lit(1),
        "records": F.lit(1),
        "first_seen": F.lit(START),
        "last_seen": F.lit(START),
        **({"amount": F.col("product_amount")} if "product_amount" in names else {}),
    }
    others = [c for c in contract.columns if c.name not in names]
    return given.select(
        "*", *(fill.get(c.name, F.lit(None)).cast(c.type).alias(c.name) for c in others)
    )


def deliver(
    job: Job, changed: dict[str, dict[Any, Row]], gone: list[tuple[int, str]] | None = None
) -> None:
    """Write what changed to silver and identity, and take away golden records that are gone."""
    with (
        pytest.MonkeyPatch.context() as patch,
        job.batch(f"load {job.ledger.last_seq}", outputs=list(DELIVERED)) as b,
    ):
        patch.setattr(quality, "gate", lambda *_: None)  # what is delivered is not under test
        for table, kept in changed.items():
            write = b.upsert if contracts.table(table).key else b.append
            write(table, frame(job.spark, table, list(kept.values())))
        if gone:
            golden = contracts.table("gold.golden_record")
            keys = job.spark.createDataFrame(gone, "customer_id BIGINT, attribute STRING")
            b.delete_keys(golden.name, keys, golden.key)


def stored(job: Job, table: str) -> list[tuple[Any, ...]]:
    """The compared columns of all rows, in a fixed order."""
    found = job.read(table).select(*contracts.table(table).compared).collect()
    return sorted((tuple(r) for r in found), key=str)


def expected(c: Company, run_date: date) -> dict[str, list[Row]]:
    """The same features from the raw rows, by another engine and other ways."""
    db = duckdb.connect()
    owned = [r for r in c.rows("silver.order") if r["owner_node"]]
    inputs: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
        "events": (
            (
                "event_name VARCHAR, channel VARCHAR, owner_node BIGINT, category VARCHAR, "
                "device_model VARCHAR, os VARCHAR, dwell_seconds DECIMAL(28,4), id VARCHAR, "
                "day DATE, moment TIMESTAMP"
            ),
            [
                tuple({**r, "owner_node": c.owner(r)}[k] for k in (*SAME, "id", "day", "moment"))
                for r in c.rows("silver.event")
                if c.owner(r) and not r["invalid_reason"]
            ],
        ),
        "orders": (
            (
                "kind VARCHAR, channel VARCHAR, owner_node BIGINT, day DATE, moment TIMESTAMP, "
                "units DECIMAL(28,4), amount DECIMAL(28,4), margin DECIMAL(28,4)"
            ),
            [tuple(r[k] for k in ORDERED) for r in owned if r["kind"] != "adjustment"],
        ),
        "parts": (
            (
                "owner_node BIGINT, day DATE, category VARCHAR, units DECIMAL(28,4), "
                "amount DECIMAL(28,4)"
            ),
            [
                (r["owner_node"], r["day"], *part[:2], part[2] * (r["rate"] or 0))
                for r in owned
                if r["kind"] == "sale"
                for part in r["categories"]
            ],
        ),
        "links": (
            "node_id BIGINT, customer_id BIGINT",
            [
                (r["node_id"], r["customer_id"])
                for r in c.rows("identity.link")
                if r["valid_to"] is None
            ],
        ),
    }
    columns, links = inputs["links"]
    inputs["counting"] = (columns, [x for x in links if c.counts(x[0])])
    for name, (columns, kept) in inputs.items():
        db.execute(f"CREATE TABLE {name} ({columns})")
        db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(kept[0]))})", kept)
    db.execute(f"CREATE MACRO run_day() AS DATE '{run_date}'")
    answer = {}
    for table, text in zip(TABLES, ORACLE.split(";\n"), strict=False):
        result = db.execute(text)
        names = [d[0] for d in result.description]
        answer[table] = [dict(zip(names, r, strict=True)) for r in result.fetchall()]
    for row in answer["gold.customer_feature"]:
        row.update(stated(c, row["customer_id"]))
        dates, part, whole = row.pop("order_dates"), row.pop("part"), row.pop("whole")
        several = len(dates) > 1
        row["previous_order_on"] = dates[-2] if several else None
        row["order_days"] = len(dates)
        span = Decimal((dates[-1] - dates[0]).days) / (len(dates) - 1) if several else None
        row["purchase_cycle_days"] = rounded(span, "0.01")
        share = Decimal(part) / Decimal(whole) if whole else None
        row["top_category_share"] = rounded(share, "0.0001")
    return answer


def stated(c: Company, customer: int) -> Row:
    """The golden record of a customer."""
    names = ("gender", "birthday", "city", "region", "level", "registered_on")
    found: Row = {
        a: c.tables["gold.golden_record"].get((customer, a), {}).get("value") for a in names
    }
    if found["birthday"]:
        found["birthday"] = date.fromisoformat(found["birthday"])
    return found


def rounded(value: Decimal | None, unit: str) -> Decimal | None:
    return None if value is None else value.quantize(Decimal(unit), "ROUND_HALF_UP")


def assert_as_expected(job: Job, c: Company) -> None:
    """Every value of every table is what the oracle says."""
    for table, wanted in expected(c, job.run_date).items():
        contract = contracts.table(table)
        found = {tuple(r[k] for k in contract.key): r for r in job.read(table).collect()}
        assert len(found) == len(wanted), table
        for row in wanted:
            mine = found[tuple(row[k] for k in contract.key)]
            for column in contract.columns:
                if column.name.startswith("_"):
                    continue
                value = row[column.name]
                if value is None and column.required:
                    value = [] if column.type.startswith("ARRAY") else 0
                assert mine[column.name] == value, (table, column.name, row)


def test_batches_give_the_features_of_all_at_once_and_of_duckdb(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    run = run_path(str(JOBS / "04_tags" / "features.py"))["run"]
    company = Company(seed=7)
    # More on the same date, a month later, back in time, and a date with nothing new at all.
    dates = [START + timedelta(days=d) for d in (100, 100, 131, 120, 190)]
    for step, day in enumerate(dates):
        job = make_job("04_tags/features", run_date=day)
        if step < 4:
            company.grow(step, max(dates[: step + 1]))
            deliver(job, company.changed, company.gone)
            company.changed, company.gone = {}, []
        before = dict(job.ledger.published)
        run(job)
        assert_as_expected(job, company)
    assert all(job.ledger.published[t] == before[t] for t in TABLES[:2]), "only the date has moved"

    before = dict(job.ledger.published)
    again = make_job("04_tags/features", run_date=day)
    run(again)
    assert again.summaries[-1].outcome == "unchanged"
    assert again.ledger.published == before

    whole = make_job("04_tags/features", run_date=day, lake=tmp_path / "rebuilt")
    deliver(whole, {t: rows for t, rows in company.tables.items() if rows})
    run(whole)
    for table in TABLES:
        assert stored(whole, table) == stored(job, table)
