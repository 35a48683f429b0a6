"""The daily run: yesterday's files to tags, segments, scores and the report.

Tasks take turns: the lake has one writer at a time.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG

sys.path.insert(0, str(Path(__file__).resolve().parent))

from submit import submit

from lakecdp.pipeline import DAILY

with DAG(
    dag_id="lakecdp_daily",
    description="Landed files to tags, segments, scores and the report",
    schedule="0 1 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    doc_md=__doc__,
    tags=["lakecdp"],
) as dag:
    # At one in the morning the day that has ended is the day the run stands for.
    tasks = {job.name: submit(job, "{{ macros.ds_add(ds, -1) }}") for job in DAILY}
    for job in DAILY:
        for earlier in job.after:
            tasks[earlier] >> tasks[job.name]
