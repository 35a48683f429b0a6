"""The whole run on a small company, and again with nothing new."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from lakecdp.pipeline import DAILY
from lakecdp.platform.job import Job
from lakecdp.platform.settings import Conf, load_settings
from lakecdp.runner import run_pipeline

pytestmark = [pytest.mark.spark, pytest.mark.e2e]

LAST_DAY = date(2026, 10, 31)


def journey(spark: SparkSession, lake: Path, landing: Path) -> list[str]:
    """Run every job in this session; returns what failed."""
    rules = Conf(None)
    settings = load_settings(rules, "demo", lake=str(lake), landing=str(landing))
    job = Job(spark, settings, rules, LAST_DAY, approve_as="tester")
    return run_pipeline(job, DAILY, Console(quiet=True)).failures


@pytest.fixture(scope="module")
def undisturbed(
    spark: SparkSession, company: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A lake filled by one run that nobody disturbed."""
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    assert journey(spark, lake, company) == []
    return lake


def commits(lake: Path) -> dict[str, int]:
    """Commits of each table, counted in its log."""
    return {
        f"{log.parent.parent.name}.{log.parent.name}": len(list(log.glob("*.json")))
        for log in lake.glob("*/*/_delta_log")
    }


def test_a_second_run_with_nothing_new_commits_to_the_ledger_only(
    spark: SparkSession, company: Path, undisturbed: Path
) -> None:
    before = commits(undisturbed)
    assert {"silver.order", "identity.link", "gold.customer_feature"} <= set(before)
    assert journey(spark, undisturbed, company) == []
    after = commits(undisturbed)
    assert after.pop("operations.run") > before.pop("operations.run")
    assert after == before
