"""What a mapping would make of some files: nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.bronze import drift
from lakecdp.bronze.ingest import Landing, placed
from lakecdp.bronze.mapping import Source
from lakecdp.platform.quality import reasons, suite
from lakecdp.silver.canonical import (
    IDS,
    REASON,
    Meaning,
    canonical,
    latest,
    prepared,
    taken,
    with_identifiers,
)
from lakecdp.silver.typed import PROBLEMS, parsed, problems, values

SAMPLES, BEYOND = 10, 100
INTEGER, NUMBER = r"^[+-]?(0|[1-9]\d{0,17})$", r"^[+-]?\d*[.,]?\d+$"
DAY, TIME = r"^\d{4}-\d{1,2}-\d{1,2}$", r"^\d{4}-\d{1,2}-\d{1,2}[ T]\d{1,2}:\d{2}"
KINDS = {
    "bigint": INTEGER,
    "decimal": NUMBER,
    "date": DAY,
    "timestamp": TIME,
    "boolean": "(?i)^(true|false)$",
}


@dataclass(frozen=True)
class Field:
    """One column or field: what was declared and what was found.

    Attributes:
        name: of the column, or path of a field that the mapping does not name.
        declared: its type in the mapping; None for what is not named there.
        inferred: the narrowest type that all its values fit.
        filled: records that have a value.
        failed: records whose value does not fit, or is missing although required.
        example: a value, or its shape where it concerns a person.
    """

    name: str
    declared: str | None
    inferred: str
    filled: int
    failed: int = 0
    example: str | None = None


@dataclass(frozen=True)
class Reject:
    """One record that would be kept aside."""

    file: str
    line: int
    target: str
    reason: str


@dataclass(frozen=True)
class Made:
    """What would become of the records in one table."""

    table: str
    rows: int
    refused: int
    keys: int


@dataclass
class Inspection:
    """All that is found; see `inspect`."""

    records: int = 0
    unreadable: int = 0
    unfit: int = 0
    fields: list[Field] = field(default_factory=list)
    beyond: list[Field] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def inspect(landing: Landing, source: Source, meaning: Meaning) -> Inspection:
    """Type and map the records of opened files.

    Args:
        landing: from `open_files`.
        source: the source; what identifies a person counts as personal, see `guarded`.
        meaning: see `Meaning`.

    Returns:
        counts, columns, tables and up to ten rejects of each kind.
    """
    found = Inspection()
    if landing.frame is None:
        return found
    read = _as_landed(landing).persist()
    raw = read.where("reason IS NULL")
    mapping = source.mapping
    counts = read.agg(F.count(F.lit(1)), F.count("reason")).first()
    assert counts is not None
    found.records, found.unreadable = int(counts[0]), int(counts[1])
    found.fields = _fields(raw, source)
    found.beyond = _beyond(raw, source)
    missing = F.lit("no target of the mapping takes the record")
    unwanted = F.when(~taken(source), missing) if mapping.otherwise == "quarantine" else F.lit(None)
    records = with_identifiers(prepared(raw, source), source, meaning).withColumn(
        "_refused", F.coalesce(PROBLEMS, unwanted)
    )
    records = records.persist()
    found.unfit = records.where("_refused IS NOT NULL").count()
    fit = records.where("_refused IS NULL").drop("_refused", PROBLEMS)
    refused = [
        read.where("reason IS NOT NULL").select("file", "line", F.lit("bronze"), "reason"),
        records.where("_refused IS NOT NULL").select("_file", "_line", F.lit("silver"), "_refused"),
    ]
    for table in mapping.silver_tables:
        rows = table_rows(fit, source, table, meaning)
        found.made.append(_made(rows, table))
        if found.made[-1].refused:
            bad = rows.where(F.col(REASON).isNotNull())
            refused.append(bad.select("_file", "_line", F.lit(table), REASON))
    found.rejects = [r for frame in refused for r in _some(frame)]
    records.unpersist()
    read.unpersist()
    return found


def _as_landed(landing: Landing) -> DataFrame:
    """Records as bronze would hold them; the newest file stands for the time of arrival."""
    arrived = max(s.entry.modified_at for s in landing.states.values())
    return placed(landing).withColumn("arrived_at", F.lit(arrived).cast("timestamp"))


def table_rows(fit: DataFrame, source: Source, table: str, meaning: Meaning) -> DataFrame:
    """Rows of one silver table from records that fit, with `_reason` by contract and suite."""
    parts = [
        canonical(fit, source, t, meaning)
        for t in source.mapping.targets
        if f"silver.{t.table}" == table
    ]
    rows = reduce(DataFrame.unionByName, parts)
    broken = F.nullif(F.array_join(reasons(suite(table)), "; "), F.lit(""))
    return rows.withColumn(REASON, F.coalesce(REASON, broken))


def identified(landing: Landing, source: Source, meaning: Meaning) -> DataFrame | None:
    """The identifiers of each record that fits.

    Returns:
        One row per record (or row of a table, where a target has identifiers of its own) with at
        least one: identifiers. None where the mapping names no identifier.
    """
    if not source.mapping.identifiers and not any(t.identifiers for t in source.mapping.targets):
        return None
    raw = _as_landed(landing).where("reason IS NULL")
    records = with_identifiers(prepared(raw, source), source, meaning).where(
        F.col(PROBLEMS).isNull()
    )
    own = all(t.identifiers is None for t in source.mapping.targets)
    if own and IDS in records.columns:
        parts = [records.select(F.col(IDS).alias("identifiers"))]
    else:
        parts = [
            canonical(records.drop(PROBLEMS), source, t, meaning).select("identifiers")
            for t in source.mapping.targets
            if "identifiers" in contracts.table(f"silver.{t.table}").column_names
        ]
    if not parts:
        return None
    return reduce(DataFrame.unionByName, parts).where(F.size("identifiers") > 0)


def _made(rows: DataFrame, table: str) -> Made:
    good = rows.where(F.col(REASON).isNull())
    keys = latest(good, contracts.table(table).key).count()
    counts = rows.agg(F.count(F.lit(1)), F.count(REASON)).first()
    assert counts is not None
    return Made(table, int(counts[0]), int(counts[1]), keys)


def _some(frame: DataFrame) -> list[Reject]:
    rows = frame.toDF("file", "line", "target", "reason").orderBy("file", "line", "reason")
    return [Reject(*r) for r in rows.limit(SAMPLES).collect()]


def guarded(source: Source) -> list[str]:
    """Columns whose values are not shown: those graded, and those that identifiers are made of."""
    mapping = source.mapping
    given = [mapping.identifiers, *(t.identifiers or {} for t in mapping.targets)]
    texts = " ".join(e for ids in given for e in ids.values())
    named = {n for n in mapping.columns if n in texts}
    return [n for n in mapping.columns if n in {*mapping.personal, *mapping.sensitive, *named}]


def _fields(raw: DataFrame, source: Source) -> list[Field]:
    """Every column of the mapping, in one pass."""
    mapping = source.mapping
    columns = mapping.columns
    wrong = problems(mapping)
    hidden = set(guarded(source))
    found = values(raw, mapping)
    measures: list[Column] = []
    for i, (name, column) in enumerate(columns.items()):
        quoted = F.col(f"`{name.replace('`', '``')}`")
        nested = column.type.lower().startswith(("array", "map", "struct", "variant"))
        text = F.to_json(quoted) if nested else quoted
        # A value that fits is the better example.
        order = F.struct(F.col(f"`{parsed(name).replace('`', '``')}`").isNull(), text)
        measures += [
            F.count(text).alias(f"filled_{i}"),
            F.count(wrong[name]).alias(f"failed_{i}"),
            F.min_by(text, order).alias(f"example_{i}"),
            (F.schema_of_variant_agg(quoted) if nested else F.lit("")).alias(f"schema_{i}"),
            *([] if nested else _kinds(text, str(i))),
        ]
    row = found.agg(*measures).first()
    assert row is not None
    out = []
    for i, (name, column) in enumerate(columns.items()):
        nested = bool(row[f"schema_{i}"])
        inferred = row[f"schema_{i}"].lower() if nested else _inferred(row.asDict(), str(i))
        example = row[f"example_{i}"]
        if example is not None and name in hidden:
            example = shape(example)
        failed, filled = int(row[f"failed_{i}"]), int(row[f"filled_{i}"])
        out.append(Field(name, column.type, inferred, filled, failed, example))
    return out


def _kinds(text: Column, key: str) -> list[Column]:
    return [F.count_if(text.rlike(p)).alias(f"{kind}_{key}") for kind, p in KINDS.items()]


def _inferred(row: dict[str, object], key: str) -> str:
    """The narrowest type that all filled values fit; nothing where none is filled."""
    filled = row[f"filled_{key}"]
    if not filled:
        return ""
    return next((kind for kind in KINDS if row[f"{kind}_{key}"] == filled), "string")


def _beyond(raw: DataFrame, source: Source) -> list[Field]:
    """What the records hold besides; no values are shown, since nobody has graded them."""
    schema = raw.agg(F.schema_of_variant_agg("raw")).first()
    more = drift.beyond(drift.fields_of(schema[0] if schema else None), source.mapping)[:BEYOND]
    if not more:
        return []
    texts = [F.nullif(F.trim(_text_at(p)), F.lit("")) for p in more]
    measures = [
        m
        for i, text in enumerate(texts)
        for m in (F.count(text).alias(f"filled_{i}"), *_kinds(text, str(i)))
    ]
    row = raw.agg(*measures).first()
    assert row is not None
    found = row.asDict()
    return [
        Field(drift.shown(p), None, _inferred(found, str(i)), int(found[f"filled_{i}"]))
        for i, p in enumerate(more)
    ]


def _text_at(path: drift.Path) -> Column:
    """The text at a path; of what lies in an array, that of its first item."""
    keys = [p.replace("\\", "\\\\").replace("'", "\\'") for p in path]
    steps = "".join("[0]" if p == drift.ITEMS else f"['{p}']" for p in keys)
    return F.try_variant_get("raw", f"${steps}", "string")


def shape(value: str) -> str:
    """A value with every digit as 9, every letter as a and every other character of a script as x."""
    out = "".join(_shaped(ch) for ch in value[:60])
    return out + ("..." if len(value) > 60 else "")


def _shaped(ch: str) -> str:
    if ch.isdigit():
        return "9"
    if ch.isalpha():
        return "a" if ch.isascii() else "x"
    return ch


def graded_too(source: Source) -> list[str]:
    """Columns that identifiers are made of and that the mapping does not call personal."""
    given = {*source.mapping.personal, *source.mapping.sensitive}
    return [n for n in guarded(source) if n not in given]


def with_guard(source: Source) -> Source:
    """The same source with all guarded columns personal, so that no reason shows a value."""
    mapping = source.mapping.model_copy(update={"personal": guarded(source)})
    return Source(mapping, source.document)


@dataclass(frozen=True)
class Kind:
    """Identifiers of one type in some records.

    Attributes:
        type: the type.
        given: records that give one.
        values: different ones.
        together: of these, those that some record shows with another identifier.
        known: of these, those that the lake has.
        joined: of those the lake does not have, those that some record shows with one it has.
    """

    type: str
    given: int
    values: int
    together: int
    known: int
    joined: int


def kinds(rows: DataFrame, known: DataFrame | None) -> tuple[list[Kind], int, int]:
    """Count identifiers by type and how they link.

    Args:
        rows: from `identified`.
        known: node_id of the identifiers in the lake, or None.

    Returns:
        Types in order of name; records with an identifier; records with one that the lake has.
    """
    numbered = rows.select(F.xxhash64(F.to_json("identifiers")).alias("star"), "identifiers")
    stars = numbered.groupBy("star").agg(
        F.first("identifiers").alias("ids"), F.count(F.lit(1)).alias("records")
    )
    single = stars.select("star", "records", F.size("ids").alias("of"), F.explode("ids").alias("i"))
    flat = single.select("star", "records", "of", "i.type", "i.node_id")
    if known is None:
        marked = flat.withColumn("known", F.lit(False))
    else:
        there = known.select("node_id", F.lit(True).alias("known")).distinct()
        marked = flat.join(there, "node_id", "left").fillna(False, ["known"])
    led = marked.groupBy("star").agg(F.max("known").alias("led"), F.max("records").alias("rows"))
    nodes = (
        marked.join(led, "star")
        .groupBy("type", "node_id")
        .agg(
            F.sum("records").alias("given"),
            (F.max("of") > 1).alias("together"),
            F.max("known").alias("known"),
            (F.max("led") & ~F.max("known")).alias("joined"),
        )
    )
    counted = nodes.groupBy("type").agg(
        F.sum("given").alias("given"),
        F.count(F.lit(1)).alias("values"),
        F.count_if("together").alias("together"),
        F.count_if("known").alias("known"),
        F.count_if("joined").alias("joined"),
    )
    totals = led.agg(F.sum("rows"), F.sum(F.when(F.col("led"), F.col("rows")))).first()
    assert totals is not None
    found = [Kind(**r.asDict()) for r in counted.orderBy("type").collect()]
    return found, int(totals[0] or 0), int(totals[1] or 0)
