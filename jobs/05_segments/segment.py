r"""Segments of customers, with history: RFM tiers, lifecycle, and what else conf/segments defines.

spark-submit --py-files dist/lakecdp.zip jobs/05_segments/segment.py --env demo \
    --run-date 2026-11-01
"""

from lakecdp.platform.job import Job, main
from lakecdp.segments import catalogue, engine
from lakecdp.tags import history

FEATURES, SEGMENTS = "gold.customer_feature", "gold.segment"


def run(job: Job) -> None:
    """Assign every customer anew (a fifth is one of all) and write what changed."""
    rules = catalogue.load(job.conf)
    engine.check(job.spark, rules)
    with job.batch(inputs=[FEATURES], outputs=[SEGMENTS], rules=rules.fingerprint, daily=True) as b:
        if b.nothing_new:
            return
        customers = b.read(FEATURES)
        limits = engine.cuts(customers, rules.active, b.run_date)
        found = engine.assign(customers, rules.active, b.run_date, limits)
        revised = history.revise(
            b.read(SEGMENTS),
            found,
            b.run_date,
            key=["customer_id", "segmentation"],
            value="segment",
            detail=["detail"],
            complete=True,
        ).persist()
        rows = revised.count()
        if rows:
            b.upsert(SEGMENTS, revised, delete_when="s._gone")
        b.count(rows_out=rows)
        revised.unpersist()


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
