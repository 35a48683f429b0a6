"""How much of the invalid traffic is flagged, and how much of what is flagged is invalid.

    .venv/bin/python benchmarks/traffic.py [--persons N] [--days N] [--seed N] [--work DIR] [--data DIR]

Makes a company of the simulator, runs it from files to flags, and holds every flag against what the
simulator has planted. Then it flags the real access logs, where they are at hand, and counts their agents.

Recall of a kind is the share of its events in silver.event that have the reason; precision of a reason is
the share of the events with it that are of the kind. A scanner is also faster than a person, and some
scanners show no agent or name themselves: there both kinds count as right.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakecdp.platform.job import Job

ROOT = Path(__file__).resolve().parent.parent
AIM = 0.98
JOBS = ("01_bronze/ingest", "02_silver/conform", "02_silver/flag_traffic")
ALSO_RIGHT = {"rate": {"scanner"}, "crawler": {"scanner"}, "no_agent": {"scanner"}}
LOGS = {"apache_combined_10k.log.gz": "shop.log.gz", "scanner_acunetix.txt.gz": "scanner.log.gz"}
SCANNER = "192.168.4.25"


@dataclass(frozen=True)
class Share:
    """Events of a kind, events with its reason, and those that are both."""

    true: int
    flagged: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        """Right ones of the flagged."""
        return self.right / self.flagged if self.flagged else 1.0

    @property
    def recall(self) -> float:
        """Found ones of the true."""
        return self.found / self.true if self.true else 1.0


def shares(job: Job, truth: Path) -> tuple[dict[str, Share], int, int]:
    """Shares by kind; then events of persons, and how many of them are flagged as invalid."""
    from lakecdp.simulator.traffic import KINDS, SHORT

    planted = job.spark.read.parquet(str(truth / "planted")).where(F.col("kind").isin(*KINDS))
    planted = planted.groupBy("source", F.col("key").alias("event_id")).agg(
        F.collect_set("kind").alias("kinds")
    )
    events = job.read("silver.event").select("source", "event_date", "event_id")
    flags = job.read("silver.event_traffic").select("event_date", "event_id", "reasons", "kind")
    both = events.join(planted, ["source", "event_id"], "left")
    both = both.join(flags, ["event_date", "event_id"], "left")
    rows = both.groupBy("kinds", "reasons", "kind").count().collect()
    cases = [(set(r["kinds"] or ()), set(r["reasons"] or ()), r["kind"], r["count"]) for r in rows]
    found = {}
    for name in (*KINDS, "no_agent"):
        right = {name} | ALSO_RIGHT.get(name, set())
        found[name] = Share(
            sum(n for kinds, _, _, n in cases if name in kinds),
            sum(n for _, reasons, _, n in cases if name in reasons),
            sum(n for kinds, reasons, _, n in cases if name in kinds and name in reasons),
            sum(n for kinds, reasons, _, n in cases if kinds & right and name in reasons),
        )
    persons = [c for c in cases if not c[0] - {SHORT}]
    wrong = sum(n for _, _, kind, n in persons if kind == "invalid")
    return found, sum(n for *_, n in persons), wrong


def run(job: Job) -> dict[str, float]:
    """From files to flags; seconds by job."""
    from rich.console import Console

    from lakecdp.pipeline import DAILY
    from lakecdp.runner import run_pipeline

    outcome = run_pipeline(job, [s for s in DAILY if s.name in JOBS], Console(quiet=True))
    if outcome.failures:
        raise SystemExit("\n".join(outcome.failures))
    seconds: dict[str, float] = {}
    for s in outcome.summaries:
        seconds[s.job] = max(seconds.get(s.job, 0.0), s.seconds)
    return seconds


def job_of(spark: SparkSession, work: Path, sources: str) -> Job:
    """The surroundings of a run on the files below `work`."""
    from lakecdp.platform.job import Job
    from lakecdp.platform.settings import Conf, load_settings
    from lakecdp.simulator import SimulatorSettings

    conf = work / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    text = f"currency: CNY\nphone_region: CN\nsources: [{sources}]\nhash: {{key: benchmark}}\n"
    (conf / "demo.yaml").write_text(text, encoding="utf-8")
    rules = Conf(conf)
    places = {"lake": str(work / "lake"), "landing": str(work / "landing")}
    return Job(spark, load_settings(rules, "demo", **places), rules, SimulatorSettings().last_day)


def company(spark: SparkSession, work: Path, given: dict[str, Any]) -> Path:
    """Make a company; the folder of its truth."""
    from lakecdp.simulator import SimulatorSettings, simulate

    settings = SimulatorSettings.model_validate(given)
    simulate(spark, settings, str(work / "landing"), str(work / "truth"))
    return work / "truth"


def logs(spark: SparkSession, work: Path, data: Path) -> None:
    """Flag the real logs; print what was flagged, and the agents by name."""
    folder = work / "landing" / "access_log"
    folder.mkdir(parents=True)
    for name, new in LOGS.items():
        shutil.copy(data / "access_logs" / name, folder / new)
    job = job_of(spark, work, "access_log")
    print(f"\nreal logs; seconds {run(job)}")
    events = job.read("silver.event").withColumn("scan", F.col("ip") == SCANNER)
    flags = job.read("silver.event_traffic").select("event_date", "event_id", "reasons", "evidence")
    both = events.join(flags, ["event_date", "event_id"], "left").persist()
    for scan, name in ((False, "shop"), (True, "scanner")):
        of = both.where(F.col("scan") == scan)
        print(f"{name}: {of.count():,} lines, flagged {of.where('reasons IS NOT NULL').count():,}")
        for r in of.select(F.explode("reasons").alias("r")).groupBy("r").count().collect():
            print(f"    {r['r']:<14}{r['count']:>8,}")
    shop = both.where("NOT scan AND array_contains(reasons, 'crawler')")
    name = F.element_at("evidence", F.array_position("reasons", F.lit("crawler")).cast("int"))
    for r in shop.groupBy(name.alias("agent")).count().orderBy(F.desc("count"), "agent").collect():
        print(f"| {r['agent']} | {r['count']:,} |")


def main() -> int:
    """Print both; 1 where precision or recall of a kind is below the aim."""
    from lakecdp.platform.session import build_session
    from lakecdp.platform.settings import Conf, load_settings

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--persons", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--seed", type=int, default=20261031)
    parser.add_argument("--work", type=Path, default=None)
    default = Path(os.environ.get("LAKECDP_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default)
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="traffic-"))
    spark = build_session(load_settings(Conf(None), "demo").spark)
    given = {"persons": args.persons, "days": args.days, "seed": args.seed}
    truth = company(spark, work / "company", given)
    job = job_of(spark, work / "company", "app_events, web_events")
    seconds = run(job)
    start = time.monotonic()
    found, persons, wrong = shares(job, truth)
    print(f"{persons:,} events of persons, {wrong:,} of them flagged as invalid; seconds {seconds}")
    print("| kind | events | flagged | precision | recall |\n|---|---|---|---|---|")
    for name, s in found.items():
        line = f"| {name} | {s.true:,} | {s.flagged:,} | {s.precision:.4f} | {s.recall:.4f} |"
        print(line)
    print(f"held against the truth in {time.monotonic() - start:.0f} s")
    if args.data.is_dir():
        logs(spark, work / "logs", args.data)
    return int(any(min(s.precision, s.recall) < AIM for s in found.values()))


if __name__ == "__main__":
    sys.exit(main())
