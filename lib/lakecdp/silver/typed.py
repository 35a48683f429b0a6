"""Raw records to the typed columns of a mapping, with what does not fit its type."""

from __future__ import annotations

import re
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructType, VariantType

from lakecdp.bronze.drift import ITEMS, steps
from lakecdp.bronze.mapping import RawColumn, SourceMapping

PROBLEMS = "_problems"
LINEAGE = ("_file", "_line", "_arrived_at")
_OFFSET = r":\d{2}(\.\d+)?\s*(Z|[+-]\d{2}(:?\d{2})?)$"
_DAY = r"^\d{4}-\d{1,2}-\d{1,2}([ T]|$)"
_COMPOSITE = "^(OBJECT|ARRAY)"
_EPOCH = {u: f"{u} since 1970" for u in ("s", "ms", "us")} | {"auto": "s, ms or us since 1970"}
_READ = "_read"
Keys = tuple[str, ...]
_Tree = dict[str, Any]
_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def typed(raw: DataFrame, mapping: SourceMapping, *also: str) -> DataFrame:
    """Type the columns that a mapping declares.

    Args:
        raw: rows of bronze.<source>.
        mapping: the source.
        also: further columns of `values` to keep, such as `_raw`.

    Returns:
        One row per record: the declared columns in their types, `_file`, `_line`, `_arrived_at`, and
        `_problems` STRING: what does not fit, or null. A value that does not fit is null.
    """
    found = values(raw, mapping)
    judged = found.select(
        *LINEAGE,
        *also,
        *[_plausible(n, c).alias(n) for n, c in mapping.columns.items()],
        F.concat_ws("; ", *problems(mapping).values()).alias(PROBLEMS),
    )
    return judged.withColumn(PROBLEMS, F.nullif(PROBLEMS, F.lit("")))


def values(raw: DataFrame, mapping: SourceMapping) -> DataFrame:
    """The text of each declared column and its parsed value.

    Args:
        raw: rows of bronze.<source>.
        mapping: the source.

    Returns:
        One row per record: each column as given (VARIANT where it is nested), `_parsed <name>`,
        `_raw`, `_file`, `_line`, `_arrived_at`.
    """
    # Projections of their own, so that nothing is parsed twice: text, value, judgement of the value.
    kind, places = together(mapping)
    read = raw.withColumn(_READ, F.try_variant_get("raw", "$", kind)) if places else raw
    texts = read.select(
        F.col("file").alias("_file"),
        F.col("line").alias("_line"),
        F.col("arrived_at").alias("_arrived_at"),
        F.col("raw").alias("_raw"),
        *[_text(n, c, places.get(n)).alias(n) for n, c in mapping.columns.items()],
    )
    return texts.select(
        "*",
        *[
            _value(F.col(_quoted(n)), c, mapping.timezone).alias(parsed(n))
            for n, c in mapping.columns.items()
        ],
    )


def problems(mapping: SourceMapping) -> dict[str, Column]:
    """What does not fit, by column: STRING over the columns of `values`, null where all is well."""
    graded = {*mapping.personal, *mapping.sensitive}
    return {n: _problem(n, c, n in graded, mapping) for n, c in mapping.columns.items()}


def parsed(name: str) -> str:
    """Column of `values` that has the parsed value."""
    return f"_parsed {name}"


def path_of(name: str, column: RawColumn) -> str:
    """JSON path of a column in the raw record."""
    return column.path or "$['{}']".format(name.replace("'", "\\'"))


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _nested(column: RawColumn) -> bool:
    return column.type.lower().startswith(("array", "map", "struct", "variant"))


