"""Take the new files of each source into bronze: one row per readable record, exactly once.

    spark-submit --py-files dist/lakecdp.zip jobs/01_bronze/ingest.py \
        --env demo --lake build/demo/lake --landing build/demo/landing --run-date 2026-11-01

Records that cannot be read go to silver.quarantine with file, line and reason. A source whose files
cannot be read at all fails by name; the other sources go on.
"""

from lakecdp.bronze.ingest import Landing, land, landed_files, new_files, open_files
from lakecdp.bronze.mapping import load_sources
from lakecdp.platform.errors import LakecdpError, UsageError
from lakecdp.platform.fs import FileEntry, list_files, matching
from lakecdp.platform.job import Job, at_once, main
from lakecdp.platform.part import Unit


def run(job: Job) -> None:
    """Land every source; a failing one does not stop the others."""
    if job.settings.landing is None:
        raise UsageError("No landing folder: give --landing, or set `landing` in the settings.")
    sources = load_sources(job.conf, job.settings, job.source)
    present = list_files(job.spark, job.settings.landing)
    if job.source is None:
        stray(job, present, [p for s in sources for p in s.mapping.files])
    known = landed_files(job.read("bronze.landed_file"))
    opened = at_once(
        lambda s: open_files(job.spark, s, new_files(present, s.mapping, known)), sources
    )
    ready: list[Landing] = []
    for source, landing in zip(sources, opened, strict=True):
        if isinstance(landing, Landing):
            ready.append(landing)
        else:
            failed(job, source.mapping.source, landing)
    if ready:
        job.together([x.unit for x in ready], lambda batch: land(batch, ready))


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
