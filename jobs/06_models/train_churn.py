"""Learn who is about to stop buying; a new version in MLflow becomes the challenger.

spark-submit --py-files dist/lakecdp.zip jobs/06_models/train_churn.py --env demo
"""

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.models import churn
from lakecdp.models.registry import Registry
from lakecdp.models.rules import load
from lakecdp.platform.job import Job, main


def run(job: Job) -> None:
    """Train when it is due and the history suffices; otherwise say why not."""
    rules = load(job.conf, churn.NAME)
    registry = Registry(job.settings, churn.NAME)
    with job.batch(inputs=churn.INPUTS, rules=churn.fingerprint(rules, registry)) as b:
        why = churn.not_due(b, rules, registry)
        task = why or churn.prepare(b, rules, IdentityRules.load(job.conf))
        # Without a training, what was consumed stays as it was: the next run looks again.
        b.nothing_new = isinstance(task, str)
        if isinstance(task, str):
            b.summary.message = task
            return
        data = {t: job.ledger.published.get(t, 0) for t in churn.INPUTS}
        version = churn.train(task, registry, run_date=b.run_date, data=data)
        b.count(rows_in=sum(number for number, _ in task.counts.values()))
        b.summary.message = (
            f"version {version.number} trained: test AUC {version.metrics['test_auc']:.3f}, best "
            f"trivial rule {version.metrics['best_baseline_auc']:.3f}"
        )


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
