"""The job of the golden record: batch by batch as at once, and nothing written that is not other."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F
from tests.spark.helpers import overlay, run

from lakecdp import contracts
from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

GOLDEN = "gold.golden_record"
JOB = "03_identity/golden"
DAY = date(2026, 11, 1)
RULES = """
attributes:
  city: {by: [agreement, recency]}
  level: {by: [recency], max_age_days: 10}
"""
Key = tuple[int, str, str]
IDS = "ARRAY<STRUCT<type: STRING, node_id: BIGINT>>"
ATTRIBUTES = "owner_node BIGINT, name STRING, source STRING, value STRING, observed_at TIMESTAMP"


class Company:
    """What silver and identity hold, and what is to be written of it."""

    def __init__(self) -> None:
        self.stated: dict[Key, tuple[str, datetime]] = {}
        self.links: dict[tuple[int, datetime], tuple[int, datetime | None]] = {}
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self.done()

    def done(self) -> None:
        """All is written."""
        self.new: set[Key] = set()
        self.left: set[Key] = set()
        self.moved: set[tuple[int, datetime]] = set()

    def state(self, node: int, name: str, source: str, value: str, day: date) -> None:
        """A source states something of an identifier."""
        at = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
        self.stated[node, name, source] = (value, at)
        self.new.add((node, name, source))
        self.left.discard((node, name, source))

    def take_back(self, key: Key) -> None:
        """A restated source does not say it any more."""
        del self.stated[key]
        self.new.discard(key)
        self.left.add(key)

    def link(self, node: int, customer: int) -> None:
        """An identifier goes to a customer."""
        self.clock += timedelta(hours=1)
        for key, (other, until) in list(self.links.items()):
            if key[0] == node and until is None:
                if other == customer:
                    return
                self.links[key] = (other, self.clock)
                self.moved.add(key)
        self.links[node, self.clock] = (customer, None)
        self.moved.add((node, self.clock))

    def everything(self) -> None:
        """All is to be written, as to a lake that is empty."""
        self.new, self.moved = set(self.stated), set(self.links)

    def deliver(self, job: Job) -> None:
        """Write what is new."""
        spark = job.spark
        said = [(*k, *self.stated[k]) for k in sorted(self.new)]
        moved = [(*k, *self.links[k]) for k in sorted(self.moved)]
        outputs = ["silver.attribute", "silver.vacated", "identity.link"]
        with job.batch(f"load {job.ledger.last_seq}", outputs=outputs) as b:
            if said:
                frame = spark.createDataFrame(said, ATTRIBUTES).withColumns(
                    {
                        "identifiers": F.expr(f"CAST(array(struct('phone', owner_node)) AS {IDS})"),
                        **{c: F.lit(None) for c in ("_version_at", "_content", "_arrived_at")},
                    }
                )
                b.upsert("silver.attribute", frame)
            if self.left:
                gone = spark.createDataFrame(
                    sorted(self.left), "owner_node BIGINT, name STRING, source STRING"
                )
                b.delete_keys("silver.attribute", gone, gone.columns)
                noted = gone.selectExpr(
                    "'silver.attribute' AS target", "owner_node", "null AS day",
                    "null AS order_id", "null AS product_id",
                )  # fmt: skip
                b.append("silver.vacated", noted)
            if moved:
                schema = (
                    "node_id BIGINT, valid_from TIMESTAMP, customer_id BIGINT, valid_to TIMESTAMP"
                )
                b.upsert("identity.link", spark.createDataFrame(moved, schema))
        self.done()


def stored(job: Job, *columns: str) -> dict[tuple[int, str], tuple[Any, ...]]:
    """Rows of the golden record by key."""
    wanted = columns or contracts.table(GOLDEN).compared
    found = job.read(GOLDEN).collect()
    return {(r["customer_id"], r["attribute"]): tuple(r[c] for c in wanted) for r in found}


@pytest.fixture
def golden(
    make_job: Callable[..., Job], tmp_path: Path
) -> Callable[..., tuple[Job, set[tuple[int, str]]]]:
    """Deliver, choose on a day; returns the job and the keys of the rows that were written."""
    conf = overlay(tmp_path / "conf")
    (conf / "golden.yaml").write_text(RULES)

    def choose(
        company: Company, day: date = DAY, lake: str = "lake", rules: str | None = None
    ) -> tuple[Job, set[tuple[int, str]]]:
        if rules is not None:
            (conf / "golden.yaml").write_text(rules)
        job = make_job("load", conf=conf, run_date=day, lake=tmp_path / lake)
        if company.new or company.left or company.moved:
            company.deliver(job)
        job.last = run(job, JOB)
        written = {k for k, (seq,) in stored(job, "_batch").items() if seq == job.ledger.last_seq}
        return job, written

    return choose


def test_a_batch_chooses_for_the_customers_concerned_and_writes_what_differs(golden) -> None:
    c = Company()
    for node, customer in ((1, 100), (2, 100), (3, 200), (4, 300)):
        c.link(node, customer)
    c.state(1, "city", "crm", "Leeds", DAY)
    c.state(2, "city", "crm", "York", DAY - timedelta(days=1))
    c.state(2, "hobby", "crm", "chess", DAY)
    c.state(3, "city", "crm", "York", DAY)
    c.state(4, "city", "crm", "Hull", DAY)
    c.state(4, "level", "crm", "gold", DAY - timedelta(days=9))
    c.state(4, "level", "pos", "silver", DAY - timedelta(days=10))
    job, written = golden(c)
    values = ("value", "rule", "candidates", "agreeing")
    assert stored(job, *values) == {
        (100, "city"): ("Leeds", "recency", 2, 1),
        (100, "hobby"): ("chess", "only value", 1, 1),
        (200, "city"): ("York", "only value", 1, 1),
        (300, "city"): ("Hull", "only value", 1, 1),
        (300, "level"): ("gold", "recency", 2, 1),
    }

    # A merge: node 3 comes to customer 100, of whom York now has a second voice.
    c.link(3, 100)
    job, written = golden(c)
    assert written == {(100, "city")}
    assert (200, "city") not in stored(job)
    assert stored(job, *values)[100, "city"] == ("York", "agreement 2 of 3 identifiers", 3, 2)

    # A split: node 2 goes its own way; the hobby goes with it.
    c.link(2, 400)
    job, written = golden(c)
    assert written == {(100, "city"), (400, "city"), (400, "hobby")}
    assert (100, "hobby") not in stored(job)
    assert stored(job, *values)[100, "city"] == ("Leeds", "tie", 2, 1)

    # The same statement once more with another time of change, and nothing that differs.
    before = dict(job.ledger.published)
    c.new.add((4, "city", "crm"))
    job, written = golden(c)
    assert not written
    assert job.ledger.published[GOLDEN] == before[GOLDEN]

    # Nothing new, and a rule without an effect.
    commits = dict(job.ledger.published)
    job, written = golden(c)
    assert job.last[-1].outcome == "unchanged"
    job, written = golden(c, rules=RULES + "  shoe_size: {type: number}\n")
    assert not written
    assert job.ledger.published == commits

    # A restated source takes a statement back; another attribute of the customer stays as it is.
    c.take_back((4, "city", "crm"))
    job, written = golden(c)
    assert not written
    assert (300, "city") not in stored(job)
    assert (300, "level") in stored(job)

    # Days go by: the older level grows too old on the first, the other on the third.
    for days, wanted in ((1, ("gold", "only value", 1, 1)), (2, None)):
        job, written = golden(c, DAY + timedelta(days=days))
        assert written == ({(300, "level")} if wanted else set())
        assert stored(job, *values).get((300, "level")) == wanted
    job, _ = golden(c, DAY)
    assert stored(job, *values)[300, "level"] == ("gold", "recency", 2, 1), "an earlier run date"

    # Another rule chooses again for everybody, and writes the rows that differ.
    job, written = golden(c, rules="default: {by: [agreement]}")
    assert written == {(300, "level")}, "agreement knows no date: a tie, by source"
    assert stored(job, *values)[300, "level"] == ("gold", "tie", 2, 1)


def test_what_is_stated_of_a_device_that_persons_share_is_of_nobody(
    golden, make_job: Callable[..., Job]
) -> None:
    c = Company()
    c.link(1, 100)
    c.link(2, 100)
    c.state(1, "city", "crm", "Leeds", DAY - timedelta(days=1))
    c.state(2, "city", "app", "York", DAY)
    c.state(2, "hobby", "app", "go", DAY)

    def seen(status: str) -> tuple[dict[str, str], set[tuple[int, str]]]:
        job = make_job("resolve")
        row = (2, "device_id", status, None, c.clock)
        names = contracts.table("identity.node").column_names
        types = ("BIGINT", "STRING", "STRING", "TIMESTAMP", "TIMESTAMP")
        schema = ", ".join(f"{n} {t}" for n, t in zip(names, types, strict=True))
        with job.batch("node", outputs=["identity.node"]) as b:
            b.upsert("identity.node", job.spark.createDataFrame([row], schema))
        job, written = golden(c)
        return {a: v for (_, a), (v,) in stored(job, "value").items()}, written

    assert seen("active")[0] == {"city": "York", "hobby": "go"}
    assert seen("shared") == ({"city": "Leeds"}, {(100, "city")})
    c.clock += timedelta(hours=1)
    assert seen("shared") == ({"city": "Leeds"}, set())
    assert seen("active")[0] == {"city": "York", "hobby": "go"}


def test_batches_give_what_a_rebuild_gives(golden) -> None:
    r, c, day = random.Random(1), Company(), DAY
    words = {"city": ("Leeds", "York", "leeds"), "level": ("gold", "s"), "hobby": ("go", "chess")}
    before: dict[tuple[int, str], tuple[Any, ...]] = {}
    for step in range(4):
        for _ in range(8 if step else 40):
            name = r.choice(sorted(words))
            value = r.choice(words[name])
            back = timedelta(days=r.randrange(-2, 14))
            c.state(r.randrange(1, 13), name, r.choice(("crm", "pos", "app")), value, day - back)
        for key in r.sample(sorted(c.stated), 3 if step else 0):
            c.take_back(key)
        for node in r.sample(range(1, 13), 3 if step else 12):
            c.link(node, r.randrange(100, 106))
        job, written = golden(c, day)
        now = stored(job)
        assert written == {k for k in now if now[k] != before.get(k)}, "only rows that differ"
        before = now
        day += timedelta(days=(1, 5, -3, 0)[step])
    whole = Company()
    whole.stated, whole.links = dict(c.stated), dict(c.links)
    whole.everything()
    assert stored(golden(whole, day, lake="rebuilt")[0]) == now
    why = {row[6].split(" ")[0] for row in now.values()}
    assert why >= {"only", "recency", "agreement"}
