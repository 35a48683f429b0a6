"""The daily DAG in a real Airflow, from an empty home."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from lakecdp.pipeline import DAILY

pytestmark = [pytest.mark.airflow, pytest.mark.e2e]

ROOT = Path(__file__).parents[2]
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "airflow"
Airflow = Callable[..., str]


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """The command of Airflow with an empty home of its own."""
    if not AIRFLOW.exists():
        pytest.skip("Airflow's environment is not set up: tools/setup.sh test")
    home = tmp_path_factory.mktemp("airflow")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "LAKECDP_"))}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "airflow_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[2]"}),
        "LAKECDP_HOME": str(ROOT),
        "LAKECDP_ENV": "demo",
        "LAKECDP_SPARK_PROPERTIES": str(ROOT / ".venv/share/lakecdp/spark.conf"),
        "PATH": f"{ROOT / '.venv/bin'}:{AIRFLOW.parent}:{os.environ['PATH']}",
        "PYSPARK_PYTHON": str(ROOT / ".venv/bin/python"),
        "PYSPARK_DRIVER_PYTHON": str(ROOT / ".venv/bin/python"),
    }

    def call(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            [AIRFLOW, *arguments],
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )
        told = f"airflow {' '.join(arguments)}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, told
        return done.stdout

    call("db", "migrate")
    return call


def parsed(text: str) -> list[dict[str, str]]:
    """The JSON that Airflow prints, after whatever it logs."""
    start = text.index("[{")
    found: list[dict[str, str]] = json.loads(text[start : text.rindex("]") + 1])
    return found


def test_the_dags_are_these_and_import_without_error(airflow: Airflow) -> None:
    airflow("dags", "reserialize")
    assert "No data found" in airflow("dags", "list-import-errors")
    assert {d["dag_id"] for d in parsed(airflow("dags", "list", "-o", "json"))} == {"lakecdp_daily"}
    tasks = set(airflow("tasks", "list", "lakecdp_daily").split())
    names = {
        "ingest",
        "conform",
        "flag_traffic",
        "sessionize",
        "assemble",
        "match",
        "resolve",
        "golden",
        "features",
    }
    names |= {"tag", "segment", "train_churn", "review_churn", "score_churn", "coverage"}
    names |= {"report", "monitor"}
    assert names <= tasks
    assert {j.task for j in DAILY} == names


def test_the_dag_runs_on_a_landing_folder(airflow: Airflow, company: Path, tmp_path: Path) -> None:
    subprocess.run(["bash", ROOT / "tools/package.sh"], check=True, capture_output=True)
    lake, conf = tmp_path / "lake", tmp_path / "conf"
    conf.mkdir()
    # Every task is submitted; those that are switched off end at once, which spares half of the time.
    off = (
        "02_silver/flag_traffic, 03_identity/match, 05_segments, 06_models, 08_measurement/coverage"
    )
    (conf / "demo.yaml").write_text(f"without: [{off}, 09_operations]\n")
    airflow(
        "dags", "test", "lakecdp_daily", "2026-11-01",
        LAKECDP_LAKE=str(lake), LAKECDP_LANDING=str(company), LAKECDP_CONF=str(conf),
    )  # fmt: skip
    tags = f"{lake}/gold/tag_value/**/*.parquet"
    ((customers,),) = duckdb.sql(f"select count(distinct customer_id) from '{tags}'").fetchall()
    assert customers > 10
    assert not (lake / "gold/segment").exists()
    assert list((tmp_path / "reports").glob("*.html"))