def together(mapping: SourceMapping) -> tuple[str, dict[str, Keys]]:
    """The type by which columns are read out of a record at once, and where in it each is found.

    One reading costs hardly more than that of a single column. Columns that it cannot have are read by
    their own: those behind a place of an array, those whose name differs in capitals only from
    another one, and those that hold another one.

    Returns:
        a struct in the words of Spark; keys by column.
    """
    tree: _Tree = {}
    places: dict[str, Keys] = {}
    for name, column in mapping.columns.items():
        keys = steps(path_of(name, column))
        if keys and ITEMS not in keys and "" not in keys and _planted(tree, keys, column):
            places[name] = keys
    return _struct(tree), places


def _planted(tree: _Tree, keys: Keys, column: RawColumn) -> bool:
    """Make room for a column, where that is possible."""
    for place, key in enumerate(keys):
        last = place == len(keys) - 1
        there = next((k for k in tree if k.lower() == key.lower()), None)
        if there is None:
            kind: Any = "variant" if _nested(column) else "string"
            for inner in keys[:place:-1]:
                kind = {inner: kind}
            tree[key] = kind
            return True
        below = tree[there]
        if there != key or last or isinstance(below, str):
            return False
        tree = below
    return False


def _struct(tree: _Tree) -> str:
    fields = [
        f"{_quoted(k)}: {kind if isinstance(kind, str) else _struct(kind)}"
        for k, kind in tree.items()
    ]
    return f"struct<{', '.join(fields)}>"


def _text(name: str, column: RawColumn, place: Keys | None) -> Column:
    kind = "variant" if _nested(column) else "string"
    if place is None:
        found = F.try_variant_get("raw", path_of(name, column), kind)
    else:
        found = reduce(Column.getField, place, F.col(_READ))
    return found if kind == "variant" else F.nullif(F.trim(found), F.lit(""))


def _value(text: Column, column: RawColumn, zone: str) -> Column:
    kind = column.type.lower().replace(" ", "")
    if kind in ("variant", "string"):
        return text
    if _nested(column):
        return F.try_variant_get(text, "$", column.type)
    if kind in ("int", "bigint"):
        return F.when(text.rlike(r"^[+-]?\d+(\.0*)?$"), text.try_cast(kind))
    if column.decimal == ",":
        # 1.234,50 and 1 234,50; what groups digits otherwise than by threes is a mistake.
        grouped = text.rlike(r"^[+-]?\d{1,3}([.\s\x{A0}]\d{3})*(,\d*)?$")
        plain = F.regexp_replace(text, r"[.\s\x{A0}]", "")
        bare = text.rlike(r"^[+-]?\d+(,\d*)?$")
        return F.when(grouped | bare, F.replace(plain, F.lit(","), F.lit("."))).try_cast(kind)
    if kind == "timestamp":
        return _time(text, column, zone)
    if kind == "date":
        return _date(text, column)
    return text.try_cast(kind)


def _time(text: Column, column: RawColumn, zone: str) -> Column:
    if column.unit is not None:
        number = text.try_cast("decimal(26,6)")
        times = _told_by_size(number) if column.unit == "auto" else F.lit(_MICROS[column.unit])
        return F.timestamp_micros((number * times).cast("bigint"))
    if column.format is not None:
        parsed = F.try_to_timestamp(text, F.lit(column.format))
        own_zone = re.search(r"[XxZzVO]", re.sub(r"'[^']*'", "", column.format))
        return parsed if own_zone else F.to_utc_timestamp(parsed, zone)
    instant = F.when(text.rlike(_DAY), text.try_cast("timestamp"))
    return F.when(text.rlike(_OFFSET), instant).otherwise(F.to_utc_timestamp(instant, zone))


def _told_by_size(number: Column) -> Column:
    """Microseconds in the unit of an epoch number.

    From March 1973 to the year 5138 a time has at most 11 digits in seconds, 12 to 14 in
    milliseconds and more in microseconds, so that none can be taken for another.
    """
    size = F.abs(number)
    return (
        F.when(size < 10**11, F.lit(_MICROS["s"]))
        .when(size < 10**14, F.lit(_MICROS["ms"]))
        .otherwise(F.lit(_MICROS["us"]))
    )


