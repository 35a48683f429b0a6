"""Link records that share no key, by probability, for the linkages of conf/linkage.

Grain: identity.match one row per linkage and pair of records; identity.linkage_model one row per
linkage.

    spark-submit --py-files dist/lakecdp.zip jobs/03_identity/match.py --env demo --lake lake
"""

from collections.abc import Collection

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.identity.linkage.rules import load_all
from lakecdp.identity.match import READS, WRITES, fingerprint, match
from lakecdp.platform.job import Job, main
from lakecdp.platform.part import Unit

AGAIN = ".again"


def run(job: Job, again: Collection[str] = ()) -> None:
    """Compare new records with all and decide on the pairs; train those asked for anew."""
    every = load_all(job.conf)
    types = IdentityRules.load(job.conf).names
    rules = fingerprint(every, types)
    since = job.ledger.consumed(job.name, "")
    idle = not every and not since.mark
    unit = Unit("", READS, WRITES, rules + (AGAIN if again else ""), idle=idle)
    with job.batch_of([unit]) as b:
        if b.nothing_new:
            return
        # After a training by hand the rules are the same: only what is new is compared.
        full = bool(again) or (b.full and since.rules != rules + AGAIN)
        done = match(b, every, types, again=again, full=full)
        b.count(rows_in=done.records, rows_out=sum(done.written.values()))
        told = ", ".join(f"{what} {n}" for what, n in sorted(done.written.items()))
        job.log.info("trained: %s; pairs: %s", ", ".join(done.trained) or "none", told or "none")


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
