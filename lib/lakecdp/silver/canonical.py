"""Typed records to rows of the canonical tables, as the targets of a mapping say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.bronze.mapping import Source, Target
from lakecdp.governance.identifiers import IdentityRules, identifiers, normalise, without_junk
from lakecdp.platform.expressions import Purity
from lakecdp.silver.repair_rules import ATTRIBUTE, GIVEN, RepairRules, columns_of
from lakecdp.silver.repairs import MARKS, flags, names_of, repaired
from lakecdp.silver.typed import LINEAGE, PROBLEMS, typed

REASON = "_reason"
IDS = "_ids"
SEEN_IN = "seen_in"
"""Attribute that every record of a target `attribute` has: the source itself."""
_ITEM = re.compile(r"\bitem(_no)?\b", re.IGNORECASE)
# The day of a key is the day of this time; it is also what the last one wins by, unless `version` says.
TIMES = {
    "event": ("event_at", "event_date"),
    "order_header": ("ordered_at", "order_date"),
    "order_line": ("ordered_at", "order_date"),
    "payment": ("paid_at", None),
    "product": (None, None),
    "attribute": ("observed_at", None),
    "touch": ("touched_at", "touch_date"),
    "contact": ("contacted_at", "contact_date"),
    "review": ("reviewed_at", "review_date"),
    "survey_answer": ("answered_at", "answer_date"),
    "footfall": ("started_at", "footfall_date"),
    "ad_spend": (None, None),
    "calendar_day": (None, None),
    "indicator": (None, None),
    "exchange_rate": (None, None),
    "product_cost": (None, None),
    "control_total": (None, None),
}
CONTENT_IDS = {
    "event": "event_id",
    "order_line": "line_id",
    "payment": "payment_id",
    "touch": "touch_id",
    "contact": "contact_id",
    "review": "review_id",
    "survey_answer": "answer_id",
}
WHOLE = {
    "footfall": ("counter",),
    "ad_spend": ("ad_group",),
    "calendar_day": ("region",),
    "indicator": ("region", "category"),
}
"""Parts of a key that are `all` where a source does not tell them apart."""


@dataclass(frozen=True)
class Meaning:
    """What turns identifiers into nodes, and amounts without a currency into money.

    Attributes:
        rules: identity rules.
        key: the secret of the hash.
        region: country of phone numbers without a prefix.
        currency: currency of the lake.
        repairs: rules that repair values and flag rows.
    """

    rules: IdentityRules
    key: str
    region: str | None
    currency: str
    repairs: RepairRules = field(default_factory=RepairRules)


def prepared(raw: DataFrame, source: Source, *also: str) -> DataFrame:
    """Typed records with the named expressions of `let`; `also` as in `typed`."""
    frame = typed(raw, source.mapping, *also)
    for name, text in source.mapping.let.items():
        frame = frame.withColumn(name, F.expr(text))
    return frame


def with_identifiers(frame: DataFrame, source: Source, meaning: Meaning) -> DataFrame:
    """Add the identifiers of the source as `_ids`, so that no target hashes them again.

    Not where they are taken from the items of a record.
    """
    given = source.mapping.identifiers
    if not given or any(_ITEM.search(e) for e in given.values()):
        return frame
    columns = {t: F.expr(e) for t, e in given.items()}
    return frame.withColumn(IDS, identifiers(columns, meaning.rules, meaning.key, meaning.region))


def taken(source: Source) -> Column:
    """Whether some target takes a record."""
    conditions = [
        F.coalesce(F.expr(t.where), F.lit(False)) if t.where else F.lit(True)
        for t in source.mapping.targets
    ]
    return reduce(Column.__or__, conditions)


def canonical(frame: DataFrame, source: Source, target: Target, meaning: Meaning) -> DataFrame:
    """Rows of one target.

    Args:
        frame: from `with_identifiers`, without the records that do not fit their types.
        source: the source.
        target: one of its targets.
        meaning: see `Meaning`.

    Returns:
        One row per record (or per item of `explode`, or per attribute) that the target takes: the
        columns of the silver table, repaired and flagged, `_file`, `_line` and `_reason` STRING, why
        it is refused, or null.
    """
    mapping = source.mapping
    rules = meaning.repairs.of(target.table, mapping.source)
    name = f"silver.{target.table}"
    contract = contracts.table(name)
    rows = frame.where(F.expr(target.where)) if target.where else frame
    if target.explode:
        rows = rows.withColumn("_items", F.expr(target.explode)).selectExpr(
            "* except (_items)", "posexplode(_items) as (item_no, item)"
        )
    content = F.md5(F.to_json(F.struct(*_declared(source, bool(target.explode)))))
    given: dict[str, Column] = {c: F.expr(e) for c, e in target.columns.items()}
    given["source"] = F.lit(mapping.source)
    for column, value in _defaults(source, target, meaning).items():
        given.setdefault(column, value)
    if target.table in CONTENT_IDS:
        given.setdefault(CONTENT_IDS[target.table], content)
    given["identifiers"] = _ids(frame, source, target, meaning)
    if rules.look_at_identifiers:
        given[GIVEN] = _given(source, target, meaning)
    rows = rows.select(
        *[v.alias(c) for c, v in given.items()],
        *(_attributes(target, rules) if target.table == ATTRIBUTE else []),
        (F.expr(target.version) if target.version else F.lit(None))
        .cast("timestamp")
        .alias("_version_given"),
        *LINEAGE,
    )
    if target.table == ATTRIBUTE:
        rows = _stated(rows, mapping.source, rules)
    return _finished(rows, target.table, contract, rules)


def _ids(frame: DataFrame, source: Source, target: Target, meaning: Meaning) -> Column:
    if target.identifiers is None and IDS in frame.columns:
        return F.col(IDS)
    given = target.identifiers or source.mapping.identifiers
    columns = {t: F.expr(e) for t, e in given.items()}
    return identifiers(columns, meaning.rules, meaning.key, meaning.region)


def _given(source: Source, target: Target, meaning: Meaning) -> Column:
    """Identifiers in their normal form, a field for each type, for rules that read them."""
    texts = target.identifiers or source.mapping.identifiers
    fields = []
    for name in meaning.rules.names:
        value = F.lit(None).cast("string")
        if name in texts:
            plain = normalise(name, F.expr(texts[name]), meaning.rules, meaning.region)
            value = without_junk(name, plain, meaning.rules)
        fields.append(value.alias(name))
    return F.struct(*fields)


def _declared(source: Source, exploded: bool) -> list[Column]:
    names = [n for n, c in source.mapping.columns.items() if "variant" not in c.type.lower()]
    variants = [n for n, c in source.mapping.columns.items() if c.type.lower() == "variant"]
    columns = [F.col(f"`{n}`") for n in names] + [F.to_json(f"`{n}`").alias(n) for n in variants]
    return [*columns, F.col("item_no")] if exploded else columns


def _defaults(source: Source, target: Target, meaning: Meaning) -> Mapping[str, Column]:
    mapping = source.mapping
    currency = F.lit(mapping.currency or meaning.currency)
    common = {"channel": F.lit(mapping.channel), "currency": currency}
    if target.table == "exchange_rate":
        return {"base_currency": currency}
    if target.table == "order_line":
        price = F.expr(target.columns["unit_price"]) if "unit_price" in target.columns else None
        units = F.expr(target.columns["quantity"]) if "quantity" in target.columns else F.lit(1)
        defaults = {
            "currency": currency,
            "line_type": F.lit("sale"),
            "item_type": F.lit("product"),
            "quantity": units,
        }
        if price is not None:
            defaults["amount"] = units * price
        elif "amount" in target.columns:
            defaults["unit_price"] = F.try_divide(F.expr(target.columns["amount"]), units)
        return defaults
    names = contracts.table(f"silver.{target.table}").column_names
    defaults = {c: value for c, value in common.items() if c in names}
    if target.table == "order_header":
        defaults["kind"] = F.lit("sale")
    if target.table == "footfall":
        defaults["minutes"] = F.lit(60)
    return defaults | {c: F.lit("all") for c in WHOLE.get(target.table, ())}


def _attributes(target: Target, rules: RepairRules) -> list[Column]:
    """A column `_of <name>` for each attribute; those that rules only read or set are null."""
    names = [*target.attributes, *(rules.attributes if rules.repairs else ())]
    return [
        (F.expr(target.attributes[n]) if n in target.attributes else F.lit(None))
        .cast("string")
        .alias(_of(n))
        for n in dict.fromkeys(names)
    ]


def _of(name: str) -> str:
    return f"_of {name}"


def _stated(rows: DataFrame, source: str, rules: RepairRules) -> DataFrame:
    """A row for each attribute that a record states, and one that shows which identifiers go together.

    Repairs see the attributes of a record side by side, and may add one that it does not state.
    """
    others = [c for c in rows.columns if not c.startswith(_of(""))]
    names = [c.removeprefix(_of("")) for c in rows.columns if c not in others]
    stated: dict[str, Column] = {n: F.col(f"`{_of(n)}`") for n in names}
    by: dict[str, Column] = {}
    if rules.repairs:
        # An attribute with the name of another column is stated all the same; rules do not see it.
        seen = [n for n in names if n not in others]
        filled = {n: F.when(F.trim(stated[n]) != "", stated[n]) for n in seen}
        rows = repaired(rows.withColumns(filled), rules, columns_of(ATTRIBUTE, seen))
        stated |= {n: F.col(f"`{n}`") for n in seen}
        by = {n: names_of(F.col(MARKS), n) for n in seen}
    nobody = F.lit(None).cast("array<string>")
    pairs = [
        F.struct(F.lit(n).alias("name"), v.alias("value"), by.get(n, nobody).alias("repairs"))
        for n, v in {**stated, SEEN_IN: F.lit(source)}.items()
    ]
    kept = F.filter(F.array(*pairs), lambda p: p["value"].isNotNull() & (F.trim(p["value"]) != ""))
    return rows.select(*others, kept.alias("_pairs")).selectExpr(
        "* except (_pairs)", "inline(_pairs)"
    )


def _finished(
    rows: DataFrame, table: str, contract: contracts.TableContract, rules: RepairRules
) -> DataFrame:
    time, day = TIMES[table]
    for c in contract.columns:
        if (
            c.name not in rows.columns
            and c.name not in ("owner_node", day)
            and not c.name.startswith("_")
        ):
            rows = rows.withColumn(c.name, F.lit(None))
    typed_columns = {
        c.name: F.col(c.name).cast(c.type) for c in contract.columns if c.name in rows.columns
    }
    rows = rows.withColumns(typed_columns)
    if table in WHOLE:
        rows = rows.withColumns({c: F.coalesce(c, F.lit("all")) for c in WHOLE[table]})
    if rules.repairs and table != ATTRIBUTE:
        rows = repaired(rows, rules, columns_of(table)).withColumn(
            "repairs", names_of(F.col(MARKS))
        )
    if rules.outliers:
        rows = rows.withColumn("outliers", flags(rules.outliers))
    owner = F.get("identifiers", F.lit(0))["node_id"]
    if "owner_node" in contract.column_names:
        rows = rows.withColumn("owner_node", owner)
    if day is not None and time is not None:
        rows = rows.withColumn(day, F.to_date(time))
    version = F.col(time) if time else F.lit(None).cast("timestamp")
    business = list(contract.compared)
    hashed = [
        F.to_json(c) if contract_type(contract, c) == "VARIANT" else F.col(c) for c in business
    ]
    rows = rows.withColumns(
        {
            "_version_at": F.coalesce("_version_given", version, "_arrived_at"),
            "_content": F.xxhash64(*hashed),
        }
    )
    missing = [
        F.when(F.col(c.name).isNull(), F.lit(f"{c.name} is missing"))
        for c in contract.columns
        if c.required and not c.name.startswith("_")
    ]
    reason = F.nullif(F.concat_ws("; ", *missing), F.lit(""))
    return rows.withColumn(REASON, reason).select(*contract.column_names, "_file", "_line", REASON)


def contract_type(contract: contracts.TableContract, name: str) -> str:
    """Type of a column of a contract."""
    return next(c.type for c in contract.columns if c.name == name)


def latest(rows: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """One row per key: the version that is last, by time of change, then by content."""
    order = Window.partitionBy(*key).orderBy(
        F.desc("_version_at"),
        F.desc("_content"),
        F.asc("_arrived_at"),
        F.asc("_file"),
        F.asc("_line"),
    )
    return rows.withColumn("_rank", F.row_number().over(order)).where("_rank = 1").drop("_rank")


def check(empty_raw: DataFrame, source: Source, meaning: Meaning) -> None:
    """Analyse every expression of a mapping on no data.

    Raises:
        ConfigError: an expression is wrong, with file, line and the columns that exist.
        UsageError: an identifier type does not exist.
    """
    frame = typed(empty_raw, source.mapping)
    for name, text in source.mapping.let.items():
        frame = tried(frame, source, text, "let", name)
    known = set(meaning.rules.names)
    for i, target in enumerate(source.mapping.targets):
        rows = frame
        if target.where:
            tried(rows, source, target.where, "targets", i, "where")
        if target.explode:
            exploded = tried(
                rows, source, target.explode, "targets", i, "explode", as_name="_items"
            )
            rows = exploded.selectExpr("* except (_items)", "posexplode(_items) as (item_no, item)")
        for part in ("columns", "attributes", "identifiers"):
            for name, text in (getattr(target, part) or {}).items():
                tried(rows, source, text, "targets", i, part, name)
                if part == "identifiers" and name not in known:
                    raise source.error(_unknown(name, known), "targets", i, part, name)
        if target.version:
            tried(rows, source, target.version, "targets", i, "version")
        if target.identifiers is None:
            for name, text in source.mapping.identifiers.items():
                if name not in known:
                    raise source.error(_unknown(name, known), "identifiers", name)
                tried(rows, source, text, "identifiers", name)
    _check_controls(frame, source)


def _check_controls(frame: DataFrame, source: Source) -> None:
    controls = source.mapping.controls
    for place, text in (controls.expressions() if controls else {}).items():
        tried(frame, source, text, "controls", *place)


def _unknown(name: str, known: set[str]) -> str:
    return f"no identifier type `{name}`; conf/identity.yaml has {', '.join(sorted(known))}"


def tried(
    frame: DataFrame, source: Source, text: str, *loc: str | int, as_name: str | None = None
) -> DataFrame:
    """The frame with a column that an expression of a mapping gives.

    Args:
        frame: typed records, empty.
        source: the mapping.
        text: the expression.
        loc: its place in the mapping.
        as_name: name of the column; it is kept with that or where it stands under `let`.

    Raises:
        ConfigError: the expression is wrong, with file, line and the columns that exist.
    """
    wrong = Purity(frame.sparkSession).wrong(text)
    if wrong:
        raise source.error(f"`{text}` cannot be used: {wrong}", *loc)
    try:
        out = frame.withColumn(as_name or str(loc[-1]), F.expr(text))
        _ = out.schema
    except Exception as e:
        first = str(e).split("SQLSTATE")[0].split(";")[0].strip()
        names = [c for c in frame.columns if c != PROBLEMS]
        message = f"`{text}` cannot be used: {' '.join(first.split())[:300]} The columns are {', '.join(names)}"
        raise source.error(message, *loc) from None
    return out if as_name or loc[0] == "let" else frame
