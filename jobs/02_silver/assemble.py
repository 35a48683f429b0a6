"""Assemble orders from headers, lines and payments, and let returns find their sale.

    spark-submit --py-files dist/lakecdp.zip jobs/02_silver/assemble.py \
        --env demo --lake build/demo/lake --run-date 2026-11-01

Writes silver.order (one row per order) for the orders that new records touch, and silver.return (one
row per return line and the sale line it takes back).
"""

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.platform.job import Job, main
from lakecdp.silver.assemble import INPUTS, OUTPUTS, assemble, fingerprint


def run(job: Job) -> None:
    """Restate touched orders in one batch."""
    strength = list(IdentityRules.load(job.conf).names)
    rules = fingerprint(strength, job.settings)
    with job.batch(inputs=INPUTS, outputs=OUTPUTS, rules=rules) as batch:
        if not batch.nothing_new:
            assemble(batch, strength, job.settings)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
