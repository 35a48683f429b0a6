"""One customer: identifiers, what happened to it, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.shared import counting
from lakecdp.identity.show import find
from lakecdp.platform.errors import UsageError

FIGURES = (
    "orders", "amount", "first_order_on", "last_order_on", "last_active_on", "top_category",
    "channels",
)  # fmt: skip
LATEST = 10
Read = Callable[[str], DataFrame]


def customer_lines(
    read: Read, rules: IdentityRules, region: str | None, text: str
) -> Iterator[str]:
    """What the lake knows of a customer, a line each.

    Args:
        read: the published rows of a table.
        rules: identity rules, for the normal form of an identifier.
        region: country of phone numbers without a prefix.
        text: a customer id, past or present, or an identifier as a person knows it.

    Raises:
        UsageError: there is no such customer or identifier.
    """
    customer, told = _customer(read, rules, region, text)
    yield from told
    links = read("identity.link").where(F.col("customer_id") == customer)
    values = read("silver.identifier").select("node_id", "type", "value")
    rows = links.join(values, "node_id", "left").orderBy("valid_from", "type", "value").collect()
    order = {name: i for i, name in enumerate(rules.names)}
    rows.sort(key=lambda r: (r["valid_to"] is not None, order.get(r["type"], len(order))))
    yield f"customer {customer}"
    for r in rows:
        until = f" to {_day(r['valid_to'])}" if r["valid_to"] else ""
        yield f"  {r['type']} {r['value']}  from {_day(r['valid_from'])}{until}"
    yield from _changes(read, customer)
    yield from _sessions(read, rules, customer)
    yield from _golden(read, customer, {r["node_id"]: f"{r['type']} {r['value']}" for r in rows})
    yield from _known(read, customer)


def _customer(
    read: Read, rules: IdentityRules, region: str | None, text: str
) -> tuple[int, list[str]]:
    links = read("identity.link")
    if text.isdigit() and int(text) < 1 << 63:
        mine = links.where(F.col("customer_id") == int(text))
        if not mine.isEmpty():
            return _present(read, int(text))
    found = find(read("silver.identifier"), text, rules, region)
    if not found:
        raise UsageError(f"There is no customer {text}, and no record has that identifier.")
    node, kind = found[0]
    row = links.where((F.col("node_id") == node) & F.col("valid_to").isNull()).first()
    if row is None:
        raise UsageError(f"The identifier {kind} {text} belongs to no customer now.")
    return int(row["customer_id"]), []


def _present(read: Read, customer: int) -> tuple[int, list[str]]:
    """The customer that a past one went into, and the way there."""
    told: list[str] = []
    merges = {
        int(r["from_customer_id"]): r
        for r in read("identity.change").where("kind = 'merge'").orderBy("changed_at").collect()
    } if _closed(read, customer) else {}  # fmt: skip
    while _closed(read, customer) and customer in merges:
        row = merges[customer]
        told.append(
            f"customer {customer} went into customer {row['customer_id']} on {_day(row['changed_at'])}"
        )
        customer = int(row["customer_id"])
    return customer, told


def _closed(read: Read, customer: int) -> bool:
    mine = read("identity.link").where(F.col("customer_id") == customer)
    return mine.where("valid_to IS NULL").isEmpty()


def _changes(read: Read, customer: int) -> Iterator[str]:
    concerned = (F.col("customer_id") == customer) | (F.col("from_customer_id") == customer)
    rows = (
        read("identity.change")
        .where(concerned)
        .orderBy(F.desc("changed_at"), F.desc("change_id"))
        .limit(LATEST)
        .collect()
    )
    if rows:
        yield "changes, the last first:"
    for r in rows:
        yield f"  {_day(r['changed_at'])} {_change(r, customer)}"


def _sessions(read: Read, rules: IdentityRules, customer: int) -> Iterator[str]:
    """How many sessions are the customer's, and the last; those of a shared device are nobody's."""
    links = read("identity.link").where(F.col("customer_id") == customer).where("valid_to IS NULL")
    counts = counting(links, read("identity.node"), rules).select(F.col("node_id").alias("device"))
    sessions = read("silver.session")
    person = sessions.where("has_login").join(
        links.select(F.col("node_id").alias("owner_node")), "owner_node", "left_semi"
    )
    alone = sessions.where("NOT has_login").join(
        counts, F.col("device_node") == F.col("device"), "left_semi"
    )
    columns = ("started_at", "session_id", "channel", "seconds", "events")
    found = person.select(*columns).union(alone.select(*columns))
    last = F.max(F.struct(*columns)).alias("last")
    row = found.agg(F.count(F.lit(1)).alias("sessions"), last).first()
    if row is not None and row["last"] is not None:
        r = row["last"]
        yield (
            f"sessions: {row['sessions']:,}, the last on {_day(r['started_at'])} by {r['channel']}: "
            f"{r['events']:,} events in {round(r['seconds'] / 60):,} minutes"
        )


def _change(r: Row, customer: int) -> str:
    other, count = r["from_customer_id"], f"{r['nodes']:,} identifiers"
    if r["kind"] in ("create", "extend"):
        return f"{r['kind']}: {count} new"
    if r["kind"] == "withdraw":
        return f"withdraw: {count} lost their evidence"
    if r["customer_id"] == customer:
        return f"{r['kind']}: {count} from customer {other}"
    return f"{r['kind']}: {count} to customer {r['customer_id']}"


def _golden(read: Read, customer: int, identifiers: dict[int, str]) -> Iterator[str]:
    """Each value with source, day and identifier of the statement, and why it was taken."""
    mine = read("gold.golden_record").where(F.col("customer_id") == customer)
    found = mine.orderBy("attribute").collect()
    if found:
        yield "golden record:"
    for r in found:
        of = identifiers.get(r["node_id"], f"identifier {r['node_id']}")
        told = f"  {r['attribute']} {r['value']}  {r['source']} {_day(r['observed_at'])}, {of}: {r['rule']}"
        others = r["candidates"] - r["agreeing"]
        if others:
            shown = ", ".join(
                f"{o['value']} ({o['source']} {_day(o['observed_at'])})" for o in r["alternatives"]
            )
            told += f"; {others} of {r['candidates']} say otherwise: {shown}"
        yield told


def _known(read: Read, customer: int) -> Iterator[str]:
    def mine(table: str) -> DataFrame:
        return read(table).where(F.col("customer_id") == customer)

    features = mine("gold.customer_feature").first()
    if features is not None:
        yield "figures:"
        for name in FIGURES:
            yield f"  {name} {_text(features[name])}"
    segments = mine("gold.segment").where("valid_to IS NULL").orderBy("segmentation").collect()
    if segments:
        yield "segments:"
    for r in segments:
        yield f"  {r['segmentation']} {r['segment']}  from {r['valid_from']}"
    tags = mine("gold.tag_value").where("valid_to IS NULL").orderBy("tag").collect()
    if tags:
        yield "tags:"
    for r in tags:
        yield f"  {r['tag']} {r['value']}  from {r['valid_from']}"
    for r in mine("gold.score").orderBy("model").collect():
        yield f"score: {r['model']} {r['score']:.3f} (version {r['model_version']}, {r['as_of']})"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
