"""Rows that this process holds, as a Delta table has them in its files."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

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


def no_rows(name: str, columns: Sequence[str]) -> pa.Table | None:
    """What `Lake.arrow` gives of a table without files; None where a type is not plain."""
    kinds = {c.name: PLAIN.get(c.type) for c in contracts.table(name).all_columns}
    if not all(kinds.get(c) for c in columns):
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
    """Statistics of a file, as the protocol of Delta has them; times are left out."""
    told: dict[str, Any] = {"numRecords": rows.num_rows}
    low, high, nulls = {}, {}, {}
    for name in contract.stats_columns:
        nulls[name] = rows.column(name).null_count
        if pa.types.is_integer(rows.column(name).type) and nulls[name] < rows.num_rows:
            found = pc.min_max(rows.column(name)).as_py()
            low[name], high[name] = found["min"], found["max"]
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
