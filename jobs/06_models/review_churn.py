"""Review of the churn model: the gate judges, and with --approve-as a person puts it into force.

spark-submit --py-files dist/lakecdp.zip jobs/06_models/review_churn.py --env demo
"""

from lakecdp.models.review import review
from lakecdp.platform.job import Job, main


def run(job: Job) -> None:
    """Compare the challenger with the champion and the trivial rules; say what is to be done."""
    with job.batch() as b:
        verdict = review(job, job.approve_as)
        b.summary.message, b.nothing_new = verdict.sentence, verdict.version is None


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
