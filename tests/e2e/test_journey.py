"""The whole run on a small company: killed in every job, and run again with nothing new."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console
from tools.compare_lakes import differences

from lakecdp import runner
from lakecdp.pipeline import DAILY, JobSpec
from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job
from lakecdp.platform.part import Unit
from lakecdp.platform.settings import OPTIONAL_JOBS, OPTIONAL_STAGES, Conf, load_settings
from lakecdp.runner import run_pipeline

pytestmark = [pytest.mark.spark, pytest.mark.e2e]

LAST_DAY = date(2026, 10, 31)
KILLS = 7


@dataclass
class Quiet:
    """A lake filled by one run that nobody disturbed, and what its jobs said of themselves."""

    lake: Path
    reads: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    writes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def journey(
    spark: SparkSession,
    lake: Path,
    landing: Path,
    specs: Sequence[JobSpec] = DAILY,
    conf: Path | None = None,
) -> list[str]:
    """Run jobs in this session; returns what failed."""
    rules = Conf(conf)
    settings = load_settings(rules, "demo", lake=str(lake), landing=str(landing))
    job = Job(spark, settings, rules, LAST_DAY, approve_as="tester")
    return run_pipeline(job, specs, Console(quiet=True)).failures


@pytest.fixture(scope="module")
def quiet(spark: SparkSession, company: Path, tmp_path_factory: pytest.TempPathFactory) -> Quiet:
    """See `Quiet`."""
    told = Quiet(tmp_path_factory.mktemp("undisturbed") / "lake")

    @contextmanager
    def noting(job: Job, units: Sequence[Unit], *, daily: bool = False) -> Iterator[Batch]:
        for unit in units:
            told.reads[job.name] |= set(unit.inputs)
            told.writes[job.name] |= set(unit.outputs)
        with original(job, units, daily=daily) as batch:
            yield batch
        told.seconds[job.name] += batch.parts[0].summary.seconds

    def hearing(kind: type, method: str, into: dict[str, set[str]]) -> Callable[..., Any]:
        whole = getattr(kind, method)

        def heard(self: Any, table: str, *args: Any, **more: Any) -> Any:
            into[self.name if kind is Job else self._step.job].add(table)
            return whole(self, table, *args, **more)

        return heard

    original = Job.batch_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "batch_of", noting)
        patch.setattr(Job, "read", hearing(Job, "read", told.reads))
        patch.setattr(Batch, "read", hearing(Batch, "read", told.reads))
        for method in ("append", "replace", "upsert", "delete_keys"):
            patch.setattr(Batch, method, hearing(Batch, method, told.writes))
        patch.setattr(runner, "lanes", lambda: 2)
        assert journey(spark, told.lake, company) == []
    return told


def test_no_job_runs_beside_one_that_writes_what_it_reads_or_writes(quiet: Quiet) -> None:
    after: dict[str, set[str]] = {}
    for spec in DAILY:
        after[spec.name] = set(spec.after).union(*(after[b] for b in spec.after))
    assert quiet.writes["03_identity/resolve"], "the jobs have been listened to"
    for one, other in itertools.permutations(after, 2):
        if other not in after[one] and one not in after[other]:
            shared = quiet.writes[one] & (quiet.reads[other] | quiet.writes[other])
            assert not shared, f"{other} may run beside {one}"


def commits(lake: Path) -> dict[str, int]:
    """Commits of each table, counted in its log."""
    return {
        f"{log.parent.parent.name}.{log.parent.name}": len(list(log.glob("*.json")))
        for log in lake.glob("*/*/_delta_log")
    }


def test_a_second_run_with_nothing_new_commits_to_the_ledger_only(
    spark: SparkSession, company: Path, quiet: Quiet
) -> None:
    before = commits(quiet.lake)
    assert {"silver.order", "identity.link", "gold.customer_feature"} <= set(before)
    assert journey(spark, quiet.lake, company) == []
    after = commits(quiet.lake)
    assert after.pop("operations.run") > before.pop("operations.run")
    assert after == before


def test_a_company_does_without_what_it_has_switched_off(
    spark: SparkSession, company: Path, quiet: Quiet, tmp_path: Path
) -> None:
    off = [*OPTIONAL_STAGES, *(j for j in OPTIONAL_JOBS if j.split("/")[0] not in OPTIONAL_STAGES)]
    conf, lake = tmp_path / "conf", tmp_path / "lake"
    conf.mkdir()
    (conf / "demo.yaml").write_text(f"without: [{', '.join(off)}]\n")
    assert journey(spark, lake, company, conf=conf) == []

    done = {
        r[0]
        for r in spark.read.format("delta").load(f"{lake}/operations/run").select("job").collect()
    }
    assert done == {j.name for j in DAILY} - set(OPTIONAL_JOBS)
    other = differences(spark, quiet.lake, lake)
    assert not {"silver.event", "silver.order", "identity.link", "gold.golden_record"} & set(other)
    assert {"gold.segment", "gold.tag_matrix", "gold.channel"} <= set(other), "the others ran there"
    count = "SELECT count(*) FROM delta.`{}/gold/customer_feature`"
    whole, small = (spark.sql(count.format(x)).first()[0] for x in (quiet.lake, lake))
    assert whole == small > 0


class Run:
    """One job by `lakecdp run` as a process of its own, in a group that can be killed as one."""

    def __init__(self, lake: Path, landing: Path, job: str):
        self.job = job
        command = [sys.executable, "-u", "-m", "lakecdp.cli", "run", "--env", "demo"]
        command += ["--lake", str(lake), "--landing", str(landing), "--from", job, "--to", job]
        command += ["--run-date", LAST_DAY.isoformat(), "--approve-as", "tester"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "LAKECDP_LOG": "info"},
        )

    def begun(self) -> bool:
        """Wait until the job begins; whether it does."""
        assert self.process.stdout is not None
        return any(f"{self.job} begins" in line for line in self.process.stdout)

    def kill(self) -> bool:
        """SIGKILL for the process and its JVM; whether the job was still at work."""
        at_work = self.process.poll() is None
        if at_work:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return at_work


def test_no_row_is_lost_or_doubled_when_jobs_are_killed(
    spark: SparkSession, company: Path, quiet: Quiet, tmp_path: Path
) -> None:
    lake, seed = tmp_path / "lake", random.randrange(1_000_000)
    moment = random.Random(seed)
    print(f"moments of the kills: seed {seed}")
    # A process for each job would take half of the time of all tests; those that are chosen differ
    # from run to run.
    chosen = moment.sample(DAILY, KILLS)
    killed = []
    for spec in DAILY:
        if spec not in chosen:
            assert journey(spark, lake, company, [spec]) == []
            continue
        run = Run(lake, company, spec.name)
        try:
            assert run.begun()
            # A process that has just started is slower than the session that was timed.
            time.sleep(moment.uniform(0.0, 0.7 * quiet.seconds[spec.name]))
        finally:
            killed += [spec.name] if run.kill() else []
        assert journey(spark, lake, company, [spec]) == []
    assert len(killed) > KILLS - 3, f"only {killed} were killed before they were done"
    assert differences(spark, quiet.lake, lake) == {}
