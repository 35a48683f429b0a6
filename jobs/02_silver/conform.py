"""Conform the new records of each source: one canonical meaning, UTC, each key once, last one wins.

    spark-submit --py-files dist/lakecdp.zip jobs/02_silver/conform.py \
        --env demo --lake build/demo/lake --run-date 2026-11-01

Writes silver.event, order_header, order_line, payment, product and attribute (one row per key), the
clear identifiers, and silver.quarantine with a reason for every record refused. When a mapping has
changed, all records of its source are conformed again.
"""

from lakecdp.bronze.mapping import Source, load_sources
from lakecdp.platform.job import Job, main
from lakecdp.silver.canonical import Meaning, check
from lakecdp.silver.conform import conform, fingerprint, meaning_of, outputs


def run(job: Job) -> None:
    """Check every mapping first, then conform source by source."""
    meaning = meaning_of(job.conf, job.settings)
    sources = load_sources(job.conf, job.settings, job.source)
    for source in sources:
        check(job.lake.empty_of(source.mapping.bronze), source, meaning)
    for source in sources:
        step(job, source, meaning)


def step(job: Job, source: Source, meaning: Meaning) -> None:
    """Conform one source in one batch."""
    mapping = source.mapping
    rules = fingerprint(source, meaning)
    with job.batch(
        mapping.source, inputs=[mapping.bronze], outputs=outputs(source), rules=rules
    ) as batch:
        if not batch.nothing_new:
            restate = batch.full and batch.since.mark > 0
            conform(batch, source, meaning, batch.new_rows(mapping.bronze), restate=restate)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
