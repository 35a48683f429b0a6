"""Few rows merged into a small table by this process become what a MERGE of Delta makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakecdp import contracts
from lakecdp.contracts import TableContract
from lakecdp.platform import lake as lakes
from lakecdp.platform import local_writes
from lakecdp.platform.lake import Lake
from lakecdp.platform.merging import Merge, MergeCounts

ORDER, GOLDEN = contracts.table("silver.order"), contracts.table("gold.golden_record")
NUMBER = {ORDER.name: "line_count", GOLDEN.name: "agreeing"}
MARK = {ORDER.name: "status", GOLDEN.name: "rule"}
"""A column without a value now and then, but where it must have one."""
Key = tuple[Any, ...]
Row = tuple[Any, ...]


def value(kind: str, dice: random.Random) -> Any:
    """Any value of a type."""
    if kind.startswith("ARRAY<STRUCT<"):
        inner = [f.split(": ")[1] for f in kind[13:-2].replace("(28,", "(28;").split(", ")]
        return [
            tuple(value(k.replace(";", ","), dice) for k in inner) for _ in range(dice.randrange(3))
        ]
    if kind.startswith("DECIMAL"):
        scale = int(kind.rstrip(")").split(",")[1])
        return Decimal(dice.randrange(-(10**9), 10**9)).scaleb(-scale)
    at = datetime(2026, 3, 29, 1, 2, 3, 456789, UTC) + timedelta(minutes=dice.randrange(10**5))
    return {
        "STRING": dice.choice(["", "x", "Ünïcode 口红"]),
        "BIGINT": dice.randrange(-(1 << 62), 1 << 62),
        "INT": dice.randrange(5),
        "DATE": date(2026, 1, 1) + timedelta(days=dice.randrange(90)),
        "TIMESTAMP": at,
    }[kind]


def zoned(given: Any) -> Any:
    """A value as collected, with moments in UTC."""
    if isinstance(given, datetime):
        return given.astimezone(UTC)
    if isinstance(given, list):
        return [tuple(zoned(v) for v in part) for part in given]
    return given


def source(contract: TableContract, dice: random.Random, batch: int) -> dict[Key, Row]:
    """Rows of a batch by key, with `_batch`."""
    keys = {
        (f"o{dice.randrange(30)}",)
        if contract is ORDER
        else (dice.randrange(15), dice.choice(["city", "level"]))
        for _ in range(20)
    }
    found = {}
    for key in sorted(keys):
        row = [
            None if not c.required and dice.random() < 0.3 else value(c.type, dice)
            for c in contract.columns
        ]
        row[: len(key)] = key
        found[key] = (*row, batch)
    return found


def bare(row: Row, contract: TableContract, key: Key) -> Row:
    """A row that is to be deleted, or not to be inserted, without what else a row must have."""
    mark = contract.column_names.index(MARK[contract.name])
    if row[mark] != "x":
        return row
    return (*key, *(v if i == mark else None for i, v in enumerate(row) if i >= len(key)))


def schema(contract: TableContract) -> str:
    return ", ".join(f"`{c.name}` {c.type}" for c in contract.all_columns)


def frame(spark: SparkSession, contract: TableContract, rows: dict[Key, Row]) -> DataFrame:
    return spark.createDataFrame([*rows.values()], schema(contract))


def merged(
    held: dict[Key, Row], given: dict[Key, Row], contract: TableContract, how: Merge
) -> MergeCounts:
    """What MERGE does by its documentation; a condition that is null does not hold."""
    number, mark = (contract.column_names.index(n[contract.name]) for n in (NUMBER, MARK))
    inserted = updated = deleted = 0
    for key, row in given.items():
        goes = (row[mark] == "x" if row[mark] is not None else None) if how.delete_when else False
        if key in held:
            if goes:
                del held[key]
                deleted += 1
            elif how.update and (not how.update_when or row[number] > held[key][number]):
                held[key] = row
                updated += 1
        elif goes is False and how.insert:
            held[key] = row
            inserted += 1
    return MergeCounts(inserted, updated, deleted)


@pytest.mark.parametrize(
    ("contract", "small"),
    [(ORDER, True), (GOLDEN, True), (ORDER, False)],
    ids=["orders", "golden records", "orders by Delta"],
)
def test_merges_by_either_way_do_what_merge_does(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    contract: TableContract,
    small: bool,
) -> None:
    dice, lake, held = random.Random(3), Lake(spark, str(tmp_path / "a lake")), dict[Key, Row]()
    lake.ensure(contract)
    asked: list[str] = []
    by_delta: Callable[..., MergeCounts] = lake._sql
    monkeypatch.setattr(lake, "_sql", lambda *args: asked.append("") or by_delta(*args))
    monkeypatch.setattr(local_writes, "MANY_FILES", 1)
    if not small:
        monkeypatch.setattr(lakes, "SMALL_TABLE", -1)
    newer = f"s.{NUMBER[contract.name]} > t.{NUMBER[contract.name]}"
    gone = f"s.{MARK[contract.name]} = 'x'"
    ways = (
        Merge(),
        Merge(update_when=newer),
        Merge(update_when=newer, delete_when=gone),
        Merge(delete_when=gone),
        Merge(update=False),
        Merge(insert=False),
    )

    def read() -> dict[Key, Row]:
        table = spark.read.format("delta").load(lake.path(contract.name))
        assert not small or len(table.inputFiles()) <= 2, "files of a small table are made one"
        rows = table.collect()
        names = [*contract.column_names, "_batch"]
        found = {tuple(r[k] for k in contract.key): tuple(zoned(r[n]) for n in names) for r in rows}
        assert len(found) == len(rows), "one row per key"
        return found

    for batch, how in enumerate(ways, 1):
        given = source(contract, dice, batch)
        if how.delete_when:
            # Of what is to be deleted the key alone may be given.
            given = {k: bare(r, contract, k) for k, r in given.items()}
        rows = frame(spark, contract, given)
        assert lake.merge(contract, rows, {"run_seq": batch}, how) == merged(
            held, given, contract, how
        )
        assert lake.last_metadata(contract.name, "run_seq") == {"run_seq": batch}
    assert read() == held

    on = contract.key[0]
    some = sorted({k[0] for k in held})[:3]
    keys = spark.createDataFrame(
        [(k,) for k in [*some, *some[:1]]] + [(None,)],
        f"{on} {contract.columns[0].type}",
    ).distinct()
    deleted = lake.delete(contract, keys, {}, [on]).deleted
    assert deleted == sum(k[0] in some for k in held)
    held = {k: v for k, v in held.items() if k[0] not in some}
    assert read() == held

    before = lake.version(contract.name)
    nothing = {k: r for k, r in source(contract, dice, 9).items() if k not in held}
    counts = lake.merge(contract, frame(spark, contract, nothing), {}, Merge(insert=False))
    assert counts == MergeCounts()
    if small:
        assert lake.version(contract.name) == before, "nothing to do, no commit"
        assert asked == [""], "the keys without a value are left to Delta"
        key, row = next(iter(held.items()))
        twice = spark.createDataFrame([row, row], schema(contract))
        with pytest.raises(Exception, match="DELTA_MULTIPLE_SOURCE_ROW_MATCHING"):
            lake.merge(contract, twice, {}, Merge())
        without = spark.createDataFrame([(*key, *[None] * (len(row) - len(key)))], schema(contract))
        with pytest.raises(Exception, match="NOT_NULL"):
            lake.merge(contract, without, {}, Merge())
        assert read() == held
