"""Rows that this process holds, as a Delta table has them in its files."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import DataType

from lakecdp import contracts
from lakecdp.contracts import TableContract

PLAIN = {
    "BIGINT": pa.int64(),
    "INT": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "STRING": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
}


FEW = 100_000
"""So many narrow rows are no burden for the driver."""
LINEAGE = pa.field("_batch", pa.int64(), False)


@cache
def arrow_type(text: str) -> pa.DataType | None:
    """The type of a contract's column in Arrow; None for VARIANT, which Arrow does not have.

    Any but the `PLAIN` ones need a session of Spark, which knows how they are written.
    """
    if "VARIANT" in text:
        return None
    return PLAIN.get(text) or to_arrow_type(DataType.fromDDL(text), timezone="UTC")


def arrow_schema(contract: TableContract) -> pa.Schema:
    """The columns of a table, `_batch` among them; it has no VARIANT."""
    fields = [pa.field(c.name, arrow_type(c.type), not c.required) for c in contract.columns]
    return pa.schema([*fields, LINEAGE])


def traced(rows: pa.Table, lineage: int) -> pa.Table:
    """Rows with the lineage column that each table has."""
    return rows.append_column(LINEAGE, pa.repeat(pa.scalar(lineage, pa.int64()), rows.num_rows))


def no_rows(name: str, columns: Sequence[str]) -> pa.Table | None:
    """What `Lake.arrow` gives of a table without files; None where Arrow lacks a type."""
    kinds = {c.name: arrow_type(c.type) for c in contracts.table(name).all_columns}
    if any(kinds[c] is None for c in columns):
        return None
    texts = pa.dictionary(pa.int32(), pa.string())
    fields = [pa.field(c, texts if kinds[c] == pa.string() else kinds[c]) for c in columns]
    return pa.schema(fields).empty_table()


def with_gone(rows: pa.Table, gone: pa.Table) -> pa.Table:
    """Rows, and keys of others that are to be deleted, told apart by a column `_gone`."""
    flags = pa.array([False] * len(rows) + [True] * len(gone), pa.bool_())
    return pa.concat_tables([rows, gone], promote_options="default").append_column("_gone", flags)


def texts(rows: pa.Table) -> list[str]:
    """Columns worth a dictionary: ids are different in each row, times and texts repeat."""
    return [f.name for f in rows.schema if f.type != pa.int64() or f.name == "_batch"]


def stats(rows: pa.Table, contract: TableContract) -> dict[str, Any]:
    """Statistics of a file, as the protocol of Delta has them: those of numbers and days."""
    told: dict[str, Any] = {"numRecords": rows.num_rows}
    low, high, nulls = {}, {}, {}
    for name in contract.stats_columns:
        nulls[name] = rows.column(name).null_count
        kind = rows.column(name).type
        if (pa.types.is_integer(kind) or pa.types.is_date(kind)) and nulls[name] < rows.num_rows:
            found = pc.min_max(rows.column(name)).as_py()
            plain = date.isoformat if pa.types.is_date(kind) else int
            low[name], high[name] = plain(found["min"]), plain(found["max"])
    return {**told, "minValues": low, "maxValues": high, "nullCount": nulls}


def added(name: str, size: int, stats: Mapping[str, Any]) -> str:
    """The action that adds a file, by the protocol of Delta."""
    action = {
        "path": name,
        "partitionValues": {},
        "size": size,
        "modificationTime": int(time.time() * 1000),
        "dataChange": True,
        "stats": json.dumps(stats),
    }
    return json.dumps({"add": action})
