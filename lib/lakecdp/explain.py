"""Why two identifiers are one customer, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.decisions import LINK
from lakecdp.identity.evidence import DECISION
from lakecdp.identity.show import Explanation, Step, explain, find
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
    decisions = _decisions(job.read(DECISION), nodes)
    for s in told.steps:
        why = f" (kept apart: {s.reason})" if s.reason else ""
        said = _seen(s, decisions)
        yield f"  {names.get(s.node_a, s.node_a)} - {names.get(s.node_b, s.node_b)}: {said}{why}"
    for d in decisions.values():
        if d["action"] != LINK:
            ends = " - ".join(
                str(names.get(n, n)) for n in (d["node_a"], d["node_b"]) if n is not None
            )
            yield f"  {d['action']} {ends}: {_by(d)}"


def _decisions(table: DataFrame, nodes: set[int]) -> dict[str, Row]:
    """Decisions in force on some identifiers, by id."""
    held = table.where("valid_to IS NULL").where(
        F.col("node_a").isin(sorted(nodes))
        & (F.col("node_b").isNull() | F.col("node_b").isin(sorted(nodes)))
    )
    return {r["decision_id"]: r for r in held.orderBy("decided_on", "decision_id").collect()}


def _seen(step: Step, decisions: Mapping[str, Row]) -> str:
    """What shows the two identifiers of a step together."""
    decision = decisions.get(step.evidence) if step.target == DECISION else None
    if decision is not None:
        return f"linked, {_by(decision)}"
    parts = [step.source]
    if step.weight is not None and step.weight < 1:
        parts.append(f"probability {step.weight:.3f}")
    if step.first_seen:
        parts += [step.evidence, f"first {step.first_seen:%Y-%m-%d}"]
    return ", ".join(parts)


def _by(decision: Row) -> str:
    return f"decided by {decision['author']} on {decision['decided_on']}: {decision['reason']}"


def _node(known: DataFrame, text: str, rules: IdentityRules, region: str | None) -> int:
    found = find(known, text, rules, region)
    if not found:
        raise UsageError(f"No record has the identifier {text!r}.")
    return found[0][0]


def _verdict(told: Explanation, a: str, b: str) -> str:
    if told.same:
        return f"{a} and {b} are one customer, {told.customer_a}:"
    return f"{a} (customer {told.customer_a}) and {b} (customer {told.customer_b}) are not one customer."
