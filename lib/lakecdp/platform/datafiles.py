"""Data files of Delta tables, read by this process past the JVM.

That is several times as quick as bringing rows of a frame here, and looking for the rows of some keys
needs no job of Spark at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from lakecdp.platform.commits import Action, all_commits, standing_files
from lakecdp.platform.vectors import Places, Vector, places_in

T = TypeVar("T")
DATED_IN = "us"
"""Unit of times, in whichever way a file has them."""
UTC = pa.timestamp(DATED_IN, "UTC")
REMAINDERS = 1 << 22
NARROW = 4
"""Bytes of a text, in the mean, up to which a file has hardly more than numbers of a dictionary."""
THREADS = 2


@dataclass(frozen=True)
class DataFile:
    """One file of a table.

    Attributes:
        path: where it lies.
        add: the action by which it stands in the table.
        deleted: places of the rows that count no more; None for none.
    """

    path: Path
    add: Action
    deleted: Places | None


class FileIndex:
    """Which files hold the rows of tables; the last deletion vector of each is kept."""

    def __init__(self, spark: SparkSession):
        self._spark = spark
        self._deleted: dict[Path, tuple[Vector, Places]] = {}

    def of(self, table: str, version: int | None, snapshot: Any) -> list[DataFile] | None:
        """The files of a table.

        Args:
            table: where it lies.
            version: of the table; None for the current one.
            snapshot: the current state, as Delta has it.

        Returns:
            None where the table lies on no local path, or the files do not tell its rows: it is
            partitioned, or they are not there any more.
        """
        root = urlsplit(table)
        if root.scheme not in ("", "file"):
            return None
        folder = Path(unquote(root.path))
        current = int(snapshot.version())
        commits = all_commits(folder, current if version is None else version)
        if commits is not None:
            standing = standing_files(commits)
        elif version in (None, current):
            standing = standing_files([self._told(snapshot)])
        else:
            return None
        if standing is None or not all((folder / n).is_file() for n in standing):
            return None
        return [
            DataFile(folder / n, a, self._places(folder, n, a.get("deletionVector")))
            for n, a in standing.items()
        ]

    def _told(self, snapshot: Any) -> str:
        """The actions that make the current version, by a query of Delta."""
        return "\n".join(a.json() for a in snapshot.allFiles().collectAsList())

    def _places(self, folder: Path, name: str, vector: Vector | None) -> Places | None:
        if vector is None:
            return None
        held = self._deleted.get(folder / name)
        if held is None or held[0] != vector:
            held = (vector, places_in(self._spark, folder, vector))
            self._deleted[folder / name] = held
        return held[1]


def whole(files: Sequence[DataFile], columns: Sequence[str]) -> list[pa.Table] | None:
    """The rows of files, one table for each; texts that repeat come as dictionaries.

    Returns:
        None where a file lacks a column.
    """
    opened = [(pq.ParquetFile(f.path, memory_map=True), f) for f in files]
    if not all(set(columns) <= set(p.schema_arrow.names) for p, _ in opened):
        return None
    return _each(lambda p, f: [_read(p, f, columns)], opened)


def among(
    files: Sequence[DataFile], columns: Sequence[str], by: str, values: pa.Array
) -> list[pa.Table] | None:
    """Those rows of files whose column `by` stands among values, one table for each group of rows.

    Args:
        files: files of a table.
        columns: those wanted.
        by: a column of numbers or texts.
        values: distinct values, ascending.

    Returns:
        None where a file lacks a column.
    """
    opened = [(pq.ParquetFile(f.path, memory_map=True), f) for f in files]
    if not all({*columns, by} <= set(p.schema_arrow.names) for p, _ in opened):
        return None
    return _each(lambda p, f: [*_rows_at(p, f, columns, _hits(p, f, by, values))], opened)


def places_of(files: Sequence[DataFile], keys: pa.Table) -> list[Places] | None:
    """For each file the places of the rows whose key stands among others, ascending.

    Args:
        files: files of a table.
        keys: values of the key, in columns named as those of the table.

    Returns:
        None where a file lacks a column.
    """
    names = keys.column_names
    opened = [(pq.ParquetFile(f.path, memory_map=True), f) for f in files]
    if not all(set(names) <= set(p.schema_arrow.names) for p, _ in opened):
        return None
    firsts = pc.unique(keys.column(0).combine_chunks())
    firsts = firsts.take(pc.sort_indices(firsts))

    def places(parquet: pq.ParquetFile, file: DataFile) -> list[Places]:
        found = _hits(parquet, file, names[0], firsts)
        if len(found) and len(names) > 1:
            rows = pa.concat_tables(_rows_at(parquet, file, names, found)).select(names)
            found = found[among_keys(rows.cast(keys.schema), keys)]
        return [found]

    return _each(places, opened)


def _each(
    work: Callable[[pq.ParquetFile, DataFile], list[T]],
    opened: list[tuple[pq.ParquetFile, DataFile]],
) -> list[T]:
    """What is found in each file, in their order."""
    with ThreadPoolExecutor(THREADS) as threads:
        return [found for part in threads.map(lambda o: work(*o), opened) for found in part]


def joined(parts: list[pa.Table]) -> pa.Table:
    """Rows of one or more files as one table."""
    if any(p.schema.types != parts[0].schema.types for p in parts):
        # A text may repeat in one file and not in another.
        parts = [plain(p) for p in parts]
    return pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()


def among_keys(rows: pa.Table, keys: pa.Table) -> NDArray[np.bool_]:
    """Which rows have a key that stands among others, in the same columns."""
    first = rows.column_names[0]
    hit = pc.is_in(rows.column(first), value_set=keys.column(first).combine_chunks())
    found: NDArray[np.bool_] = np.array(hit.to_numpy(), dtype=np.bool_)
    if rows.num_columns > 1 and found.any():
        some = pd.MultiIndex.from_frame(rows.filter(pa.array(found)).to_pandas())
        found[found] = some.isin(pd.MultiIndex.from_frame(keys.to_pandas()))
    return found


def _read(parquet: pq.ParquetFile, file: DataFile, columns: Sequence[str]) -> pa.Table:
    rows = _moments(_reader(parquet, file, columns).read(columns=list(columns)))
    if file.deleted is None:
        return rows
    kept = np.ones(rows.num_rows, dtype=np.bool_)
    kept[file.deleted] = False
    return rows.filter(pa.array(kept))


def _reader(parquet: pq.ParquetFile, file: DataFile, columns: Sequence[str]) -> pq.ParquetFile:
    """The file opened so that texts which repeat come as dictionaries."""
    texts = {c for c in columns if pa.types.is_string(parquet.schema_arrow.field(c).type)}
    size = dict.fromkeys(texts, 0)
    for group in range(parquet.num_row_groups):
        told = parquet.metadata.row_group(group)
        for column in (told.column(i) for i in range(told.num_columns)):
            if column.path_in_schema in texts:
                size[column.path_in_schema] += column.total_uncompressed_size
    repeated = [c for c in texts if size[c] <= NARROW * parquet.metadata.num_rows]
    return pq.ParquetFile(
        file.path, memory_map=True, read_dictionary=repeated, coerce_int96_timestamp_unit=DATED_IN
    )


def _hits(parquet: pq.ParquetFile, file: DataFile, by: str, values: pa.Array) -> Places:
    """Places of the rows that count and whose column stands among values, ascending."""
    groups = [parquet.metadata.row_group(g) for g in range(parquet.num_row_groups)]
    starts = np.cumsum([0, *(g.num_rows for g in groups)])
    some = [i for i, g in enumerate(groups) if _may_hold(g, by, values)]
    if not some:
        return np.zeros(0, dtype=np.int64)
    column = parquet.read_row_groups(some, columns=[by]).column(by)
    hit = _standing(column, values)
    read = np.cumsum([0, *(groups[i].num_rows for i in some)])
    at = np.searchsorted(read, hit, "right") - 1
    places: Places = hit + starts[some][at] - read[at]
    if file.deleted is None:
        return places
    return np.setdiff1d(places, file.deleted, assume_unique=True)


def _standing(column: pa.ChunkedArray, values: pa.Array) -> Places:
    """Places of those that stand among values."""
    if not pa.types.is_integer(column.type) or column.null_count:
        return np.flatnonzero(pc.is_in(column, value_set=values).to_numpy())
    # Most numbers are passed over by a small table of remainders, without a search.
    keys, mask = column.to_numpy(), REMAINDERS - 1
    small = np.zeros(REMAINDERS, dtype=np.bool_)
    small[values.to_numpy() & mask] = True
    maybe = np.flatnonzero(small[keys & mask])
    found: Places = maybe[pc.is_in(pa.array(keys[maybe]), value_set=values).to_numpy(False)]
    return found


def _rows_at(
    parquet: pq.ParquetFile, file: DataFile, columns: Sequence[str], places: Places
) -> Iterator[pa.Table]:
    reader = _reader(parquet, file, columns)
    start = 0
    for group in range(reader.num_row_groups):
        end = start + reader.metadata.row_group(group).num_rows
        low, high = np.searchsorted(places, [start, end])
        if low < high:
            rows = reader.read_row_group(group, columns=list(columns))
            yield plain(rows.take(pa.array(places[low:high] - start)))
        start = end


def plain(rows: pa.Table) -> pa.Table:
    """Rows with texts as texts and times as moments, whichever way a file or Spark has them.

    A few rows would drag the dictionary of texts of a whole file along.
    """
    kinds = [
        f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in rows.schema
    ]
    return _moments(rows.cast(pa.schema(kinds)))


def _moments(rows: pa.Table) -> pa.Table:
    """Rows with times as moments: what Spark has written says of no zone that it is UTC."""
    kinds = [f.with_type(UTC) if pa.types.is_timestamp(f.type) else f for f in rows.schema]
    return rows.cast(pa.schema(kinds))


def _may_hold(group: pq.RowGroupMetaData, by: str, values: pa.Array) -> bool:
    """Whether a group may have such a value, by what its file says of the least and the greatest."""
    places = range(group.num_columns)
    told = next(group.column(i) for i in places if group.column(i).path_in_schema == by)
    bounds = told.statistics
    if not pa.types.is_integer(values.type) or bounds is None or not bounds.has_min_max:
        return True
    ascending = values.to_numpy()
    low = np.searchsorted(ascending, bounds.min)
    return bool(low < np.searchsorted(ascending, bounds.max, "right"))
