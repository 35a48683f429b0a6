"""Choose the golden record: of all that is stated of a customer, one value for each attribute.

Grain: gold.golden_record one row per customer and attribute, with where the value is from and why.

spark-submit --py-files dist/lakecdp.zip jobs/03_identity/golden.py --env demo --run-date 2026-11-01
"""

from datetime import date

from pyspark.sql import DataFrame

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity import golden, golden_rules
from lakecdp.identity.golden import ATTRIBUTE, GOLDEN, LINK, NODE, READS, VACATED
from lakecdp.identity.golden_rules import GoldenRules
from lakecdp.identity.shared import counting, is_device, is_shared
from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job, main


def run(job: Job) -> None:
    """Choose again for the customers concerned, and write the rows that differ."""
    rules, identities = golden_rules.load(job.conf), IdentityRules.load(job.conf)
    version = f"{rules.fingerprint}: {is_shared(identities)}"
    with job.batch(inputs=READS, outputs=[GOLDEN], rules=version, daily=rules.ages) as b:
        if b.nothing_new:
            return
        links, before = b.read(LINK).where("valid_to IS NULL"), b.read(GOLDEN)
        if not everybody(b, rules):
            customers = b.keep(concerned(b, rules, links, is_device(identities)))
            links = links.join(customers, "customer_id", "left_semi")
            before = before.join(customers, "customer_id", "left_semi")
        links = counting(links, b.read(NODE), identities)
        stated = golden.statements(b.read(ATTRIBUTE), links, rules, b.run_date)
        rows = golden.changes(golden.choose(stated, rules), before)
        counts = b.upsert(GOLDEN, rows, delete_when="s._gone")
        b.count(rows_out=counts.written + counts.deleted)


def everybody(b: Batch, rules: GoldenRules) -> bool:
    """Whether all are chosen again: first run, other rules, or ages as of an earlier run date."""
    return b.full or (rules.ages and b.run_date < date.fromisoformat(b.since.run_date))


def concerned(b: Batch, rules: GoldenRules, links: DataFrame, device: str) -> DataFrame:
    """Customers with new statements or links, with values grown old, or with a device now shared."""
    nodes = b.new_rows(ATTRIBUTE).selectExpr("owner_node AS node_id")
    left = b.new_rows(VACATED).where(f"target = '{ATTRIBUTE}'")
    nodes = nodes.union(left.selectExpr("owner_node"))
    nodes = nodes.union(golden.stating(b.new_rows(NODE).where(device), b.read(ATTRIBUTE)))
    if b.new_date:
        last = date.fromisoformat(b.since.run_date)
        nodes = nodes.union(golden.grown_old(b.read(ATTRIBUTE), rules, last, b.run_date))
    return golden.concerned(nodes, b.new_rows(LINK), links)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
