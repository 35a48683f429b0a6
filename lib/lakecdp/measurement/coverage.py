"""What arrived against what was expected: control totals, sequence numbers, back-office orders."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakecdp.bronze.mapping import FileControls, OrderControls, SequenceControls, SourceMapping

ALL = "all"
MONEY = "decimal(28,4)"
STREAM_KEY = ("day", "source", "channel", "event", "stream")


# Control totals


def arrived_files(records: DataFrame, mapping: SourceMapping, controls: FileControls) -> DataFrame:
    """Records and amount of files that have arrived.

    Of a file that is delivered again under its name the last delivery counts.

    Args:
        records: from `lakecdp.silver.canonical.prepared`.
        mapping: the source.
        controls: what is summed.

    Returns:
        One row per file: source, file, channel STRING, arrived BIGINT, arrived_amount DECIMAL(28,4),
        last_day DATE.
    """
    amount = F.expr(controls.amount).cast(MONEY) if controls.amount else F.lit(None).cast(MONEY)
    time = F.expr(controls.time) if controls.time else F.lit(None)
    deliveries = (
        records.select(
            F.col("_file").alias("file"),
            "_arrived_at",
            amount.alias("amount"),
            F.to_date(time.cast("timestamp")).alias("day"),
        )
        .groupBy("file", "_arrived_at")
        .agg(
            F.count(F.lit(1)).alias("arrived"),
            F.sum("amount").cast(MONEY).alias("arrived_amount"),
            F.max("day").alias("last_day"),
        )
    )
    last = F.max_by(F.struct("arrived", "arrived_amount", "last_day"), "_arrived_at")
    found = deliveries.groupBy("file").agg(last.alias("last")).select("file", "last.*")
    return found.select(
        F.lit(mapping.source).alias("source"), F.lit(mapping.channel).alias("channel"), "*"
    )


def file_rows(arrived: DataFrame, totals: DataFrame, channels: DataFrame) -> DataFrame:
    """Files against their control totals.

    Args:
        arrived: from `arrived_files`.
        totals: rows of silver.control_total.
        channels: source, _channel of the sources with control totals.

    Returns:
        One row per source and file, columns of gold.coverage_file.
    """
    expected = totals.select(
        F.col("of_source").alias("source"), "file", "control_date",
        F.col("records").alias("expected"), F.col("amount").alias("expected_amount"),
    )  # fmt: skip
    return (
        arrived.drop("channel")
        .join(expected, ["source", "file"], "full")
        .join(F.broadcast(channels), "source")
        .select(
            "source",
            "file",
            F.col("_channel").alias("channel"),
            F.coalesce("control_date", "last_day").alias("day"),
            "expected",
            "expected_amount",
            F.coalesce("arrived", F.lit(0)).alias("arrived"),
            "arrived_amount",
            "last_day",
        )
    )


def by_files(files: DataFrame) -> DataFrame:
    """Coverage by control totals: one row per day, source and channel, columns of gold.coverage.

    Args:
        files: rows of gold.coverage_file; those without control total count for nothing here.
    """
    missing = F.greatest(F.col("expected") - F.col("arrived"), F.lit(0))
    differs = F.abs(F.col("expected_amount") - F.coalesce("arrived_amount", F.lit(0)))
    return _shares(
        files.where("expected IS NOT NULL AND day IS NOT NULL")
        .groupBy("day", "source", "channel")
        .agg(
            F.sum("expected").alias("expected"),
            F.sum("arrived").alias("arrived"),
            F.sum(missing).alias("missing"),
            F.sum("expected_amount").cast(MONEY).alias("expected_amount"),
            F.sum("arrived_amount").cast(MONEY).alias("arrived_amount"),
            F.sum(differs).cast(MONEY).alias("amount_difference"),
        )
        .withColumn("event", F.lit(ALL)),
        "control_totals",
    )


# Sequence numbers


def stream_numbers(
    records: DataFrame, mapping: SourceMapping, controls: SequenceControls
) -> DataFrame:
    """The sequence numbers of records.

    Args:
        records: from `lakecdp.silver.canonical.prepared`.
        mapping: the source.
        controls: where the numbers are.

    Returns:
        One row per day, channel, event and stream, columns of gold.coverage_stream.
    """
    rows = records.where(controls.where) if controls.where else records
    event = F.expr(controls.event) if controls.event else F.lit(ALL)
    channel = F.expr(controls.channel) if controls.channel else F.lit(mapping.channel)
    return (
        rows.select(
            F.to_date(F.expr(controls.time).cast("timestamp")).alias("day"),
            F.lit(mapping.source).alias("source"),
            channel.cast("string").alias("channel"),
            event.cast("string").alias("event"),
            F.expr(controls.stream).cast("string").alias("given"),
            F.expr(controls.number).try_cast("bigint").alias("number"),
        )
        .na.drop()
        .groupBy("day", "source", "channel", "event", F.xxhash64("given").alias("stream"))
        .agg(F.array_sort(F.collect_set("number")).alias("numbers"))
    )


def more_numbers(fresh: DataFrame, before: DataFrame) -> DataFrame:
    """New numbers with those of the same stream and day that were there; one row per key of `fresh`."""
    was = before.select(*STREAM_KEY, F.col("numbers").alias("_numbers"))
    none = F.array().cast("array<bigint>")
    every = F.array_union("numbers", F.coalesce("_numbers", none))
    return (
        fresh.join(was, list(STREAM_KEY), "left")
        .withColumn("numbers", F.array_sort(every))
        .drop("_numbers")
    )


def by_sequence(streams: DataFrame, controls: SequenceControls) -> DataFrame:
    """Coverage by sequence numbers.

    A number that is missing between two that arrived counts on the day of the higher one, when both
    are at most `within_days` apart. What was lost after the last number of a stream is not known. A
    number lower than one of an earlier day closes no gap any more.

    Args:
        streams: rows of gold.coverage_stream of one source, from `within_days` before the first day
            that is wanted.
        controls: how its streams begin, and how long they go on.

    Returns:
        One row per day, source, channel and event, columns of gold.coverage.
    """
    key = ("source", "channel", "event", "stream")
    days = Window.partitionBy(*key).orderBy(F.datediff("day", F.lit("1970-01-01").cast("date")))
    earlier = F.max(F.array_max("numbers")).over(days.rangeBetween(-controls.within_days, -1))
    numbers, reached = F.col("numbers"), F.col("_reached")
    fresh = F.filter(numbers, lambda n: n > reached)
    begin = F.array_min("numbers") if controls.first is None else F.lit(controls.first)
    return _shares(
        streams.withColumn("_reached", F.coalesce(earlier, begin - 1))
        .withColumn(
            "missing",
            F.greatest(F.array_max("numbers") - F.col("_reached") - F.size(fresh), F.lit(0)),
        )
        .groupBy("day", "source", "channel", "event")
        .agg(F.sum(F.size("numbers")).alias("arrived"), F.sum("missing").alias("missing"))
        .withColumn("expected", F.expr("arrived + missing")),
        "sequence",
    )


# Orders of the back office


def stated_orders(records: DataFrame, mapping: SourceMapping, controls: OrderControls) -> DataFrame:
    """The orders of a source that has every order.

    Args:
        records: from `lakecdp.silver.canonical.prepared`.
        mapping: the source.
        controls: where number, time and channel are.

    Returns:
        One row per order: source, order_id, day DATE (the first that is stated), channel, event.
    """
    rows = records.where(controls.where) if controls.where else records
    channel = F.expr(controls.channel) if controls.channel else F.lit(mapping.channel)
    found = rows.select(
        F.lit(mapping.source).alias("source"),
        F.expr(controls.order_id).cast("string").alias("order_id"),
        F.to_date(F.expr(controls.time).cast("timestamp")).alias("day"),
        channel.cast("string").alias("channel"),
        F.lit(controls.event).alias("event"),
    ).na.drop()
    return first_stated(found)


def first_stated(orders: DataFrame) -> DataFrame:
    """Each order once: as stated for the first day, then with the first channel by name."""
    first = F.min(F.struct("day", "channel")).alias("first")
    return (
        orders.groupBy("source", "order_id", "event")
        .agg(first)
        .select("*", "first.*")
        .drop("first")
    )


def order_rows(orders: DataFrame, events: DataFrame, within_days: int) -> DataFrame:
    """Orders with whether an event tells of them.

    Args:
        orders: orders of one source: source, order_id, day, channel, event.
        events: rows of silver.event.
        within_days: days by which event and order may be apart.

    Returns:
        One row per order, columns of gold.coverage_order.
    """
    told = events.where("order_id IS NOT NULL").select(
        "order_id", F.col("event_name").alias("event"), "event_date"
    )
    near = F.abs(F.datediff("event_date", "day")) <= within_days
    return (
        orders.join(told, ["order_id", "event"], "left")
        .groupBy("source", "order_id", "day", "channel", "event")
        .agg(F.coalesce(F.bool_or(near), F.lit(False)).alias("arrived"))
    )


def by_orders(orders: DataFrame) -> DataFrame:
    """Coverage by back-office orders: one row per day, source, channel and event.

    Args:
        orders: rows of gold.coverage_order.
    """
    arrived = F.count_if("arrived")
    return _shares(
        orders.groupBy("day", "source", "channel", "event").agg(
            F.count(F.lit(1)).alias("expected"),
            arrived.alias("arrived"),
            (F.count(F.lit(1)) - arrived).alias("missing"),
        ),
        "orders",
    )


# What arrived, whatever was expected


def by_nothing(events: DataFrame) -> DataFrame:
    """Events that arrived: one row per day, source, channel and event, columns of gold.coverage.

    Args:
        events: rows of silver.event, invalid traffic included.
    """
    counts = events.groupBy(
        F.col("event_date").alias("day"), "source", "channel", F.col("event_name").alias("event")
    ).agg(F.count(F.lit(1)).alias("arrived"))
    return _shares(
        counts.withColumns({n: F.lit(None).cast("bigint") for n in ("expected", "missing")}), "none"
    )


def _shares(rows: DataFrame, basis: str) -> DataFrame:
    """The columns of gold.coverage for one basis."""
    given = {
        n: F.lit(None).cast(MONEY)
        for n in ("expected_amount", "arrived_amount", "amount_difference")
    }
    share: Column = F.try_divide(
        (F.col("expected") - F.col("missing")).cast("decimal(20,0)"),
        F.col("expected").cast("decimal(20,0)"),
    )
    # Nothing was expected and nothing is missing: an empty file, say.
    share = F.when(F.col("expected") == 0, F.lit(1)).otherwise(share).cast("decimal(9,6)")
    return rows.withColumns(
        {
            **{n: v for n, v in given.items() if n not in rows.columns},
            "share": share,
            "basis": F.lit(basis),
        }
    )
