"""The whole run on a small company: killed in every job, and run again with nothing new."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console
from tools.compare_lakes import differences

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


class Run:
    """`lakecdp run` as a process of its own, in a group that can be killed as one."""

    def __init__(self, lake: Path, landing: Path, first: str):
        self.told: list[str] = []
        command = [sys.executable, "-u", "-m", "lakecdp.cli", "run", "--env", "demo"]
        command += ["--lake", str(lake), "--landing", str(landing), "--from", first]
        command += ["--run-date", LAST_DAY.isoformat(), "--approve-as", "tester"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finished_jobs(self) -> Iterator[str]:
        """The progress lines as they come."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.append(line)
            if line.startswith("["):
                yield line.strip()

    def rest(self) -> str:
        """All that it says until it ends by itself."""
        list(self.finished_jobs())
        return "".join(self.told)

    def kill(self) -> None:
        """SIGKILL for the process and its JVM."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def test_no_row_is_lost_or_doubled_when_every_job_is_killed(
    spark: SparkSession, company: Path, undisturbed: Path, tmp_path: Path
) -> None:
    lake, seed = tmp_path / "lake", random.randrange(1_000_000)
    moment = random.Random(seed)
    print(f"moments of the kills: seed {seed}")
    # Each process finishes the job in which the one before was killed and is killed in the next.
    for number in range(len(DAILY)):
        first = DAILY[max(number - 1, 0)]
        run = Run(lake, company, first.name)
        try:
            if number:
                line = next(run.finished_jobs(), "")
                assert line.startswith("[1/"), f"{first.name} printed {run.told}"
                assert "failed" not in line, run.rest()
            else:
                wait_for(lake, run)
            time.sleep(moment.uniform(0.0, 3.0))
        finally:
            run.kill()
    assert journey(spark, lake, company) == []
    assert differences(spark, undisturbed, lake) == {}


def wait_for(lake: Path, run: Run) -> None:
    """Until the first table appears."""
    until = time.monotonic() + 120
    while not list(lake.glob("*/*/_delta_log")):
        assert run.process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
