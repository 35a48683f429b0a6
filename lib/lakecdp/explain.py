"""Why two identifiers are one customer, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.show import Explanation, explain, find
from lakecdp.platform.errors import UsageError
from lakecdp.platform.job import Job


def explain_lines(job: Job, first: str, second: str) -> Iterator[str]:
    """The chain of evidence between two identifiers, one line a step.

    Raises:
        UsageError: an identifier is unknown.
    """
    rules = IdentityRules.load(job.conf)
    known = job.read("silver.identifier")
    a, b = (_node(known, t, rules, job.settings.phone_region) for t in (first, second))
    told = explain(job.read("identity.link"), job.read("identity.edge"), a, b)
    nodes = {n for s in told.steps for n in (s.node_a, s.node_b)} | {a, b}
    rows = known.where(F.col("node_id").isin(sorted(nodes))).collect()
    names = {r["node_id"]: f"{r['type']} {r['value']}" for r in rows}
    yield _verdict(told, names[a], names[b])
    for s in told.steps:
        seen = (
            f"{s.source}, {s.evidence}, first {s.first_seen:%Y-%m-%d}" if s.first_seen else s.source
        )
        why = f" (kept apart: {s.reason})" if s.reason else ""
        yield f"  {names.get(s.node_a, s.node_a)} - {names.get(s.node_b, s.node_b)}: {seen}{why}"


def _node(known: DataFrame, text: str, rules: IdentityRules, region: str | None) -> int:
    found = find(known, text, rules, region)
    if not found:
        raise UsageError(f"No record has the identifier {text!r}.")
    return found[0][0]


def _verdict(told: Explanation, a: str, b: str) -> str:
    if told.same:
        return f"{a} and {b} are one customer, {told.customer_a}:"
    return f"{a} (customer {told.customer_a}) and {b} (customer {told.customer_b}) are not one customer."
