"""Seconds from `spark-submit` of one job to its first result on a lake that is there already.

    .venv/bin/python benchmarks/cold_start.py --lake DIR --env NAME [--runs 5]

The first result is the number of rows of a published table. The file cache is warm after the first
run, which does not count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOB = """
import sys, time
from lakecdp.platform.job import Job, main

def run(job: Job) -> None:
    rows = job.read("gold.customer_feature").count()
    print(f"first result {rows} {time.time()}", flush=True)

sys.exit(main(run, None))
"""


def first_result(job: Path, lake: str, env: str) -> float:
    """One run."""
    bin_ = Path(sys.prefix) / "bin"
    command = [
        bin_ / "spark-submit",
        "--properties-file",
        Path(sys.prefix) / "share/lakecdp/spark.conf",
    ]
    command += ["--py-files", ROOT / "dist/lakecdp.zip", job, "--env", env, "--lake", lake]
    path = f"{bin_}:{os.environ['PATH']}"
    start = time.time()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("first result")]
    if not told:
        raise SystemExit(done.stderr[-2000:])
    if not int(told[0].split()[-2]):
        raise SystemExit(f"gold.customer_feature has no rows in {lake}")
    return float(told[0].split()[-1]) - start


def main() -> None:
    """Print the median, with the least and the most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    subprocess.run(["bash", ROOT / "tools/package.sh"], check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "first.py"
        job.write_text(JOB)
        first_result(job, args.lake, args.env)
        found = [first_result(job, args.lake, args.env) for _ in range(args.runs)]
    print(
        f"cold start to the first result: median {statistics.median(found):.1f} s "
        f"(least {min(found):.1f}, most {max(found):.1f}, {args.runs} runs)"
    )


if __name__ == "__main__":
    main()
