"""Pairs of records in the lake: increments give what a rebuild gives, and resolve takes links."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType
from tests.linkage_world import two_files

from lakecdp import contracts
from lakecdp.identity.evidence import edges, match_edges
from lakecdp.identity.evidence import records as evidence_records
from lakecdp.identity.linkage.rules import LinkageRules
from lakecdp.identity.match import MATCH, MODEL, Outcome, match

pytestmark = pytest.mark.spark
TYPES = ("member_id", "record_id")
AT = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("name", "surname", "birthday", "city", "phone")
ATTRIBUTES = (
    "owner_node BIGINT, name STRING, source STRING, value STRING, observed_at TIMESTAMP, "
    "identifiers ARRAY<STRUCT<type: STRING, node_id: BIGINT>>, _batch BIGINT"
)
VACATED = "target STRING, owner_node BIGINT, _batch BIGINT"


class Memory:
    """What match needs of a batch, on rows in memory."""

    def __init__(self, spark: SparkSession):
        self.spark = spark
        self.attributes: dict[tuple[int, str], tuple[Any, ...]] = {}
        self.vacated: list[tuple[Any, ...]] = []
        self.tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {MATCH: {}, MODEL: {}}
        self.since = SimpleNamespace(mark=0)
        self.seq, self.full, self.started_at, self.writes = 0, True, AT, 0

    def deliver(self, rows: pd.DataFrame) -> None:
        self.seq += 1
        for i, row in zip(rows.index, rows.to_dict("records"), strict=True):
            kind = "member_id" if row["source"] == "one" else "record_id"
            # Members have the larger ids: the stronger identifier is not the smaller one.
            node = 10_000 + i if kind == "member_id" else 1 + i
            for name in COLUMNS:
                if row[name]:
                    said = (node, name, row["source"], row[name], AT, [(kind, node)], self.seq)
                    self.attributes[node, name] = said

    def forget(self, node: int) -> None:
        self.seq += 1
        self.attributes = {k: v for k, v in self.attributes.items() if k[0] != node}
        self.vacated.append(("silver.attribute", node, self.seq))

    def take(self, rules: LinkageRules, *, full: bool, **more: Any) -> Outcome:
        self.seq += 1
        self.full, self.writes = full, 0
        self.started_at += timedelta(days=1)
        done = match(self, [rules], TYPES, **more)  # type: ignore[arg-type]
        self.since.mark = self.seq
        return done

    def read(self, name: str) -> DataFrame:
        if name == "silver.attribute":
            return self.spark.createDataFrame(list(self.attributes.values()), ATTRIBUTES)
        if name == "silver.vacated":
            return self.spark.createDataFrame(self.vacated, VACATED)
        ddl = contracts.table(name).ddl.replace(" NOT NULL", "")
        names = StructType.fromDDL(ddl).names
        rows = [tuple(r.get(c) for c in names) for r in self.tables[name].values()]
        return self.spark.createDataFrame(rows, ddl)

    def hold(self, frame: DataFrame) -> DataFrame:
        return frame.localCheckpoint()

    def upsert(self, name: str, frame: DataFrame) -> None:
        key = contracts.table(name).key
        for row in frame.collect():
            self.writes += 1
            self.tables[name][tuple(row[k] for k in key)] = row.asDict() | {"_batch": self.seq}

    def stand(self) -> list[tuple[Any, ...]]:
        """Rows that stand, without the time at which they arrived."""
        left = ("first_matched_at", "_batch")
        rows = [r for r in self.tables[MATCH].values() if r["decision"] != "withdrawn"]
        return sorted(tuple(v for c, v in sorted(r.items()) if c not in left) for r in rows)


@pytest.fixture(scope="module")
def shops() -> LinkageRules:
    kinds = {"name": "given_name", "surname": "surname", "birthday": "date", "city": "city"}
    return LinkageRules.model_validate(
        {"columns": {**kinds, "phone": "partial_phone"}, "pairs": "between"}
    ).model_copy(update={"name": "shops"})


def test_increments_give_what_a_rebuild_gives(spark: SparkSession, shops: LinkageRules) -> None:
    table = two_files(160)
    lake = Memory(spark)
    late = random.Random(5).sample(range(len(table)), 40)
    lake.deliver(table.drop(index=late))
    first = lake.take(shops, full=True)
    assert first.trained == ["shops"]
    assert first.written["link"] > 60
    lake.deliver(table.loc[late[:25]])
    second = lake.take(shops, full=False)
    assert (second.trained, second.records) == ([], 25)
    # A record says something else now, another is gone.
    linked = [r for r in lake.tables[MATCH].values() if r["decision"] == "link"]
    gone, other = linked[0], linked[1]
    lake.forget(gone["node_b"])
    other_row = table.loc[[other["node_b"] - 1]].assign(
        name="zacharias", surname="nobody", birthday="1911-01-01", phone="099999"
    )
    lake.deliver(pd.concat([table.loc[late[25:]], other_row]))
    lake.take(shops, full=False)
    for row in (gone, other):
        key = ("shops", row["node_a"], row["node_b"])
        assert lake.tables[MATCH][key]["decision"] == "withdrawn"
    stood = lake.stand()
    again = lake.take(shops, full=True)
    assert not again.trained
    assert lake.writes == 0
    assert lake.stand() == stood
    lake.take(shops, full=False)
    assert lake.writes == 0
    for row in lake.tables[MATCH].values():
        assert (row["type_a"], row["type_b"]) == ("member_id", "record_id")
        assert (row["source_a"], row["source_b"]) == ("one", "two")
    # Trained anew only when the rules change, on request, or when the records have grown.
    assert lake.take(shops, full=False, again=["shops"]).trained == ["shops"]
    assert lake.take(shops.model_copy(update={"seed": 9}), full=True).trained == ["shops"]


def test_links_become_edges_with_their_probability(spark: SparkSession) -> None:
    ddl = contracts.table(MATCH).ddl.replace(" NOT NULL", "")
    names = StructType.fromDDL(ddl).names
    base = {
        "linkage": "shops", "type_a": "member_id", "type_b": "record_id", "source_a": "one",
        "source_b": "two", "match_weight": 5.0, "evidence": "name +5.0", "first_matched_at": AT,
        "_batch": 1,
    }  # fmt: skip
    said = [(7, 1, 0.97, "link"), (7, 2, 0.5, "review"), (8, 1, 0.8, "beaten")]
    rows = [
        base | {"node_a": a, "node_b": b, "probability": p, "decision": d} for a, b, p, d in said
    ]
    table = spark.createDataFrame([tuple(r[n] for n in names) for r in rows], ddl)
    found = edges(evidence_records(MATCH, match_edges(table))).collect()
    assert [
        (r["node_a"], r["node_b"], r["source"], r["target"], r["weight"], r["first_seen"])
        for r in found
    ] == [(7, 1, "linkage:shops", "identity.match", 0.97, None)]


def test_spark_gives_what_duckdb_gives(spark: SparkSession, shops: LinkageRules) -> None:
    table = two_files(60)
    decisions = []
    rules = shops.model_copy(update={"blocking": (("birthday.year_day",), ("phone.end",))})
    for above in (10**6, 0):
        lake = Memory(spark)
        lake.deliver(table)
        lake.take(rules.model_copy(update={"spark_above": above}), full=True)
        decisions.append(
            {k: (r["decision"], round(r["probability"], 3)) for k, r in lake.tables[MATCH].items()}
        )
    assert decisions[0] == decisions[1]
    assert sum(d == "link" for d, _ in decisions[0].values()) > 25


def test_without_linkages_the_job_does_nothing(
    make_job: Callable[..., Any], tmp_path: Path
) -> None:
    from lakecdp.pipeline import JobSpec
    from lakecdp.runner import load_job

    job = make_job("03_identity/match")
    load_job(JobSpec("03_identity/match", ""))(job)
    assert [s.outcome for s in job.summaries] == ["unchanged"]
