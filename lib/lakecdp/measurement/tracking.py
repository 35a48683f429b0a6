"""What tracked sources send, held against their tracking plans."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp.measurement.plans import TrackingPlan

RECORD, MISSING = "record", "missing"
UNKNOWN = "unknown"
_KEY = ("day", "plan", "event", "property", "app_version", "found")
_FITS = {
    "number": ("integer", "number"),
    "time": ("time", "string"),
    "string": ("string", "time"),
}
"""Kinds of value that a planned type takes, where these are others than its own."""


def _kind(value: Column) -> Column:
    """What a VARIANT is in JSON. Dates and times come from Parquet and Delta; JSON has texts."""
    schema = F.schema_of_variant(value)
    return (
        F.when(schema.startswith("OBJECT"), "object")
        .when(schema.startswith("ARRAY"), "array")
        .when(schema.isin("BIGINT", "INT", "SMALLINT", "TINYINT"), "integer")
        .when(schema.rlike("^(DECIMAL|DOUBLE|FLOAT)"), "number")
        .when(schema == "BOOLEAN", "boolean")
        .when(schema == "STRING", "string")
        .when(schema.rlike("^(DATE|TIME)"), "time")
        .otherwise("other")
    )


def observed(records: DataFrame, rules: TrackingPlan) -> DataFrame:
    """What records carry, counted.

    Args:
        records: from `lakecdp.silver.canonical.prepared` with `_raw`; those without event or time are left
            out: they have no name or day, and stand in quarantine.
        rules: the plan.

    Returns:
        One row per day, event, property, app_version and found, columns of gold.tracking_observed;
        a property whose value is null is not there.
    """
    version = F.expr(rules.app_version) if rules.app_version else F.lit(None)
    entries = F.map_entries(F.try_variant_get("_raw", rules.properties, "map<string,variant>"))
    rows = records.where(rules.where) if rules.where else records
    rows = rows.select(
        F.to_date(F.expr(rules.time).cast("timestamp")).alias("day"),
        F.nullif(F.trim(F.expr(rules.event).cast("string")), F.lit("")).alias("event"),
        F.coalesce(F.nullif(F.trim(version.cast("string")), F.lit("")), F.lit(UNKNOWN)).alias(
            "app_version"
        ),
        F.concat_ws(":", "_file", "_line").alias("place"),
        F.filter(entries, lambda e: ~F.is_variant_null(e["value"])).alias("entries"),
    ).where("day IS NOT NULL AND event IS NOT NULL")
    there = F.coalesce(F.col("entries"), F.array().cast("array<struct<key:string,value:variant>>"))
    keys = F.transform(there, lambda e: e["key"])
    absent = F.filter(_required(rules), lambda k: ~F.array_contains(keys, k))
    found = F.concat(
        F.array(F.struct(F.lit("").alias("property"), F.lit(RECORD).alias("found"))),
        F.transform(
            there, lambda e: F.struct(e["key"].alias("property"), _kind(e["value"]).alias("found"))
        ),
        F.transform(absent, lambda k: F.struct(k.alias("property"), F.lit(MISSING).alias("found"))),
    )
    return (
        rows.select("day", "event", "app_version", "place", F.inline(found))
        .where("property <> '' OR found = 'record'")
        .groupBy("day", "event", "property", "app_version", "found")
        .agg(F.count(F.lit(1)).alias("records"), F.min("place").alias("sample"))
        .withColumn("plan", F.lit(rules.plan))
    )


def _required(rules: TrackingPlan) -> Column:
    """The required properties of the event of a row."""
    needed = {e: [n for n, p in rules.properties_of(e).items() if p.required] for e in rules.events}
    none = F.array().cast("array<string>")
    cases = [
        F.when(F.col("event") == e, F.array(*map(F.lit, names)))
        for e, names in needed.items()
        if names
    ]
    return F.coalesce(*cases, none)


def added(fresh: DataFrame, before: DataFrame) -> DataFrame:
    """New counts added to those of the same key that were there.

    Args:
        fresh: from `observed`.
        before: rows of gold.tracking_observed.

    Returns:
        One row per key of `fresh`.
    """
    was = before.select(*_KEY, F.col("records").alias("_records"), F.col("sample").alias("_sample"))
    return (
        fresh.join(was, list(_KEY), "left")
        .withColumn("records", F.col("records") + F.coalesce("_records", F.lit(0)))
        .withColumn("sample", F.least("sample", "_sample"))
        .drop("_records", "_sample")
    )


def planned(frame: DataFrame, plans: Sequence[TrackingPlan]) -> DataFrame:
    """The plans as a frame: plan, event, property (empty: the event), plan_version, owner, type, required.

    Args:
        frame: any frame of the session.
        plans: the plans.
    """
    rows = []
    for p in plans:
        for event in p.events:
            rows.append((p.plan, event, "", p.version, p.owner, RECORD, False))
            rows += [
                (p.plan, event, name, p.version, p.owner, x.type, x.required)
                for name, x in p.properties_of(event).items()
            ]
    return frame.sparkSession.createDataFrame(
        rows,
        "plan string, event string, property string, plan_version int, owner string, type string, "
        "required boolean",
    )


def violations(seen: DataFrame, plan: DataFrame) -> DataFrame:
    """Where what is sent is not what is planned.

    Args:
        seen: rows of gold.tracking_observed.
        plan: from `planned`.

    Returns:
        One row per violation, columns of gold.tracking_violation. The properties of an event that
        is not in the plan are not named besides.
    """
    events = plan.where("property = ''").select("plan", "event", F.lit(True).alias("_event"))
    properties = plan.where("property <> ''").select("plan", "event", "property", "type")
    known = seen.join(F.broadcast(events), ["plan", "event"], "left").join(
        F.broadcast(properties), ["plan", "event", "property"], "left"
    )
    fits = reduce(
        Column.__or__,
        [(F.col("type") == t) & F.col("found").isin(*kinds) for t, kinds in _FITS.items()],
        F.col("type").isin("any") | (F.col("type") == F.col("found")),
    )
    kind = (
        F.when(F.col("_event").isNull(), F.when(F.col("found") == RECORD, "undocumented_event"))
        .when(F.col("found") == RECORD, None)
        .when(F.col("found") == MISSING, "missing_property")
        .when(F.col("type").isNull(), "undocumented_property")
        .when(~fits, "wrong_type")
    )
    return known.withColumn("violation", kind).where("violation IS NOT NULL").drop("_event", "type")


def plan_rows(plan: DataFrame, fresh: DataFrame, before: DataFrame) -> DataFrame:
    """The plans with what was observed of them.

    Args:
        plan: from `planned`.
        fresh: from `observed`.
        before: rows of gold.tracking_plan that `fresh` comes in addition to.

    Returns:
        One row per planned event and property of the plans, columns of gold.tracking_plan.
    """
    columns = ("plan", "event", "property", "records", "first_day", "last_day")
    counts = fresh.where(F.col("found") != MISSING).select(
        "plan", "event", "property", "records", F.col("day").alias("first_day"),
        F.col("day").alias("last_day"),
    )  # fmt: skip
    total = (
        counts.unionByName(before.where("records > 0").select(*columns))
        .groupBy("plan", "event", "property")
        .agg(
            F.sum("records").alias("records"),
            F.min("first_day").alias("first_day"),
            F.max("last_day").alias("last_day"),
        )
    )
    return (
        plan.join(total, ["plan", "event", "property"], "left")
        .withColumn("status", F.when(F.col("records") > 0, "observed").otherwise("missing"))
        .withColumn("records", F.coalesce("records", F.lit(0)))
    )
