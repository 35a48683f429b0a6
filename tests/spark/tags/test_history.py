"""History by run date: what the last run of each date found, however often each was run."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
from pyspark.sql import SparkSession

from lakecdp.tags import history

pytestmark = pytest.mark.spark

SCHEMA = "id BIGINT, value STRING, why STRING, valid_from DATE, valid_to DATE"
Row = tuple[int, str, str, date, date | None]


def oracle(found: dict[date, dict[int, tuple[str, str]]], ids: range) -> list[Row]:
    """The table that one run of each date, with its final values, gives."""
    rows: list[Row] = []
    for n in ids:
        for day in sorted(found):
            now = found[day].get(n)
            mine = rows[-1] if rows and rows[-1][0] == n and rows[-1][4] is None else None
            if mine and (now is None or now[0] != mine[1]):
                rows[-1] = (*mine[:4], day)
            if now and (mine is None or mine[1] != now[0]):
                rows.append((n, *now, day, None))
    return rows


def test_table_depends_on_the_final_state_of_each_date_only(spark: SparkSession) -> None:
    r = random.Random(3)
    ids = range(40)
    first = date(2026, 1, 1)
    table: dict[tuple[int, date], Row] = {}
    found: dict[date, dict[int, tuple[str, str]]] = {}
    state: dict[int, tuple[str, str]] = {}
    # Dates run one to three times; the seventh run goes back to an earlier date.
    for offset in (0, 0, 0, 1, 1, 3, 1, 1, 2):
        day = first + timedelta(days=offset)
        back = any(d > day for d in found)
        changed = [i for i in ids if r.random() < 0.6]
        for i in changed:
            value = r.choice(("a", "b", "c", None))
            state.pop(i, None)
            if value is not None:
                state[i] = (value, f"why {r.randrange(3)}")
        found = {d: v for d, v in found.items() if d < day} | {day: dict(state)}
        complete = back or r.random() < 0.5
        told = [(i, *state.get(i, (None, None))) for i in (ids if complete else changed)]
        if complete:
            told = [t for t in told if t[1] is not None]
        current = spark.createDataFrame(list(table.values()), SCHEMA)
        if not complete:
            current = current.where(current.id.isin(changed))
        revised = history.revise(
            current, spark.createDataFrame(told, "id BIGINT, value STRING, why STRING"), day,
            key=["id"], value="value", detail=["why"], complete=complete,
        ).collect()  # fmt: skip
        for row in revised:
            key = (row["id"], row["valid_from"])
            wanted = (row["id"], row["value"], row["why"], row["valid_from"], row["valid_to"])
            if row["_gone"]:
                del table[key]
            else:
                assert table.get(key) != wanted, "what is right already is not written"
                table[key] = wanted
        assert len({(x["id"], x["valid_from"]) for x in revised}) == len(revised)
        assert sorted(table.values()) == sorted(oracle(found, ids)), offset
