"""Customers of a simulated company held against the truth, with and without the guards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.identity_accuracy import JOBS, accuracy, company, customers, judged, without_guards
from pyspark.sql import SparkSession
from tests.spark.helpers import run

from lakecdp.platform.job import Job

pytestmark = pytest.mark.spark

# A third of the persons live together and every tenth visit is on a tablet, so that so few meet enough.
COMPANY = {
    "seed": 5,
    "persons": 150,
    "days": 60,
    "people": {"phone_changes_per_year": 0.5},
    "behaviour": {"visits_per_day": 0.05},
    "identifiers": {
        "household_share": 0.3,
        "kiosks": 1,
        "kiosk_share": 0.1,
        "till_phone_share": 0.1,
    },
    "crawlers": {"per_thousand_persons": 0},
    "traffic": {"active_share": 0, "short_view_share": 0},
    "files": {"days_per_file": 60, "daily_days": 0},
}


def test_true_pairs_are_linked_and_others_only_without_guards(
    spark: SparkSession, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    landing, truth = company(spark, tmp_path, COMPANY)
    file = make_job().conf.find("identity.yaml")
    assert file is not None
    people, sizes = {}, {}
    for name, conf in (("guarded", None), ("bare", without_guards(tmp_path / "bare", file))):
        job = make_job(conf=conf, lake=tmp_path / name)
        for step in JOBS:
            run(job, step)
        assert job.failures == []
        linked = customers(job)
        found = judged(landing, truth, linked)
        people[name] = found.groupby("customer")["person"].nunique().max()
        sizes[name] = accuracy(found)["all"]
    assert sizes["guarded"].recall_of_linkable >= 0.95
    assert sizes["guarded"].precision >= 0.99
    assert sizes["guarded"].true > 500
    assert people["guarded"] <= 3
    # A tablet that everybody logs in on makes one customer of them all.
    assert people["bare"] > 30
    assert sizes["bare"].precision < 0.3
