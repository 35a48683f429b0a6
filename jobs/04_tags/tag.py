"""Tags of customers: values with history, and all of them side by side.

spark-submit --py-files dist/lakecdp.zip jobs/04_tags/tag.py --env demo --run-date 2026-11-01
"""

from datetime import date

from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job, main
from lakecdp.tags import catalogue, engine, history

FEATURES, VALUES, MATRIX = "gold.customer_feature", "gold.tag_value", "gold.tag_matrix"


def run(job: Job) -> None:
    """Evaluate the catalogue for changed customers (all when date or rules changed)."""
    tags = catalogue.load(job.conf)
    engine.check(job.spark, tags)
    with job.batch(
        inputs=[FEATURES], outputs=[VALUES, MATRIX], rules=tags.fingerprint, daily=True
    ) as b:
        if b.nothing_new:
            return
        customers, matrix = b.read(FEATURES), b.read(MATRIX)
        due = customers if b.new_date else b.new_rows(FEATURES)
        values = engine.evaluate(due, tags.active, b.run_date).persist()
        gone = matrix.join(customers, "customer_id", "left_anti").select("customer_id").persist()
        every = goes_back(b)
        changed = engine.changes(values, matrix, gone, every=every).persist()
        if every or changed.count():
            current = b.read(VALUES)
            if not every:
                current = current.join(changed, ["customer_id", "tag"], "left_semi")
            revised = history.revise(
                current,
                changed,
                b.run_date,
                key=["customer_id", "tag"],
                value="value",
                complete=every,
            )
            written = b.upsert(VALUES, revised, delete_when="s._gone")
            b.upsert(MATRIX, engine.matrix_rows(values, changed, matrix), evolve=True)
            if gone.count():
                b.delete_keys(MATRIX, gone, ["customer_id"])
            b.count(rows_out=written.written)
        for frame in (values, gone, changed):
            frame.unpersist()


def goes_back(b: Batch) -> bool:
    """Whether the run date is earlier than the last: what later dates found is void."""
    return bool(b.since.run_date) and b.run_date < date.fromisoformat(b.since.run_date)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
