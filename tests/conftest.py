"""One Spark session for all tests, started by the first test that asks for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakecdp.platform.job import Job

RUN_DATE = date(2026, 11, 1)

if not hasattr(sys.modules["__main__"], "__file__"):
    # A worker of pytest-xdist has no main file, which PySpark takes for a run of its own tests.
    sys.modules["__main__"].__file__ = __file__


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A small session: two cores, one shuffle partition."""
    from lakecdp.platform.session import INTERPRETED, build_session
    from lakecdp.platform.settings import SparkSettings

    settings = SparkSettings(
        master="local[2]",
        driver_memory="2g",
        shuffle_partitions=1,
        # Java made for ten rows takes longer to compile than the rows take; the e2e tests, in
        # processes of their own, run as users do.
        codegen="never",
        conf={
            "spark.default.parallelism": "1",
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.autoBroadcastJoinThreshold": "10m",
            # Of each table that is broadcast and each sort a page is taken, of 64 MB by default.
            "spark.buffer.pageSize": "1m",
        },
    )
    session = build_session(settings, "lakecdp tests")
    for key, value in INTERPRETED.items():
        session.conf.set(key, value)
    yield session
    session.stop()


@pytest.fixture
def make_job(spark: SparkSession, tmp_path: Path) -> Callable[..., Job]:
    """Jobs on a lake in the test's own folder: `make_job("04_tags/tag", run_date=...)`."""
    from lakecdp.platform.job import Job
    from lakecdp.platform.settings import Conf, load_settings

    def make(
        name: str = "test/job",
        *,
        run_date: date = RUN_DATE,
        conf: Path | None = None,
        lake: Path | None = None,
        landing: Path | None = None,
        **overrides: object,
    ) -> Job:
        rules = Conf(conf)
        settings = load_settings(
            rules,
            "demo",
            lake=str(lake or tmp_path / "lake"),
            landing=str(landing or tmp_path / "landing"),
            **overrides,
        )
        return Job(spark, settings, rules, run_date, name=name)

    return make


@pytest.fixture(scope="session")
def company(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The landing folder of a company of a few persons and weeks, with all its flaws."""
    from lakecdp.simulator import SimulatorSettings, simulate

    folder = tmp_path_factory.mktemp("company")
    settings = SimulatorSettings.model_validate(
        {"seed": 11, "persons": 40, "first_day": date(2026, 9, 22), "days": 40}
    )
    simulate(spark, settings, str(folder / "landing"), str(folder / "truth"))
    return folder / "landing"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where it is absent."""
    root = Path(os.environ.get("LAKECDP_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"the real data sets are not at {root} (set LAKECDP_DATA)")
    return root


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """JDBC URL of a real PostgreSQL, started by the first test that asks for it."""
    from tests import servers

    with servers.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """host:port of a real Kafka broker, started by the first test that asks for it."""
    from tests import servers

    with servers.kafka() as address:
        yield address
