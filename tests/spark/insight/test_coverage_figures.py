"""The figures on coverage, from tables made by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakecdp import contracts
from lakecdp.insight.coverage import coverage
from lakecdp.insight.figures import ChannelState, Covered, ShortFile, Violation

pytestmark = pytest.mark.spark

D = Decimal
ROWS = {
    "gold.coverage": """
        ('2026-10-01', 'pos', 'store', 'all', 'control_totals', 100, 90, 10, 0.9, 50, 40, 10),
        ('2026-10-02', 'pos', 'store', 'all', 'control_totals', 100, 100, 0, 1, 70, 75, 5),
        ('2026-09-30', 'pos', 'store', 'all', 'control_totals', 999, 0, 999, 0, 1, 0, 1),
        ('2026-10-02', 'app', 'app', 'all', 'sequence', 20, 19, 1, 0.95, null, null, null),
        ('2026-10-02', 'app', 'app', 'view_item', 'none', null, 15, null, null, null, null, null),
        ('2026-10-02', 'bo', 'fax', 'purchase', 'orders', 4, 1, 3, 0.25, null, null, null)""",
    "gold.coverage_file": """
        ('pos', 'a', 'store', '2026-10-01', 100, 50, 90, 40, '2026-10-01'),
        ('pos', 'b', 'store', '2026-10-02', 60, 70, 60, 75, '2026-10-02'),
        ('pos', 'c', 'store', '2026-10-02', 40, null, 40, 3, '2026-10-02'),
        ('pos', 'd', 'store', '2026-10-02', 5, 2, 0, null, null),
        ('pos', 'e', 'store', '2026-10-02', null, null, 7, 1, '2026-10-02'),
        ('pos', 'f', 'store', '2026-09-30', 999, 1, 0, null, null)""",
    "gold.channel": """
        ('store', 'offline', 'x', 0.98, true, true, array('pos'), '2026-09-30', '2026-10-02'),
        ('app', 'online', null, 0.95, true, true, array('app'), '2026-10-02', '2026-10-02'),
        ('web', 'online', null, 0.95, true, false, array(), null, null),
        ('fax', 'undeclared', null, null, false, true, array('bo'), null, null)""",
    "gold.tracking_plan": """
        ('app', 'Open', '', 1, 'o', 'record', false, 'observed', 5, '2026-10-01', '2026-10-02'),
        ('app', 'Open', 'os', 1, 'o', 'string', true, 'observed', 5, '2026-10-01', '2026-10-02'),
        ('app', 'Open', 'ip', 1, 'o', 'string', false, 'missing', 0, null, null),
        ('app', 'Rate', '', 1, 'o', 'record', false, 'missing', 0, null, null),
        ('app', 'Rate', 'os', 1, 'o', 'string', true, 'missing', 0, null, null)""",
    "gold.tracking_violation": """
        ('2026-10-01', 'app', 'Pop', '', '2', 'undocumented_event', 'record', 3, 'f:1'),
        ('2026-10-02', 'app', 'Pop', '', '2', 'undocumented_event', 'record', 4, 'f:2'),
        ('2026-10-02', 'app', 'Pop', '', '3', 'undocumented_event', 'record', 1, 'f:3'),
        ('2026-10-02', 'app', 'Open', 'os', '2', 'wrong_type', 'integer', 2, 'f:4'),
        ('2026-09-30', 'app', 'Open', 'os', '2', 'wrong_type', 'integer', 99, 'f:5')""",
}


def test_figures_are_those_of_the_days_asked_for(spark: SparkSession) -> None:
    def read(name: str) -> DataFrame:
        columns = contracts.table(name).columns
        frame = spark.sql(
            f"SELECT * FROM VALUES {ROWS[name]} AS t({', '.join(c.name for c in columns)})"
        )
        return frame.select(*[frame[c.name].cast(c.type).alias(c.name) for c in columns])

    first, last = date(2026, 10, 1), date(2026, 10, 2)
    found = coverage(read, first, last, 2)
    assert (found.since, found.until) == (first, last)
    assert found.covered == (
        Covered("app", "all", "app", "sequence", 20, 1, D("0.95")),
        Covered("fax", "purchase", "bo", "orders", 4, 3, None),
        Covered("store", "all", "pos", "control_totals", 200, 10, D("0.98"), D(120), D(15)),
    )
    # 19 of 20 are exactly what is asked for; a channel that nobody has declared has no target.
    assert found.missed == (found.covered[2],)
    # a lacks 10, d came not at all, b has another amount; c has no amount to be held against.
    assert found.shorts == 3
    assert found.short == (
        ShortFile("pos", "a", first, 100, 90, D(50), D(40)),
        ShortFile("pos", "d", last, 5, 0, D(2), None),
    )
    assert found.violations == (
        Violation("app", "Pop", "", "2", "undocumented_event", "record", 7, last, "f:2"),
        Violation("app", "Open", "os", "2", "wrong_type", "integer", 2, last, "f:4"),
    )
    assert (found.planned, found.unseen) == (5, ("app: Open.ip", "app: Rate"))
    assert found.channels == (
        ChannelState("app", "online", True, True, ("app",), last),
        ChannelState("fax", "undeclared", False, True, ("bo",), None),
        ChannelState("store", "offline", True, True, ("pos",), last),
        ChannelState("web", "online", True, False, (), None),
    )
    assert (found.connected, found.declared) == (2, 3)
