"""Flags on real logs of a web server and of a scanner."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.traffic import JOBS, SCANNER
from crawlerdetect import CrawlerDetect
from tests.spark.helpers import run

from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

OF_SHOP = 2_000


@pytest.mark.data
def test_real_logs(make_job: Callable[..., Job], tmp_path: Path, shared_data: Path) -> None:
    folder = tmp_path / "landing" / "access_log"
    folder.mkdir(parents=True)

    def lines(name: str) -> list[bytes]:
        return gzip.decompress((shared_data / "access_logs" / name).read_bytes()).splitlines(True)

    shop = lines("apache_combined_10k.log.gz")[:OF_SHOP]
    scan = lines("scanner_acunetix.txt.gz")[::3]
    (folder / "shop.log").write_bytes(b"".join(shop))
    (folder / "scan.log").write_bytes(b"".join(scan))
    (tmp_path / "demo.yaml").write_text("sources: [access_log]\nhash: {key: test}\n")
    job = make_job(conf=tmp_path)
    for step in JOBS:
        run(job, step)
    assert job.read("silver.quarantine").count() == 0
    flags = job.read("silver.event_traffic").select("event_date", "event_id", "reasons")
    rows = job.read("silver.event").join(flags, ["event_date", "event_id"], "left")
    found = rows.select("ip", "user_agent", "reasons").collect()
    scanned = [r for r in found if r["ip"] == SCANNER]
    assert len(scanned) == len({line.strip() for line in scan})
    assert all("scanner" in (r["reasons"] or ()) for r in scanned)
    # The library itself says who is a crawler; the rules may know more of them.
    library, others = CrawlerDetect(), [r for r in found if r["ip"] != SCANNER]
    known = [r for r in others if library.is_crawler(r["user_agent"] or "")]
    assert len(known) > 300
    assert all("crawler" in (r["reasons"] or ()) for r in known)
    browsers = [r for r in others if not library.is_crawler(r["user_agent"] or "")]
    flagged = [r for r in browsers if {"scanner", "rate"} & set(r["reasons"] or ())]
    assert len(flagged) < 0.02 * len(browsers)
