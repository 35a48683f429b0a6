"""One batch of probabilistic linkage: from new attributes to pairs of records in identity.match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakecdp.identity.arrays import connected
from lakecdp.identity.linkage.engine import Cluster, Duck, Engine
from lakecdp.identity.linkage.model import Model
from lakecdp.identity.linkage.pairs import decided, matched, trained
from lakecdp.identity.linkage.rules import LinkageRules
from lakecdp.platform.batch import Batch

ATTRIBUTE, VACATED = "silver.attribute", "silver.vacated"
MATCH, MODEL = "identity.match", "identity.linkage_model"
READS, WRITES = (ATTRIBUTE, VACATED), (MODEL, MATCH)
VERSION = "1"
WITHDRAWN = "withdrawn"
GROWN = 2
"""A model is trained anew when there are so many times the records that it was trained on."""
_KEY = ["a", "b"]
_TOLD = ["probability", "weight", "evidence", "source_a", "source_b", "decision"]


@dataclass
class Outcome:
    """What a batch did.

    Attributes:
        records: records compared.
        trained: linkages whose model was trained.
        written: pairs written, by decision.
    """

    records: int = 0
    trained: list[str] = field(default_factory=list)
    written: Counter[str] = field(default_factory=Counter)


def fingerprint(every: Sequence[LinkageRules], types: Sequence[str]) -> str:
    """Changes whenever the same records may be linked otherwise."""
    return ".".join([VERSION, *(f"{r.name}:{r.fingerprint()}" for r in every), *types])


def records(attributes: DataFrame, rules: LinkageRules) -> DataFrame:
    """The records of a linkage: one row per owner of attributes.

    Args:
        attributes: silver.attribute.
        rules: the linkage.

    Returns:
        One row per owner that has any of the columns: id BIGINT, type, source (the first by name,
        where several speak of one owner), and the columns as texts, stated last.
    """
    wanted = {name: c.attribute or name for name, c in rules.columns.items()}
    rows = attributes.where(F.col("name").isin(*set(wanted.values())))
    if rules.sources is not None:
        rows = rows.where(F.col("source").isin(*rules.sources))
    kind = F.get("identifiers", F.lit(0))["type"]
    if rules.types is not None:
        rows = rows.where(kind.isin(*rules.types))
    last = F.struct("observed_at", "source", "value")
    columns = [
        F.max(F.when(F.col("name") == attribute, last))["value"].alias(name)
        for name, attribute in wanted.items()
    ]
    return rows.groupBy(F.col("owner_node").alias("id")).agg(
        F.min(kind).alias("type"), F.min("source").alias("source"), *columns
    )


def match(
    batch: Batch,
    every: Sequence[LinkageRules],
    types: Sequence[str],
    *,
    again: Collection[str] = (),
    full: bool | None = None,
) -> Outcome:
    """Compare new records with all, decide on the pairs and write what differs.

    Args:
        batch: a batch with READS and WRITES.
        every: the linkages in force.
        types: identifier types, strongest first.
        again: linkages to train anew.
        full: compare all records; None: when the batch is full.
    """
    out = Outcome()
    full = batch.full if full is None else full
    before = batch.read(MATCH).drop("_batch").toArrow().to_pandas()
    models = {r["linkage"]: r for r in batch.read(MODEL).collect()}
    changed, learnt = [], []
    for rules in every:
        mine = before[before["linkage"] == rules.name]
        row = models.get(rules.name)
        same = row is not None and row["rules"] == rules.fingerprint()
        one = _Linkage(batch, rules, types, mine)
        known = Model.from_json(row["model"]) if row is not None and same else None
        model, rows = one.run(known if rules.name not in again else None, full, out)
        if model is not None and model is not known:
            out.trained.append(rules.name)
            learnt.append((rules.name, rules.fingerprint(), model.records, model.to_json()))
        changed.append(rows)
    names = [r.name for r in every]
    left = before[~before["linkage"].isin(names) & (before["decision"] != WITHDRAWN)]
    changed.append(left.assign(decision=WITHDRAWN))
    if learnt:
        shape = "linkage STRING, rules STRING, records BIGINT, model STRING"
        told = batch.spark.createDataFrame(learnt, shape)
        batch.upsert(MODEL, told.withColumn("trained_at", F.lit(batch.started_at)))
    _write(batch, pd.concat(changed, ignore_index=True), out)
    return out


def _write(batch: Batch, rows: pd.DataFrame, out: Outcome) -> None:
    out.written.update(rows["decision"])
    if rows.empty:
        return
    schema = batch.read(MATCH).drop("_batch").schema
    at = pd.to_datetime(rows["first_matched_at"], utc=True).fillna(pd.Timestamp(batch.started_at))
    table = pa.Table.from_pandas(
        rows.assign(first_matched_at=at)[schema.names], preserve_index=False
    )
    batch.upsert(MATCH, batch.spark.createDataFrame(table))


class _Linkage:
    """One linkage in a batch."""

    def __init__(
        self, batch: Batch, rules: LinkageRules, types: Sequence[str], before: pd.DataFrame
    ):
        self.batch, self.rules, self.types = batch, rules, types
        self.before = _unordered(before)

    def run(
        self, known: Model | None, full: bool, out: Outcome
    ) -> tuple[Model | None, pd.DataFrame]:
        """The model in force afterwards, and the rows to write."""
        every = records(self.batch.read(ATTRIBUTE), self.rules)
        fresh = None if full or known is None else self._fresh()
        if fresh is not None and not len(fresh):
            return known, self._ordered(self.before.iloc[:0])
        every = self.batch.hold(every)
        count = every.count()
        if known is not None and count > GROWN * known.records:
            known, fresh = None, None
        out.records += count if fresh is None else len(fresh)
        engine = self._engine(count)
        try:
            model, found = self._found(engine, every, count, known, fresh)
        finally:
            engine.close()
        if model is None:
            return None, self._ordered(self._differing(found.to_pandas(), None))
        return model, self._ordered(self._differing(self._decided(found, model, fresh), fresh))

    def _engine(self, count: int) -> Engine:
        return Cluster(self.batch.spark) if count > self.rules.spark_above else Duck()

    def _found(
        self,
        engine: Engine,
        every: DataFrame,
        count: int,
        known: Model | None,
        fresh: np.ndarray | None,
    ) -> tuple[Model | None, pa.Table]:
        wanted = every.select("id", "source", *self.rules.columns)
        if count < 2:
            from lakecdp.identity.linkage.pairs import SHAPE

            return known, SHAPE.empty_table()
        raw = engine.give(
            engine.fresh("raw"), wanted if isinstance(engine, Cluster) else wanted.toArrow()
        )
        if known is None:
            return trained(engine, raw, self.rules)
        new = None
        if fresh is not None:
            new = engine.give(engine.fresh("new"), pa.table({"id": fresh}))
        return known, matched(engine, raw, self.rules, known, new)

    def _fresh(self) -> np.ndarray:
        """Owners of attributes that are new, changed or gone since the last batch."""
        mark = self.batch.since.mark
        new = self.batch.read(ATTRIBUTE).where(F.col("_batch") > mark).select("owner_node")
        gone = self.batch.read(VACATED).where(
            (F.col("_batch") > mark) & (F.col("target") == ATTRIBUTE)
        )
        ids = new.union(gone.select("owner_node")).where("owner_node IS NOT NULL").distinct()
        return np.sort(ids.toArrow().column(0).to_numpy())

    def _decided(self, found: pa.Table, model: Model, fresh: np.ndarray | None) -> pd.DataFrame:
        """All pairs that stand, those concerned with their decision."""
        now = found.to_pandas()
        if fresh is not None:
            stand = self.before["decision"] != WITHDRAWN
            stand &= ~self.before["a"].isin(fresh) & ~self.before["b"].isin(fresh)
            now = pd.concat([now, self.before[stand][[*now.columns, "decision"]]])
            touched = _touched(now, self.before, fresh)
            now = now[touched]
        now = now.sort_values(_KEY, kind="stable").reset_index(drop=True)
        table = pa.Table.from_pandas(now[found.schema.names], found.schema, preserve_index=False)
        out: pd.DataFrame = now.assign(decision=decided(table, self.rules, model))
        return out

    def _differing(self, now: pd.DataFrame, fresh: np.ndarray | None) -> pd.DataFrame:
        """Pairs to write: new, changed or withdrawn."""
        if "decision" not in now:
            now = now.assign(decision=pd.Series(dtype=object))
        was = self.before
        both = now.merge(
            was[[*_KEY, *_TOLD, "first_matched_at"]], "left", _KEY, suffixes=("", "_was")
        )
        differs = np.zeros(len(both), dtype=bool)
        for name in _TOLD:
            differs |= (both[name] != both[f"{name}_was"]).to_numpy()
        gone = was[was["decision"] != WITHDRAWN]
        if fresh is not None:
            gone = gone[gone["a"].isin(fresh) | gone["b"].isin(fresh)]
        left = (
            gone.merge(now[_KEY], "left", _KEY, indicator=True)["_merge"].to_numpy() == "left_only"
        )
        columns = [*_KEY, *_TOLD, "first_matched_at"]
        ended = gone[left].assign(decision=WITHDRAWN)[columns]
        out: pd.DataFrame = pd.concat([both[differs][columns], ended], ignore_index=True)
        return out

    def _ordered(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows in the columns of identity.match: the stronger identifier first."""
        known = dict(zip(self.before["a"], self.before["type_of_a"], strict=True))
        known |= dict(zip(self.before["b"], self.before["type_of_b"], strict=True))
        wanted = np.unique(np.concatenate([rows["a"], rows["b"]]).astype(np.int64))
        missing = wanted[~np.isin(wanted, np.array(list(known), dtype=np.int64))]
        if len(missing):
            ids = self.batch.spark.createDataFrame(pa.table({"id": missing}))
            there = records(self.batch.read(ATTRIBUTE), self.rules).join(F.broadcast(ids), "id")
            found = there.select("id", "type").toArrow().to_pydict()
            known |= dict(zip(found["id"], found["type"], strict=True))
        rank = {t: i for i, t in enumerate(self.types)}
        type_a, type_b = rows["a"].map(known), rows["b"].map(known)
        turn = (type_a.map(rank).fillna(-1) > type_b.map(rank).fillna(-1)).to_numpy()
        pairs = {}
        for name, x, y in (
            ("node", rows["a"], rows["b"]),
            ("type", type_a, type_b),
            ("source", rows["source_a"], rows["source_b"]),
        ):
            pairs[f"{name}_a"] = np.where(turn, y, x)
            pairs[f"{name}_b"] = np.where(turn, x, y)
        return pd.DataFrame(
            {
                "linkage": self.rules.name,
                **pairs,
                "probability": rows["probability"].astype(float),
                "match_weight": rows["weight"].astype(float),
                "decision": rows["decision"],
                "evidence": rows["evidence"],
                "first_matched_at": rows["first_matched_at"],
            }
        ).astype({"node_a": "int64", "node_b": "int64"})


def _unordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of identity.match with a < b."""
    turn = (rows["node_a"] > rows["node_b"]).to_numpy()
    out = rows.assign(weight=rows["match_weight"])
    for one, name in (("a", "node"), ("type_of_a", "type"), ("source_a", "source")):
        other = one[:-1] + "b"
        x, y = rows[f"{name}_a"].to_numpy(), rows[f"{name}_b"].to_numpy()
        out[one], out[other] = np.where(turn, y, x), np.where(turn, x, y)
    return out


def _touched(now: pd.DataFrame, before: pd.DataFrame, fresh: np.ndarray) -> np.ndarray:
    """Pairs in a connected part in which a pair has come, gone or changed."""
    partners = before[before["a"].isin(fresh) | before["b"].isin(fresh)]
    starts = np.unique(np.concatenate([fresh, partners["a"], partners["b"]]).astype(np.int64))
    ids, flat = np.unique(np.concatenate([now["a"], now["b"]]), return_inverse=True)
    n = len(now)
    part = connected(len(ids), flat[:n], flat[n:])[1]
    hit = np.unique(part[np.isin(ids, starts)])
    return np.isin(part[flat[:n]], hit)
