"""The quality gate: refusing rows, stopping batches, and saying so without personal values."""

from __future__ import annotations

import json
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pyspark.sql import functions as F

from lakecdp import contracts
from lakecdp.contracts import TableContract, column
from lakecdp.platform import quality, yamlfile
from lakecdp.platform.errors import GateError, LakecdpError
from lakecdp.platform.quality_suites import parse_suite, suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

TOY = TableContract(
    name="gold.toy",
    grain="one row per toy",
    owner="04_tags/toy",
    key=("toy_id",),
    columns=(
        column("toy_id", "BIGINT", "Toy", required=True),
        column("kind", "STRING", "Kind"),
        column("size", "INT", "Size"),
        column("price", "DECIMAL(18,4)", "Price"),
        column("share", "DOUBLE", "Share"),
        column("made_on", "DATE", "First day"),
        column("seen_at", "TIMESTAMP", "Last time"),
        column("child", "STRING", "Whose it is", grade="personal"),
    ),
)
SUITE = r"""
table: gold.toy
expectations:
  - {type: expect_column_values_to_not_be_null, column: kind, severity: fail, row: quarantine}
  - type: expect_column_values_to_be_in_set
    column: kind
    value_set: [ball, "child's \\ game", ""]
    severity: fail
    row: quarantine
  - type: expect_column_values_to_be_in_set
    column: size
    value_set: [0, 1, 2]
    severity: fail
    row: quarantine
  - type: expect_column_values_to_be_between
    column: price
    min_value: 0
    max_value: 9.5
    strict_min: true
    severity: fail
    row: quarantine
  - type: expect_column_values_to_be_between
    column: share
    min_value: 0.1
    max_value: 1
    strict_max: true
    severity: fail
    row: quarantine
  - type: expect_column_values_to_be_between
    column: made_on
    min_value: 2020-02-01
    max_value: 2020-02-29
    severity: fail
    row: quarantine
  - type: expect_column_values_to_be_between
    column: seen_at
    max_value: 2020-02-15
    severity: fail
    row: quarantine
  - type: expect_column_values_to_match_regex
    column: child
    regex: "^[A-Z][a-z']+\\s?$"
    severity: fail
    row: quarantine
  - type: expect_column_values_to_not_match_regex
    column: kind
    regex: game
    severity: fail
    row: quarantine
  - type: expect_column_value_lengths_to_be_between
    column: child
    min_value: 2
    max_value: 5
    strict_max: true
    severity: fail
    row: quarantine
  - type: expect_column_pair_values_a_to_be_greater_than_b
    column_A: size
    column_B: price
    severity: fail
    row: quarantine
  - type: expect_column_pair_values_a_to_be_greater_than_b
    column_A: seen_at
    column_B: made_on
    or_equal: true
    severity: fail
    row: quarantine
  - type: expect_column_values_to_satisfy
    column: price
    expression: "price <= 2 * size OR kind = 'ball'"
    note: be at most twice the size, but for balls
    severity: fail
    row: quarantine
"""
SCHEMA = ", ".join(f"{c.name} {c.type}" for c in TOY.columns)


@pytest.fixture(scope="module")
def toys() -> quality.Suite:
    return parse_suite(yamlfile.loads(SUITE, "toy.yaml"), TOY)


