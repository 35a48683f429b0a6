"""Decide which identifiers are one customer, for the identifiers that new records touch.

Grain: identity.node one row per identifier; identity.edge per pair, source and table of evidence;
identity.link per identifier and period; identity.change per customer and change; identity.decision
per decision of a person and period.

    spark-submit --py-files dist/lakecdp.zip jobs/03_identity/resolve.py --env demo --lake lake
"""

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.decisions import decide
from lakecdp.identity.resolve import READS, WRITES, fingerprint, resolve
from lakecdp.platform.job import Job, main


def run(job: Job) -> None:
    """Take in decisions and new evidence, and bring links and ledger up to date."""
    rules = IdentityRules.load(job.conf)
    decide(job, rules)
    with job.batch(inputs=READS, outputs=WRITES, rules=fingerprint(rules), daily=rules.expire) as b:
        if b.nothing_new:
            return
        done = resolve(b, rules, in_memory_edges=job.settings.graph.in_memory_edges)
        b.count(rows_in=done.nodes, rows_out=done.links)
        job.log.info(
            "identity: %s; kept apart: %s",
            ", ".join(f"{kind} {n}" for kind, n in sorted(done.changes.items())) or "no change",
            ", ".join(f"{why} {n}" for why, n in sorted(done.blocked.items())) or "none",
        )


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
