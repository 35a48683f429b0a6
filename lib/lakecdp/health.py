"""The health of identity, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.health import Health, health
from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job


def health_lines(job: Job) -> Iterator[str]:
    """The report, a line each.

    Raises:
        UsageError: no customers are there yet.
    """
    if "identity.link" not in job.ledger.published:
        raise UsageError("No customers are there yet.")
    found = health(job.read, IdentityRules.load(job.conf))
    names = _names(job, found)
    half, most, nearly, largest = found.sizes
    yield f"{found.customers:,} customers of {found.identifiers:,} identifiers"
    yield (
        f"identifiers of a customer: median {half:,}, 90 % have at most {most:,}, "
        f"99 % at most {nearly:,}, the largest {largest:,}"
    )
    for kind, count in found.singles.items():
        yield f"customers of one identifier, {kind}: {count:,}"
    for reason, count in found.blocked.items():
        yield f"pairs kept apart, {reason}: {count:,}"
    if found.shared:
        yield f"devices that persons share, where only what a login tells counts: {found.shared:,}"
    for node in found.super_nodes:
        some = ", ".join(names.get(n, str(n)) for n in node.samples)
        yield f"meets too many: {names.get(node.node_id, node.node_id)}: {node.met:,}, such as {some}"
    for bridge in found.bridges:
        yield (
            f"holds together alone: {names.get(bridge.node_id, bridge.node_id)}: {bridge.parts} parts "
            f"of customer {bridge.customer_id}"
        )
    for customer, count in found.suspects.items():
        yield f"in conflict: customer {customer}: {count:,} pairs kept apart by a veto"
    for rate in found.channels:
        yield (
            f"{rate.records} of channel {rate.channel} that reach a known customer: "
            f"{rate.known:,} of {rate.total:,}, {rate.rate:.1%}"
        )


def _names(job: Job, found: Health) -> dict[int, str]:
    nodes = {n for s in found.super_nodes for n in (s.node_id, *s.samples)}
    nodes |= {b.node_id for b in found.bridges}
    rows = job.read("silver.identifier").where(F.col("node_id").isin(sorted(nodes))).collect()
    return {r["node_id"]: f"{r['type']} {r['value']}" for r in rows}
