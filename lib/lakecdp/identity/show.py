"""Questions to identity: why are two identifiers one customer, and who was it on a day."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules, normalise
from lakecdp.identity.evidence import in_force


@dataclass(frozen=True)
class Step:
    """One edge: two identifiers and the record that shows them together."""

    node_a: int
    node_b: int
    type_a: str
    type_b: str
    source: str
    target: str
    evidence: str
    weight: float | None
    first_seen: datetime | None
    last_seen: datetime | None
    reason: str | None


@dataclass(frozen=True)
class Explanation:
    """Why two identifiers are one customer, or what keeps them apart.

    Attributes:
        customer_a: customer of the first identifier, None when it is unknown.
        customer_b: customer of the second.
        steps: the shortest chain of evidence from the first to the second; for two customers the
            blocked edges between them, if there are any.
    """

    customer_a: int | None
    customer_b: int | None
    steps: tuple[Step, ...] = field(default=())

    @property
    def same(self) -> bool:
        """Whether both are one customer."""
        return self.customer_a is not None and self.customer_a == self.customer_b


def links_at(links: DataFrame, at: datetime) -> DataFrame:
    """The links in force at a moment of arrival time.

    Args:
        links: identity.link.
        at: the moment; a naive one is UTC.

    Returns:
        One row per node_id: node_id BIGINT, customer_id BIGINT.
    """
    moment = F.lit(at)
    valid = (F.col("valid_from") <= moment) & (
        F.col("valid_to").isNull() | (F.col("valid_to") > moment)
    )
    return links.where(valid).select("node_id", "customer_id")


def find(
    identifier: DataFrame, text: str, rules: IdentityRules, region: str | None
) -> list[tuple[int, str]]:
    """Identifiers that a person may mean by a text: a value, or `type:value`.

    Args:
        identifier: silver.identifier.
        text: as typed.
        rules: identity rules, for the normal form.
        region: country of phone numbers without a prefix.

    Returns:
        node_id and type, strongest type first.
    """
    kind, _, value = text.partition(":")
    typed = {kind: value} if kind in rules.by_name and value else dict.fromkeys(rules.names, text)
    match = F.lit(False)
    for name, given in typed.items():
        match = match | (
            (F.col("type") == name)
            & (F.col("value") == normalise(name, F.lit(given), rules, region))
        )
    rows = identifier.where(match).select("node_id", "type").collect()
    return sorted(((r[0], r[1]) for r in rows), key=lambda r: (rules.names.index(r[1]), r[0]))


def explain(links: DataFrame, edges: DataFrame, a: int, b: int) -> Explanation:
    """The shortest chain of evidence between two identifiers; see `Explanation`.

    Args:
        links: identity.link.
        edges: identity.edge.
        a: node_id of the first.
        b: node_id of the second.
    """
    current = links.where("valid_to IS NULL").select("node_id", "customer_id")
    of = {r[0]: r[1] for r in current.where(F.col("node_id").isin([a, b])).collect()}
    first, second = of.get(a), of.get(b)
    if first is None or second is None or a == b:
        return Explanation(first, second)
    members = current.where(F.col("customer_id").isin([first, second]))
    owner = {r[0]: r[1] for r in members.collect()}
    start = members.select(F.col("node_id").alias("node_a"))
    steps = [
        _step(r.asDict()) for r in in_force(edges).join(start, "node_a", "left_semi").collect()
    ]
    inside = [s for s in steps if s.node_b in owner]
    if first == second:
        return Explanation(first, second, _chain((s for s in inside if s.reason is None), a, b))
    between = [s for s in inside if s.reason and owner[s.node_a] != owner[s.node_b]]
    return Explanation(first, second, tuple(sorted(between, key=_age)))


def _step(row: dict[str, object]) -> Step:
    return Step(**{n: row[n] for n in Step.__dataclass_fields__})  # type: ignore[arg-type]


def _age(step: Step) -> tuple[bool, str, int, int, str, str]:
    seen = step.first_seen
    return (
        seen is None,
        seen.isoformat() if seen else "",
        step.node_a,
        step.node_b,
        step.source,
        step.target,
    )


def _chain(steps: Iterable[Step], a: int, b: int) -> tuple[Step, ...]:
    near: dict[int, list[tuple[int, Step]]] = {}
    for s in sorted(steps, key=_age):
        near.setdefault(s.node_a, []).append((s.node_b, s))
        near.setdefault(s.node_b, []).append((s.node_a, s))
    came: dict[int, tuple[int, Step] | None] = {a: None}
    queue = deque([a])
    while queue and b not in came:
        here = queue.popleft()
        for there, s in near.get(here, ()):
            if there not in came:
                came[there] = (here, s)
                queue.append(there)
    out: list[Step] = []
    at = came.get(b)
    while at is not None:
        out.append(at[1])
        at = came[at[0]]
    return tuple(reversed(out))
