"""How likely each customer is to stop buying, by the version in force, with the main reasons.

spark-submit --py-files dist/lakecdp.zip jobs/06_models/score_churn.py --env demo
"""

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.models import churn, features
from lakecdp.models.registry import Registry
from lakecdp.platform.job import Job, main

SCORES = "gold.score"


def run(job: Job) -> None:
    """Score all eligible customers as of the run date when data, version or date are new."""
    registry = Registry(job.settings, churn.NAME)
    champion, _ = registry.aliased()
    if champion is None:
        with job.batch() as b:
            b.nothing_new = True
            b.summary.message = "no version is in force yet: review and approve one"
        return
    rules = f"{champion.run_id}/{features.VERSION}"
    with job.batch(inputs=churn.INPUTS, outputs=[SCORES], rules=rules, daily=True) as b:
        if b.nothing_new:
            return
        rows = churn.scores(b, registry, champion, IdentityRules.load(job.conf))
        b.count(rows_out=b.replace(SCORES, rows, f"model = '{churn.NAME}'"))


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