def _date(text: Column, column: RawColumn) -> Column:
    if column.format is not None:
        return F.to_date(F.try_to_timestamp(text, F.lit(column.format)))
    return F.when(text.rlike(_DAY), text.try_cast("date"))


def _plausible(name: str, column: RawColumn) -> Column:
    """The parsed value; times outside 1900 to 2199 are mistakes of units or patterns."""
    value = F.col(_quoted(parsed(name)))
    if column.type.lower() in ("timestamp", "date"):
        return F.when(F.year(value).between(1900, 2199), value)
    return value


def _lost(value: Column, given: Column, kind: DataType) -> Column:
    """Whether something inside a nested value was given and did not fit its type.

    Args:
        value: what was made of it.
        given: the VARIANT it was made of.
        kind: the type of `value`.
    """
    there = given.isNotNull() & ~F.is_variant_null(given)
    if isinstance(kind, VariantType):
        return F.lit(False)
    if isinstance(kind, StructType):
        fields = [
            _lost(
                value.getField(f.name),
                F.try_variant_get(given, "$['{}']".format(f.name.replace("'", "\\'")), "variant"),
                f.dataType,
            )
            for f in kind.fields
        ]
        return reduce(Column.__or__, fields, there & value.isNull())
    if isinstance(kind, ArrayType):
        items = F.try_variant_get(given, "$", "array<variant>")
        element = kind.elementType
        pairs = F.zip_with(value, items, lambda v, g: _lost(v, g, element))
        return (there & value.isNull()) | F.coalesce(F.exists(pairs, lambda x: x), F.lit(False))
    if isinstance(kind, MapType):
        entries = F.map_entries(F.try_variant_get(given, "$", "map<string, variant>"))
        inner = kind.valueType
        lost = F.exists(
            entries, lambda e: _lost(F.try_element_at(value, e["key"]), e["value"], inner)
        )
        return (there & value.isNull()) | F.coalesce(lost, F.lit(False))
    if isinstance(kind, StringType):
        return there & F.coalesce(F.schema_of_variant(given).rlike(_COMPOSITE), F.lit(False))
    text = F.try_variant_get(given, "$", "string")
    return there & value.isNull() & (F.trim(text) != "")


def _problem(name: str, column: RawColumn, graded: bool, mapping: SourceMapping) -> Column:
    given = F.col(_quoted(name))
    value = _plausible(name, column)
    missing = given.isNull()
    if _nested(column):
        missing = missing | F.is_variant_null(given)
        shown = F.lit("its value")
    else:
        quoted = F.concat(F.lit("'"), F.substring(given, 1, 60), F.lit("'"))
        shown = F.lit("a value") if graded else quoted
    pattern = column.format or _EPOCH.get(column.unit or "", "")
    kind = f"{column.type} ({pattern})" if pattern else column.type
    wrong = F.when(
        ~missing & value.isNull(),
        F.concat(F.lit(f"{name}: "), shown, F.lit(f" is not of type {kind}")),
    )
    if column.type.lower() == "variant":
        wrong = F.lit(None).cast("string")
    elif column.type.lower() == "string":
        wrong = F.lit(None).cast("string")
        if mapping.format == "json":
            inner = F.try_variant_get("_raw", path_of(name, column), "variant")
            composite = given.rlike(r"^[{\[]") & F.schema_of_variant(inner).rlike(_COMPOSITE)
            said = F.lit(f"{name}: its value is an object or array, not of type string")
            wrong = F.when(composite, said)
    elif _nested(column):
        inner = _lost(value, given, DataType.fromDDL(column.type))
        said = F.lit(f"{name}: a value in it is not of type {column.type}")
        wrong = F.coalesce(wrong, F.when(inner, said))
    if column.required:
        return F.when(missing, F.lit(f"{name} is missing")).otherwise(wrong)
    return wrong
