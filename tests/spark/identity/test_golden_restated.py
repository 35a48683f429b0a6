"""What a restated source no longer says of a customer leaves identities and the golden record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.spark.helpers import overlay, rows, run

from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

CLUB = """
source: club
channel: crm
files: "club/*.csv"
format: csv
columns:
  member: string
  phone: string
  city: string
  hobby: string
  kind: string
  at: {type: timestamp, required: true}
personal: [member, phone, city, hobby]
identifiers: {member_id: member, phone: phone}
targets:
  - table: attribute
    columns: {observed_at: at}
    attributes: {city: city, hobby: hobby}
"""
RECORDS = """member,phone,city,hobby,kind,at
m7,+4930111222,Ulm,chess,person,2026-10-01 10:00:00
m8,+4930111333,Bonn,go,person,2026-10-02 10:00:00
m9,+4930111444,Kiel,,trial,2026-10-03 10:00:00
"""
JOBS = ("01_bronze/ingest", "02_silver/conform", "03_identity/resolve", "03_identity/golden")


def test_what_a_restated_source_takes_back_is_gone(
    make_job: Callable[..., Job], tmp_path: Path
) -> None:
    folder = tmp_path / "landing" / "club"
    folder.mkdir(parents=True)
    (folder / "1.csv").write_text(RECORDS)

    def lake(name: str, text: str) -> Job:
        job = make_job("test", conf=overlay(tmp_path / "conf", club=text), lake=tmp_path / name)
        for spec in JOBS:
            run(job, spec)
        assert job.failures == []
        return job

    job = lake("lake", CLUB)
    assert {(a, v) for a, v in rows(job.read("gold.golden_record"), "attribute", "value")} == {
        ("city", "Ulm"), ("hobby", "chess"), ("city", "Bonn"), ("hobby", "go"), ("city", "Kiel"),
    }  # fmt: skip
    assert job.read("identity.node").count() == 6

    # Trial members are taken out, and hobbies are not asked any more.
    again = CLUB.replace("{city: city, hobby: hobby}", "{city: city}")
    again = again.replace(
        "  - table: attribute\n", "  - table: attribute\n    where: kind = 'person'\n"
    )
    job = lake("lake", again)
    assert rows(job.read("gold.golden_record"), "attribute", "value") == [
        ("city", "Bonn"), ("city", "Ulm"),
    ]  # fmt: skip
    fresh = lake("fresh", again)
    edges = job.read("identity.edge")
    assert edges.where("status = 'removed'").count() == 1, "kept, but it counts no more"
    edge = ("node_a", "node_b", "source", "target", "status")
    assert rows(edges.where("status <> 'removed'"), *edge) == rows(
        fresh.read("identity.edge"), *edge
    )
    for table, columns in (
        ("identity.node", ("node_id", "type", "status")),
        ("gold.golden_record", ("attribute", "value", "node_id", "observed_at", "rule")),
    ):
        assert rows(job.read(table), *columns) == rows(fresh.read(table), *columns)
    open_links = job.read("identity.link").where("valid_to IS NULL")
    assert open_links.count() == 4
