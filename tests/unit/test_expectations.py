"""The suites in expectations/ and the contracts name the same tables and columns."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lakecdp import contracts
from lakecdp.contracts import TableContract, column
from lakecdp.platform import shipped, yamlfile
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.quality_rules import MODELS, words
from lakecdp.platform.quality_suites import Suite, load_suite, parse_suite, suite, suite_file

ROOT = shipped.root() / "expectations"
NAMES = [*contracts.all_tables(), "bronze.any_source"]

TOY = TableContract(
    name="gold.toy",
    grain="one row per toy",
    owner="04_tags/toy",
    key=("toy_id",),
    columns=(
        column("toy_id", "STRING", "Toy", required=True),
        column("owner", "STRING", "Child", grade="personal"),
        column("price", "DECIMAL(18,4)", "Price"),
        column("made_on", "DATE", "Day"),
        column("parts", "ARRAY<STRING>", "Parts"),
    ),
)


def toy(*lines: str, table: str = "gold.toy") -> Suite:
    text = "\n".join([f"table: {table}", "expectations:", *lines])
    return parse_suite(yamlfile.loads(text, "toy.yaml"), TOY)


def test_each_contract_has_a_suite_and_each_suite_a_contract() -> None:
    wanted = {suite_file(contracts.table(name), ROOT) for name in NAMES}
    found = set(ROOT.rglob("*.yaml"))
    assert sorted(map(str, wanted - found)) == [], "tables without a suite"
    assert sorted(map(str, found - wanted)) == [], "suites without a table"


def test_suites_lie_in_the_stage_folder_of_the_job_that_owns_the_table() -> None:
    assert suite_file(contracts.table("silver.order_line"), Path("e")) == Path(
        "e/02_silver/order_line.yaml"
    )
    assert suite_file(contracts.table("bronze.pos"), Path("e")) == Path("e/01_bronze/_source.yaml")
    assert suite_file(contracts.table("operations.run"), Path("e")) == Path(
        "e/09_operations/run.yaml"
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_suite_is_right_and_holds_the_key_together(name: str) -> None:
    found = suite(name)
    contract = found.contract
    known = {c.name for c in contract.all_columns}
    for e in found.expectations:
        assert set(e.columns) <= known
        assert e.severity in ("fail", "warn")
        assert e.row == "gate" or e.refused() is not None
    stopping = [e for e in found.expectations if e.severity == "fail"]
    unique = {e.columns for e in stopping if e.type.endswith("to_be_unique")}
    assert not contract.key or contract.key in unique
    required = {c.name for c in contract.columns if c.required}
    present = {e.columns[0] for e in stopping if e.type.endswith("to_not_be_null")}
    assert set(contract.key) & required <= present


@pytest.mark.parametrize(
    "name", ["event", "order_header", "order_line", "payment", "product", "attribute"]
)
def test_what_is_conformed_refuses_rows_with_a_required_column_missing(name: str) -> None:
    found = suite(f"silver.{name}")
    required = {c.name for c in found.contract.columns if c.required}
    refused = {e.columns[0] for e in found.row_rules if e.type.endswith("to_not_be_null")}
    assert required - refused == set()


def test_the_files_spell_out_the_severity_of_every_expectation() -> None:
    for path in ROOT.rglob("*.yaml"):
        for e in yaml.safe_load(path.read_text())["expectations"]:
            assert "severity" in e, path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "  - {type: expect_column_values_to_not_be_null, column: toy_di, severity: fail}",
            (
                "toy.yaml:3: gold.toy has no column `toy_di` (did you mean "
                "`toy_id`?); it has toy_id, "
                "owner, price, made_on, parts, _batch"
            ),
        ),
        (
            "  - {type: expect_column_values_to_not_be_nul, column: toy_id, severity: fail}",
            (
                "toy.yaml:3: unknown expectation "
                "`expect_column_values_to_not_be_nul` (did you mean "
                "`expect_column_values_to_not_be_null`?); there are "
            ),
        ),
        ("  - {column: toy_id, severity: fail}", "toy.yaml:3: the key `type` is missing"),
        (
            "  - {type: expect_column_values_to_not_be_null, column: toy_id}",
            "toy.yaml:3: the key `severity` is missing",
        ),
        (
            "  - {type: expect_column_values_to_not_be_null, column: toy_id, severity: stop}",
            "toy.yaml:3: `severity` is 'stop': input should be 'fail' or 'warn'",
        ),
        (
            (
                "  - type: expect_column_values_to_be_between\n    column: price\n"
                "    severity: fail\n    min: 3"
            ),
            "toy.yaml:6: unknown key `min`",
        ),
        (
            "  - {type: expect_column_values_to_be_between, column: price, severity: fail}",
            "toy.yaml:3: give `min_value`, `max_value` or both",
        ),
        (
            (
                "  - {type: expect_column_values_to_be_between, column: price, severity: fail, "
                "min_value: 2, max_value: 1}"
            ),
            "toy.yaml:3: `min_value` is above `max_value`",
        ),
        (
            (
                "  - {type: expect_column_values_to_be_between, column: made_on, severity: fail, "
                "min_value: 2}"
            ),
            "toy.yaml:3: `min_value` is 2: made_on needs a date such as 2020-01-31",
        ),
        (
            (
                "  - {type: expect_column_values_to_be_between, column: toy_id, severity: fail, "
                "min_value: 2}"
            ),
            "toy.yaml:3: expect_column_values_to_be_between does not fit toy_id, a STRING",
        ),
        (
            (
                "  - {type: expect_column_values_to_match_regex, column: toy_id, severity: fail, "
                "regex: '('}"
            ),
            "toy.yaml:3: '(' is no regular expression: ",
        ),
        (
            (
                "  - {type: expect_column_values_to_not_be_null, column: toy_id, severity: warn, "
                "row: quarantine}"
            ),
            "toy.yaml:3: a rule that refuses rows has `severity: fail`",
        ),
        (
            (
                "  - {type: expect_column_values_to_not_be_null, column: toy_id, severity: fail, "
                "row: quarantine, mostly: 0.9}"
            ),
            "toy.yaml:3: `mostly` belongs to the gate; a row is refused or it is not",
        ),
        (
            (
                "  - {type: expect_column_values_to_be_unique, column: toy_id, severity: fail, "
                "row: quarantine}"
            ),
            "toy.yaml:3: `row` is 'quarantine': input should be 'gate'",
        ),
        (
            (
                "  - type: expect_column_values_to_satisfy\n    column: price\n    severity: fail\n"
                "    note: be\n    expression: price > cots"
            ),
            "toy.yaml:7: gold.toy has no column `cots`",
        ),
        (
            (
                "  - type: expect_column_values_to_satisfy\n    column: price\n    severity: fail\n"
                "    note: be\n    expression: reflect('java.lang.System', 'exit') is null"
            ),
            "toy.yaml:7: `reflect` is not allowed in an expression",
        ),
        (
            (
                "  - {type: expect_column_values_to_not_be_null, column: price, severity: fail}\n"
                "  - {type: expect_column_values_to_not_be_null, column: price, severity: warn}"
            ),
            "toy.yaml:4: expect_column_values_to_not_be_null of price is given twice",
        ),
    ],
)
def test_a_wrong_expectation_is_refused_with_file_line_and_what_exists(
    line: str, message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        toy(line)
    assert str(refused.value).startswith(message)


def test_a_suite_belongs_to_one_table(tmp_path: Path) -> None:
    good = "  - {type: expect_column_values_to_not_be_null, column: toy_id, severity: fail}"
    with pytest.raises(ConfigError, match=r"toy.yaml:1: `table` is 'gold.tyo'"):
        toy(good, table="gold.tyo")
    with pytest.raises(ConfigError, match=r"none.yaml: the table gold.toy has no suite"):
        load_suite(tmp_path / "none.yaml", TOY)


def test_values_are_written_so_that_spark_reads_them_as_they_are() -> None:
    found = toy(
        "  - {type: expect_column_values_to_be_in_set, column: toy_id, severity: fail,"
        " value_set: [\"it's\", 'a\\b']}"
    )
    assert found.expectations[0].refused() == (
        r"(`toy_id` IS NOT NULL AND NOT `toy_id` IN ('it\'s', 'a\\b'))"
    )


def test_personal_and_unknown_columns_are_hidden() -> None:
    found = toy("  - {type: expect_column_values_to_not_be_null, column: toy_id, severity: fail}")
    assert [found.hidden(c) for c in ("toy_id", "owner", "nowhere")] == [False, True, True]


def test_the_columns_of_an_expression() -> None:
    text = "a_b > 1 AND date(c) < DATE '2020-01-01' OR d IN ('x y', 'it\\'s e') OR a_b IS NULL"
    assert words(text) == ["a_b", "c", "d"]


def test_types_and_arguments_are_those_of_great_expectations() -> None:
    from lakecdp.platform import quality_gx

    own = {"type", "severity", "row", "note"}
    for kind, model in MODELS.items():
        fields = set(quality_gx.get_expectation_impl(kind).__fields__)
        assert set(model.model_fields) - own <= fields, kind
