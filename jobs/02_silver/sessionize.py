"""Put events into sessions, and say who owns them.

    spark-submit --py-files dist/lakecdp.zip jobs/02_silver/sessionize.py \
        --env demo --lake build/demo/lake --run-date 2026-11-01

Writes silver.event_session (one row per event: its session and its owner) and silver.session (one row
per session) for the sessions that new, changed and deleted events touch, by conf/sessions.yaml.
"""

from lakecdp.governance.identifiers import IdentityRules
from lakecdp.platform.job import Job, main
from lakecdp.silver.session_rules import SessionRules
from lakecdp.silver.sessionize import INPUTS, OUTPUTS, fingerprint, sessionize


def run(job: Job) -> None:
    """Restate touched sessions in one batch."""
    rules, identity = SessionRules.load(job.conf), IdentityRules.load(job.conf)
    with job.batch(inputs=INPUTS, outputs=OUTPUTS, rules=fingerprint(rules, identity)) as batch:
        if not batch.nothing_new:
            sessionize(batch, rules, identity)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
