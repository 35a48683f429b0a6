"""Flag events that no person caused, and views too short to count, with the reasons.

    spark-submit --py-files dist/lakecdp.zip jobs/02_silver/flag_traffic.py \
        --env demo --lake build/demo/lake --run-date 2026-11-01

Writes silver.event_traffic (one row per event that is flagged) by conf/traffic.yaml, for the clients and
days that new, changed and deleted events concern.
"""

from lakecdp.platform.job import Job, main
from lakecdp.silver.flag_traffic import INPUTS, OUTPUTS, fingerprint, flag_traffic
from lakecdp.silver.traffic_rules import Traffic


def run(job: Job) -> None:
    """Judge again in one batch what has changed."""
    traffic = Traffic.load(job.conf)
    with job.batch(inputs=INPUTS, outputs=OUTPUTS, rules=fingerprint(traffic)) as batch:
        if not batch.nothing_new:
            flag_traffic(batch, traffic)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
