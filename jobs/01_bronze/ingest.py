"""Take the new files of each source into bronze: one row per readable record, exactly once.

    spark-submit --py-files dist/lakecdp.zip jobs/01_bronze/ingest.py \
        --env demo --lake build/demo/lake --landing build/demo/landing --run-date 2026-11-01

Records that cannot be read go to silver.quarantine with file, line and reason. A source whose files
cannot be read at all fails by name; the other sources go on.
"""

from lakecdp.bronze.ingest import land, new_files, open_files
from lakecdp.bronze.mapping import Source, load_sources
from lakecdp.platform.errors import LakecdpError, UsageError
from lakecdp.platform.job import Job, main


def run(job: Job) -> None:
    """Land every source; a failing one does not stop the others."""
    if job.settings.landing is None:
        raise UsageError("No landing folder: give --landing, or set `landing` in the settings.")
    for source in load_sources(job.conf, job.settings, job.source):
        try:
            ingest(job, source, job.settings.landing)
        except LakecdpError as e:
            job.fail(str(e))


def ingest(job: Job, source: Source, landing: str) -> None:
    """Land the new files of one source in one batch."""
    mapping = source.mapping
    files = new_files(job.spark, landing, mapping, job.read("bronze.landed_file"))
    outputs = [mapping.bronze, "silver.quarantine", "bronze.landed_file"]
    with job.batch(mapping.source, outputs=outputs if files else []) as batch:
        if files:
            land(batch, source, open_files(job.spark, source, files))


if __name__ == "__main__":
    raise SystemExit(main(run, __doc__))
