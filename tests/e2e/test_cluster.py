"""Identity on a cluster of two workers gives what it gives on one machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession
from tests.spark.helpers import run
from tests.spark.identity.test_resolve import Record, deliver

from lakecdp import contracts
from lakecdp.identity.resolve import WRITES
from lakecdp.platform.job import Job

pytestmark = [pytest.mark.spark, pytest.mark.e2e]

ROOT = Path(__file__).parents[2]
HOME = Path(pyspark.__file__).parent
JARS = sorted((Path(sys.prefix) / "share" / "lakecdp" / "jars").glob("*.jar"))
TIMES = {"valid_from", "valid_to", "changed_at", "removed_at"}


def started(log: Path, pattern: str, process: subprocess.Popen[bytes]) -> str:
    """What a process says of itself in its log."""
    for _ in range(300):
        found = re.search(pattern, log.read_text())
        if found:
            return found.group(0)
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a standalone master with two workers of one core each, on free ports."""
    folder = tmp_path_factory.mktemp("cluster")
    env = {
        **os.environ,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_HOME": str(HOME),
    }
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *args: str) -> tuple[Path, subprocess.Popen[bytes]]:
        log = folder / f"{name}.log"
        with log.open("wb") as out:
            common = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
            command = [str(HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{args[0]}"]
            processes.append(
                subprocess.Popen(
                    [*command, *common, *args[1:]], stdout=out, stderr=subprocess.STDOUT, env=env
                )
            )
        return log, processes[-1]

    try:
        log, process = start("master", "master.Master")
        url = started(log, r"spark://127\.0\.0\.1:\d+", process)
        for number in "12":
            room = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / f"work{number}")]
            log, process = start(f"worker{number}", "worker.Worker", *room, url)
            started(log, "Successfully registered with master", process)
        yield url
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(20)


def submit(master: str, job: str, folder: Path, lake: Path, in_memory_edges: int) -> None:
    """Submit a job as docs/how-to/run-on-a-cluster.md says, with the jars that are here already."""
    conf = folder / f"conf{in_memory_edges}"
    conf.mkdir()
    (conf / "demo.yaml").write_text(
        f"hash: {{key: test}}\ngraph: {{in_memory_edges: {in_memory_edges}}}\n"
    )
    archive = folder / "lakecdp.zip"
    if not archive.exists():
        # As `make package`: the package, and what ships with it.
        package = folder / "package" / "lakecdp"
        shutil.copytree(ROOT / "lib" / "lakecdp", package)
        for name in ("conf", "jobs", "expectations"):
            shutil.copytree(ROOT / name, package / "_shipped" / name)
        shutil.make_archive(str(archive.with_suffix("")), "zip", package.parent, "lakecdp")
    told = (ROOT / "conf" / "spark" / "cluster.conf").read_text().splitlines()
    properties = folder / "cluster.conf"
    properties.write_text("\n".join(p for p in told if not p.startswith("spark.jars.")))
    few = ["spark.sql.shuffle.partitions=4", "spark.executor.memory=700m", "spark.driver.memory=2g"]
    few += ["spark.driver.host=127.0.0.1", "spark.ui.enabled=false", "spark.log.level=WARN"]
    few += ["spark.databricks.delta.snapshotPartitions=2"]
    quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    few += [f"spark.{side}.extraJavaOptions={quick}" for side in ("driver", "executor")]
    command = [str(HOME / "bin" / "spark-submit"), "--master", master]
    command += ["--properties-file", str(properties), "--py-files", str(archive)]
    command += ["--jars", ",".join(map(str, JARS))]
    command += [x for c in few for x in ("--conf", c)]
    command += [str(ROOT / "jobs" / f"{job}.py"), "--env", "demo", "--lake", str(lake)]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = subprocess.run(
        [*command, "--conf", str(conf), "--run-date", "2026-11-01"],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def records() -> list[Record]:
    """Stars, a chain, a kiosk, and two members at one device."""
    out: list[Record] = []
    for i in range(30):
        ids = [("member_id", f"m{i}"), ("phone", f"p{i}"), ("device_id", f"d{i // 2}")]
        out.append(("silver.event", f"e{i}", i, ids))
        chain = [("device_id", f"c{i}"), ("cookie", f"k{i}")]
        out.append(("silver.event", f"c{i}", 40 + i, chain))
        out.append(("silver.event", f"n{i}", 80 + i, [("device_id", f"c{i + 1}"), chain[1]]))
        out.append(
            ("silver.event", f"s{i}", 120 + i, [("member_id", f"m{i}"), ("device_id", "kiosk")])
        )
    return out


def facts(job: Job, table: str) -> list[tuple[Any, ...]]:
    columns = [c for c in contracts.table(table).compared if c not in TIMES]
    return sorted((tuple(r) for r in job.read(table).select(*columns).collect()), key=repr)


@pytest.mark.skipif(not JARS, reason="the jars of `make setup` are not there")
def test_a_cluster_gives_what_one_machine_gives(
    spark: SparkSession, make_job: Callable[..., Job], master: str, tmp_path: Path
) -> None:
    here = make_job(lake=tmp_path / "here")
    deliver(here, records())
    here.ledger.flush()
    ways = {"driver": 1_000, "executors": 5}
    for name in ways:
        shutil.copytree(tmp_path / "here", tmp_path / name)
    run(here, "03_identity/resolve")
    expected = {t: facts(here, t) for t in WRITES}
    assert {r[2] for r in expected["identity.node"]} >= {"active", "limit"}
    for name, edges in ways.items():
        lake = tmp_path / name
        submit(master, "03_identity/resolve", tmp_path, lake, edges)
        there = make_job(lake=lake)
        for table in WRITES:
            assert facts(there, table) == expected[table], (name, table)
