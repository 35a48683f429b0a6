"""Hold what arrived against what was expected, and what is sent against the tracking plans.

    spark-submit --py-files dist/lakecdp.zip jobs/08_measurement/coverage.py \
        --env demo --lake build/demo/lake --run-date 2026-11-01

Writes gold.coverage (one row per day, source, channel, event and basis) with gold.coverage_file,
coverage_stream and coverage_order below it, gold.tracking_observed, tracking_violation and tracking_plan
(one row per planned event and property), and gold.channel (one row per channel), for the days that new
records concern. `lakecdp coverage` shows them.
"""

from lakecdp.measurement.measure import Measured, measure
from lakecdp.platform.job import Job, main


def run(job: Job) -> None:
    """Measure what is new in one batch."""
    rules = Measured.load(job.conf, job.settings, job.lake)
    with job.batch_of(rules.units()) as batch:
        if batch.at_work:
            measure(batch, job.lake, rules)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
