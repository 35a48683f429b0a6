"""Take the new files and pulls of sources into bronze, each exactly once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.bronze import drift, records
from lakecdp.bronze.connectors.pull import Position
from lakecdp.bronze.mapping import WIDE, Source, SourceMapping
from lakecdp.platform.batch import Batch
from lakecdp.platform.errors import LakecdpError
from lakecdp.platform.fs import FileEntry, java_message, matching, read_head
from lakecdp.platform.part import Unit

QUARANTINE, FILES = "silver.quarantine", "bronze.landed_file"
LANDED, REFUSED = "landed", "refused"
# One of the 32,768 positions of Spark's bitmaps for a line, by its text alone: a condition on its place
# would be judged after parsing.
_BUCKET = "CAST(pmod(hash(bytes), 32768) AS BIGINT)"
_HARMED = (
    "EOF",
    "Unexpected end",
    "ZLIB",
    "zlib",
    "incorrect",
    "not in GZIP",
    "invalid",
    "corrupt",
    "BZ",
    "magic",
)


@dataclass
class FileState:
    """A new file on its way: its header, the counts of its records, and why it was refused.

    `above` is the number of lines up to the header that are not blank.
    """

    entry: FileEntry
    header: list[str] | None = None
    above: int = 0
    records: int = 0
    quarantined: int = 0
    reason: str | None = None


@dataclass
class Landing:
    """The new files of one source and the lines of those that can be read, or what a pull gave.

    `filled` is the number of lines that must become records, counted before any is parsed; None
    where records may span lines, so that only parsing tells.

    Attributes:
        seen: columns or fields that earlier files have shown.
        position: how far a connector has read; None for files.
        idle: there is nothing to land.
        refused_in: hashes of the texts of refused lines, 0 to 32,767; None where not noted.
        again: records that a connector read although they had landed.
        bytes: size of what it reads.
        more: its input held more than one batch takes.
    """

    source: Source
    states: dict[str, FileState]
    frame: DataFrame | None = None
    filled: int | None = 0
    notes: list[str] = field(default_factory=list)
    refused: int = 0
    refused_in: list[int] | None = None
    seen: Collection[str] = ()
    position: Position | None = None
    idle: bool = False
    again: int = 0
    bytes: int = 0
    more: bool = False

    @property
    def unit(self) -> Unit:
        """The source as a part of the batch."""
        files = () if self.position is not None else (FILES,)
        return Unit(
            self.source.mapping.source,
            outputs=(self.source.mapping.bronze, QUARANTINE, *files),
            bytes=self.bytes,
            idle=self.idle,
        )


Known = frozenset[tuple[str, str, int, int]]


def landed_files(rows: DataFrame) -> Known:
    """The files that have landed, each in the form it then had: source, path, bytes, time (ms).

    Args:
        rows: bronze.landed_file.
    """
    found = rows.select("source", "file", "bytes", F.unix_millis("modified_at")).collect()
    return frozenset((r[0], r[1], r[2], r[3]) for r in found)


def new_files(
    present: Iterable[FileEntry], mapping: SourceMapping, known: Known
) -> list[FileEntry]:
    """Files of a source that have not landed in their present form.

    Args:
        present: the files in the landing folder.
        mapping: the source.
        known: see `landed_files`.
    """
    mine = matching(present, mapping.files)
    return [f for f in mine if (mapping.source, f.path, f.bytes, _millis(f)) not in known]


def _millis(f: FileEntry) -> int:
    return round(f.modified_at.timestamp() * 1000)


def open_files(
    spark: SparkSession, source: Source, files: Sequence[FileEntry], seen: Collection[str] = ()
) -> Landing:
    """Read headers, set harmed files aside and parse the lines of the others; writes nothing.

    Args:
        spark: the session.
        source: the source.
        files: its new files.
        seen: columns or fields that its earlier files have shown; see `drift.seen_fields`.

    Raises:
        LakecdpError: a column that the mapping names is missing, or a file cannot be read at all.
    """
    mapping = source.mapping
    landing = Landing(source, {f.uri: FileState(f) for f in files}, seen=seen, idle=not files)
    landing.bytes = sum(f.bytes for f in files)
    with ThreadPoolExecutor(4, thread_name_prefix="lakecdp-open") as threads:
        list(threads.map(lambda state: _open(spark, mapping, state), landing.states.values()))
    readable = [s for s in landing.states.values() if s.reason is None]
    landing.notes = _drift(source, readable, seen)
    found = _parse(spark, mapping, readable)
    if found:
        landing.frame = reduce(DataFrame.unionByName, (frame for frame, _ in found))
        counts = [filled for _, filled in found if filled is not None]
        landing.filled = sum(counts) if len(counts) == len(found) else None
    return landing


def _open(spark: SparkSession, mapping: SourceMapping, state: FileState) -> None:
    if state.entry.bytes == 0:
        state.reason = "the file is empty"
        return
    try:
        head = read_head(spark, state.entry.uri)
    except LakecdpError as e:
        if not _harmed(str(e)):
            raise LakecdpError(f"source {mapping.source}: {e}") from None
        state.reason = f"the file cannot be decompressed: {_tail(str(e))}"
        return
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and mapping.file.encoding not in WIDE:
        state.reason = "the file is UTF-16; say `encoding: utf-16` under `file` in the mapping"
        return
    if mapping.format == "csv":
        state.above = records.filled_above(head, mapping)
        if not mapping.file.header:
            state.header = list(mapping.columns)
            return
        try:
            state.header = records.header_of(head, mapping)
        except ValueError as e:
            state.reason = str(e)


def _harmed(message: str) -> bool:
    return any(word in message for word in _HARMED)


def _tail(message: str) -> str:
    return message.rsplit(": ", 1)[-1]


def _drift(source: Source, states: Sequence[FileState], seen: Collection[str]) -> list[str]:
    """Columns that came in addition; those that are missing fail the source."""
    mapping = source.mapping
    if mapping.format != "csv":
        return []
    wanted = mapping.file_columns
    more: dict[str, list[str]] = {}
    for state in states:
        header = state.header or []
        missing = [n for n in wanted if n not in header]
        if missing:
            raise LakecdpError(
                f"source {mapping.source}: {state.entry.path} has no column {', '.join(missing)}; "
                f"it has {', '.join(header)}"
            )
        if not mapping.takes_all:
            more[state.entry.path] = [n for n in header if n not in wanted]
    return drift.new_columns(more, seen)


def _parse(
    spark: SparkSession, mapping: SourceMapping, states: Sequence[FileState]
) -> list[tuple[DataFrame, int | None]]:
    groups: dict[tuple[str, ...], list[FileState]] = defaultdict(list)
    for state in states:
        groups[tuple(state.header or ())].append(state)
    frames = []
    for names, members in groups.items():
        try:
            frames.append(_frame(spark, mapping, members, names))
        except _UnreadableError:
            sound = _sound(spark, mapping, members)
            if sound:
                frames.append(_frame(spark, mapping, sound, names))
    return frames


class _UnreadableError(Exception):
    """Some file of a group breaks off while it is read."""


def _frame(
    spark: SparkSession, mapping: SourceMapping, states: Sequence[FileState], names: Sequence[str]
) -> tuple[DataFrame, int | None]:
    """Parsed records of files with one header, and how many they must be.

    Every line is read once to number it, which is also how a damaged file shows itself before
    anything is written.
    """
    found = records.lines(spark, [s.entry for s in states])
    try:
        counted = records.line_counts(found).collect()
    except Exception as e:
        raise _UnreadableError from e
    if records.whole_file(mapping):
        return records.read_whole(spark, [s.entry for s in states], mapping, names), None
    schema = "uri string, block bigint, first bigint, count bigint, filled bigint, before bigint"
    rows = records.numbered(found, spark.createDataFrame(counted, schema))
    filled = sum(r["filled"] for r in counted)
    filled -= sum(s.above for s in states)
    return records.parse(rows, mapping, names), filled


def _sound(
    spark: SparkSession, mapping: SourceMapping, states: Sequence[FileState]
) -> list[FileState]:
    """Refuse, as a whole, the files that break off; the others land.

    Raises:
        LakecdpError: a file cannot be read for a reason that is not its content.
    """
    for state in states:
        try:
            records.lines(spark, [state.entry]).count()
        except Exception as e:
            why = java_message(e)
            if not _harmed(why):
                raise LakecdpError(
                    f"source {mapping.source}: {state.entry.path} cannot be read: {why}"
                ) from None
            state.reason = f"the compressed file breaks off or is damaged: {why}"
    return [s for s in states if s.reason is None]


def land(batch: Batch, landings: Sequence[Landing]) -> None:
    """Write records, refused records and the list of files of several sources, with accounts.

    Args:
        batch: its parts are the sources, by name.
        landings: from `open_files`, those of sources that the batch has no part for are left out.
    """
    arrived = F.lit(batch.started_at).cast("timestamp")
    parts = {p.unit.name: p for p in batch.at_work}
    mine = [x for x in landings if x.source.mapping.source in parts]
    written = {x.source.mapping.source: _append(batch, x, arrived) for x in mine}
    bad = [frame for x in mine for frame in _refused(batch.spark, x)]
    if bad:
        rows = reduce(DataFrame.unionByName, bad).withColumns(
            {
                "target": F.lit("bronze"),
                "status": F.lit("open"),
                "arrived_at": arrived,
                "replayed_at": F.lit(None),
            }
        )
        batch.upsert(QUARANTINE, rows, mostly_new=True)
    _count_files(batch, mine)
    if any(x.states for x in mine):
        batch.append(FILES, _file_rows(batch, mine))
    for landing in mine:
        name = landing.source.mapping.source
        if landing.position is not None:
            parts[name].consumed.position = landing.position
        whole = sum(1 for s in landing.states.values() if s.reason is not None)
        aside = landing.refused + whole
        out = written[name]
        bronze = landing.source.mapping.bronze
        given = out + aside if landing.filled is None else landing.filled + whole
        again = landing.again
        parts[name].balance(
            bronze, rows_in=given + again, rows_out=out, duplicate=again, quarantined=aside
        )
        parts[name].count(
            rows_in=out + aside + again,
            rows_out=out,
            rows_duplicate=again,
            rows_quarantined=aside,
        )
        parts[name].summary.message = "; ".join(landing.notes) or None


def _append(batch: Batch, landing: Landing, arrived: Column) -> int:
    """Write the readable records of a source and count the others; returns the rows written."""
    if landing.frame is None:
        return 0
    seen = Observation()
    mapping = landing.source.mapping
    bad = F.col("reason").isNotNull()
    measures = [F.count_if(bad).alias("refused")]
    files = landing.position is None
    if files:
        measures += [
            F.bitmap_construct_agg(F.when(bad, F.expr(_BUCKET))).alias("refused_in"),
            *drift.measures(mapping),
        ]
    frame = placed(landing).observe(seen, *measures)
    good = frame.where(F.col("reason").isNull()).withColumn("arrived_at", arrived)
    written = batch.append(mapping.bronze, good)
    observed = seen.get
    landing.refused = int(observed["refused"])
    landing.refused_in = _set_bits(observed["refused_in"]) if files else None
    if files and mapping.format == "json":
        _fields(landing, observed)
    return written


def _set_bits(bitmap: bytes) -> list[int]:
    return [
        place * 8 + bit for place, byte in enumerate(bitmap) for bit in range(8) if byte >> bit & 1
    ]


def _fields(landing: Landing, observed: Mapping[str, Any]) -> None:
    """Note the fields that the records hold, and what is new among them.

    Raises:
        LakecdpError: not one record has a column that each must have.
    """
    mapping = landing.source.mapping
    fields = drift.fields_of(observed["schema"])
    names = [drift.shown(p) for p in fields]
    missing = drift.absent(mapping, observed)
    if missing:
        files = sorted(s.entry.path for s in landing.states.values() if s.reason is None)
        raise LakecdpError(
            f"source {mapping.source}: no record of {', '.join(files[:3])} has "
            f"{', '.join(missing)}; they have {', '.join(names[: drift.NAMED])}"
        )
    landing.notes = drift.new_fields(fields, mapping, landing.seen)
    for state in landing.states.values():
        state.header = names if state.reason is None else None


def placed(landing: Landing) -> DataFrame:
    """Parsed records with the path below the landing folder in place of the URI."""
    assert landing.frame is not None
    if landing.position is not None:
        return landing.frame.withColumnRenamed("uri", "file")
    spark = landing.frame.sparkSession
    names = [(uri, s.entry.path) for uri, s in landing.states.items()]
    # Spark writes a URI as file:///x, Hadoop's listing as file:/x; compare what follows the scheme.
    bare = F.regexp_replace(F.col("uri"), "^([a-z0-9+.-]+:)/*", "$1/")
    places = spark.createDataFrame([(_bare(u), p) for u, p in names], "place string, file string")
    decoded = F.coalesce(F.try_url_decode(F.regexp_replace(bare, r"\+", "%2B")), bare)
    return (
        landing.frame.withColumn("place", decoded)
        .join(F.broadcast(places), "place", "left")
        .withColumn("file", F.coalesce("file", "uri"))
    )


def _bare(uri: str) -> str:
    scheme, _, rest = uri.partition(":")
    return f"{scheme}:/{rest.lstrip('/')}"


def _refused(spark: SparkSession, landing: Landing) -> list[DataFrame]:
    """Refused records, and files refused as a whole: source, file, line, reason, raw."""
    parts = []
    if landing.refused and landing.frame is not None:
        frame = placed(landing)
        if landing.refused_in is not None:
            # To parse all lines once more for the few that are refused would take as long as landing.
            frame = frame.where(f"{_BUCKET} IN ({', '.join(map(str, landing.refused_in))})")
        parts.append(
            frame.where(F.col("reason").isNotNull()).select(
                "file", "line", "reason", F.col("bytes").alias("raw")
            )
        )
    whole = [(s.entry.path, 0, s.reason, None) for s in landing.states.values() if s.reason]
    if whole:
        parts.append(
            spark.createDataFrame(whole, "file string, line bigint, reason string, raw binary")
        )
    return [p.withColumn("source", F.lit(landing.source.mapping.source)) for p in parts]


def _count_files(batch: Batch, landings: Sequence[Landing]) -> None:
    """Records and refused records of each file, counted in what was written."""
    states = {
        (x.source.mapping.source, s.entry.path): s for x in landings for s in x.states.values()
    }
    for state in states.values():
        # A landing is counted anew when the batch for all sources failed and it has one of its own.
        state.records = state.quarantined = 0
    landings = [x for x in landings if x.states]
    read = [x.source.mapping for x in landings if x.frame is not None]
    if not read:
        return
    by_file = [
        batch.written(m.bronze).groupBy(F.lit(m.source).alias("source"), "file").count()
        for m in read
    ]
    for row in reduce(DataFrame.unionByName, by_file).collect():
        states[row["source"], row["file"]].records += row["count"]
    if any(x.refused for x in landings):
        refused = (
            batch.written(QUARANTINE)
            .where("line > 0 AND target = 'bronze'")
            .where(F.col("source").isin([m.source for m in read]))
        )
        for row in refused.groupBy("source", "file").count().collect():
            states[row["source"], row["file"]].records += row["count"]
            states[row["source"], row["file"]].quarantined += row["count"]


def _file_rows(batch: Batch, landings: Sequence[Landing]) -> DataFrame:
    schema = ", ".join(f"{c.name} {c.type}" for c in contracts.table(FILES).columns)
    rows: list[tuple[Any, ...]] = []
    for name, s in ((x.source.mapping.source, s) for x in landings for s in x.states.values()):
        refused = s.reason is not None
        rows.append(
            (
                name, s.entry.path, s.entry.bytes, s.entry.modified_at,
                1 if refused else s.records, 0 if refused else s.records - s.quarantined,
                1 if refused else s.quarantined, s.header, REFUSED if refused else LANDED, s.reason,
                batch.started_at,
            )
        )  # fmt: skip
    return batch.spark.createDataFrame(rows, schema).coalesce(1)