def at(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - the session is in UTC


def random_toys(seed: int, count: int) -> list[tuple[Any, ...]]:
    pick = random.Random(seed).choice
    kinds = ["ball", "child's \\ game", "", "game", "BALL", "Ball ", "ball\n", "球", None]
    children = [
        "Ada",
        "Zoë",
        "Bo",
        "B",
        "",
        "O'Nei",
        "ada",
        "Ada ",
        "Ada\n",
        "Al-Ge",
        "Maria",
        None,
    ]
    return [
        (
            n,
            pick(kinds),
            pick([-1, 0, 1, 2, 3, None]),
            pick([None, *map(Decimal, ("-0.0001", "0", "0.0001", "1", "2", "9.5", "9.5001", "4"))]),
            pick([0.1, 0.1 - 1e-17, 0.09999, 1.0, 0.999999, math.nan, math.inf, -0.0, None]),
            pick([None, date(2020, 1, 31), date(2020, 2, 1), date(2020, 2, 29), date(2020, 3, 1)]),
            pick(
                [
                    None,
                    at(2020, 2, 1),
                    at(2020, 2, 15),
                    at(2020, 2, 15, 0, 0, 0, 1),
                    at(2020, 1, 30, 23),
                ]
            ),
            pick(children),
        )
        for n in range(count)
    ]


def oracle(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Which rules a row breaks, told in plain Python from the text of the suite."""
    out = []
    for _, kind, size, price, share, made_on, seen_at, child in rows:
        made_at = None if made_on is None else at(made_on.year, made_on.month, made_on.day)
        out.append(
            [
                kind is None,
                kind is not None and kind not in ("ball", "child's \\ game", ""),
                size is not None and size not in (0, 1, 2),
                price is not None and not 0 < price <= Decimal("9.5"),
                share is not None and (math.isnan(share) or not 0.1 <= share < 1),
                made_on is not None and not date(2020, 2, 1) <= made_on <= date(2020, 2, 29),
                seen_at is not None and seen_at > at(2020, 2, 15),
                child is not None and re.search(r"^[A-Z][a-z']+\s?$", child) is None,
                kind is not None and "game" in kind,
                child is not None and not 2 <= len(child) < 5,
                size is not None and price is not None and not size > price,
                seen_at is not None and made_at is not None and not seen_at >= made_at,
                None not in (price, size, kind) and not (price <= 2 * size or kind == "ball"),
            ]
        )
    return pd.DataFrame(out)


def test_refused_rows_are_those_of_great_expectations_and_of_plain_python(
    spark: SparkSession, toys: quality.Suite
) -> None:
    from lakecdp.platform import quality_gx

    rows = random_toys(1, 900)
    frame = spark.createDataFrame(rows, SCHEMA).cache()
    expected = oracle(rows)
    assert (expected.sum() > 0).all(), "every rule must be broken by some row"

    rules = [F.expr(str(e.refused())) for e in toys.row_rules]
    marks = (
        frame.orderBy("toy_id").select(*[r.alias(str(i)) for i, r in enumerate(rules)]).collect()
    )
    ours = pd.DataFrame([list(m) for m in marks])
    wrong = [(i, rows[n]) for n, i in zip(*(ours != expected).to_numpy().nonzero(), strict=True)]
    assert wrong == []

    found = {f["index"]: f["rows"] for f in quality_gx.validate(toys, frame)}
    assert found == {i: int(n) for i, n in enumerate(expected.sum())}

    broken = F.size(quality.reasons(toys))
    refused, valid = frame.where(broken > 0), frame.where(broken == 0)
    assert {r.toy_id for r in refused.collect()} == set(expected.index[expected.any(axis=1)])
    assert {r.toy_id for r in valid.collect()} == set(expected.index[~expected.any(axis=1)])
    said = frame.select("toy_id", broken.alias("n")).collect()
    assert {r.toy_id: r.n for r in said} == dict(enumerate(expected.sum(axis=1)))
    frame.unpersist()


def test_reasons_name_column_value_and_rule_but_no_personal_value(
    spark: SparkSession, toys: quality.Suite
) -> None:
    good = (1, "ball", 2, Decimal(1), 0.5, date(2020, 2, 1), at(2020, 2, 2), "Ada")
    rows = [
        good,
        (2, None, *good[2:]),
        (3, "tr\x00ain\n" + "x" * 60, *good[2:]),
        (4, *good[1:3], Decimal(10), *good[4:]),
        (5, *good[1:5], date(2020, 3, 1), *good[6:]),
        (6, *good[1:7], "secret name"),
        (7, "", 0, Decimal("0.5"), *good[4:]),
    ]
    frame = spark.createDataFrame(rows, SCHEMA)
    said = frame.select("toy_id", quality.reasons(toys).alias("reasons")).collect()
    assert {r.toy_id: r.reasons for r in said} == {
        1: [],
        2: ["`kind` is missing"],
        3: [f"`kind` is 'tr ain {'x' * 33}…': it must be one of ball, child's \\ game, "],
        4: [
            "`price` is '10.0000': it must be above 0 and at most 9.5",
            "`size` is '2' and `price` is '10.0000': it must be above price",
        ],
        5: [
            "`made_on` is '2020-03-01': it must be at least 2020-02-01 and at most 2020-02-29",
            (
                "`seen_at` is '2020-02-02 00:00:00' and `made_on` is '2020-03-01': "
                "it must be at least made_on"
            ),
        ],
        6: [
            "`child` is a hidden value: it must match ^[A-Z][a-z']+\\s?$",
            "`child` is a hidden value: it must have at least 2 and below 5 characters",
        ],
        7: [
            "`size` is '0' and `price` is '0.5000': it must be above price",
            (
                "`price` is '0.5000' and `size` is '0' and `kind` is '': "
                "it must be at most twice the size, but for balls"
            ),
        ],
    }


def test_a_suite_without_rules_for_rows_refuses_none(spark: SparkSession) -> None:
    frame = spark.range(2).withColumnRenamed("id", "customer_id")
    none = quality.reasons(suite("gold.tag_matrix"))
    assert frame.where(F.size(none) == 0).count() == 2
    assert frame.where(F.size(none) > 0).collect() == []
    said = frame.select(none.alias("reasons"))
    assert said.dtypes == [("reasons", "array<string>")]
    assert [r.reasons for r in said.collect()] == [[], []]


def products(spark: SparkSession, *rows: tuple[str | None, str, str, str]) -> DataFrame:
    frame = spark.createDataFrame(
        list(rows), "product_id STRING, name STRING, p STRING, source STRING"
    )
    return frame.selectExpr(
        "product_id", "source", "name", "CAST(NULL AS STRING) category",
        "CAST(NULL AS STRING) brand", "CAST(p AS DECIMAL(18,4)) price",
        "CAST(NULL AS DECIMAL(18,4)) cost", "'EUR' currency", "CAST(NULL AS TIMESTAMP) _version_at",
        "1L _content", "CAST(NULL AS TIMESTAMP) _arrived_at",
    )  # fmt: skip


def last_run(job: Job) -> Any:
    return job.read("operations.run").orderBy(F.desc("run_seq")).first()


def test_gate_passes_warns_and_stops(
    spark: SparkSession, make_job: Callable[..., Job], capfd: pytest.CaptureFixture[str]
) -> None:
    job = make_job("02_silver/conform")
    adaptive = spark.conf.get(quality.ADAPTIVE)
    spark.catalog.clearCache()
    good = products(spark, ("a", "A", "1", "s"), ("b", "B", "2", "s"))
    with job.batch("good", outputs=["silver.product"]) as b:
        b.append("silver.product", good)
    assert b.summary.outcome == "published"
    row = last_run(job)
    assert [(g["table"], g["rows"], g["failed"]) for g in json.loads(row.gates)] == [
        ("silver.product", 2, [])
    ]

    odd = products(spark, ("c", "C", "-1", "s"), ("d", "D", "2", "s"))
    with job.batch("odd", outputs=["silver.product"]) as b:
        warned = quality.gate(b, "silver.product", odd)
        b.append("silver.product", odd)
    assert not warned.holds
    row = last_run(job)
    sentence = (
        "silver.product: price must be at least 0, but 1 of 2 rows are not so (such as '-1.0000')"
    )
    assert (row.outcome, row.message) == ("warned", sentence)
    (found,) = json.loads(row.gates)[0]["failed"]
    assert (found["severity"], found["rows"], found["share"]) == ("warn", 1, 0.5)

    double = products(spark, ("e", "E", "1", "s"), ("e", "F", "1", "s"), ("f", "G", "-1", "s"))

    def write_double() -> None:
        with job.batch("bad", outputs=["silver.product"]) as b:
            b.append("silver.product", double)
            quality.gate(b, "silver.product", double)

    with pytest.raises(GateError) as stopped:
        write_double()
    assert str(stopped.value) == (
        "silver.product: product_id must be unique, but 2 of 3 rows are not so (such as 'e'); "
        "nothing of this batch is published."
    )
    row = last_run(job)
    assert (row.outcome, row.message) == ("failed", str(stopped.value))
    assert [f["severity"] for f in json.loads(row.gates)[0]["failed"]] == ["fail", "warn"]
    assert job.read("silver.product").count() == 4

    assert spark.conf.get(quality.ADAPTIVE) == adaptive
    assert spark._jsparkSession.sharedState().cacheManager().isEmpty()
    out, err = capfd.readouterr()
    assert out == ""
    assert "Calculating" not in err


class Nothing:
    """As much of a batch as the gate needs."""

    def __init__(self) -> None:
        from lakecdp.platform.part import Summary

        self.gate_results: list[dict[str, Any]] = []
        self.summary = Summary("job", "")


def test_personal_values_are_in_no_result(spark: SparkSession) -> None:
    rows = [(1, "birthday", "s", "SECRET-1"), (1, "birthday", "s", "SECRET-2"), (0, "N!", "s", "x")]
    frame = spark.createDataFrame(
        rows, "owner_node BIGINT, name STRING, source STRING, value STRING"
    )
    whole = frame.selectExpr("*", "TIMESTAMP'2020-01-01' observed_at", "array() identifiers")
    batch = Nothing()
    with pytest.raises(GateError):
        quality.gate(batch, "silver.attribute", whole)
    failed = {(f["type"], f["columns"][0]): f for f in batch.gate_results[0]["failed"]}
    kind = "expect_column_values_to_"
    assert failed[kind + "satisfy", "value"]["rows"] == 2
    assert "examples" not in failed[kind + "satisfy", "value"]
    assert failed[kind + "match_regex", "name"]["examples"] == ["N!"]
    assert failed["expect_compound_columns_to_be_unique", "owner_node"]["rows"] == 2
    assert "SECRET" not in json.dumps(batch.gate_results)


def test_nothing_to_look_at_costs_nothing_and_missing_columns_are_named(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> None:
        raise AssertionError("Great Expectations was asked about no rows")

    batch = Nothing()
    with pytest.raises(
        LakecdpError, match=r"^gold.tag_matrix: the gate cannot look at completeness"
    ):
        quality.gate(batch, "gold.tag_matrix", spark.range(1).toDF("customer_id"))
    monkeypatch.setattr(quality, "_gx", never)
    empty = spark.range(0).selectExpr("id customer_id", "CAST(1 AS DECIMAL(5,4)) completeness")
    assert quality.gate(batch, "gold.tag_matrix", empty).rows == 0


def test_mostly_and_row_count(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
table: gold.toy
expectations:
  - {type: expect_column_values_to_not_be_null, column: kind, mostly: 0.7, severity: warn}
  - {type: expect_column_values_to_not_be_null, column: size, mostly: 0.8, severity: warn}
  - {type: expect_table_row_count_to_be_between, min_value: 5, severity: warn}
"""
    found = parse_suite(yamlfile.loads(text, "toy.yaml"), TOY)
    monkeypatch.setattr(quality, "suite", lambda _: found)
    rows = [("a", 1), ("b", 2), ("c", 3), (None, None)]
    frame = spark.createDataFrame(rows, "kind STRING, size INT")
    result = quality.gate(Nothing(), "gold.toy", frame)
    assert [f["sentence"] for f in result.failed] == [
        "gold.toy: size must not be missing in 80% of the rows, but 1 of 4 rows are not so",
        "gold.toy: the table must have at least 5 rows, and has 4",
    ]


@pytest.mark.parametrize("name", [*contracts.all_tables(), "bronze.any_source"])
def test_every_suite_can_be_judged_on_the_types_of_its_table(
    spark: SparkSession, name: str
) -> None:
    from lakecdp.platform import quality_gx

    found = suite(name)
    nulls = [f"CAST(NULL AS {c.type}) AS `{c.name}`" for c in found.contract.all_columns]
    frame = spark.sql(f"SELECT {', '.join(nulls)}")
    rules = list(enumerate(found.expectations))
    judged = quality_gx._validate(name, frame, rules, "BOOLEAN_ONLY")
    assert [quality_gx._error(r.exception_info) for r in judged.values()] == [None] * len(rules)
    broken = {i for i, r in judged.items() if not r.success}
    strict = {i for i, e in rules if e.type == "expect_column_values_to_not_be_null"}
    assert broken == strict
    said = frame.select(quality.reasons(found)).collect()[0][0]
    refusing = [e for e in found.row_rules if e.type == "expect_column_values_to_not_be_null"]
    assert said == [f"`{e.columns[0]}` is missing" for e in refusing]


def run_file(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "probe.py"
    file.write_text(code)
    lib = str(Path(quality.__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": lib}
    return subprocess.run(
        [sys.executable, str(file)], env=env, capture_output=True, text=True, check=False
    )


def test_great_expectations_is_imported_late_and_never_reports_home(tmp_path: Path) -> None:
    done = run_file(
        tmp_path,
        "import sys, os, socket\n"
        "from lakecdp.platform import quality, batch, job\n"
        "quality.suite('silver.order_line').row_rules\n"
        "assert 'great_expectations' not in sys.modules\n"
        "def refuse(*_): raise AssertionError('it calls home')\n"
        "socket.socket.connect = refuse\n"
        "quality._gx()._context()\n"
        "print(os.environ['GX_ANALYTICS_ENABLED'])\n",
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "false"


def test_a_run_without_a_file_says_so_instead_of_leaving_in_silence() -> None:
    lib = str(Path(quality.__file__).parents[2])
    code = (
        "from lakecdp.platform import quality\n"
        "from lakecdp.platform.errors import LakecdpError\n"
        "try: quality._gx(); print('imported')\n"
        "except LakecdpError as e: print(e)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": lib},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "imported" in done.stdout or "cannot be imported under `python -c`" in done.stdout
