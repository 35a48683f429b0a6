"""Daily partials per identifier, and features: one row per customer.

spark-submit --py-files dist/lakecdp.zip jobs/04_tags/features.py --env demo --run-date 2026-11-01
"""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.shared import is_device, is_shared
from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job, main
from lakecdp.silver.sessions import owned
from lakecdp.silver.valid import valid
from lakecdp.tags import features

GOLDEN = "gold.golden_record"
INPUTS = (
    "silver.event",
    "silver.order",
    GOLDEN,
    "identity.link",
    "silver.vacated",
    "silver.vacated_order",
    "silver.event_session",
    "silver.vacated_session",
    "silver.event_traffic",
    "identity.node",
)
OUTPUTS = ("gold.node_day", "gold.node_category_day", "gold.customer_feature")
FEW_DAYS = 400


def run(job: Job) -> None:
    """Compute again the partials of touched days, then the customers concerned."""
    identities = IdentityRules.load(job.conf)
    shared = is_shared(identities)
    version = f"{features.VERSION}: {shared}"
    with job.batch(inputs=INPUTS, outputs=OUTPUTS, rules=version, daily=True) as b:
        if b.nothing_new:
            return
        pairs = None if b.full else new_pairs(b)
        days = few_days(pairs)
        if days is None or days:
            write_partials(b, pairs, days)
        links = b.read("identity.link").where("valid_to IS NULL")
        node_days = job.lake.read("gold.node_day")
        customers = (
            None if everybody(b) else concerned(b, pairs, links, node_days, is_device(identities))
        )
        nodes = b.read("identity.node")
        wanted = features.typed_links(links, customers, nodes, shared).persist()
        rows = features.customer_feature(
            wanted,
            node_days,
            job.lake.read("gold.node_category_day"),
            b.read(GOLDEN),
            b.run_date,
        )
        b.count(rows_out=write_customers(b, rows, customers, wanted))
        for frame in (pairs, customers, wanted):
            if frame is not None:
                frame.unpersist()


def new_pairs(b: Batch) -> DataFrame:
    """Owner and day of what changed since the run before."""
    left = b.new_rows("silver.event_session").select("owner_node", F.col("event_date").alias("day"))
    for table in ("silver.vacated", "silver.vacated_order", "silver.vacated_session"):
        left = left.union(b.new_rows(table).select("owner_node", "day"))
    events = b.new_rows("silver.event")
    events = owned(events, of_days(b.read("silver.event_session"), few_days(events, "event_date")))
    return features.touched(events, b.new_rows("silver.order"), left).persist()


def few_days(rows: DataFrame | None, day: str = "day") -> list[date] | None:
    """The days concerned; None when all are, or so many that naming them is of no use."""
    if rows is None:
        return None
    days = [r[0] for r in rows.select(day).distinct().limit(FEW_DAYS + 1).collect()]
    return days if len(days) <= FEW_DAYS else None


def of_days(rows: DataFrame, days: list[date] | None) -> DataFrame:
    """Events of some days, so that only their files are read."""
    return rows if days is None else rows.where(F.col("event_date").isin(days))


def write_partials(b: Batch, pairs: DataFrame | None, days: list[date] | None) -> None:
    """Bring gold.node_day and gold.node_category_day up to date."""
    tables = ("event", "event_session", "event_traffic")
    events, sessions, traffic = (of_days(b.read(f"silver.{t}"), days) for t in tables)
    events = owned(valid(events, traffic), sessions)
    events, orders = features.counted(events, b.read("silver.order"))
    if pairs is None:
        b.replace("gold.node_day", features.node_day(events, orders), "true")
        b.replace("gold.node_category_day", features.node_category_day(events, orders), "true")
        return
    events = features.of_pairs(events, pairs, days).persist()
    orders = features.of_pairs(orders, pairs, days).persist()
    former = features.of_pairs(b.read("gold.node_category_day"), pairs, days)
    write(b, "gold.node_day", features.node_day(events, orders, pairs))
    write(b, "gold.node_category_day", features.node_category_day(events, orders, former))
    events.unpersist()
    orders.unpersist()


def everybody(b: Batch) -> bool:
    """Whether all customers are computed: first run, new definitions, or an earlier run date."""
    return b.full or b.run_date < date.fromisoformat(b.since.run_date)


def concerned(
    b: Batch, pairs: DataFrame | None, links: DataFrame, node_days: DataFrame, devices: str
) -> DataFrame:
    """Customers with new facts, links or golden records, a window that rolls, or a device now shared."""
    nodes = b.new_rows("identity.node").where(devices).select("node_id")
    if pairs is not None:
        nodes = nodes.union(pairs.select("node_id"))
    if b.new_date:
        last = date.fromisoformat(b.since.run_date)
        nodes = nodes.union(features.rolled(node_days, last, b.run_date))
    customers = features.affected(nodes, b.new_rows("identity.link"), links)
    if b.only.consumed.seen[GOLDEN] != b.since.seen.get(GOLDEN):
        customers = customers.union(b.new_rows(GOLDEN).select("customer_id"))
        known = b.read("gold.customer_feature")
        customers = customers.union(features.lost(known, b.read(GOLDEN)))
    return customers.distinct().persist()


def write_customers(
    b: Batch, rows: DataFrame, customers: DataFrame | None, wanted: DataFrame
) -> int:
    """Bring gold.customer_feature up to date; returns the rows written."""
    if customers is None:
        return b.replace("gold.customer_feature", rows, "true")
    gone = customers.join(wanted, "customer_id", "left_anti")
    rows = rows.selectExpr("*", "false AS _gone").unionByName(
        gone.selectExpr("customer_id", "true AS _gone"), allowMissingColumns=True
    )
    return write(b, "gold.customer_feature", rows)


def write(b: Batch, table: str, rows: DataFrame) -> int:
    """Merge the rows that differ and delete those marked `_gone`; returns the rows written."""
    rows = rows.persist()
    counts = b.upsert(table, rows, update_when=features.differs(table), delete_when="s._gone")
    rows.unpersist()
    return counts.written + counts.deleted


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
