"""The report of a run date: one self-contained page, also as latest.html.

spark-submit --py-files dist/lakecdp.zip jobs/08_measurement/report.py --env demo
"""

from lakecdp.insight import page, report
from lakecdp.insight.shelf import Shelf
from lakecdp.platform.job import Job, main


def run(job: Job) -> None:
    """Write the page where tables, rules, settings or run date are other than last time."""
    shelf = Shelf.of(job)
    with job.batch(inputs=report.INPUTS, rules=report.fingerprint(job), daily=True) as b:
        b.summary.message = f"the report is at {shelf.page}"
        if b.nothing_new and shelf.complete():
            return
        b.nothing_new = False
        shelf.put(page.render(report.collect(job)))


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
