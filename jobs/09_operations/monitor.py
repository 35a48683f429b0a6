"""Look for days with too few rows, too many, too old ones, or with gaps; conf/monitoring.yaml says when.

    spark-submit --py-files dist/lakecdp.zip jobs/09_operations/monitor.py \
        --env demo --lake build/demo/lake --run-date 2026-11-01

Grain: operations.table_day one row per table, source and day; operations.alert one row per measure that
is or was out of the ordinary. The exit status is 1 while an alert with severity fail is open, 3 while one
with severity warn is.
"""

from lakecdp.operations import alerts
from lakecdp.operations.monitor import ALERT, OUTPUTS, Plan, known, measure, watch
from lakecdp.platform.job import Job, main


def run(job: Job) -> None:
    """Measure what is new, judge the last days, and say what is open."""
    plan = Plan.of(job)
    inputs, hook = plan.inputs, job.settings.alerts.hook()
    with job.batch(inputs=inputs, outputs=OUTPUTS, rules=plan.fingerprint, daily=True) as b:
        standing = known(b.read(ALERT)) if b.nothing_new else watch(b, plan, measure(b, plan), hook)
        b.warn(alerts.message(alerts.of_severity(standing, "warn")))
    failing = alerts.of_severity(standing, "fail")
    if failing:
        job.fail(alerts.message(failing))


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
