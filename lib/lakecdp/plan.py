"""What a change of the identity rules would do, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from pyspark.sql import functions as F

from lakecdp.bronze.mapping import load_sources
from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.decisions import frame, in_files
from lakecdp.identity.plan import EXAMPLES, Cluster, Plan, plan
from lakecdp.identity.resolve import fingerprint
from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job
from lakecdp.silver.conform import fingerprint as conform_fingerprint
from lakecdp.silver.conform import meaning_of

RESOLVE, CONFORM = "03_identity/resolve", "02_silver/conform"


def plan_lines(job: Job) -> Iterator[str]:
    """Rules and decisions of the job's configuration held against the customers as they are.

    Raises:
        UsageError: no customers are there yet.
    """
    rules = IdentityRules.load(job.conf)
    consumed = job.ledger.consumed(RESOLVE, "")
    if not consumed.mark:
        raise UsageError("No customers are there yet: nothing to hold the rules against.")
    decisions = frame(job.spark, in_files(job, rules)).withColumn("valid_to", F.lit(None))
    found = plan(job.read, rules, decisions, date.fromisoformat(consumed.run_date))
    if consumed.rules == fingerprint(rules):
        yield "These are the rules in force."
    again = _conformed_again(job)
    if again:
        yield (
            f"Not foreseen here: records of {', '.join(again)} would be conformed again first, since "
            "what an identifier is (format, junk) or who owns a record (priority) is another."
        )
    yield f"customers unchanged  {found.unchanged:>12,}"
    yield f"customers moved      {found.moved:>12,}  (stay, and gain or lose identifiers)"
    yield f"customers gone       {found.gone:>12,}  (all their identifiers go to others)"
    yield f"customers new        {found.new:>12,}"
    yield f"identifiers moved    {found.identifiers:>12,}"
    for when, cluster in zip(("before", "after"), found.largest, strict=True):
        yield f"largest {when:<13}{cluster.size:>12,}  {_types(cluster)}"
    for reason in sorted({*found.blocked[0], *found.blocked[1]}):
        now, then = (b.get(reason, 0) for b in found.blocked)
        yield f"pairs kept apart, {reason}: {now:,} before, {then:,} after"
    if len(found.changes):
        yield f"{len(found.changes):,} changes, the {min(EXAMPLES, len(found.changes))} largest:"
        yield from _examples(job, found)
    if not found.nothing:
        yield "Nothing is written. To apply: lakecdp identity apply with the same --conf."


def _conformed_again(job: Job) -> list[str]:
    """Sources whose records would become something else by the rules of the job."""
    meaning = meaning_of(job.conf, job.settings)
    found = []
    for source in load_sources(job.conf, job.settings):
        name = source.mapping.source
        before = job.ledger.consumed(CONFORM, name)
        if before.mark and before.rules != conform_fingerprint(source, meaning):
            found.append(name)
    return found


def _types(cluster: Cluster) -> str:
    parts = ", ".join(f"{n:,} {t}" for t, n in cluster.identifiers.items())
    return f"customer {cluster.customer_id}: {parts}" if parts else ""


def _examples(job: Job, found: Plan) -> Iterator[str]:
    some = found.changes.head(EXAMPLES)
    nodes = sorted({*some["node_a"].tolist(), *some["node_b"].tolist()} - {0})
    known = job.read("silver.identifier").where(F.col("node_id").isin(nodes)).collect()
    names = {int(r["node_id"]): f"{r['type']} {r['value']}" for r in known}
    for row in some.itertuples():
        yield "  " + _sentence(row, names)


def _sentence(row: Any, names: Mapping[int, str]) -> str:
    pair = " - ".join(names.get(int(n), str(n)) for n in (row.node_a, row.node_b) if n)
    if row.kind == "split":
        why = f"; {pair} is kept apart" if pair else ""
        return (
            f"split: {row.nodes:,} identifiers of customer {row.from_customer_id} become part of "
            f"customer {row.customer_id}{why}"
        )
    if row.kind == "merge":
        why = f" by {pair}" if pair else ""
        return (
            f"merge: customer {row.customer_id} takes in {row.nodes:,} identifiers of customer "
            f"{row.from_customer_id}{why}"
        )
    return f"{row.kind}: {row.nodes:,} identifiers, customer {row.customer_id}"
