"""How Spark is set for what a batch reads, and for what a submitter says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pyspark import SparkConf

from lakecdp.platform import session
from lakecdp.platform.settings import SparkSettings

MB = 1 << 20


@pytest.mark.parametrize(
    ("given", "megabytes", "parts"),
    [
        (None, 0, 2),
        (None, 15, 2),
        (None, 100, 12),
        (None, 10_000, 400),
        (7, 100, 7),
        (1, 0, 1),
    ],
)
def test_a_shuffle_has_parts_for_what_a_batch_reads_unless_the_settings_say_how_many(
    monkeypatch: pytest.MonkeyPatch, given: int | None, megabytes: int, parts: int
) -> None:
    monkeypatch.setattr(session, "cores", lambda: 1)
    held = session._defaults(SparkSettings(shuffle_partitions=given))
    spark: Any = SimpleNamespace(conf=SimpleNamespace(get=held.get, set=held.__setitem__))
    session.suit(spark, megabytes * MB)
    assert held["spark.sql.shuffle.partitions"] == str(parts)


def test_the_number_of_parts_that_a_submitter_names_holds() -> None:
    wanted = session._defaults(SparkSettings())
    given = SparkConf(loadDefaults=False)
    assert session._as_submitted(wanted, given) == wanted
    given.set("spark.sql.shuffle.partitions", "400").set("spark.sql.session.timeZone", "CET")
    held = session._as_submitted(wanted, given)
    # What is left out is the submitter's; what results depend on is ours all the same.
    assert "spark.sql.shuffle.partitions" not in held
    assert held["spark.sql.session.timeZone"] == "UTC"
    held["spark.sql.shuffle.partitions"] = "400"
    spark: Any = SimpleNamespace(conf=SimpleNamespace(get=held.get, set=held.__setitem__))
    session.suit(spark, 100 * MB)
    assert held["spark.sql.shuffle.partitions"] == "400"
