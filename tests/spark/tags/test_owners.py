"""Whose anonymous visits are: from files to features, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from tests.spark.helpers import overlay, run

from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

APP = """
source: app
channel: app
files: "app/*.csv"
format: csv
timezone: UTC
columns:
  id: {type: string, required: true}
  at: {type: timestamp, required: true}
  version: int
  event: string
  member: string
  device: string
personal: [member, device]
identifiers: {member_id: member, device_id: device}
targets:
  - table: event
    columns: {event_id: id, event_at: at, event_name: event}
    version: "at + make_interval(0, 0, 0, version)"
"""
HEADER = "id,at,version,event,member,device\n"
STAGES = ("02_silver/conform", "02_silver/sessionize", "03_identity/resolve", "04_tags/features")
FIRST = """\
a1,2026-10-01 10:00:00,0,page_view,,phone-1
a2,2026-10-01 10:05:00,0,view_item,,phone-1
a3,2026-10-02 20:00:00,0,login,anna,phone-1
a4,2026-10-02 20:10:00,0,view_item,,phone-1
c1,2026-10-01 12:00:00,0,login,carl,phone-2
c2,2026-10-03 12:00:00,0,view_item,,phone-2
"""
BEN = """\
b1,2026-10-03 09:50:00,0,view_item,,phone-1
b2,2026-10-03 10:00:00,0,login,ben,phone-1
"""
# Ben's login comes back as of nobody.
TAKEN_BACK = "b2,2026-10-03 10:00:00,1,login,,phone-1\n"


@pytest.fixture
def lands(make_job: Callable[..., Job], tmp_path: Path) -> Callable[..., Job]:
    """Land a file in a lake and run the jobs up to features."""
    conf = overlay(tmp_path / "conf", app=APP)
    landing = tmp_path / "landing" / "app"
    landing.mkdir(parents=True)

    def land(text: str, lake: str = "lake") -> Job:
        for old in landing.glob("*.csv"):
            old.unlink()
        (landing / f"{len(text)}.csv").write_text(HEADER + text)
        job = make_job("test", conf=conf, lake=tmp_path / lake, run_date=date(2026, 10, 10))
        for stage in ("01_bronze/ingest", *STAGES):
            run(job, stage)
        return job

    return land


def events(job: Job) -> dict[str, tuple[int, int]]:
    """Member -> events and views of the customer, for those members that have one."""
    return {k: (r["events"], r["views"]) for k, r in features(job).items()}


def features(job: Job) -> dict[str, dict]:
    """Member -> row of gold.customer_feature."""
    links = job.read("identity.link").where("valid_to IS NULL").select("node_id", "customer_id")
    names = job.read("silver.identifier").where("type = 'member_id'").select("node_id", "value")
    rows = job.read("gold.customer_feature").join(links, "customer_id").join(names, "node_id")
    return {r["value"]: r.asDict() for r in rows.collect()}


def test_anonymous_visits_follow_the_person_until_the_device_is_shared(
    lands: Callable[..., Job],
) -> None:
    job = lands(FIRST)
    # On a device of one's own earlier and later visits count, whether or not one logged in.
    assert events(job) == {"anna": (4, 3), "carl": (2, 1)}
    before = features(job)

    job = lands(BEN)
    # Anna keeps the session that she logged in to; who came before, nobody knows any more.
    assert events(job) == {"anna": (2, 1), "ben": (2, 1), "carl": (2, 1)}
    assert features(job)["carl"]["_batch"] == before["carl"]["_batch"], "not written again"
    assert features(job)["anna"]["last_active_on"] == date(2026, 10, 2)
    partials = job.read("gold.node_day").agg({"events": "sum"}).first()
    assert partials[0] == 8, "what counts for nobody stays in the partials"
    shared = job.read("identity.node").where("status = 'shared'").collect()
    assert [r["type"] for r in shared] == ["device_id"]

    job = lands(TAKEN_BACK)
    assert events(job) == {"anna": (6, 4), "carl": (2, 1)}
    assert features(job)["carl"]["_batch"] == before["carl"]["_batch"]
