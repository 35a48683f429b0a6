"""Great Expectations behind the quality gate. Importing this module takes seconds: do it late.

Nothing is sent anywhere: the release in use has no analytics, and others find them switched off.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
from great_expectations.core.expectation_validation_result import (
    ExpectationSuiteValidationResult,
    ExpectationValidationResult,
)
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.execution_engine import SparkDFExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)
from great_expectations.expectations.registry import get_expectation_impl
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakecdp.platform.quality_rules import Expectation
from lakecdp.platform.quality_suites import Suite

EXAMPLES = 3
SEVERITIES = {"fail": "critical", "warn": "warning"}


class ColumnValuesSatisfy(ColumnMapMetricProvider):  # type: ignore[misc]
    """Rows whose expression is not false; rows without a value in the column are left out."""

    condition_metric_name = "column_values.satisfy"
    condition_value_keys = ("expression",)

    @column_condition_partial(engine=SparkDFExecutionEngine)  # type: ignore[untyped-decorator]
    def _spark(cls, column: Column, expression: str, **_: Any) -> Column:  # noqa: N805, ARG002
        return F.coalesce(F.expr(expression), F.lit(True))


class ExpectColumnValuesToSatisfy(ColumnMapExpectation):  # type: ignore[misc]
    """Expect a Spark SQL expression to hold wherever the column has a value."""

    expression: str

    map_metric = "column_values.satisfy"
    success_keys = ("expression", "mostly")
    args_keys = ("column", "expression", "mostly")


@cache
def _context() -> Any:
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


@cache
def _batches(table: str) -> Any:
    context = _context()
    try:
        source = context.data_sources.get("lake")
    except KeyError:
        source = context.data_sources.add_spark("lake", persist=False)
    return source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("changed")


def _suite(table: str, expectations: Sequence[tuple[int, Expectation]]) -> Any:
    suite = gx.ExpectationSuite(name=table)
    suite.expectations = [_expectation(i, e) for i, e in expectations]
    return suite


def _expectation(index: int, rule: Expectation) -> Any:
    return get_expectation_impl(rule.type)(
        **rule.kwargs(),
        severity=SEVERITIES[rule.severity],
        notes=rule.note,
        meta={"index": index, "row": rule.row},
    )


def _validate(
    table: str, frame: DataFrame, rules: Sequence[tuple[int, Expectation]], result_format: object
) -> dict[int, Any]:
    batch = _batches(table).get_batch(batch_parameters={"dataframe": frame})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = batch.validate(_suite(table, rules), result_format=result_format)
    return {r.expectation_config.meta["index"]: r for r in found.results}


def validate(suite: Suite, frame: DataFrame) -> list[dict[str, Any]]:
    """What of a suite does not hold for a frame.

    One pass says what holds; only expectations that do not are looked at again for the number of
    rows and, where no column is personal, for a few values.

    Returns:
        one dictionary per expectation that does not hold: index, rows, share, observed, examples,
        error (when it could not be judged at all).
    """
    rules = list(enumerate(suite.expectations))
    first = _validate(suite.table, frame, rules, "BOOLEAN_ONLY")
    failed = [(i, e) for i, e in rules if not first[i].success]
    out = []
    for hidden in (False, True):
        group = [(i, e) for i, e in failed if any(map(suite.hidden, e.columns)) is hidden]
        if group:
            count = 0 if hidden else EXAMPLES
            form = {"result_format": "SUMMARY", "partial_unexpected_count": count}
            found = _validate(suite.table, frame, group, form)
            out += [_finding(i, found[i], hidden) for i, _ in group]
    return sorted(out, key=lambda f: int(f["index"]))


def _finding(index: int, result: Any, hidden: bool) -> dict[str, Any]:
    detail = result.result or {}
    finding: dict[str, Any] = {"index": index}
    if "unexpected_count" in detail:
        finding["rows"] = detail["unexpected_count"]
        finding["share"] = round(float(detail.get("unexpected_percent") or 0) / 100, 6)
    elif "observed_value" in detail:
        finding["observed"] = detail["observed_value"]
    error = _error(result.exception_info)
    if error:
        finding["error"] = error
    if not hidden:
        values = detail.get("partial_unexpected_list", [])
        shown = [str(v)[:60] for v in values if v is not None]
        finding["examples"] = list(dict.fromkeys(shown))[:EXAMPLES]
    return finding


def _error(info: Mapping[str, Any] | None) -> str | None:
    for part in [info or {}, *(v for v in (info or {}).values() if isinstance(v, dict))]:
        if part.get("raised_exception"):
            return str(part.get("exception_message")).splitlines()[0][:300]
    return None


def build_docs(
    suites: Sequence[Suite], gates: Mapping[str, Mapping[str, Any]], folder: Path
) -> Path:
    """Write the Data Docs site: every suite, and the last gate of each table that has had one.

    Args:
        suites: the suites.
        gates: table -> last gate as kept in the ledger, with `run` (its name) and `at` (its time).
        folder: where the site goes.

    Returns:
        its first page.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    site = {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder.resolve()),
        },
    }
    for name in list(context.get_site_names()):
        context.delete_data_docs_site(name)
    context.add_data_docs_site("lakecdp", site)
    for suite in suites:
        context.suites.add(_suite(suite.table, list(enumerate(suite.expectations))))
        gate = gates.get(suite.table)
        if gate is not None:
            key, result = _result(suite, gate)
            context.validation_results_store.set(key, result)
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context.build_data_docs()
    return folder / "index.html"


def _result(suite: Suite, gate: Mapping[str, Any]) -> tuple[Any, Any]:
    failed = {int(f["index"]): f for f in gate["failed"]}
    results = []
    for i, rule in enumerate(suite.expectations):
        finding = failed.get(i, {})
        detail: dict[str, Any] = {"element_count": gate["rows"]}
        if "rows" in finding:
            detail["unexpected_count"] = finding["rows"]
            detail["unexpected_percent"] = finding["share"] * 100
            detail["partial_unexpected_list"] = finding.get("examples", [])
        if "observed" in finding:
            detail["observed_value"] = finding["observed"]
        results.append(
            ExpectationValidationResult(
                success=i not in failed,
                expectation_config=_expectation(i, rule).configuration,
                result=detail,
                meta={},
            )
        )
    held = len(results) - len(failed)
    at: datetime = gate["at"].replace(tzinfo=UTC)
    run = RunIdentifier(run_name=str(gate["run"]), run_time=at)
    result = ExpectationSuiteValidationResult(
        success=not failed,
        results=results,
        suite_name=suite.table,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": held,
            "unsuccessful_expectations": len(failed),
            "success_percent": 100.0 * held / len(results),
        },
        meta={
            "run_id": {"run_name": run.run_name, "run_time": at.isoformat()},
            "great_expectations_version": gx.__version__,
            "active_batch_definition": {"data_asset_name": suite.table},
        },
    )
    key = ValidationResultIdentifier(
        expectation_suite_identifier=ExpectationSuiteIdentifier(suite.table),
        run_id=run,
        batch_identifier=suite.table,
    )
    return key, result
