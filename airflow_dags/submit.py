"""How every task is submitted; where things are comes from the environment of Airflow.

LAKECDP_HOME     folder that holds lib/, jobs/ and dist/lakecdp.zip (default: beside this folder)
LAKECDP_ENV      environment of conf/ (default: prod)
LAKECDP_LAKE     folder or URI of the lake; LAKECDP_LANDING: of the source files
LAKECDP_CONF     folder of YAML laid over the shipped conf/
LAKECDP_SPARK_PROPERTIES   file of Spark settings (default: conf/spark/cluster.conf)

The Airflow connection `spark_default` names the master.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

HOME = Path(os.environ.get("LAKECDP_HOME", Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(HOME / "lib"))

from lakecdp.pipeline import JobSpec  # noqa: E402


def submit(job: JobSpec, run_date: str) -> SparkSubmitOperator:
    """The task of one job.

    Args:
        job: the job.
        run_date: template of the date that the run stands for.
    """
    arguments = ["--env", os.environ.get("LAKECDP_ENV", "prod"), "--run-date", run_date]
    for option in ("lake", "landing", "conf"):
        value = os.environ.get(f"LAKECDP_{option.upper()}")
        if value:
            arguments += [f"--{option}", value]
    cluster = str(HOME / "conf" / "spark" / "cluster.conf")
    return SparkSubmitOperator(
        task_id=job.task,
        application=str(HOME / "jobs" / f"{job.name}.py"),
        py_files=str(HOME / "dist" / "lakecdp.zip"),
        properties_file=os.environ.get("LAKECDP_SPARK_PROPERTIES", cluster),
        application_args=[*arguments, "--run-id", "{{ run_id }}", "--warnings-pass"],
        doc=job.does,
        verbose=False,
    )
