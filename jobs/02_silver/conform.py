"""Conform the new records of each source: one canonical meaning, UTC, each key once, last one wins.

    spark-submit --py-files dist/lakecdp.zip jobs/02_silver/conform.py \
        --env demo --lake build/demo/lake --run-date 2026-11-01

Writes silver.event, order_header, order_line, payment, product, attribute, touch, contact, review,
survey_answer, footfall, ad_spend, calendar_day, indicator and control_total (one row per key), the clear
identifiers, and silver.quarantine with a reason for every record refused. When a mapping, or a rule of
conf/repairs.yaml for it, has changed, all records of its source are conformed again.
"""

from lakecdp.bronze.mapping import Source, load_sources
from lakecdp.platform.batch import Batch
from lakecdp.platform.job import Job, main
from lakecdp.platform.part import Unit
from lakecdp.silver.canonical import Meaning, check
from lakecdp.silver.conform import Delivery, conform, fingerprint, meaning_of, outputs
from lakecdp.silver.repair_rules import check as check_repairs


def run(job: Job) -> None:
    """Check every mapping first; then all sources in one batch, but those restated by themselves."""
    known = load_sources(job.conf, job.settings)
    meaning = meaning_of(job.conf, job.settings, known)
    chosen = load_sources(job.conf, job.settings, job.source) if job.source else known
    sources = {s.mapping.source: s for s in chosen}
    for source in sources.values():
        check(job.lake.empty_of(source.mapping.bronze), source, meaning)
    check_repairs(job.spark, meaning.repairs, meaning.rules.names)
    units = [unit(s, meaning) for s in sources.values()]
    again = [u for u in units if job.restates(u)]
    groups = [[u for u in units if u not in again], *([u] for u in again)]
    for group in filter(None, groups):
        job.together(group, lambda batch: step(batch, sources, meaning))


def unit(source: Source, meaning: Meaning) -> Unit:
    """A source as a part of the batch."""
    mapping, rules = source.mapping, fingerprint(source, meaning)
    return Unit(mapping.source, [mapping.bronze], outputs(source), rules)


def step(batch: Batch, sources: dict[str, Source], meaning: Meaning) -> None:
    """Conform the sources that have new records."""
    deliveries = [
        Delivery(s, batch.new_rows(s.mapping.bronze, part), part)
        for part in batch.at_work
        for s in [sources[part.unit.name]]
    ]
    if deliveries:
        conform(batch, deliveries, meaning)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
