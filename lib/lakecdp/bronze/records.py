"""Landed files to records: each line with its file and number, parsed or refused with a reason."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lakecdp.bronze.mapping import WIDE, SourceMapping
from lakecdp.platform.fs import FileEntry

FILLED = "trim(value) <> ''"
"""A line that is not blank."""
WHOLE = "_text"
"""Key of the whole line in the raw record of a text file."""
_LINE_END = re.compile("\r\n|\r|\n")
_MARK = "\u001f"


def whole_file(mapping: SourceMapping) -> bool:
    """Whether records may span lines, so that a file is read by one task."""
    return mapping.file.multiline or mapping.file.encoding in WIDE


def header_of(head: bytes, mapping: SourceMapping) -> list[str]:
    """Column names in the first line of a CSV file.

    Args:
        head: the first bytes of the file.
        mapping: the source.

    Raises:
        ValueError: the file is empty, or the line is not text in the declared encoding.
    """
    text = head.decode(mapping.file.encoding, errors="ignore").lstrip("\ufeff")
    if not text.strip():
        raise ValueError("the file is empty")
    skipped = mapping.file.skip_lines
    beginning = _LINE_END.split(text)[: skipped + 1]
    if len(beginning) <= skipped:
        raise ValueError(f"the file ends before line {skipped + 1}, which should be the header")
    first = beginning[skipped]
    if not first.strip(" "):
        place = "first line" if not skipped else f"line {skipped + 1}"
        raise ValueError(f"the {place}, which should be the header, is blank")
    if "\x00" in first or "\ufffd" in first:
        raise ValueError("the header is not readable text")
    names = next(
        csv.reader(
            io.StringIO(first),
            delimiter=mapping.file.delimiter,
            quotechar=mapping.file.quote or None,
        )
    )
    return told_apart([n.strip() for n in names], mapping.file_columns)


def filled_above(head: bytes, mapping: SourceMapping) -> int:
    """Lines that are not blank among those up to the header, which are no records."""
    text = head.decode(mapping.file.encoding, errors="ignore")
    above = _LINE_END.split(text)[: mapping.file.skip_lines + mapping.file.header]
    return sum(1 for line in above if line.strip(" "))


def told_apart(names: Sequence[str], wanted: Collection[str] = ()) -> list[str]:
    """Names that differ for Spark, which does not look at capitals.

    A column without a name (as after a trailing delimiter) gets `column_<place>`; one whose name
    has been used gets a number: `id, Id` become `id, Id_2`.

    Args:
        names: as in the file.
        wanted: names that keep their form, capitals included, wherever they stand.
    """
    given, used = {n.lower() for n in names if n}, set[str]()
    kept = {n.lower(): n for n in wanted if n in names}
    out = []
    for place, name in enumerate(names, 1):
        base = name or f"column_{place}"
        new, number = base, 2
        while (
            new.lower() in used
            or (new != name and new.lower() in given)
            or kept.get(new.lower(), new) != new
        ):
            new, number = f"{base}_{number}", number + 1
        used.add(new.lower())
        out.append(new)
    return out


def lines(spark: SparkSession, files: Sequence[FileEntry]) -> DataFrame:
    """Text lines with their place.

    Returns:
        One row per line: value STRING (undecoded bytes), uri STRING, block BIGINT (byte at which the
        part of the file begins that one task reads), position BIGINT (increasing within a block).
    """
    return spark.read.text([_escape(f.uri) for f in files]).select(
        "value",
        F.col("_metadata.file_path").alias("uri"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("position"),
    )


def _escape(uri: str) -> str:
    """A path taken literally although Spark reads paths as patterns."""
    for ch in "\\{}[]*?":
        uri = uri.replace(ch, "\\" + ch)
    return uri


def line_counts(found: DataFrame) -> DataFrame:
    """Lines by part of a file, and how many come before each part.

    Returns:
        One row per uri and block: first BIGINT (position of its first line), before BIGINT (lines
        of the file in earlier blocks), count BIGINT, filled BIGINT (lines that are not blank).
    """
    parts = found.groupBy("uri", "block").agg(
        F.min("position").alias("first"),
        F.count(F.lit(1)).alias("count"),
        F.count_if(F.expr(FILLED)).alias("filled"),
    )
    earlier = Window.partitionBy("uri").orderBy("block").rowsBetween(Window.unboundedPreceding, -1)
    return parts.withColumn("before", F.coalesce(F.sum("count").over(earlier), F.lit(0)))


def numbered(found: DataFrame, counts: DataFrame) -> DataFrame:
    """Add `line`, from 1 within each file, to `lines`."""
    return found.join(
        F.broadcast(counts.select("uri", "block", "first", "before")), ["uri", "block"]
    ).select(
        "value", "uri", (F.col("position") - F.col("first") + F.col("before") + 1).alias("line")
    )


def parse_csv(rows: DataFrame, mapping: SourceMapping, names: Sequence[str]) -> DataFrame:
    """Lines of CSV files that share one header, parsed.

    Args:
        rows: value, uri, line.
        mapping: the source.
        names: the columns of these files in order.

    Returns:
        One row per record: raw VARIANT, uri, line, reason STRING (null when readable),
        bytes BINARY (as delivered). Blank lines and the header are left out.
    """
    text = decoded(F.col("value"), mapping)
    schema = ", ".join(f"`{n.replace('`', '``')}` STRING" for n in names) + ", `_corrupt` STRING"
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_corrupt",
        "sep": mapping.file.delimiter,
        "quote": mapping.file.quote,
        "escape": mapping.file.escape,
        "nullValue": mapping.file.null_value,
        "maxCharsPerColumn": "-1",
        "maxColumns": str(max(20480, 2 * len(names))),
    }
    above = mapping.file.skip_lines + mapping.file.header
    rows = rows.where(FILLED).where(F.col("line") > above)
    fields = F.expr(
        "named_struct(" + ", ".join(f"'{_sql(n)}', p.`{n.replace('`', '``')}`" for n in names) + ")"
    )
    return (
        rows.withColumn("text", text)
        .withColumn("unreadable", _unreadable(mapping))
        .withColumn(
            "p", F.from_csv(F.when(F.col("unreadable").isNull(), F.col("text")), schema, options)
        )
        .withColumn(
            "reason",
            F.coalesce(
                F.col("unreadable"),
                F.when(
                    F.col("p._corrupt").isNotNull(),
                    F.lit(f"the line does not have the {len(names)} fields of the header"),
                ),
            ),
        )
        .select(
            F.when(F.col("reason").isNull(), F.to_variant_object(fields)).alias("raw"),
            "uri",
            "line",
            "reason",
            F.col("value").cast("binary").alias("bytes"),
        )
    )


def _sql(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def parse_json(rows: DataFrame, mapping: SourceMapping) -> DataFrame:
    """Lines of JSON, one object each; blank ones are none. Columns as in `parse_csv`."""
    return parse_objects(rows.where(FILLED), mapping)


def parse_objects(rows: DataFrame, mapping: SourceMapping, what: str = "line") -> DataFrame:
    """Texts of JSON, one object each; columns as in `parse_csv`.

    Args:
        rows: value, uri, line.
        mapping: the source.
        what: the word for a text in reasons.
    """
    return (
        rows.withColumn("text", F.ltrim(F.ltrim(decoded(F.col("value"), mapping), F.lit("\ufeff"))))
        .withColumn("unreadable", _unreadable(mapping))
        .withColumn("raw", F.try_parse_json(F.when(F.col("unreadable").isNull(), F.col("text"))))
        .withColumn(
            "reason",
            F.coalesce(
                F.col("unreadable"),
                F.when(F.col("raw").isNull(), F.lit(f"the {what} is not valid JSON")),
                F.when(
                    ~F.col("text").startswith("{"), F.lit(f"the {what} is JSON but not an object")
                ),
            ),
        )
        .select(
            F.when(F.col("reason").isNull(), F.col("raw")).alias("raw"),
            "uri",
            "line",
            "reason",
            F.col("value").cast("binary").alias("bytes"),
        )
    )


def parse_text(rows: DataFrame, mapping: SourceMapping) -> DataFrame:
    """Lines that a pattern takes apart into its named groups; columns as in `parse_csv`.

    The whole line is kept in `raw`, too, since a pattern need not name all of it.
    """
    groups = mapping.file.groups
    pattern = rf"(?s)\A(?:{mapping.file.plain_pattern})\z"
    # One match gives all groups; that the result begins with the mark says that the line matches.
    marked = "".join(f"{_MARK}${number}" for number in groups.values())
    taken = F.regexp_replace("text", F.lit(pattern), F.lit(marked))
    fields = [F.get("parts", F.lit(i)).alias(n) for i, n in enumerate(groups, 1)]
    return (
        rows.where(FILLED)
        .withColumn("text", decoded(F.col("value"), mapping))
        .withColumn("unreadable", _unreadable(mapping))
        .withColumn(
            "unreadable",
            F.coalesce(
                "unreadable",
                F.when(F.col("text").contains(_MARK), "the record holds the character U+001F"),
            ),
        )
        .withColumn("parts", F.split(F.when(F.col("unreadable").isNull(), taken), _MARK))
        .withColumn(
            "reason",
            F.coalesce(
                "unreadable",
                F.when(F.size("parts") < 2, F.lit("the line does not match the pattern")),
            ),
        )
        .select(
            F.when(
                F.col("reason").isNull(),
                F.to_variant_object(F.struct(*fields, F.col("text").alias(WHOLE))),
            ).alias("raw"),
            "uri",
            "line",
            "reason",
            F.col("value").cast("binary").alias("bytes"),
        )
    )


def parse(rows: DataFrame, mapping: SourceMapping, names: Sequence[str]) -> DataFrame:
    """Lines in the format of the source; see `parse_csv`."""
    if mapping.format == "csv":
        return parse_csv(rows, mapping, names)
    return parse_json(rows, mapping) if mapping.format == "json" else parse_text(rows, mapping)


def decoded(value: Column, mapping: SourceMapping) -> Column:
    """The text of a line in the encoding that the mapping declares."""
    if mapping.file.encoding == "utf-8":
        return value
    return F.decode(value.cast("binary"), mapping.file.encoding)


def _unreadable(mapping: SourceMapping) -> Column:
    longest = mapping.file.max_record_bytes
    encoding = mapping.file.encoding
    plain = encoding == "utf-8"
    wrong = ~F.is_valid_utf8("value") if plain else F.col("text").contains("\ufffd")
    return (
        F.when(
            F.octet_length("value") > longest, F.lit(f"the record is longer than {longest:,} bytes")
        )
        .when(F.col("value").contains(F.expr("char(0)")), F.lit("the record holds a NUL byte"))
        .when(wrong, F.lit(f"the record is not valid {encoding}"))
    )


def read_whole(
    spark: SparkSession, files: Sequence[FileEntry], mapping: SourceMapping, names: Sequence[str]
) -> DataFrame:
    """Records that may span lines; `line` counts records from 1. Columns as in `parse_csv`."""
    paths = [_escape(f.uri) for f in files]
    if mapping.format == "json":
        return _whole_json(spark, paths, mapping)
    schema = ", ".join(f"`{n.replace('`', '``')}` STRING" for n in names) + ", `_corrupt` STRING"
    frame = (
        spark.read.schema(schema)
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", "_corrupt")
        .option("multiLine", True)
        .option("header", mapping.file.header)
        .option("enforceSchema", True)
        .option("encoding", mapping.file.encoding)
        .option("sep", mapping.file.delimiter)
        .option("quote", mapping.file.quote)
        .option("escape", mapping.file.escape)
        .option("nullValue", mapping.file.null_value)
        .option("maxCharsPerColumn", -1)
        .csv(paths)
        .select(
            "*",
            F.col("_metadata.file_path").alias("uri"),
            F.monotonically_increasing_id().alias("position"),
        )
    )
    first = frame.groupBy("uri").agg(F.min("position").alias("first"))
    fields = F.expr(
        "named_struct(" + ", ".join(f"'{_sql(n)}', `{n.replace('`', '``')}`" for n in names) + ")"
    )
    everything = F.concat_ws(
        mapping.file.delimiter, *[F.col(f"`{n.replace('`', '``')}`") for n in names]
    )
    length = F.octet_length(F.coalesce(F.col("_corrupt"), everything))
    reason = (
        F.when(
            length > mapping.file.max_record_bytes,
            F.lit(f"the record is longer than {mapping.file.max_record_bytes:,} bytes"),
        )
        .when(
            F.col("_corrupt").isNotNull(),
            F.lit(f"the record does not have the {len(names)} fields of the header"),
        )
        .when(everything.contains(F.expr("char(0)")), F.lit("the record holds a NUL byte"))
        .when(
            everything.contains("\ufffd"), F.lit(f"the record is not valid {mapping.file.encoding}")
        )
    )
    start = 2 if mapping.file.header else 1
    return (
        frame.join(F.broadcast(first), "uri")
        .withColumn("reason", reason)
        .select(
            F.when(F.col("reason").isNull(), F.to_variant_object(fields)).alias("raw"),
            "uri",
            (F.col("position") - F.col("first") + start).alias("line"),
            "reason",
            F.encode(F.coalesce("_corrupt", everything), "utf-8").alias("bytes"),
        )
    )


def _whole_json(spark: SparkSession, paths: list[str], mapping: SourceMapping) -> DataFrame:
    files = (
        spark.read.text(paths, wholetext=True)
        .select("value", F.col("_metadata.file_path").alias("uri"))
        .withColumn("text", decoded(F.col("value"), mapping))
        .withColumn("document", F.try_parse_json("text"))
    )
    items = files.withColumn(
        "items",
        F.coalesce(
            F.try_variant_get("document", "$", "array<variant>"),
            F.when(F.col("document").isNotNull(), F.array("document")),
        ),
    )
    items = items.selectExpr("uri", "value", "document", "posexplode_outer(items) as (place, raw)")
    whole = F.when(F.col("document").isNull(), F.lit("the file is not valid JSON"))
    single = F.schema_of_variant("raw").startswith("OBJECT")
    reason = whole.when(~single, F.lit("the record is JSON but not an object"))
    return items.select(
        F.when(reason.isNull(), F.col("raw")).alias("raw"),
        "uri",
        F.coalesce(F.col("place") + 1, F.lit(0)).cast("bigint").alias("line"),
        reason.alias("reason"),
        F.when(F.col("document").isNull(), F.col("value").cast("binary"))
        .otherwise(F.encode(F.to_json("raw"), "utf-8"))
        .alias("bytes"),
    )
