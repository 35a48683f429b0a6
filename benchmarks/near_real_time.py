"""Seconds from a record in Kafka to the tag it changes, with `--trigger continuous`.

    .venv/bin/python benchmarks/near_real_time.py [--backlog 100000] [--records 2000] [--rounds 3]

Starts the broker of the tests and `lakecdp run --trigger continuous --pause 1` as a process of its own.
The backlog is there before it; then, round by round, new visits of known and new visitors are sent, and
the clock runs until the published gold.tag_value has every visitor who was sent first in that round.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "lib")]
MAPPING = """
source: visits
channel: web
kafka: {topic: visits, servers_env: VISITS_KAFKA}
columns:
  id: {type: string, required: true}
  at: {type: timestamp, unit: ms, required: true}
  cookie: string
  email: string
personal: [cookie, email]
identifiers: {cookie: cookie, email: email}
targets:
  - table: event
    columns: {event_id: id, event_at: at, event_name: "'page_view'"}
"""
LIMIT = 600.0


def visits(start: int, count: int, visitors: int) -> list[dict[str, Any]]:
    """Visits numbered from `start` of persons who are known by cookie and e-mail."""
    dice, now = random.Random(start), int(datetime.now(UTC).timestamp() * 1000)
    found = []
    for number in range(start, start + count):
        # The last visit is of somebody who was not seen before.
        who = visitors + number if number == start + count - 1 else dice.randrange(visitors)
        at = now - dice.randrange(20 * 86_400_000 if start == 0 else 60_000)
        email = f"p{who}@example.com"
        found.append({"id": f"v{number}", "at": at, "cookie": f"c{who}", "email": email})
    return found


def send(spark: Any, server: str, rows: list[dict[str, Any]]) -> None:
    """Write to the topic, as whoever collects visits would."""
    frame = spark.createDataFrame([(json.dumps(r),) for r in rows], "value string")
    writer = frame.write.format("kafka").option("kafka.bootstrap.servers", server)
    writer.option("topic", "visits").save()


def customers(job: Any) -> int:
    """Customers who have a tag, as published now."""
    from lakecdp.platform.ledger import Ledger

    tags = Ledger(job.spark, job.lake).read("gold.tag_value")
    return int(tags.select("customer_id").distinct().count())


def wait_for(job: Any, wanted: int, process: subprocess.Popen[bytes], since: float) -> float:
    """Seconds until so many customers have tags."""
    log, seen = Path(job.lake.path("operations.run")) / "_delta_log", -1
    while True:
        # To look costs the pipeline nothing until something was published.
        there = len(list(log.glob("*.json")))
        if there != seen and customers(job) >= wanted:
            return time.monotonic() - since
        seen = there
        if process.poll() is not None:
            raise SystemExit(f"the pipeline ended with {process.returncode}")
        if time.monotonic() - since > 3 * LIMIT:
            raise SystemExit(f"{customers(job)} customers have tags, {wanted} should")
        time.sleep(0.2)


def measure(folder: Path, server: str, args: argparse.Namespace) -> list[float]:
    """The seconds of each round, the first (the backlog) included."""
    from lakecdp.platform.job import Job
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, SparkSettings, load_settings

    conf = folder / "conf"
    (conf / "sources").mkdir(parents=True)
    (conf / "sources/visits.yaml").write_text(MAPPING)
    (conf / "demo.yaml").write_text("sources: [visits]\nhash: {key: benchmark}\n")
    spark = build_session(SparkSettings(master="local[1]", driver_memory="1g"))
    rules = Conf(conf)
    settings = load_settings(rules, "demo", lake=str(folder / "lake"))
    job = Job(spark, settings, rules, datetime.now(UTC).date())
    rows = visits(0, args.backlog, args.visitors)
    known = {r["email"] for r in rows}
    send(spark, server, rows)
    command = [sys.executable, "-m", "lakecdp.cli", "run", "--env", "demo", "--conf", str(conf)]
    command += ["--lake", settings.lake, "--trigger", "continuous", "--pause", "1"]
    begin, seconds, sent = time.monotonic(), [], args.backlog
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, "VISITS_KAFKA": server, "PYTHONPATH": str(ROOT / "lib")},
        )
        try:
            seconds.append(wait_for(job, len(known), process, begin))
            for _ in range(args.rounds):
                rows = visits(sent, args.records, args.visitors)
                sent += args.records
                known |= {r["email"] for r in rows}
                send(spark, server, rows)
                seconds.append(wait_for(job, len(known), process, time.monotonic()))
            process.send_signal(signal.SIGTERM)
            if process.wait(LIMIT):
                raise SystemExit(f"it ended with {process.returncode}")
        except BaseException:
            sys.stderr.write((folder / "log").read_text()[-3000:])
            raise
        finally:
            if process.poll() is None:
                process.kill()
    landed = type(job.ledger)(spark, job.lake).read("bronze.visits")
    if landed.count() != sent or landed.select("file", "line").distinct().count() != sent:
        raise SystemExit(f"{landed.count()} records landed, and {sent} were sent")
    print((folder / "log").read_text())
    return seconds


def main() -> None:
    """Print the seconds, and fail when a round takes longer than ten minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--visitors", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    from tests.servers import kafka

    with tempfile.TemporaryDirectory() as folder, kafka() as server:
        first, *later = measure(Path(folder), server, args)
    print(f"backlog of {args.backlog:,} records, start included: {first:.0f} s to the tags")
    for number, seconds in enumerate(later, 1):
        print(f"round {number}: {args.records:,} records {seconds:.0f} s to the tags")
    if max(later) > LIMIT:
        raise SystemExit("longer than ten minutes")


if __name__ == "__main__":
    main()
