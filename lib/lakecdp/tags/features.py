"""Features: mergeable daily partials per identifier, and one row per customer made from them.

Facts belong to identifiers (their owner in force, see silver.event_session), customers are a mapping
(identity.link). The partials of an identifier and a day depend on nothing but its records of that day,
so a merge or a split of customers touches no partial, and a late record touches one. The partials of
a device that persons share are kept, and count for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.silver.money import exchanged

VERSION = "5"
"""Fingerprint of the definitions below: another one makes the job compute everything again."""

WINDOWS = (7, 30, 90, 365)
"""Days up to and including the run date over which recent behaviour is summed."""

VIEWS = ("page_view", "screen_view", "view_item")
SEARCHES = ("search", "view_search_results")
KINDS = ("sale", "cancellation")


def _in(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(repr(v) for v in values)})"


NODE_DAY: Mapping[str, str] = {
    "events": "count(event_name)",
    "views": f"count_if({_in('event_name', VIEWS)})",
    "searches": f"count_if({_in('event_name', SEARCHES)})",
    "carts": "count_if(event_name = 'add_to_cart')",
    "favourites": "count_if(event_name = 'add_to_wishlist')",
    "checkouts": "count_if(event_name = 'begin_checkout')",
    "shares": "count_if(event_name = 'share')",
    "dwell_seconds": "coalesce(sum(dwell_seconds), 0)",
    "hours": "bit_or(shiftleft(1, hour(at)))",
    "channels": "array_sort(collect_set(channel))",
    "first_at": "min(at)",
    "last_at": "max(at)",
    "device_model": "max_by(device_model, struct(at, id)) FILTER (WHERE device_model IS NOT NULL)",
    "device_at": "max(at) FILTER (WHERE device_model IS NOT NULL)",
    "os": "max_by(os, struct(at, id)) FILTER (WHERE os IS NOT NULL)",
    "os_at": "max(at) FILTER (WHERE os IS NOT NULL)",
    "orders": "count_if(kind = 'sale')",
    "units": "coalesce(sum(units) FILTER (WHERE kind = 'sale'), 0)",
    "amount": "coalesce(sum(amount) FILTER (WHERE kind = 'sale'), 0)",
    "returns": "count_if(kind = 'cancellation')",
    "returned_amount": "coalesce(sum(abs(amount)) FILTER (WHERE kind = 'cancellation'), 0)",
    "margin": "coalesce(sum(margin), 0)",
}

CATEGORY_DAY: Mapping[str, str] = {
    "views": "count_if(event_name = 'view_item')",
    "carts": "count_if(event_name = 'add_to_cart')",
    "units": "coalesce(sum(units), 0)",
    "amount": "coalesce(sum(amount), 0)",
}


def touched(events: DataFrame, orders: DataFrame, left: DataFrame) -> DataFrame:
    """The partials to compute again: those of new records and those that records have left.

    Args:
        events: new rows of silver.event with their owner in force, invalid ones included (they may
            have been valid before).
        orders: new rows of silver.order.
        left: owner_node and day of new rows of silver.event_session, and of the tables that tell
            whom records have left.

    Returns:
        One row per node_id BIGINT and day DATE.
    """
    pairs = (
        events.select(F.col("owner_node").alias("node_id"), F.col("event_date").alias("day"))
        .union(orders.select("owner_node", "order_date"))
        .union(left.select("owner_node", "day"))
    )
    return pairs.where("node_id IS NOT NULL AND day IS NOT NULL").distinct()


def counted(events: DataFrame, orders: DataFrame) -> tuple[DataFrame, DataFrame]:
    """The records that count: valid events, and orders of kind sale or cancellation, with an owner.

    Amounts are those in the reporting currency; of an order without an exchange rate they are null.

    Args:
        events: valid rows of silver.event with the owner in force.
        orders: silver.order.

    Returns:
        One row per event and one per order, both with node_id, day and at (TIMESTAMP).
    """
    return (
        events.where("owner_node IS NOT NULL").select(
            F.col("owner_node").alias("node_id"),
            F.col("event_date").alias("day"),
            F.col("event_at").alias("at"),
            F.col("event_id").alias("id"),
            *("event_name", "channel", "category", "dwell_seconds", "device_model", "os"),
        ),
        orders.where(f"owner_node IS NOT NULL AND {_in('kind', KINDS)}").select(
            F.col("owner_node").alias("node_id"),
            F.col("order_date").alias("day"),
            F.col("ordered_at").alias("at"),
            F.col("reporting_product_amount").alias("amount"),
            F.col("reporting_margin").alias("margin"),
            reporting_categories().alias("categories"),
            *("kind", "channel", "units"),
        ),
    )


def reporting_categories() -> Column:
    """The products of an order by category, with amounts in the reporting currency."""
    return F.transform(
        "categories",
        lambda c: F.struct(
            c["category"].alias("category"),
            c["units"].alias("units"),
            exchanged(c["amount"], F.col("exchange_rate")).alias("amount"),
        ),
    )


def of_pairs(rows: DataFrame, pairs: DataFrame, days: Sequence[date] | None) -> DataFrame:
    """The rows of the partials in question.

    Args:
        rows: records or partials with node_id and day.
        pairs: see `touched`.
        days: the days of `pairs` where they are few: then only their files are read.
    """
    if days is not None:
        rows = rows.where(F.col("day").isin(list(days)))
    return rows.join(pairs, ["node_id", "day"], "left_semi")


def node_day(events: DataFrame, orders: DataFrame, pairs: DataFrame | None = None) -> DataFrame:
    """Partials of identifiers by day, in the columns of gold.node_day and `_gone`.

    Whatever a cancellation's sign, its amount is what was returned, as a positive number.

    Args:
        events: see `counted`.
        orders: see `counted`.
        pairs: partials that are wanted even when no record is left of them.

    Returns:
        One row per node_id and day; `_gone` BOOLEAN says that no record is left.
    """
    facts = events.unionByName(orders.drop("categories"), allowMissingColumns=True)
    if pairs is not None:
        facts = facts.unionByName(pairs, allowMissingColumns=True)
    sums = [F.expr(text).alias(name) for name, text in NODE_DAY.items()]
    return facts.groupBy("day", "node_id").agg(*sums, (F.count("at") == 0).alias("_gone"))


def node_category_day(
    events: DataFrame, orders: DataFrame, former: DataFrame | None = None
) -> DataFrame:
    """Partials of identifiers by day and category, in the columns of the table and `_gone`.

    Product views and additions to the cart that name a category count, and products of sales.

    Args:
        events: see `counted`.
        orders: see `counted`.
        former: rows of gold.node_category_day of the same pairs, some of which may be void now.

    Returns:
        One row per node_id, day and category; `_gone` BOOLEAN says that no record is left.
    """
    seen = events.where(_in("event_name", ("view_item", "add_to_cart")))
    sold = orders.where("kind = 'sale'").select(
        "node_id", "day", "at", F.inline("categories").alias("category", "units", "amount")
    )
    facts = seen.unionByName(sold, allowMissingColumns=True).where("category IS NOT NULL")
    if former is not None:
        facts = facts.unionByName(
            former.select("node_id", "day", "category"), allowMissingColumns=True
        )
    sums = [F.expr(text).alias(name) for name, text in CATEGORY_DAY.items()]
    return facts.groupBy("day", "node_id", "category").agg(
        *sums, (F.count("at") == 0).alias("_gone")
    )


def rolled(node_days: DataFrame, last: date, now: date) -> DataFrame:
    """Identifiers whose sums change because the run date moves on from `last` to `now`.

    Args:
        node_days: gold.node_day.
        last: run date of the run before.
        now: run date, later than `last`.

    Returns:
        node_id BIGINT (repeated) of rows that begin to count or that leave a window.
    """
    days = [
        (F.col("day") > last - timedelta(days=back)) & (F.col("day") <= now - timedelta(days=back))
        for back in (0, *WINDOWS)
    ]
    moved = days[0]
    for condition in days[1:]:
        moved = moved | condition
    return node_days.where(moved).select("node_id")


def affected(nodes: DataFrame, changed_links: DataFrame, links: DataFrame) -> DataFrame:
    """Customers to compute again.

    Args:
        nodes: node_id whose facts or windows changed.
        changed_links: new rows of identity.link: the closed ones name the customer before.
        links: identity.link in force.

    Returns:
        One row per customer_id BIGINT; some may have no identifier any more.
    """
    owners = links.join(nodes, "node_id", "left_semi").select("customer_id")
    return owners.union(changed_links.select("customer_id")).distinct()


def typed_links(
    links: DataFrame, customers: DataFrame | None, nodes: DataFrame, shared: str
) -> DataFrame:
    """The identifiers of customers, with their types.

    Args:
        links: identity.link in force.
        customers: the customers wanted; None for all.
        nodes: identity.node.
        shared: condition on `nodes` for devices that persons share.

    Returns:
        One row per node_id in force: node_id, customer_id, type, counts BOOLEAN (whether its facts
        count for the customer).
    """
    if customers is not None:
        links = links.join(customers, "customer_id", "left_semi")
    types = nodes.select("node_id", "type", F.expr(f"NOT ({shared})").alias("counts"))
    return links.select("node_id", "customer_id").join(types, "node_id", "left")


def customer_feature(
    links: DataFrame,
    node_days: DataFrame,
    category_days: DataFrame,
    golden: DataFrame,
    run_date: date,
) -> DataFrame:
    """Features of customers as of a date, in the columns of gold.customer_feature.

    Days after the run date never count. Attributes are those of the golden record.

    Args:
        links: links of the customers wanted, see `typed_links`.
        node_days: gold.node_day.
        category_days: gold.node_category_day.
        golden: gold.golden_record.
        run_date: last day that counts.

    Returns:
        One row per customer of `links`.
    """
    owner = links.where("coalesce(counts, true)").select("node_id", "customer_id")
    until = F.col("day") <= F.lit(run_date)
    customers = links.groupBy("customer_id").agg(
        F.count(F.lit(1)).alias("nodes"),
        F.array_sort(F.collect_set("type")).alias("identifier_types"),
    )
    wide = (
        customers.join(_activity(node_days.where(until).join(owner, "node_id"), run_date), *_LEFT)
        .join(_taste(category_days.where(until).join(owner, "node_id")), *_LEFT)
        .join(_stated(golden.join(customers, "customer_id", "left_semi")), *_LEFT)
    )
    contract = contracts.table("gold.customer_feature")
    columns = {**{c: F.col(c) for c in wide.columns}, "_as_of": F.lit(run_date)}
    return wide.select(
        *(_filled(columns[c.name], c.type, c.required).alias(c.name) for c in contract.columns)
    )


_LEFT = ("customer_id", "left")


def _filled(value: Column, kind: str, required: bool) -> Column:
    """A customer without activity has counts of zero and no channels."""
    if not required:
        return value.cast(kind)
    nothing = F.array().cast(kind) if kind.startswith("ARRAY") else F.lit(0).cast(kind)
    return F.coalesce(value.cast(kind), nothing)


SUMMED = ("events", "views", "searches", "carts", "dwell_seconds")
BOUGHT = ("orders", "units", "amount", "returns", "returned_amount", "margin")
WINDOWED = {
    "active_days": "1",
    "views": "views",
    "carts": "carts",
    "orders": "orders",
    "amount": "amount",
}


def _activity(rows: DataFrame, run_date: date) -> DataFrame:
    """One row per customer from its node days.

    First by day, because two devices on one day are one active day, then over the days; both after
    one shuffle by customer.
    """
    sums = [F.sum(c).alias(c) for c in (*SUMMED, *BOUGHT)]
    days = (
        rows.repartition("customer_id")
        .groupBy("customer_id", "day")
        .agg(
            *sums,
            F.flatten(F.collect_set("channels")).alias("channels"),
            F.max(_dated("device_at", "device_model")).alias("device"),
            F.max(_dated("os_at", "os")).alias("system"),
        )
    )
    ordered = "FILTER (WHERE orders > 0)"
    recent = [
        F.expr(
            f"sum(CASE WHEN day > DATE'{run_date - timedelta(days=w)}' THEN {what} ELSE 0 END)"
        ).alias(f"{name}_{w}d")
        for name, what in WINDOWED.items()
        for w in WINDOWS
    ]
    totals = days.groupBy("customer_id").agg(
        *(F.sum(c).alias(c) for c in (*SUMMED, *BOUGHT)),
        F.array_sort(F.array_distinct(F.flatten(F.collect_set("channels")))).alias("channels"),
        F.max("device")["device_model"].alias("device_model"),
        F.max("system")["os"].alias("os"),
        F.min("day").alias("first_active_on"),
        F.max("day").alias("last_active_on"),
        F.count(F.lit(1)).alias("active_days"),
        F.expr("count_if(weekday(day) >= 5)").alias("weekend_days"),
        F.expr(f"min(day) {ordered}").alias("first_order_on"),
        F.expr(f"max(day) {ordered}").alias("last_order_on"),
        F.expr(f"sort_array(collect_list(day) {ordered}, false)").alias("order_dates"),
        *recent,
    )
    span = "datediff(last_order_on, first_order_on)"
    return totals.withColumns(
        {
            "previous_order_on": F.expr("get(order_dates, 1)"),
            "order_days": F.size("order_dates"),
            "purchase_cycle_days": F.expr(
                f"CASE WHEN size(order_dates) > 1 THEN CAST({span} AS DECIMAL(12,2)) "
                "/ CAST(size(order_dates) - 1 AS DECIMAL(12,0)) END"
            ),
        }
    ).drop("order_dates")


def _dated(at: str, value: str) -> Column:
    return F.when(F.col(value).isNotNull(), F.struct(at, value))


def _taste(rows: DataFrame) -> DataFrame:
    """One row per customer: the category with most bought, else most viewed; ties by name."""
    by_category = (
        rows.repartition("customer_id")
        .groupBy("customer_id", "category")
        .agg(*(F.sum(c).alias(c) for c in ("views", "units", "amount")))
        .where("views > 0 OR units > 0 OR amount > 0")
    )
    # The smallest of (-value, name) is the largest value, and the first name among equals.
    first = {
        what: f"min(struct(-{what} AS rank, category)) FILTER (WHERE {what} > 0)"
        for what in ("amount", "views")
    }
    sums = {what: f"sum({what}) FILTER (WHERE {what} > 0)" for what in ("amount", "views")}
    return (
        by_category.groupBy("customer_id")
        .agg(
            F.count(F.lit(1)).alias("categories"),
            F.expr(first["amount"]).alias("bought"),
            F.expr(first["views"]).alias("viewed"),
            F.expr(sums["amount"]).alias("all_bought"),
            F.expr(sums["views"]).alias("all_viewed"),
        )
        .select(
            "customer_id",
            "categories",
            F.coalesce("bought.category", "viewed.category").alias("top_category"),
            F.coalesce(
                F.expr("CAST(-bought.rank AS DECIMAL(28,4)) / CAST(all_bought AS DECIMAL(28,4))"),
                F.expr("CAST(-viewed.rank AS DECIMAL(20,0)) / CAST(all_viewed AS DECIMAL(20,0))"),
            ).alias("top_category_share"),
        )
    )


STATED = ("gender", "birthday", "city", "region", "level", "registered_on")
"""Attributes of the golden record that are features."""


def _stated(golden: DataFrame) -> DataFrame:
    """One row per customer: its golden record side by side."""
    values = [F.expr(f"max(value) FILTER (WHERE attribute = '{a}')").alias(a) for a in STATED]
    return golden.groupBy("customer_id").agg(*values)


def lost(known: DataFrame, golden: DataFrame) -> DataFrame:
    """Customers whose features state an attribute that their golden record no longer has.

    A row that is deleted leaves no trace of its own, so the two tables are held together.

    Args:
        known: gold.customer_feature.
        golden: gold.golden_record.

    Returns:
        customer_id BIGINT, repeated.
    """
    named = F.array(*[F.when(F.col(a).isNotNull(), F.lit(a)) for a in STATED])
    stated = known.select("customer_id", F.explode(named).alias("attribute"))
    key = ["customer_id", "attribute"]
    return stated.where("attribute IS NOT NULL").join(golden, key, "left_anti").select(key[0])


def differs(table: str) -> str:
    """A MERGE condition: the row `s` is not what the table's row `t` says (lineage aside)."""
    columns = contracts.table(table).compared
    return f"NOT ({' AND '.join(f't.`{c}` <=> s.`{c}`' for c in columns)})"
