"""The rules of coverage and tracking on rows made by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.spark.helpers import rows

from lakecdp.bronze.mapping import FileControls, OrderControls, SequenceControls, SourceMapping
from lakecdp.measurement import coverage, tracking
from lakecdp.measurement.plans import TrackingPlan

pytestmark = pytest.mark.spark

MAPPING = SourceMapping.model_validate(
    {
        "source": "s",
        "channel": "app",
        "files": "s/*",
        "format": "json",
        "columns": {"id": "string"},
        "targets": [{"table": "product", "columns": {"product_id": "id"}}],
    }
)
DAY = date(2026, 3, 1)


def day(n: int) -> date:
    return DAY + timedelta(days=n - 1)


STREAMS = {
    # stream: day: numbers
    "a": {1: [2, 3, 5], 2: [4, 8], 3: [9]},
    "b": {1: [10, 11], 2: [14], 6: [30], 8: [32]},
}


def streams(spark: SparkSession) -> DataFrame:
    """Records of both streams, some twice."""
    given = [
        (s, n, f"{day(d)} 10:00:00")
        for s, days in STREAMS.items()
        for d, numbers in days.items()
        for n in [*numbers, numbers[0]]
    ]
    lost = [("a", None, f"{DAY} 10:00:00"), (None, 7, f"{DAY} 10:00:00"), ("a", 7, None)]
    return spark.createDataFrame([*given, *lost], "stream string, number int, at string")


def test_gaps_count_on_the_day_of_the_next_number(spark: SparkSession) -> None:
    for_ever = SequenceControls(stream="stream", number="number", time="at", within_days=2)
    sessions = for_ever.model_copy(update={"first": 1})
    found = coverage.stream_numbers(streams(spark), MAPPING, sessions).persist()
    assert found.count() == 7
    columns = ("day", "channel", "event", "arrived", "missing", "expected", "share")
    one = found.where(F.col("stream") == F.xxhash64(F.lit("a")))
    # 1 and 4 before 5; 6 and 7 before 8, and 4 comes too late to close its gap.
    assert rows(coverage.by_sequence(one, sessions), *columns) == [
        (day(1), "app", "all", 3, 2, 5, Decimal("0.600000")),
        (day(2), "app", "all", 2, 2, 4, Decimal("0.500000")),
        (day(3), "app", "all", 1, 0, 1, Decimal("1.000000")),
    ]
    # Of both without a first number: 12 and 13 before 14; 30 comes back after four days.
    whole = rows(coverage.by_sequence(found, for_ever), "day", "arrived", "missing")
    assert whole == [(day(1), 5, 1), (day(2), 3, 4), (day(3), 1, 0), (day(6), 1, 0), (day(8), 1, 1)]
    # A day needs the days within reach only.
    for d, *_ in whole:
        near = found.where(F.col("day").between(d - timedelta(days=2), d))
        again = coverage.by_sequence(near, for_ever).where(F.col("day") == d)
        assert rows(again, "day", "arrived", "missing") == [x for x in whole if x[0] == d]
    # In two goes, in either order, the numbers are those of one.
    every = streams(spark)
    parts = [every.where(f"coalesce(number, 0) % 2 = {n}") for n in (0, 1)]
    for first, second in (parts, parts[::-1]):
        before = coverage.stream_numbers(first, MAPPING, sessions)
        fresh = coverage.stream_numbers(second, MAPPING, sessions)
        kept = before.join(fresh, list(coverage.STREAM_KEY), "left_anti")
        both = coverage.more_numbers(fresh, before).unionByName(kept)
        key = (*coverage.STREAM_KEY, "numbers")
        assert rows(both, *key) == rows(found, *key)


def test_numbers_may_be_those_of_each_event(spark: SparkSession) -> None:
    by_event = SequenceControls(
        stream="concat(stream, number % 2)", number="number", time="at", event="concat('e', number % 2)",
        channel="upper(stream)", where="number < 20",
    )  # fmt: skip
    found = coverage.stream_numbers(streams(spark), MAPPING, by_event)
    assert rows(found.where("channel = 'A'"), "day", "event", "numbers") == [
        (day(1), "e0", [2]),
        (day(1), "e1", [3, 5]),
        (day(2), "e0", [4, 8]),
        (day(3), "e1", [9]),
    ]


def test_files_count_as_delivered_last(spark: SparkSession) -> None:
    records = spark.sql(
        """SELECT * FROM VALUES
        ('a', 5, 5.5, '2026-03-01'), ('a', 5, 2, '2026-03-02'), ('a', 4, 99, '2026-03-09'),
        ('b', 5, null, null), ('c', 5, 1, '2026-03-03'), ('e', 5, 1, '2026-03-03'), ('e', 5, 1, '2026-03-03')
        AS t(_file, _arrived_at, amount, at)"""
    )
    arrived = coverage.arrived_files(
        records, MAPPING, FileControls(amount="amount", time="to_date(at)")
    )
    totals = spark.sql(
        """SELECT *, 's' AS of_source, date'2026-03-02' AS control_date FROM VALUES
        ('a', 4L, 7.5), ('b', 1L, 3), ('d', 10L, null), ('e', 1L, 2) AS t(file, records, amount)"""
    )
    channels = spark.createDataFrame([("s", "store")], "source string, _channel string")
    found = coverage.file_rows(arrived, totals, channels).persist()
    two = day(2)
    assert rows(
        found, "file", "channel", "day", "expected", "arrived", "expected_amount", "arrived_amount"
    ) == [
        ("a", "store", two, 4, 2, Decimal("7.5"), Decimal("7.5")),
        ("b", "store", two, 1, 1, Decimal("3"), None),
        ("c", "store", day(3), None, 1, None, Decimal("1")),
        ("d", "store", two, 10, 0, None, None),
        ("e", "store", two, 1, 2, Decimal("2"), Decimal("2")),
    ]
    # 2 of a and 10 of d are missing; one too many of e makes up for nothing; 3 of b are not there.
    columns = (
        "day",
        "event",
        "basis",
        "expected",
        "arrived",
        "missing",
        "share",
        "amount_difference",
    )
    assert rows(coverage.by_files(found), *columns) == [
        (two, "all", "control_totals", 16, 5, 12, Decimal("0.250000"), Decimal("3"))
    ]


def test_an_order_is_told_by_an_event_near_it(spark: SparkSession) -> None:
    given = [("1", "2026-03-05"), ("2", "2026-03-05"), ("3", "2026-03-05"), ("4", "2026-03-05"),
             ("1", "2026-03-07"), (None, "2026-03-05"), ("5", None)]  # fmt: skip
    stated = coverage.stated_orders(
        spark.createDataFrame(given, "no string, at string"),
        MAPPING,
        OrderControls(order_id="no", time="at", where="no <> '9'"),
    )
    events = spark.createDataFrame(
        [("1", "purchase", day(6)), ("1", "purchase", day(4)), ("2", "purchase", day(7)),
         ("3", "begin_checkout", day(5)), (None, "purchase", day(5))],
        "order_id string, event_name string, event_date date",
    )  # fmt: skip
    found = coverage.order_rows(stated, events, 1).persist()
    assert rows(found, "order_id", "day", "arrived") == [
        ("1", day(5), True),
        ("2", day(5), False),
        ("3", day(5), False),
        ("4", day(5), False),
    ]
    columns = ("day", "channel", "event", "expected", "arrived", "missing", "share")
    assert rows(coverage.by_orders(found), *columns) == [
        (day(5), "app", "purchase", 4, 1, 3, Decimal("0.250000"))
    ]


PLAN = TrackingPlan.model_validate(
    {
        "plan": "p",
        "version": 2,
        "owner": "o",
        "source": "s",
        "event": "event",
        "time": "at",
        "app_version": "v",
        "properties": "$.p",
        "common": {"os": {"type": "string", "required": True}, "free": "any"},
        "events": {
            "Buy": {
                "properties": {
                    "n": "integer",
                    "price": "number",
                    "items": {"type": "array", "required": True},
                }
            },
            "Open": {},
            "Never": {"properties": {"x": "string"}},
        },
    }
)  # fmt: skip


def test_what_is_sent_is_told_apart_from_the_plan(spark: SparkSession) -> None:
    given = [
        ("Buy", "1", '{"os": "x", "n": 3, "price": 4, "items": [], "free": {"a": 1}}'),
        ("Buy", "1", '{"os": "x", "n": 3.5, "price": 4.5, "items": {}, "more": null}'),
        ("Buy", "1", '{"os": null, "n": "3", "price": 1e3, "more": 1}'),
        ("Buy", "2", None),
        ("Open", None, '{"os": 1, "x": "y"}'),
        ("Pop", "2", '{"os": "x", "y": true}'),
        (None, "2", '{"os": "x"}'),
    ]
    frame = spark.createDataFrame(
        [(e, v, f'{{"p": {p}}}' if p else "{}", i) for i, (e, v, p) in enumerate(given)],
        "event string, v string, text string, _line int",
    ).selectExpr("*", "parse_json(text) AS _raw", "'f' AS _file", "'2026-03-01 10:00:00' AS at")
    seen = tracking.observed(frame, PLAN).persist()
    plan = tracking.planned(seen, [PLAN])
    columns = ("event", "property", "app_version", "violation", "found", "records", "sample")
    assert rows(tracking.violations(seen, plan), *columns) == sorted(
        [
            ("Buy", "items", "1", "missing_property", "missing", 1, "f:2"),
            ("Buy", "items", "1", "wrong_type", "object", 1, "f:1"),
            ("Buy", "items", "2", "missing_property", "missing", 1, "f:3"),
            ("Buy", "more", "1", "undocumented_property", "integer", 1, "f:2"),
            ("Buy", "n", "1", "wrong_type", "number", 1, "f:1"),
            ("Buy", "n", "1", "wrong_type", "string", 1, "f:2"),
            ("Buy", "os", "1", "missing_property", "missing", 1, "f:2"),
            ("Buy", "os", "2", "missing_property", "missing", 1, "f:3"),
            ("Open", "os", "unknown", "wrong_type", "integer", 1, "f:4"),
            ("Open", "x", "unknown", "undocumented_property", "string", 1, "f:4"),
            ("Pop", "", "2", "undocumented_event", "record", 1, "f:5"),
        ],
        key=repr,
    )
    status = tracking.plan_rows(plan, seen, seen.limit(0).selectExpr(
        "plan", "event", "property", "records", "day AS first_day", "day AS last_day"
    )).persist()  # fmt: skip
    assert rows(status, "event", "property", "status", "records") == sorted(
        [
            ("Buy", "", "observed", 4), ("Buy", "free", "observed", 1), ("Buy", "items", "observed", 2),
            ("Buy", "n", "observed", 3), ("Buy", "os", "observed", 2), ("Buy", "price", "observed", 3),
            ("Never", "", "missing", 0), ("Never", "free", "missing", 0), ("Never", "os", "missing", 0),
            ("Never", "x", "missing", 0), ("Open", "", "observed", 1), ("Open", "free", "missing", 0),
            ("Open", "os", "observed", 1),
        ],
        key=repr,
    )  # fmt: skip
    # In two goes the counts add up.
    halves = [tracking.observed(frame.where(f"_line % 2 = {n}"), PLAN) for n in (0, 1)]
    both = tracking.added(halves[0], halves[1]).unionByName(
        halves[1].join(halves[0], ["event", "property", "app_version", "found"], "left_anti")
    )
    every = ("event", "property", "app_version", "found", "records", "sample")
    assert rows(both, *every) == rows(seen, *every)
    doubled = tracking.plan_rows(plan, seen, status)
    assert rows(doubled, "event", "property", "records") == [
        (e, p, 2 * n) for e, p, _, n in rows(status, "event", "property", "status", "records")
    ]
