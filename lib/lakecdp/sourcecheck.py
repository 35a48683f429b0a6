"""What a mapping would make of some files, in sentences, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakecdp.bronze.ingest import Landing, open_files
from lakecdp.bronze.mapping import Source, find_source
from lakecdp.contracts.bronze_source import for_source
from lakecdp.platform.errors import UsageError
from lakecdp.platform.fs import FileEntry, exists, list_files, matching
from lakecdp.platform.job import Job
from lakecdp.platform.settings import Conf, Settings
from lakecdp.silver.canonical import Meaning, check
from lakecdp.silver.conform import meaning_of
from lakecdp.silver.inspection import (
    Field,
    Inspection,
    graded_too,
    identified,
    inspect,
    kinds,
    with_guard,
)
from lakecdp.silver.repair_rules import check as check_repairs

LINK = "identity.link"
NOBODY = "Identifiers: none; nothing of this source would belong to a customer by itself"


def check_lines(
    spark: SparkSession, conf: Conf, settings: Settings, given: str, place: str, job: Job | None
) -> Iterator[str]:
    """Hold a mapping against files, one line at a time.

    Args:
        spark: the session.
        conf: business rules.
        settings: settings of the environment.
        given: file of a mapping, or name of a source or adapter.
        place: a file, or a folder whose files the mapping's patterns are matched against.
        job: a job on the lake whose identifiers count as known, or None.

    Raises:
        ConfigError: the mapping is wrong, with file and line.
        UsageError: there is nothing to read.
        LakecdpError: a file cannot be read, or lacks a column.
    """
    source = with_guard(find_source(conf, given))
    mapping = source.mapping
    meaning = meaning_of(conf, settings)
    check(spark.createDataFrame([], for_source(mapping.source).ddl), source, meaning)
    check_repairs(spark, meaning.repairs, meaning.rules.names)
    files, note = _files(spark, source, place)
    landing = open_files(spark, source, files)
    found = inspect(landing, source, meaning)
    yield from _head(source, landing, found, note)
    yield from _columns(found)
    yield from _tables(found)
    if landing.frame is not None:
        yield from _identifiers(landing, source, meaning, job)
    loose = graded_too(find_source(conf, given))
    if loose:
        yield (
            f"Not called personal in the mapping although identifiers are made of it: {', '.join(loose)}."
        )
    yield from _rejects(found)
    yield "Nothing was written."


def _files(spark: SparkSession, source: Source, place: str) -> tuple[list[FileEntry], str | None]:
    """The files to read; a note where the mapping would not find them."""
    patterns = source.mapping.files
    if not patterns and not Path(place).is_file():
        raise UsageError(
            f"{source.mapping.source} is read from {source.mapping.place}: to check its mapping give a "
            "file with some of its records as JSON lines."
        )
    if not exists(spark, place):
        raise UsageError(f"There is no file or folder {place}.")
    if Path(place).is_file():
        whole = Path(place).resolve()
        beside = [f for f in list_files(spark, str(whole.parent)) if f.path == whole.name]
        if not beside:
            raise UsageError(f"{place} counts as unfinished by its name (_, ., .tmp or .part).")
        entry = beside[0]
        endings = ["/".join(whole.parts[-n:]) for n in range(1, len(whole.parts))]
        fits = any(matching([FileEntry("", e, 0, entry.modified_at)], patterns) for e in endings)
        note = (
            None
            if fits
            else f"By the mapping records come from {source.mapping.place}, not from here."
        )
        return [entry], note
    present = list_files(spark, place)
    mine = _found_from(place, present, patterns)
    if not mine:
        there = ", ".join(f.path for f in present[:5]) or "nothing"
        raise UsageError(
            f"No file below {place} matches {', '.join(patterns)} of {source.document.path}; "
            f"there is {there}{', ...' if len(present) > 5 else ''}."
        )
    left = len(present) - len(mine)
    return mine, f"{left} other files are not taken." if left else None


def _found_from(place: str, present: list[FileEntry], patterns: Sequence[str]) -> list[FileEntry]:
    """The files that a mapping takes, named as it names them, from the landing folder or one in it."""
    whole = place.rstrip("/") if "://" in place else str(Path(place).resolve())
    above = whole.split("/")
    for depth in range(max(p.count("/") for p in patterns) + 1):
        within = above[len(above) - depth :]
        mine = matching([replace(f, path="/".join([*within, f.path])) for f in present], patterns)
        if mine:
            return mine
    return []


def _head(source: Source, landing: Landing, found: Inspection, note: str | None) -> Iterator[str]:
    harmed = [s for s in landing.states.values() if s.reason is not None]
    read = len(landing.states) - len(harmed)
    fit = found.records - found.unreadable - found.unfit
    yield f"{source.mapping.source} ({source.document.path}): {read:,} files, {found.records:,} records"
    if note:
        yield f"  {note}"
    yield f"  {fit:,} fit, {found.unfit:,} do not, {found.unreadable:,} cannot be read"
    for state in harmed:
        yield f"  {state.entry.path}: {state.reason}"


def _columns(found: Inspection) -> Iterator[str]:
    readable = found.records - found.unreadable
    yield "Columns (declared, found, filled, wrong, example; of personal ones the shape)"
    for f in found.fields:
        wrong = f"{f.failed:,} wrong" if f.failed else ""
        example = (f.example or "")[:60]
        yield (
            f"  {f.name:<24}{f.declared or '':<16.15}{f.inferred:<12.11}"
            f"{_share(f, readable):>8}  {wrong:<14}{example}"
        ).rstrip()
    if found.beyond:
        yield "Not named in the mapping (kept in raw)"
        for f in found.beyond:
            yield f"  {f.name:<40}{f.inferred:<12}{_share(f, readable):>8}".rstrip()


def _share(f: Field, of: int) -> str:
    return f"{100 * f.filled / of:.1f} %" if of else "-"


def _tables(found: Inspection) -> Iterator[str]:
    yield "Tables"
    for m in found.made:
        twice = m.rows - m.refused - m.keys
        yield f"  {m.table:<24}{m.keys:>10,} rows, {twice:,} duplicates, {m.refused:,} refused"


def _identifiers(
    landing: Landing, source: Source, meaning: Meaning, job: Job | None
) -> Iterator[str]:
    rows = identified(landing, source, meaning)
    if rows is None:
        yield NOBODY
        return
    rows = rows.persist()
    known = None
    if job is not None:
        known = job.read("silver.identifier").select("node_id")
    found, records, linked = kinds(rows, known)
    if not found:
        yield NOBODY
        return
    yield f"Identifiers: {records:,} records give at least one"
    for k in found:
        line = f"  {k.type:<24}{k.given:>10,} given, {k.values:,} different, {k.together:,} with another"
        if job is not None:
            line += f"; {k.known:,} in the lake, {k.joined:,} more beside one that is"
        yield line
    if job is not None:
        persons = _customers(job, rows)
        yield (
            f"  {linked:,} of {records:,} records would link to identifiers in the lake "
            f"({persons:,} customers; limits and vetoes of conf/identity.yaml come after)"
        )


def _customers(job: Job, rows: DataFrame) -> int:
    """Customers of the lake that some record names."""
    nodes = rows.select(F.explode("identifiers.node_id").alias("node_id")).distinct()
    links = job.read(LINK).where("valid_to IS NULL")
    return int(links.join(nodes, "node_id", "left_semi").select("customer_id").distinct().count())


def _rejects(found: Inspection) -> Iterator[str]:
    if not found.rejects:
        return
    yield "Would be kept aside (up to ten of each kind)"
    for r in found.rejects:
        table = "" if r.target in ("bronze", "silver") else f" [{r.target}]"
        yield f"  {r.file}:{r.line}{table}: {r.reason}"
