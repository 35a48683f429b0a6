"""Take what is new of each source into bronze: one row per readable record, exactly once.

    spark-submit --py-files dist/lakecdp.zip jobs/01_bronze/ingest.py \
        --env demo --lake build/demo/lake --landing build/demo/landing --run-date 2026-11-01

Sources are files in the landing folder, or Kafka, databases, APIs and Delta tables of others. Records
that cannot be read go to silver.quarantine with place and reason. A source that cannot be read at all
fails by name; the other sources go on.
"""

from collections.abc import Callable

from lakecdp.bronze.connectors.opening import open_input
from lakecdp.bronze.drift import seen_fields
from lakecdp.bronze.ingest import Landing, land, landed_files, new_files, open_files
from lakecdp.bronze.mapping import Source, load_sources
from lakecdp.platform.errors import LakecdpError, UsageError
from lakecdp.platform.fs import FileEntry, list_files, matching
from lakecdp.platform.job import Job, at_once, main
from lakecdp.platform.part import Unit


def run(job: Job) -> None:
    """Land every source; a failing one does not stop the others."""
    sources = load_sources(job.conf, job.settings, job.source)
    land_all(job, opened_files(job, [s for s in sources if s.mapping.input is None]))
    pulled = [s for s in sources if s.mapping.input is not None]
    while pulled:
        landings = land_all(job, opened(job, pulled, lambda s: open_input(job, s)))
        pulled = [x.source for x in landings if x.more]


def opened_files(job: Job, sources: list[Source]) -> list[Landing]:
    """The new files of sources; those that fail are told."""
    if not sources:
        return []
    if job.settings.landing is None:
        raise UsageError("No landing folder: give --landing, or set `landing` in the settings.")
    present = list_files(job.spark, job.settings.landing)
    if job.source is None:
        stray(job, present, [p for s in sources for p in s.mapping.files])
    landed = job.read("bronze.landed_file")
    known, seen = landed_files(landed), seen_fields(landed)
    return opened(
        job,
        sources,
        lambda s: open_files(
            job.spark, s, new_files(present, s.mapping, known), seen.get(s.mapping.source, ())
        ),
    )


def opened(job: Job, sources: list[Source], work: Callable[[Source], Landing]) -> list[Landing]:
    """What is new of sources; those that fail are told."""
    ready: list[Landing] = []
    for source, landing in zip(sources, at_once(work, sources), strict=True):
        if isinstance(landing, Landing):
            ready.append(landing)
        else:
            failed(job, source.mapping.source, landing)
    return ready


def land_all(job: Job, ready: list[Landing]) -> list[Landing]:
    """Land them in one batch, or one by one where that fails; returns those that landed."""
    if not ready:
        return []
    before = len(job.summaries)
    job.together([x.unit for x in ready], lambda batch: land(batch, ready))
    done = {s.unit for s in job.summaries[before:] if s.outcome != "failed"}
    return [x for x in ready if x.source.mapping.source in done]


def stray(job: Job, present: list[FileEntry], patterns: list[str]) -> None:
    """Name files that no source takes: a pattern may be wrong."""
    taken = {f.path for f in matching(present, patterns)}
    left = [f.path for f in present if f.path not in taken]
    if left:
        some = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
        job.note(f"{len(left)} of {len(present)} files match no source: {some}")


def failed(job: Job, source: str, error: LakecdpError) -> None:
    """Say in the ledger, too, that a source cannot be read."""

    def fail(_: object) -> None:
        raise error

    job.together([Unit(source)], fail)


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
