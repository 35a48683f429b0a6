"""Half a million real order lines, taken in by a mapping alone, are what DuckDB counts in the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchmarks import online_retail
from pyspark.sql import SparkSession

from lakecdp.platform.job import Job
from lakecdp.platform.settings import Conf, load_settings
from lakecdp.query import query

pytestmark = [pytest.mark.spark, pytest.mark.e2e, pytest.mark.data]


def test_the_lake_shows_what_the_file_holds(
    spark: SparkSession, shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "online_retail_2010_2011" / "online_retail.csv.gz"
    landing, lake = tmp_path / "landing", tmp_path / "lake"
    landing.mkdir()
    shutil.copy(source, landing)
    online_retail.run(lake, landing, "--to", "04_tags/features")

    con = online_retail.company(source)
    expected = {n: str(con.sql(q).fetchall()[0][0]) for n, q in online_retail.EXPECTED.items()}
    conf = Conf(None)
    job = Job(spark, load_settings(conf, "dev", lake=str(lake)), conf, online_retail.DAY)
    found = {n: str(query(job, q).collect()[0][0]) for n, q in online_retail.FOUND.items()}
    assert found == expected
    assert expected["amount"] == "9726006.9540"
    assert expected["exact duplicates"] == "5268"
