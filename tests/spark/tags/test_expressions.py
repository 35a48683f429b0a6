"""Rules are refused before anything runs, in one sentence that says what to do."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from lakecdp import contracts
from lakecdp.platform.errors import ConfigError
from lakecdp.platform.settings import Conf
from lakecdp.platform.yamlfile import loads
from lakecdp.segments import catalogue as segments
from lakecdp.segments import engine as segment_engine
from lakecdp.tags import catalogue, engine
from lakecdp.tags.expressions import Checker

pytestmark = pytest.mark.spark

GOOD = [
    "gender",
    "CASE WHEN views_7d > 3 THEN 'a' ELSE lower(os) END",
    "exists(identifier_types, x -> x = 'phone')",
    "Orders >= 1 AND datediff(as_of, last_order_on) < 30",
    "round(amount / nullif(orders, 0), 2)",
    "as_of - INTERVAL 30 DAYS > first_order_on",
    "unix_timestamp(as_of)",
    "os LIKE 'i%' OR os RLIKE '^A'",
    "element_at(channels, 1)",
]
WRONG = {
    "gendr": "gold.customer_feature has no column `gendr`; it has gender",
    "view_7d + 1": "no column `view_7d`; it has views_7d",
    "_as_of": "no column `_as_of`",
    "other.column": "no column `other`",
    "lowr(os)": "there is no function `lowr`; did you mean `lower`",
    "spark_catalog.default.f(1)": "there is no function `spark_catalog.default.f`",
    "reflect('java.lang.System', 'exit', '1')": "`reflect` is not allowed in rules",
    "java_method('java.lang.System', 'getenv', 'HOME')": "`java_method` is not allowed",
    "try_reflect('a', 'b')": "`try_reflect` is not allowed",
    "upper(reflect('a', 'b'))": "`reflect` is not allowed",
    "input_file_name()": "`input_file_name` is not allowed",
    "read_files('/etc/passwd')": "there is no function `read_files`",
    "http_get('x')": "there is no function `http_get`",
    "from_avro(os, 'x')": "`from_avro` is not allowed",
    "raise_error('x')": "`raise_error` is not allowed",
    "current_user()": "`current_user` is not allowed",
    "current_user": "no column `current_user`",
    "monotonically_increasing_id()": "is not allowed",
    "rand() > 0.5": "`rand` gives another value each time",
    "randstr(3)": "another value each time",
    "element_at(shuffle(channels), 1)": "another value each time",
    "uuid()": "`uuid` is not allowed",
    "current_date": "reads the clock; the day that a run stands for is the column `as_of`",
    "datediff(current_date(), last_order_on)": "`current_date` reads the clock",
    "CURRENT_TIMESTAMP": "reads the clock",
    "now()": "`now` reads the clock",
    "unix_timestamp()": "reads the clock",
    "localtimestamp": "reads the clock",
    "max(orders)": "`max` needs many or makes many",
    "sum(orders) OVER (PARTITION BY os)": "window functions (OVER) are not allowed",
    "row_number() OVER (ORDER BY orders)": "window functions",
    "explode(channels)": "`explode` needs many or makes many",
    "(SELECT max(x) FROM t)": "queries inside it are not allowed",
    "orders IN (SELECT 1)": "queries inside it are not allowed",
    "EXISTS (SELECT 1)": "queries inside it are not allowed",
    "*": "`*` is no value",
    "channels": "this one gives ARRAY<STRING>",
    "struct(orders)": "this one gives STRUCT",
    "CASE WHEN orders > 1 THEN": "not a valid expression",
    "orders > 1; DROP TABLE t": "not a valid expression",
    "lower(os, os, os)": "Spark refuses the expression",
    "datediff(channels, as_of)": "Spark refuses the expression",
}


def test_only_pure_functions_of_one_row_pass(spark: SparkSession) -> None:
    checker = Checker(spark, contracts.table("gold.customer_feature"), engine.AS_OF)
    document = loads("tags:\n  t:\n    rule: x\n", "t.yaml")
    for text in GOOD:
        checker.check(text, document, ["tags", "t", "rule"])
    for text, says in WRONG.items():
        with pytest.raises(ConfigError) as told:
            checker.check(text, document, ["tags", "t", "rule"])
        message = str(told.value)
        assert message.startswith("t.yaml:3: "), text
        assert says in message, text
        assert not any(noise in message for noise in ("\n", "SQLSTATE", "Project")), text
    assert "last_order_on" in str(told_by(checker, "gendr")), "every column that exists is named"
    with pytest.raises(ConfigError, match="must give BOOLEAN; this one gives STRING"):
        checker.check("os", document, ["tags", "t", "rule"], wants="BOOLEAN")


def told_by(checker: Checker, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as told:
        checker.check(text, loads("rule: x\n", "t.yaml"), ["rule"])
    return told.value


def test_shipped_rules_pass(spark: SparkSession) -> None:
    engine.check(spark, catalogue.load(Conf()))
    segment_engine.check(spark, segments.load(Conf()))
