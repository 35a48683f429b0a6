"""Bring the new records of sources into the canonical tables, each key once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.bronze.mapping import TARGETS, Source, load_sources
from lakecdp.governance.identifiers import IdentityRules, clear_values
from lakecdp.platform.batch import Batch
from lakecdp.platform.part import Part
from lakecdp.platform.quality import reasons, suite
from lakecdp.platform.settings import Conf, Settings
from lakecdp.silver.accounts import AMOUNTS, Account, Named, count, measures, share_out
from lakecdp.silver.canonical import (
    REASON,
    Meaning,
    canonical,
    latest,
    prepared,
    taken,
    with_identifiers,
)
from lakecdp.silver.repair_rules import RepairRules
from lakecdp.silver.typed import PROBLEMS
from lakecdp.silver.vacate import COUNTED, PRODUCT, VACATED, gone_for_good, revalued, vacate

QUARANTINE, IDENTIFIER = "silver.quarantine", "silver.identifier"
FRESH = (
    "event",
    "order_line",
    "payment",
    "touch",
    "contact",
    "review",
    "survey_answer",
    "footfall",
    "control_total",
)
PLACE = ["source", "file", "line", "target"]
LATER = "struct(s._version_at, s._content) > struct(t._version_at, t._content)"


def outputs(source: Source) -> list[str]:
    """Tables that conforming a source may write, in the order of writing."""
    return [*source.mapping.silver_tables, IDENTIFIER, VACATED, QUARANTINE]


def meaning_of(conf: Conf, settings: Settings, known: Sequence[Source] | None = None) -> Meaning:
    """Identity rules, repairs and defaults of an environment.

    Args:
        conf: the rules.
        settings: those of the environment.
        known: its sources, where they are read already.

    Raises:
        UsageError: no secret for hashing is set.
        ConfigError: conf/identity.yaml or conf/repairs.yaml is wrong.
    """
    return Meaning(
        IdentityRules.load(conf),
        settings.hash_key(),
        settings.phone_region,
        settings.currency,
        RepairRules.load(conf, load_sources(conf, settings) if known is None else known),
    )


def fingerprint(source: Source, meaning: Meaning) -> str:
    """Changes when records of a source would be conformed to something else."""
    return source.mapping.fingerprint(
        meaning.rules.values_fingerprint(),
        str(meaning.region),
        meaning.currency,
        *[suite(t).fingerprint for t in source.mapping.silver_tables],
        *meaning.repairs.dump([t.table for t in source.mapping.targets], source.mapping.source),
    )


@dataclass(frozen=True)
class Delivery:
    """New records of one source.

    Attributes:
        source: the mapping.
        raw: rows of bronze.<source> to work on.
        part: where progress and accounts of the source are kept.
    """

    source: Source
    raw: DataFrame
    part: Part

    @property
    def name(self) -> str:
        """Name of the source."""
        return self.source.mapping.source

    @property
    def restate(self) -> bool:
        """Whether `raw` is all of the source and its meaning has changed."""
        return self.part.full and self.part.since.mark > 0


def conform(batch: Batch, deliveries: Sequence[Delivery], meaning: Meaning) -> None:
    """Type, map, check, de-duplicate and write records; each table once for all sources.

    A source to be restated comes alone: what it said before is replaced, and rows that it no longer
    gives are deleted.

    Args:
        batch: the batch.
        deliveries: new records by source.
        meaning: identity rules and defaults.
    """
    records = [
        batch.hold(
            with_identifiers(prepared(d.raw, d.source), d.source, meaning).withColumn(
                "_refused", _record_reason(d.source)
            )
        )
        for d in deliveries
    ]
    fit = [
        (d, r.where(F.col("_refused").isNull()).drop("_refused", PROBLEMS))
        for d, r in zip(deliveries, records, strict=True)
    ]
    made = _tables(batch, fit, meaning)
    refused = [m.refused for m in made.values() if m.refused is not None]
    counts = _counts(deliveries, records)
    for d, r in zip(deliveries, records, strict=True):
        given, taken_in, bad = (counts[d.name, what] for what in ("given", "fit", "refused"))
        if bad:
            refused.append(_refusals(r, d.name, "silver", F.col("_refused")))
        d.part.balance("records", rows_in=given, rows_out=taken_in, quarantined=bad)
        _account(d, bad, {t: m.accounts for t, m in made.items()})
    _identifiers(batch, fit, meaning)
    _quarantine(batch, deliveries, refused)


def _counts(
    deliveries: Sequence[Delivery], records: Sequence[DataFrame]
) -> Counter[tuple[str, str]]:
    """Records by source: given by bronze, fit to be mapped, refused; in one query.

    What bronze gives is counted there, so that a record lost or doubled on the way shows.
    """
    outcome = F.when(F.col("_refused").isNull(), "fit").otherwise("refused").alias("what")
    every = [
        rows
        for d, r in zip(deliveries, records, strict=True)
        for rows in (
            d.raw.select(F.lit(d.name).alias("source"), F.lit("given").alias("what")),
            r.select(F.lit(d.name).alias("source"), outcome),
        )
    ]
    found = reduce(DataFrame.unionAll, every).groupBy("source", "what").count().collect()
    return Counter({(r["source"], r["what"]): int(r["count"]) for r in found})


@dataclass
class _Made:
    """What became of the rows meant for one table: account by source, and refused rows."""

    accounts: dict[str, Account] = field(default_factory=dict)
    refused: DataFrame | None = None


def _tables(
    batch: Batch, fit: Sequence[tuple[Delivery, DataFrame]], meaning: Meaning
) -> dict[str, _Made]:
    """Write every table; two at a time, since the plan of one is made while another is filled."""
    with ThreadPoolExecutor(2, thread_name_prefix="lakecdp-conform") as threads:
        return dict(
            zip(
                TARGETS,
                threads.map(lambda t: _write(batch, f"silver.{t}", fit, meaning), TARGETS),
                strict=True,
            )
        )


def _account(d: Delivery, bad: int, accounts: Mapping[str, Mapping[str, Account]]) -> None:
    mine = {t: accounts[t.removeprefix("silver.")][d.name] for t in d.source.mapping.silver_tables}
    for name, a in mine.items():
        d.part.balance(
            name,
            rows_in=a.rows_in,
            rows_out=a.written,
            duplicate=a.duplicate,
            quarantined=a.refused,
        )
        d.part.apply(name, a.applied)
        if name in AMOUNTS:
            d.part.reconcile(a.amounts(name))
    main = next(iter(mine.values()))
    d.part.count(
        rows_in=main.rows_in + bad,
        rows_out=main.written,
        rows_duplicate=main.duplicate,
        rows_quarantined=main.refused + bad,
    )


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
    name: str,
    fit: Sequence[tuple[Delivery, DataFrame]],
    meaning: Meaning,
) -> _Made:
    """Bring the rows of all sources into one table."""
    made = [
        (d, canonical(records, d.source, target, meaning))
        for d, records in fit
        for target in d.source.mapping.targets
        if f"silver.{target.table}" == name
    ]
    if not made:
        return _Made()
    rows = reduce(DataFrame.unionByName, [m for _, m in made])
    broken = F.nullif(F.array_join(reasons(suite(name)), "; "), F.lit(""))
    rows = rows.withColumn(REASON, F.coalesce(REASON, broken))
    accounts = {d.name: Account() for d, _ in made}
    rules = meaning.repairs.names(name.removeprefix("silver."))
    if not batch.published(name):
        written = _first(batch, name, rows, accounts, rules)
    else:
        restated = next((d for d, _ in made if d.restate), None)
        rows = batch.hold(rows)
        count(name, rows, accounts, rules)
        written = _further(batch, name, rows, accounts, restated)
    share_out(batch, name, accounts, written)
    some = any(a.refused for a in accounts.values())
    return _Made(accounts, _refusals(rows, None, name, F.col(REASON)) if some else None)


def _first(
    batch: Batch,
    name: str,
    rows: DataFrame,
    accounts: dict[str, Account],
    rules: Sequence[Named],
) -> int:
    """Fill an empty table in one pass; returns the rows written."""
    seen, refused = Observation(), F.col(REASON).isNotNull()
    counts = [
        measure.alias(f"{what}_of_{i}")
        for i, source in enumerate(accounts)
        for what, measure in measures(name, rules, F.col("source") == source).items()
    ]
    counted = rows.observe(seen, *counts)
    good = latest(counted.where(~refused), contracts.table(name).key)
    written = batch.append(name, good)
    if name == PRODUCT:
        revalued(batch, batch.written(name))
    if not written:
        # Adaptive execution drops a stage that gives no row, and with it what was observed there.
        count(name, rows, accounts, rules)
        return 0
    for i, account in enumerate(accounts.values()):
        account.note({w: seen.get[f"{w}_of_{i}"] for w in measures(name, rules)}, rules)
    return written


def _further(
    batch: Batch,
    name: str,
    rows: DataFrame,
    accounts: dict[str, Account],
    restated: Delivery | None,
) -> int:
    """Merge into a table that holds rows already; returns the rows written."""
    if not restated and not any(a.rows_in for a in accounts.values()):
        return 0
    good = latest(rows.where(F.col(REASON).isNull()), contracts.table(name).key)
    return _restate(batch, name, good, restated) if restated else _merge(batch, name, good)


def _merge(batch: Batch, name: str, good: DataFrame) -> int:
    contract, table = contracts.table(name), name.removeprefix("silver.")
    good = batch.hold(good)
    counts = batch.upsert(name, good, update_when=LATER, mostly_new=table in FRESH)
    if name == PRODUCT and counts.written:
        revalued(batch, batch.written(name))
    if counts.updated and name in COUNTED:
        keys = good.select(*contract.key)
        vacate(batch, name, batch.read(name).join(keys, list(contract.key), "left_semi"))
    return counts.written


def _restate(batch: Batch, name: str, good: DataFrame, restated: Delivery) -> int:
    contract = contracts.table(name)
    mine = batch.read(name).where(F.col("source") == restated.name)
    good = batch.hold(good)
    same = f"t.source = s.source AND t._content <> s._content OR {LATER}"
    counts = batch.upsert(name, good, update_when=same)
    gone = mine.join(good.select(*contract.key), list(contract.key), "left_anti")
    deleted = batch.delete_keys(name, gone.select(*contract.key), contract.key)
    if name == PRODUCT and counts.written + deleted:
        kinds = {c: F.lit(None).cast(gone.schema[c].dataType) for c in ("category", "cost")}
        gone = gone.withColumns(kinds)
        revalued(batch, batch.written(name).select(*gone.columns).unionByName(gone))
    if counts.updated + deleted and name in COUNTED:
        vacate(batch, name, mine)
    elif deleted:
        gone_for_good(batch, name, gone)
    return counts.written


def _refusals(rows: DataFrame, source: str | None, target: str, reason: Column) -> DataFrame:
    """Places and reasons of refused rows; the rows name their source where none is given."""
    return rows.where(reason.isNotNull()).select(
        (F.lit(source) if source else F.col("source")).alias("source"),
        F.col("_file").alias("file"),
        F.col("_line").alias("line"),
        F.lit(target).alias("target"),
        reason.alias("reason"),
        F.col("_arrived_at").alias("arrived_at"),
    )


def _identifiers(batch: Batch, fit: Sequence[tuple[Delivery, DataFrame]], meaning: Meaning) -> None:
    """Keep the clear value of every identifier; hashed once for each different value."""
    given = [f for d, records in fit for f in _given(d.source, records)]
    if not given:
        return
    distinct = reduce(DataFrame.unionByName, given).where("given IS NOT NULL").distinct()
    kinds = [k for k in meaning.rules.names if any(k in _kinds(d.source) for d, _ in fit)]
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


def _kinds(source: Source) -> set[str]:
    mapping = source.mapping
    return {k for t in mapping.targets for k in t.identifiers or mapping.identifiers}


def _given(source: Source, records: DataFrame) -> list[DataFrame]:
    """Identifiers as records give them, once for each expression: kind, given."""
    mapping = source.mapping
    found: dict[tuple[str | None, str | None, str, str], DataFrame] = {}
    for target in mapping.targets:
        rows = records.where(F.expr(target.where)) if target.where else records
        if target.explode:
            rows = rows.selectExpr("*", f"posexplode({target.explode}) as (item_no, item)")
        for kind, text in (target.identifiers or mapping.identifiers).items():
            value = F.expr(text).cast("string").alias("given")
            key = (target.where, target.explode, kind, text)
            found.setdefault(key, rows.select(F.lit(kind).alias("kind"), value))
    return list(found.values())


def _quarantine(batch: Batch, deliveries: Sequence[Delivery], refused: Sequence[DataFrame]) -> None:
    """Keep refused records with their text; those of a restated source may be taken in now."""
    if refused:
        bad = batch.keep(
            reduce(DataFrame.unionByName, refused)
            .groupBy(*PLACE)
            .agg(F.min("reason").alias("reason"), F.min("arrived_at").alias("arrived_at"))
        )
        concerned = {r["source"] for r in bad.select("source").distinct().collect()}
        # A file that is delivered again under its name has every line twice; the later one counts.
        texts = [
            d.raw.join(bad.where(F.col("source") == d.name), ["file", "line"], "left_semi")
            .groupBy(F.lit(d.name).alias("source"), "file", "line")
            .agg(F.max_by(F.encode(F.to_json("raw"), "utf-8"), "arrived_at").alias("raw"))
            for d in deliveries
            if d.name in concerned
        ]
        text = reduce(DataFrame.unionByName, texts)
        rows = bad.join(text, ["source", "file", "line"], "left").select(
            "*", F.lit("open").alias("status"), F.lit(None).alias("replayed_at")
        )
        batch.upsert(QUARANTINE, rows, mostly_new=True)
    for d in deliveries:
        if d.restate:
            _taken_in_after_all(batch, d, refused)


def _taken_in_after_all(batch: Batch, d: Delivery, refused: Sequence[DataFrame]) -> None:
    before = batch.read(QUARANTINE).where(
        (F.col("source") == d.name) & (F.col("status") == "open") & F.col("target").like("silver%")
    )
    for part in refused:
        before = before.join(part.select(*PLACE).distinct(), PLACE, "left_anti")
    batch.upsert(
        QUARANTINE,
        before.drop("_batch").withColumns(
            {"status": F.lit("replayed"), "replayed_at": F.lit(batch.started_at)}
        ),
        insert=False,
    )
