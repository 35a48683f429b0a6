"""Bring the new records of one source into the canonical tables, each key once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.bronze.mapping import Source
from lakecdp.governance.identifiers import IdentityRules, clear_values
from lakecdp.platform.batch import Batch
from lakecdp.platform.quality import reasons, suite
from lakecdp.platform.settings import Conf, Settings
from lakecdp.silver.canonical import REASON, TIMES, Meaning, canonical, latest, prepared, taken
from lakecdp.silver.typed import PROBLEMS

QUARANTINE, IDENTIFIER, VACATED = "silver.quarantine", "silver.identifier", "silver.vacated"
FRESH = ("event", "order_line", "payment")
COUNTED = ("event", "order_header", "order_line")
LATER = "struct(s._version_at, s._content) > struct(t._version_at, t._content)"


def outputs(source: Source) -> list[str]:
    """Tables that conforming a source may write, in the order of writing."""
    return [*source.mapping.silver_tables, IDENTIFIER, VACATED, QUARANTINE]


def meaning_of(conf: Conf, settings: Settings) -> Meaning:
    """Identity rules and defaults of an environment.

    Raises:
        UsageError: no secret for hashing is set.
        ConfigError: conf/identity.yaml is wrong.
    """
    return Meaning(
        IdentityRules.load(conf), settings.hash_key(), settings.phone_region, settings.currency
    )


def fingerprint(source: Source, meaning: Meaning) -> str:
    """Changes when records of a source would be conformed to something else."""
    return source.mapping.fingerprint(
        meaning.rules.values_fingerprint(),
        str(meaning.region),
        meaning.currency,
        *[suite(t).fingerprint for t in source.mapping.silver_tables],
    )


@dataclass
class Account:
    """Rows of one target in one batch."""

    rows_in: int = 0
    refused: int = 0
    written: int = 0

    @property
    def duplicate(self) -> int:
        """Rows that were there already, or that a later version of the same key replaced."""
        return self.rows_in - self.refused - self.written


@dataclass
class _Gathered:
    """What the targets of one source leave for the end of the batch."""

    refused: list[DataFrame] = field(default_factory=list)
    held: list[DataFrame] = field(default_factory=list)


def conform(
    batch: Batch, source: Source, meaning: Meaning, raw: DataFrame, *, restate: bool
) -> None:
    """Type, map, check, de-duplicate and write records.

    Args:
        batch: the batch of the source.
        source: the mapping.
        meaning: identity rules and defaults.
        raw: rows of bronze.<source> to work on.
        restate: `raw` is all of the source and its meaning has changed: what the source said before
            is replaced, and rows that it no longer gives are deleted.
    """
    mapping = source.mapping
    seen = Observation()
    left = _Gathered()
    records = (
        prepared(raw, source)
        .withColumn("_refused", _record_reason(source))
        .observe(
            seen,
            F.count(F.lit(1)).alias("records"),
            F.count_if(F.col("_refused").isNotNull()).alias("refused"),
        )
        .persist()
    )
    left.held.append(records)
    try:
        fit = records.where(F.col("_refused").isNull()).drop("_refused", PROBLEMS)
        accounts = [
            _write(batch, source, meaning, fit, table.removeprefix("silver."), restate, left)
            for table in mapping.silver_tables
        ]
        total, bad = int(seen.get["records"]), int(seen.get["refused"])
        if bad:
            left.refused.append(_refusals(records, "silver", F.col("_refused")))
        _identifiers(batch, source, meaning, fit)
        _quarantine(batch, source, raw, left.refused, restate)
        batch.balance("records", rows_in=total, rows_out=total - bad, quarantined=bad)
        main = accounts[0]
        batch.count(
            rows_in=main.rows_in + bad,
            rows_out=main.written,
            rows_duplicate=main.duplicate,
            rows_quarantined=main.refused + bad,
        )
    finally:
        for frame in left.held:
            frame.unpersist()


def _record_reason(source: Source) -> Column:
    """Why a whole record is refused: types that do not fit, or no target that takes it."""
    reason = F.col(PROBLEMS)
    if source.mapping.otherwise == "quarantine":
        reason = F.coalesce(
            reason, F.when(~taken(source), F.lit("no target of the mapping takes the record"))
        )
    return reason


def _write(
    batch: Batch,
    source: Source,
    meaning: Meaning,
    fit: DataFrame,
    table: str,
    restate: bool,
    left: _Gathered,
) -> Account:
    name = f"silver.{table}"
    targets = [t for t in source.mapping.targets if t.table == table]
    rows = reduce(DataFrame.unionByName, [canonical(fit, source, t, meaning) for t in targets])
    broken = F.nullif(F.array_join(reasons(suite(name)), "; "), F.lit(""))
    rows = rows.withColumn(REASON, F.coalesce(REASON, broken))
    if not batch.published(name):
        account = _first(batch, name, rows)
    else:
        rows = rows.persist()
        left.held.append(rows)
        account = _further(batch, source, name, rows, restate)
    if account.refused:
        left.refused.append(_refusals(rows, name, F.col(REASON)))
    batch.balance(
        name,
        rows_in=account.rows_in,
        rows_out=account.written,
        duplicate=account.duplicate,
        quarantined=account.refused,
    )
    return account


def _first(batch: Batch, name: str, rows: DataFrame) -> Account:
    """Fill an empty table in one pass."""
    seen = Observation()
    counted = rows.observe(
        seen,
        F.count(F.lit(1)).alias("rows"),
        F.count_if(F.col(REASON).isNotNull()).alias("refused"),
    )
    good = latest(counted.where(F.col(REASON).isNull()), contracts.table(name).key)
    written = batch.append(name, good)
    return Account(int(seen.get["rows"]), int(seen.get["refused"]), written)


def _further(batch: Batch, source: Source, name: str, rows: DataFrame, restate: bool) -> Account:
    """Merge into a table that holds rows already."""
    counts = rows.agg(
        F.count(F.lit(1)).alias("rows"), F.count_if(F.col(REASON).isNotNull()).alias("refused")
    ).first()
    assert counts is not None
    account = Account(counts["rows"], counts["refused"])
    if account.rows_in or restate:
        good = latest(rows.where(F.col(REASON).isNull()), contracts.table(name).key)
        account.written = _merge(batch, source, name, good, restate)
    return account


def _merge(batch: Batch, source: Source, name: str, good: DataFrame, restate: bool) -> int:
    contract = contracts.table(name)
    if not restate:
        fresh = name.removeprefix("silver.") in FRESH
        counts = batch.upsert(name, good, update_when=LATER, mostly_new=fresh)
        if counts.updated and name.removeprefix("silver.") in COUNTED:
            _vacate(
                batch,
                name,
                batch.read(name).join(good.select(*contract.key), list(contract.key), "left_semi"),
            )
        return counts.written
    mine = batch.read(name).where(F.col("source") == source.mapping.source)
    same = f"t.source = s.source AND t._content <> s._content OR {LATER}"
    counts = batch.upsert(name, good, update_when=same)
    gone = mine.join(good.select(*contract.key), list(contract.key), "left_anti")
    deleted = batch.delete_keys(name, gone.select(*contract.key), contract.key)
    if counts.updated + deleted and name.removeprefix("silver.") in COUNTED:
        _vacate(batch, name, mine)
    return counts.written


def _vacate(batch: Batch, name: str, before: DataFrame) -> None:
    """Note where rows counted before they were updated, so that those partials are computed again."""
    day = TIMES[name.removeprefix("silver.")][1]
    order = F.col("order_id") if name != "silver.event" else F.lit(None)
    left = before.select(
        F.lit(name).alias("target"),
        "owner_node",
        F.col(str(day)).alias("day"),
        order.alias("order_id"),
    ).distinct()
    batch.append(VACATED, left)


def _refusals(rows: DataFrame, target: str, reason: Column) -> DataFrame:
    return rows.where(reason.isNotNull()).select(
        F.col("_file").alias("file"),
        F.col("_line").alias("line"),
        F.lit(target).alias("target"),
        reason.alias("reason"),
        F.col("_arrived_at").alias("arrived_at"),
    )


def _identifiers(batch: Batch, source: Source, meaning: Meaning, fit: DataFrame) -> None:
    """Keep the clear value of every identifier; hashed once for each different value."""
    mapping = source.mapping
    found: list[tuple[tuple[str, str, str], DataFrame]] = []
    for target in mapping.targets:
        rows = fit.where(F.expr(target.where)) if target.where else fit
        if target.explode:
            rows = rows.selectExpr("*", f"explode({target.explode}) as item")
        for kind, text in (target.identifiers or mapping.identifiers).items():
            given = rows.select(
                F.lit(kind).alias("kind"), F.expr(text).cast("string").alias("given")
            )
            if (str(target.where), kind, text) not in [k for k, _ in found]:
                found.append(((str(target.where), kind, text), given))
    if not found:
        return
    distinct = (
        reduce(DataFrame.unionByName, [f for _, f in found]).where("given IS NOT NULL").distinct()
    )
    kinds = sorted({k[1] for k, _ in found})
    values = F.concat(
        *[
            clear_values(
                {k: F.when(F.col("kind") == k, F.col("given"))},
                meaning.rules,
                meaning.key,
                meaning.region,
            )
            for k in kinds
        ]
    )
    clear = distinct.select(F.explode(values).alias("i")).select("i.*").distinct()
    batch.upsert(IDENTIFIER, clear, update=False)


def _quarantine(
    batch: Batch, source: Source, raw: DataFrame, refused: Sequence[DataFrame], restate: bool
) -> None:
    mapping = source.mapping
    keys = ["file", "line", "target"]
    if refused:
        bad = (
            reduce(DataFrame.unionByName, refused)
            .groupBy(*keys)
            .agg(F.min("reason").alias("reason"), F.min("arrived_at").alias("arrived_at"))
        )
        # A file that is delivered again under its name has every line twice; the later one counts.
        text = (
            raw.join(bad.select("file", "line"), ["file", "line"], "left_semi")
            .groupBy("file", "line")
            .agg(F.max_by(F.encode(F.to_json("raw"), "utf-8"), "arrived_at").alias("raw"))
        )
        batch.upsert(
            QUARANTINE,
            bad.join(text, ["file", "line"], "left").select(
                "*",
                F.lit(mapping.source).alias("source"),
                F.lit("open").alias("status"),
                F.lit(None).alias("replayed_at"),
            ),
        )
    if restate:
        _taken_in_after_all(batch, source, refused)


def _taken_in_after_all(batch: Batch, source: Source, refused: Sequence[DataFrame]) -> None:
    keys = ["file", "line", "target"]
    before = batch.read(QUARANTINE).where(
        (F.col("source") == source.mapping.source)
        & (F.col("status") == "open")
        & F.col("target").like("silver%")
    )
    for part in refused:
        before = before.join(part.select(*keys).distinct(), keys, "left_anti")
    batch.upsert(
        QUARANTINE,
        before.drop("_batch").withColumns(
            {"status": F.lit("replayed"), "replayed_at": F.lit(batch.started_at)}
        ),
        insert=False,
    )
