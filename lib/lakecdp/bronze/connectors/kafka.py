"""Kafka topics, read in ranges of offsets; how far is known to the ledger, not to Kafka."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakecdp.bronze.connectors.config import KafkaInput
from lakecdp.bronze.connectors.pull import Position, Pull, without
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import java, java_message

SECONDS = 30
Offsets = dict[int, int]


def pull(spark: SparkSession, config: KafkaInput, position: Position) -> Pull:
    """The records between the position and the end of each partition.

    A topic that was deleted and made anew is another one, told by its id: it is read from its
    beginning, and its records have places of their own.

    Args:
        spark: the session.
        config: the topic.
        position: of the last pull.

    Raises:
        LakecdpError: Kafka does not answer, has no such topic, or has deleted what was not read.
    """
    client = config.client()
    hidden = [client[name] for name in config.options_env]
    try:
        topic, first, end = _topic(spark, config, client)
        return _range(spark, config, client, position, topic, first, end)
    except LakecdpError as e:
        raise LakecdpError(without(str(e), hidden)) from None
    except Exception as e:
        raise LakecdpError(f"{config.place}: {without(_why(e), hidden)}") from None


def _why(error: Exception) -> str:
    said = java_message(error)
    if "does not host this topic" in said or "UnknownTopicOrPartition" in str(error):
        return "Kafka has no such topic"
    if "Timed out" in said or "Timeout" in str(error) or "timed out" in said:
        return f"Kafka does not answer within {SECONDS} seconds ({said})"
    return said


def _topic(
    spark: SparkSession, config: KafkaInput, client: dict[str, str]
) -> tuple[str, Offsets, Offsets]:
    """Id of the topic, and the first and the end offset of each partition."""
    jvm = java(spark)
    kafka = jvm.org.apache.kafka
    settings = jvm.java.util.HashMap()
    limits = {"request.timeout.ms": "10000", "default.api.timeout.ms": f"{SECONDS}000"}
    for name, value in (limits | client).items():
        if name != "isolation.level":
            settings.put(name, value)
    try:
        admin = kafka.clients.admin.AdminClient.create(settings)
    except TypeError:
        raise LakecdpError(
            "Kafka's client is not on the class path: submit with conf/spark/local.conf or "
            "cluster.conf, which name it"
        ) from None
    try:
        names = jvm.java.util.List.of(config.topic)
        found = _got(jvm, admin.describeTopics(names).allTopicNames()).get(config.topic)
        numbers = sorted(p.partition() for p in found.partitions())
        level = client["isolation.level"].upper()
        options = kafka.clients.admin.ListOffsetsOptions(kafka.common.IsolationLevel.valueOf(level))
        bounds = []
        for spec in (
            kafka.clients.admin.OffsetSpec.earliest(),
            kafka.clients.admin.OffsetSpec.latest(),
        ):
            asked = jvm.java.util.HashMap()
            parts = {n: kafka.common.TopicPartition(config.topic, n) for n in numbers}
            for part in parts.values():
                asked.put(part, spec)
            told = _got(jvm, admin.listOffsets(asked, options).all())
            bounds.append({n: int(told.get(p).offset()) for n, p in parts.items()})
        return str(found.topicId().toString()), bounds[0], bounds[1]
    finally:
        admin.close(jvm.java.time.Duration.ofSeconds(1))


def _got(jvm: Any, future: Any) -> Any:
    return future.get(SECONDS, jvm.java.util.concurrent.TimeUnit.SECONDS)


def _range(
    spark: SparkSession,
    config: KafkaInput,
    client: dict[str, str],
    position: Position,
    topic: str,
    first: Offsets,
    end: Offsets,
) -> Pull:
    notes: list[str] = []
    same = position.get("of") == topic
    making = int(position.get("making", 0)) + (not same)
    read = {int(n): int(o) for n, o in position.get("offsets", {}).items()} if same else {}
    if not position and config.start == "latest":
        read = dict(end)
    start = {}
    for number in end:
        at = read.get(number, first[number])
        if at < first[number]:
            gap = f"offsets {at} to {first[number] - 1} of {config.topic}-{number}"
            if config.lost == "fail":
                raise LakecdpError(
                    f"Kafka deleted {gap} before they were read; `lost: skip` goes on without them"
                )
            notes.append(f"Kafka deleted {gap} before they were read")
            at = first[number]
        if at > end[number]:
            raise LakecdpError(
                f"{config.topic}-{number} ends at offset {end[number]}, and was read up to {at}"
            )
        start[number] = at
    until, more = limited(start, end, config.max_records)
    told: Position = {
        "of": topic,
        "making": making,
        "offsets": {str(n): o for n, o in (start | until).items()},
    }
    reach = {n: (start[n], o) for n, o in until.items() if o > start[n]}
    if not reach:
        return Pull(None, told, notes=notes)
    mark = "" if making == 1 else f"@{making}"
    rows = (
        spark.read.format("kafka")
        .options(**{f"kafka.{name}": value for name, value in client.items()})
        .option("assign", json.dumps({config.topic: sorted(reach)}))
        .option(
            "startingOffsets",
            json.dumps({config.topic: {str(n): a for n, (a, _) in reach.items()}}),
        )
        .option(
            "endingOffsets", json.dumps({config.topic: {str(n): b for n, (_, b) in reach.items()}})
        )
        .option("failOnDataLoss", True)
        .load()
        .select(
            F.coalesce(F.col("value").cast("string"), F.lit("")).alias("value"),
            F.concat("topic", F.lit("-"), "partition", F.lit(mark)).alias("file"),
            F.col("offset").alias("line"),
        )
    )
    size = 500 * sum(b - a for a, b in reach.values())
    return Pull(rows, told, None, bytes=size, notes=notes, more=more)


def limited(start: Offsets, end: Offsets, most: int) -> tuple[Offsets, bool]:
    """End offsets such that a batch holds about `most` records, each partition its share.

    Returns:
        the ends, and whether something is left for another batch.
    """
    whole = sum(end[n] - start[n] for n in end)
    if whole <= most:
        return dict(end), False
    ends = {}
    for number, last in end.items():
        share = (last - start[number]) * most // whole
        ends[number] = min(last, start[number] + max(share, int(last > start[number])))
    return ends, True
